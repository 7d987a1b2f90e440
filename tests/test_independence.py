"""A run's numbers do not depend on its companions: whole curves, bit for bit, whatever the width, the order and the threads."""

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from torch import Tensor

from harness.audit.workloads import NormNet, Workload
from harness.clipping import AGC, ClippingRule, PerTensorNorm, Value
from harness.engine.choice import way
from harness.engine.diagnostics import Diagnostics
from harness.engine.evaluation import mean
from harness.engine.functions.transforms import only_vmap
from harness.engine.independence import independent
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW
from harness.settings.machine import threads_restored
from harness.tasks import Images

CPU = torch.device("cpu")


class RoundsOtherwiseAmongFew(nn.Module):
    """As some kernels of torch do in narrow populations; which ones differs from CPU to CPU."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.body, self.drop, self.out = nn.Linear(inputs, 16), nn.Dropout(dropout), nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        vmap = only_vmap()
        few = vmap is not None and vmap.members < 8
        return self.out(self.drop(self.body(x * (1 + 2**-22 if few else 1)).relu()))


class Factored(nn.Module):
    """Its weights are a part of an orthogonal matrix, which is made anew in every forward pass."""

    raw: Tensor

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(inputs, outputs)
        self.register_buffer("raw", torch.randn(64, 64, generator=torch.Generator().manual_seed(0)))

    def factor(self) -> Tensor:
        return torch.linalg.qr(self.raw)[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(x @ self.factor()[: x.shape[1], : x.shape[1]]))


MLP = Workload(DropoutNet(hidden=(33, 19)), (13,), classes=3, batch_size=17, optimizer=SGD(momentum=0.9))
KINDS: dict[str, Workload] = {
    "perceptron": MLP,
    "AdamW": Workload(DropoutNet(hidden=(33, 19)), (13,), classes=3, batch_size=17, optimizer=AdamW(weight_decay=0.01)),
    "recurrent": Workload(SimpleRNN(hidden=33), (11, 5), classes=3, batch_size=17, optimizer=SGD()),
    "tokens": Workload(SimpleRNN(hidden=33, dropout=0.2, readout="every"), (9,), classes=103, batch_size=17, optimizer=SGD(),
                       every_step=True, vocabulary=103),
    "layer norm": Workload(Model(NormNet, width=33), (13,), classes=3, batch_size=17),
}  # fmt: skip
"""Of odd sizes: matrices of such members begin anywhere in memory."""

ROUNDING = Workload(Model(RoundsOtherwiseAmongFew), (13,), classes=3, batch_size=16)


def members(setup: Setup, count: int, diverging: bool = False) -> list[Run]:
    lr = dict(setup.optimizer.walk())["lr"]
    runs = [Run(i // 8, i % 8, setup.with_value("optimizer.lr", lr * (1 + i // 8) / 4)) for i in range(count)]
    return runs + [Run(90, 3, setup.with_value("optimizer.lr", 1e37))] * diverging


def populations(setup: Setup) -> list[list[Run]]:
    wide = members(setup, 19)
    shuffled = random.Random(0).sample(wide, 9)
    return [wide, members(setup, 2), members(setup, 3, diverging=True), shuffled]


def trained(runs: list[Run]) -> dict[tuple[int, int], bytes]:
    """The bits of each run's row and curve."""
    tables = train(runs, evaluations=3, device=CPU)
    found: dict[tuple[int, int], bytes] = {}
    for table in tables:
        numbers = table.select_dtypes(["number", "bool"]).set_index(["trial", "seed"])
        for key, rows in numbers.groupby(["trial", "seed"]):
            found[key] = found.get(key, b"") + np.ascontiguousarray(rows.to_numpy(float)).tobytes()
    return found


def differing(setup: Setup) -> set[tuple[int, int]]:
    """The runs whose bits are not the same in every population."""
    wide, *others = (trained(runs) for runs in populations(setup))
    assert all(set(other) <= set(wide) | {(90, 3)} for other in others)
    return {key for other in others for key in other if key in wide and other[key] != wide[key]}


