"""A study of one's own, which the tests of the whole path run, and its tables after a run that nothing disturbed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness import run
from harness.reporting.plots import Image

MINE = '''"""Does my net like dropout?"""
import torch
from torch import nn
from math import inf
from harness import Claim, Exact, Model, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))

class Mine(nn.Module):
    def __init__(self, outputs, width=8, dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, outputs))

    def forward(self, x):
        return self.net(x)

study = Study(
    name="mine",
    task=Tensors(x, (x[:, 0] * x[:, 1] > 0).long()),
    model=Model(Mine, dropout=Sweep(0.0, 0.5)),
    clipping=GlobalNorm(Sweep(0.5, inf)),
    optimizer=SGD(lr=Tune(0.05, 1.0, log=True)),
    batch_size=16, steps=40, seeds=4, tune="shared", tune_seeds=1, tune_trials=2, evaluations=4,
    claims=[
        Claim("dropout helps", metric="test_loss", better="lower", smallest_effect=0.01,
              treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0}),
        Exact("dropout acts in training only", metric="eval_noise", unless="train_noise"),
    ],
)
'''


def harness_run(study_file: Path, *options: str, results: Path) -> Result:
    devices = [] if "--devices" in options else ["--devices", "cpu"]
    return CliRunner().invoke(run.main, [str(study_file), "--results", str(results), *devices, *options])


def tables(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes() for name in ("runs.parquet", "runs.csv", "curves.parquet", "summary.csv")
    }


def without_digests(folder: Path) -> Path:
    """A folder of results as an older version left it, which noted no digests: files in it may be changed for a test."""
    counts = json.loads((folder / "counts.json").read_text())
    (folder / "counts.json").write_text(json.dumps({name: n for name, n in counts.items() if name != "digests"}))
    return folder


@contextmanager
def no_drawing() -> Iterator[None]:
    """Within the block reports have empty figures: to draw them is half the work of a study as small as this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.reporting.plots.render_all", lambda plots, *_: [Image(b"<svg/>", b"", b"")] * len(plots))
        yield
