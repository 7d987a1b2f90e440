"""What a CUDA device must show besides graphs (`test_capture`): the proof holds there, and both ways give one study's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from own_study import MINE, harness_run

import harness
from harness.audit.contenders import members
from harness.audit.workloads import WORKLOADS
from harness.clipping import GlobalNorm
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.settings import Component
from harness.tasks import AddingProblem, Images

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


def test_a_study_trains_there_as_populations(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = harness_run(tmp_path / "mine.py", "--devices", "0", results=tmp_path / "results")
    assert done.exit_code == 0 and "by the plain loop" not in done.output
    found = harness.load(tmp_path / "results" / "mine")
    assert "failed" not in set(found.runs["status"])
