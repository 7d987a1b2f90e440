"""Checkpoints: from every evaluation on, a population that was interrupted ends in the bytes of one that was not."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_measuring import POINTS, Normed, Restless, X
from test_train import CPU

from harness import Diagnostics
from harness.clipping import AutoClip, ZClip
from harness.engine.keeping import Keeper, Keeping
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW
from harness.settings.schedules import Cosine, Linear
from harness.tasks import Tensors

EVALUATIONS = 4


class Killed(Exception):
    """Stands for SIGKILL: nothing is tidied up in between."""


def trained(runs: list[Run], folder: Path | None = None, *, die_at: int = 0, device: torch.device = CPU) -> Any:
    """Tables, and notes, of a training that checkpoints at every evaluation and ends before one of them is over."""
    evaluations = 0

    def progress(steps: int, nonfinite: int) -> None:
        nonlocal evaluations
        evaluations += 1
        if evaluations == die_at:
            raise Killed

    keeper = Keeper(Keeping(folder, every_s=0))
    tables = train(runs, evaluations=EVALUATIONS, device=device, progress=progress, keeper=keeper)
    return tables, keeper.notes


def assert_same(one: tuple[pd.DataFrame, ...], other: tuple[pd.DataFrame, ...]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


def assert_resumes(runs: list[Run], folder: Path, device: torch.device = CPU) -> None:
    """After a death at each evaluation; then, at the end, from the state after the last one."""
    taken: list[int] = []
    whole = train(runs, evaluations=EVALUATIONS, progress=lambda steps, _: taken.append(steps), device=device)
    steps = runs[0].setup.steps
    for die_at in range(2, len(taken) + 1):
        (folder / str(die_at)).mkdir()
        with pytest.raises(Killed):
            trained(runs, folder / str(die_at), die_at=die_at, device=device)
        tables, notes = trained(runs, folder / str(die_at), device=device)
        assert_same(tables, whole)
        went = f"on from step {steps * (die_at - 1) // EVALUATIONS} of {steps}, by a checkpoint"
        assert len(notes) == 1 and notes[0].endswith(went), notes
    tables, notes = trained(runs, folder / str(die_at), device=device)
    assert_same(tables, whole)
    assert len(notes) == 1, notes


def setups() -> dict[str, list[Run]]:
    net = Setup(
        task=POINTS, model=DropoutNet(hidden=(16,), dropout=0.3), clipping=AutoClip(50.0), optimizer=Adam(0.01),
        batch_size=16, steps=12,
    )  # fmt: skip
    scheduled = net.replace(
        model=DropoutNet(hidden=(16,), dropout=Linear(0.0, 0.5)), optimizer=AdamW(lr=Cosine(0.05), weight_decay=0.1),
        clipping=ZClip(warmup=3, z=1.0), accumulate=2, label_smoothing=0.1,
    )  # fmt: skip
    normed = net.replace(model=Model(Normed), optimizer=SGD(0.3, momentum=0.9))
    patient = net.replace(patience=1, optimizer=SGD(0.7))
    lstm = SimpleRNN(hidden=8, cell="lstm", layers=2, dropout=0.3, recurrent_dropout=0.2, variational=True)
    rnn = net.replace(task=Tensors(X.view(300, 5, 1), POINTS.y), model=lstm, metrics=Diagnostics("full"))
    wild = Adam(1e38)
    return {
        "dropout, percentile clipping, Adam": [Run(0, seed, net) for seed in (0, 1)],
        "schedules, accumulation, label smoothing, z clipping": [
            Run(t, 0, s) for t, s in enumerate([scheduled, scheduled.replace(optimizer=AdamW(0.01))])
        ],
        "batch norm": [Run(0, seed, normed) for seed in (0, 1, 2)],
        "members that diverged": [
            Run(t, s, o) for t, o in enumerate([net, net.replace(optimizer=wild)]) for s in (0, 1)
        ],
        "early stopping": [Run(0, seed, patient) for seed in range(4)],
        "lstm": [Run(0, seed, rnn) for seed in (0, 1)],
        "tuning": [Run(0, seed, net, {}, False) for seed in (0, 1)],
        "alone": [Run(0, 0, net)],
        "alone, bf16": [Run(0, 0, net.replace(precision="bf16"))],
        "alone, early stopping": [Run(0, 0, patient)],
        "alone, changing all it has": [Run(0, 0, net.replace(model=Model(Restless)))],
    }


@pytest.mark.parametrize("name", setups())
def test_every_evaluation_can_be_gone_on_from(name: str, tmp_path: Path) -> None:
    assert_resumes(setups()[name], tmp_path)
