"""A step that a CUDA device repeats as a graph: what it must not do, seen on a CPU; on a device, the numbers of the plain step."""

from math import inf
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn as nn
from test_contract import OPTIMIZERS, RULES, TASKS, fitting, one_for_each_model
from torch.utils._python_dispatch import TorchDispatchMode

from harness.audit.workloads import WORKLOADS
from harness.clipping import GlobalNorm
from harness.engine import update
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.timing import steps_of
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.settings import Component
from harness.settings.schedules import Early, Linear
from harness.tasks import AddingProblem, CharLM, Images

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

WAITS = {"_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "_unique2"}
"""Operations for which the host waits: they hand it a value, or a shape that depends on one."""

FROM_HOST = {"lift_fresh"}
"""What becomes of numbers of the host when a tensor is made of them: a copy to the device, for which the host waits too."""


class Watch(TorchDispatchMode):
    """Notes operations for which a CUDA device would make the host wait, which a capture forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().partition("::")[2].partition(".")[0]
        masked = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for given in args[1:2] if isinstance(given, list | tuple) for index in given
        )  # fmt: skip
        if masked or name in WAITS | FROM_HOST:
            self.found.add(name)
        return func(*args, **(kwargs or {}))


def host_traffic(setup: Setup) -> set[str]:
    """Operations of a step at which host and device would wait for one another."""
    setups = setup, setup.with_value("optimizer.lr", 0.03)
    step = steps_of([Run(i, seed, own) for i, own in enumerate(setups) for seed in (0, 1)], torch.device("cpu"))
    step()
    with Watch() as watch:
        step()
    return watch.found


@pytest.fixture
def _updates_by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CUDA device; the fused kernels are for CPUs."""
    monkeypatch.setattr(update, "FUSED", {})


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.index_put_((x > 0,), x.new_zeros(())),
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: bool((x == 1).all()),
        torch.vmap(lambda value: value + value.new_tensor(2.0)),
    ],
)
def test_waiting_is_noticed(waiting: Any) -> None:
    with Watch() as watch:
        waiting(torch.ones(3))
    assert watch.found


@pytest.mark.usefixtures("_updates_by_formula")
@pytest.mark.parametrize("task", TASKS)
def test_a_step_of_a_task_never_waits(task: str) -> None:
    for setup in fitting([task], ["DropoutNet", "SimpleRNN"]):
        assert not host_traffic(setup), setup


@pytest.mark.usefixtures("_updates_by_formula")
@pytest.mark.parametrize("rule", RULES)
def test_a_clipping_rule_never_waits(rule: str) -> None:
    for setup in one_for_each_model():
        assert not host_traffic(setup.replace(clipping=RULES[rule]()))


@pytest.mark.usefixtures("_updates_by_formula")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_never_waits(optimizer: str) -> None:
    for setup in one_for_each_model():
        settings = {name: 0.1 for name in ("momentum", "weight_decay") if name in OPTIMIZERS[optimizer]().kinds()}
        assert not host_traffic(setup.replace(optimizer=OPTIMIZERS[optimizer](**settings)))


class Normed(nn.Module):
    """A user's module: alpha dropout, batch norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.SELU(), nn.AlphaDropout(0.2), nn.Linear(8, outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


ROWS, TEXT = Images(layout="rows"), CharLM(length=10)


@pytest.mark.usefixtures("_updates_by_formula")
@pytest.mark.parametrize(
    ("task", "model"),
    [
        (Images(), DropoutNet(hidden=(8,), dropout=Early(0.5, until=2))),
        (Images(), DropoutNet(hidden=(8,), dropout=Linear(0.5, 0.0), noise="gaussian")),
        (ROWS, SimpleRNN(hidden=8, layers=2, dropout=0.3, recurrent_dropout=0.25, variational=True)),
        (ROWS, SimpleRNN(hidden=8, cell="lstm", weight_dropout=0.3, zoneout=0.2, cell_zoneout=0.2)),
        (ROWS, SimpleRNN(hidden=8, cell="gru", zoneout=0.2)),
        (TEXT, SimpleRNN(hidden=8, readout="every", embedding=4, input_dropout=0.2)),
        (ROWS, WORKLOADS["lstm"].model),
        (Images(), Model(Normed)),
    ],
    ids=str,
)
def test_a_form_of_dropout_or_a_users_module_never_waits(task: Component, model: Model) -> None:
    assert not host_traffic(Setup(task, model, GlobalNorm(1.0), SGD(0.1), 8, 4))


@needs_cuda
@pytest.mark.parametrize(
    ("task", "model", "optimizer"),
    [
        (Images(), DropoutNet(hidden=(32,), dropout=0.5), Adam(1e-3)),
        (AddingProblem(length=20), SimpleRNN(hidden=16), SGD(0.1)),
    ],
)
def test_a_graph_gives_the_same_bits(task: Component, model: Component, optimizer: Component) -> None:
    rates = (optimizer.lr, 1e6)  # some members diverge, and the population is compacted
    setups = [Setup(task, model, GlobalNorm(c), optimizer.replace(lr=lr), 16, 40) for c in (1.0, inf) for lr in rates]
    runs = [Run(i, seed, setup) for i, setup in enumerate(setups) for seed in (0, 1)]
    kinds = [train(runs, evaluations=4, device=torch.device("cuda"), capture=capture) for capture in (True, False)]
    for captured, plain in zip(*kinds, strict=True):
        pd.testing.assert_frame_equal(captured, plain, check_exact=True)


@needs_cuda
def test_new_noise_is_drawn_at_every_step() -> None:
    setup = Setup(Images(), DropoutNet(hidden=(32,), dropout=0.9), GlobalNorm(), SGD(1e-30), 1797, 20)
    runs = [Run(0, seed, setup) for seed in (0, 1)]
    _, curves = train(runs, evaluations=1, device=torch.device("cuda"))
    assert all(losses.nunique() > 15 for _, losses in curves.groupby("seed")["loss"])
