"""What a CUDA device must show besides graphs (`test_capture`): the proof holds there, and both ways give one study's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from own_study import MINE, harness_run

import harness
from harness.audit.contenders import members
from harness.audit.workloads import WORKLOADS
from harness.clipping import GlobalNorm
from harness.engine import update
from harness.engine.keeping import Keeper
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.update import in_one_pass
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.settings import Component
from harness.tasks import AddingProblem, Images


class Waits(nn.Module):
    """A user's module whose host waits for the device."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.cuda.synchronize()
        return self.out(x)


pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_population_equals_the_plain_loop(name: str) -> None:
    runs = members(WORKLOADS[name].setup(), 16)
    assert not obstacle([runs[0], runs[-1]], torch.device("cuda"))


@pytest.mark.parametrize(
    ("task", "model", "optimizer"),
    [
        (Images(), DropoutNet(hidden=(32,), dropout=0.5), Adam(1e-3)),
        (AddingProblem(length=20), SimpleRNN(hidden=16, dropout=0.2), SGD(0.1)),
    ],
)
def test_whole_runs_are_alike_in_both_ways(task: Component, model: Component, optimizer: Component) -> None:
    setup = Setup(task, model, GlobalNorm(1.0), optimizer, 16, 40)
    runs = [Run(0, seed, setup) for seed in (0, 1)]
    together, _ = train(runs, evaluations=2, device=torch.device("cuda"))
    for run in runs:
        alone, _ = train([run], evaluations=2, device=torch.device("cuda"))
        same = together[together["seed"] == run.seed]
        for metric in ("train_loss", "test_loss", "grad_norm_q99"):
            np.testing.assert_allclose(same[metric], alone[metric], rtol=1e-3)


@pytest.mark.parametrize("beta1", [0.9, 0.3, 0.0])
def test_adam_in_one_pass_is_the_formula(beta1: float) -> None:
    formula, why = in_one_pass(torch.device("cuda", 0))
    assert formula is not None, why
    columns = [
        torch.tensor([[a], [b], [c]], dtype=torch.float64)
        for a, b, c in ([0.1, 1e-2, 1e-3], [0.999, 0.9, 0.0], [1e-8, 1e-8, 0.1])
    ]
    lr, beta2, eps = columns
    step = torch.tensor([[1.0], [3.0], [1000.0]], dtype=torch.float64)
    coefficients = Adam().coefficients(step, lr=lr, beta1=torch.full_like(lr, beta1), beta2=beta2, eps=eps)
    on_device = {name: column.float().cuda() for name, column in coefficients.items() if column is not None}
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 9001, generator=generator) for _ in range(4)]
    start[1][0, :2], start[1][1] = torch.tensor([torch.nan, torch.inf]), start[1][1] * 1e21  # gradients
    start[3].square_()
    ours, oracle = ([tensor.cuda() for tensor in start] for _ in range(2))
    formula(*ours, **on_device)
    Adam().update(*oracle, **on_device)
    for i in (0, 2, 3):
        torch.testing.assert_close(ours[i], oracle[i], rtol=1e-6, atol=1e-6, equal_nan=True)


def test_what_is_slower_than_it_could_be_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "in_one_pass", lambda device: (None, "RuntimeError: no compiler"))
    setup = Setup(Images(), Model(Waits), GlobalNorm(1.0), Adam(1e-3), 16, 10)
    keeper = Keeper()
    train([Run(0, seed, setup) for seed in (0, 1)], evaluations=1, device=torch.device("cuda"), keeper=keeper)
    assert [note.partition(":")[0] for note in keeper.notes] == ["optimizer", "model"]
    assert "no compiler" in keeper.notes[0] and "no CUDA graph" in keeper.notes[1]


def test_a_study_trains_there_as_populations(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = harness_run(tmp_path / "mine.py", "--devices", "0", results=tmp_path / "results")
    assert done.exit_code == 0 and "by the plain loop" not in done.output
    found = harness.load(tmp_path / "results" / "mine")
    assert "failed" not in set(found.runs["status"])