@pytest.mark.parametrize("kind", KINDS)
def test_curves_are_the_same_whatever_the_width_the_order_and_the_companions(kind: str) -> None:
    assert differing(KINDS[kind].setup().replace(steps=12)) == set()


@pytest.mark.parametrize("level", ["light", "standard", "full"])
def test_no_bit_depends_on_how_many_examples_companions_have(level: str) -> None:
    few = Setup(
        Images(train_size=150), DropoutNet(hidden=(64,), dropout=0.2), optimizer=Adam(0.03), batch_size=32, steps=100,
        metrics=Diagnostics(level),
    )  # fmt: skip
    many = few.replace(task=Images(train_size=700))
    runs = [Run(0, seed, few) for seed in range(6)]
    among_alike = trained(runs)
    among_others = trained(sorted([*runs, *(Run(1, seed, many) for seed in range(6))], key=lambda run: run.seed))
    assert {key: bits for key, bits in among_others.items() if key in among_alike} == among_alike


@pytest.mark.parametrize("count", [5, 300, 2000])
def test_a_mean_does_not_depend_on_what_stands_beside_the_examples_that_count(count: int) -> None:
    """By how many zeros a sum is longer decides how numpy groups it, and so its last bit."""
    losses = np.random.default_rng(0).lognormal(-8, 4, (2, 50, count))
    beside = np.concatenate([losses, np.zeros((2, 50, 10_000 - count))], -1)
    oracle = [[math.fsum(losses[i, m]) / count for m in range(50)] for i in range(2)]
    found = mean(beside, np.array([count] * 49 + [10_000]))[:, :49]
    np.testing.assert_array_equal(found, mean(losses, np.full(50, count))[:, :49])
    np.testing.assert_allclose(found, np.array(oracle)[:, :49], rtol=1e-14)


@pytest.mark.parametrize("count", [1, 2, 19])
def test_curves_are_the_same_whatever_the_threads_of_the_process(count: int) -> None:
    """Those of an operation that by itself has other last bits on two threads than on one."""
    setup = Workload(Model(Factored), (13,), classes=3, batch_size=16).setup().replace(steps=3)
    runs, found = members(setup, count), []
    for threads in (1, 2):
        with threads_restored():
            torch.set_num_threads(threads)
            found.append((Factored(13, 3).factor(), trained(runs)))
            assert torch.get_num_threads() == threads
    (one, curves), (two, others) = found
    assert not torch.equal(one, two)
    assert curves == others


@pytest.mark.slow
@pytest.mark.parametrize("rule", [Value(0.01), PerTensorNorm(0.5), AGC(0.01)], ids=lambda rule: type(rule).__name__)
def test_curves_are_the_same_under_every_kind_of_clipping(rule: ClippingRule) -> None:
    assert differing(MLP.setup().replace(steps=12, clipping=rule)) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_independence_is_found(kind: str) -> None:
    setup = KINDS[kind].setup()
    assert independent([members(setup, 1)[0], members(setup, 10)[9]], CPU, 16)


def test_dependence_is_found() -> None:
    setup = ROUNDING.setup().replace(steps=12)
    narrow, wide = trained(members(setup, 2)), trained(members(setup, 16))
    assert all(narrow[key] != wide[key] for key in narrow)
    assert not independent([members(setup, 1)[0], members(setup, 10)[9]], CPU, 16)


def test_a_way_says_whether_companions_matter() -> None:
    for workload, alone in ((MLP, True), (ROUNDING, False)):
        found = way(members(workload.setup(), 16), CPU, memory_bytes=2**31)
        assert found.alone is (alone and found.width > 1)


@pytest.mark.slow
@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="matrices are multiplied by another library")
def test_without_the_setting_of_the_library_odd_sizes_depend_on_companions(tmp_path: Path) -> None:
    """So the setting is what does it."""
    script = "import test_independence as t; print(len(t.differing(t.MLP.setup().replace(steps=12))))"
    counts = []
    for setting in ("AUTO", ""):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=Path(__file__).parent, env=os.environ | {"MKL_CBWR": setting},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        counts.append(int(done.stdout))
    assert counts[0] == 0 < counts[1]
