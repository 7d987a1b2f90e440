"""Checkpoints: from every evaluation on, a population that was interrupted ends in the bytes of one that was not."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import own_study
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.prune
from own_study import harness_run
from test_measuring import POINTS, Normed, Restless, X
from test_train import CPU
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

import harness
from harness import Diagnostics
from harness.clipping import AutoClip, NoClipping, ZClip
from harness.engine import kept_weights
from harness.engine.content import run_key
from harness.engine.keeping import Keeper, Keeping, Which
from harness.engine.runs import Run, build
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.execution.workers import Workers
from harness.lead.options import Options
from harness.lead.studies import forget
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW
from harness.settings import InvalidStudy
from harness.settings.schedules import Cosine, Linear
from harness.study.load import load_study
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
        found, notes = trained(runs, folder / str(die_at), device=device)
        assert_same(found, whole)
        went = f"on from step {steps * (die_at - 1) // EVALUATIONS} of {steps}, by a checkpoint"
        assert len(notes) == 1 and notes[0].endswith(went), notes
    found, notes = trained(runs, folder / str(die_at), device=device)
    assert_same(found, whole)
    assert len(notes) == 1, notes


class Annealed(Normed):
    """Reads in evaluation how many steps it has taken: each run's best weights go with a count of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = [0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.taken[0] += self.training
        return super().forward(x) * (1 + self.taken[0])


class Turning(Normed):
    """Keeps complex numbers of double precision, which turn on in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.polar(torch.ones(8).double(), torch.linspace(0, 3, 8).double()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.turn = self.turn * self.turn[1]
        return super().forward(x) * self.turn.real.float().mean()


class Parametrized(Annealed):
    """Layers whose weights torch makes of others, one of them in a list as well; it counts its steps."""

    def __init__(self) -> None:
        super().__init__()
        weight_norm(self.first)
        orthogonal(self.out)
        self.layers = [self.first, self.out]


class SpectrallyNormed(Normed):
    """Moves vectors on in training, of which it makes its weights."""

    def __init__(self) -> None:
        super().__init__()
        spectral_norm(self.first)


class WithHooks(Normed):
    """Weights that hooks of torch's make before each forward pass; a step reads that of the one before."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            nn.utils.weight_norm(self.first)
        nn.utils.spectral_norm(self.out)
        nn.utils.prune.l1_unstructured(self.norm, "weight", 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.first.weight.detach().norm()
        return super().forward(x) * before


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
    rnn = net.replace(task=Tensors(X.view(300, 5, 1), POINTS.y), model=lstm)
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
        "several clipping rules, of which one's only members diverged": [
            Run(t, s, net.replace(clipping=rule, optimizer=optimizer))
            for s in (0, 1)
            for t, (rule, optimizer) in enumerate(
                [(AutoClip(50.0), net.optimizer), (NoClipping(), wild), (ZClip(warmup=3, z=1.0), net.optimizer)]
            )
        ],
        "early stopping": [Run(0, seed, patient) for seed in range(4)],
        "lstm": [Run(0, seed, rnn) for seed in (0, 1)],
        "all diagnostics": [Run(0, seed, rnn.replace(metrics=Diagnostics("full"))) for seed in (0, 1)],
        "tuning": [Run(0, seed, net, {}, False) for seed in (0, 1)],
        "what a module counts": [Run(0, s, net.replace(model=Model(Annealed), optimizer=SGD(2.0))) for s in range(4)],
        "complex numbers": [Run(0, seed, net.replace(model=Model(Turning))) for seed in (0, 1)],
        "alone, complex numbers": [Run(0, 0, net.replace(model=Model(Turning)))],
        "alone": [Run(0, 0, net)],
        "alone, bf16": [Run(0, 0, net.replace(precision="bf16"))],
        "alone, early stopping": [Run(0, 0, patient)],
        "weights made of others": [Run(0, seed, net.replace(model=Model(Parametrized))) for seed in (0, 1)],
        "alone, weights made of others": [Run(0, 0, net.replace(model=Model(Parametrized)))],
        "alone, weights divided by their norm": [Run(0, 0, net.replace(model=Model(SpectrallyNormed)))],
        "alone, weights made by hooks": [Run(0, 0, net.replace(model=Model(WithHooks)))],
        "alone, changing all it has": [Run(0, 0, net.replace(model=Model(Restless)))],
    }


SLOW = {"all diagnostics": [pytest.mark.slow]}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, [])) for name in setups()])
def test_every_evaluation_can_be_gone_on_from(name: str, tmp_path: Path) -> None:
    assert_resumes(setups()[name], tmp_path)


class Unfreezes(Normed):
    """A layer, at a step; its run then begins anew, with a place for that layer."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.steps = at, 0
        self.first.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        if self.training and self.steps == self.at:
            self.first.requires_grad_(True)
        return super().forward(x)


@pytest.mark.parametrize("at", [1, 8])
@pytest.mark.parametrize("die_at", range(2, 6))
def test_what_was_unfrozen_can_be_gone_on_from(at: int, die_at: int, tmp_path: Path) -> None:
    runs = [Run(0, 0, setups()["alone"][0].setup.replace(model=Model(Unfreezes, at=at)))]
    steps: list[int] = []
    whole = train(runs, evaluations=EVALUATIONS, device=CPU, progress=lambda taken, _: steps.append(taken))
    assert sum(steps) == runs[0].setup.steps
    if die_at <= len(steps):
        with pytest.raises(Killed):
            trained(runs, tmp_path, die_at=die_at)
    found, notes = trained(runs, tmp_path)
    assert_same(found, whole)
    assert all(note.endswith("by a checkpoint") for note in notes)


def files(folder: Path) -> list[Path]:
    return sorted((folder / ".checkpoints").iterdir())


def interrupted(runs: list[Run], folder: Path) -> Path:
    """The checkpoint that a death before the third evaluation leaves."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(Killed):
        trained(runs, folder, die_at=3)
    (path,) = files(folder)
    return path


@pytest.mark.parametrize("damage", ["cut", "one bit", "empty", "another layout"])
def test_a_damaged_checkpoint_is_said_and_removed_and_training_begins_anew(damage: str, tmp_path: Path) -> None:
    runs = setups()["dropout, percentile clipping, Adam"]
    path = interrupted(runs, tmp_path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    other = interrupted(setups()["alone"], tmp_path / "other").read_bytes()  # whole, and of something else
    kinds = {"cut": content[: len(content) // 2], "one bit": content, "empty": b"", "another layout": other}
    path.write_bytes(kinds[damage])
    found, notes = trained(runs, tmp_path)
    assert len(notes) == 1 and notes[0].startswith("checkpoints: one was damaged and is removed, its runs begin anew")
    assert_same(found, train(runs, evaluations=EVALUATIONS, device=CPU))


def test_a_checkpoint_is_that_of_the_same_members_in_their_order_alone(tmp_path: Path) -> None:
    runs = setups()["early stopping"]
    path = interrupted(runs, tmp_path)
    longer = [Run(0, run.seed, run.setup.replace(steps=16)) for run in runs]
    for others in (runs[:2], [*runs[:3], Run(0, 9, runs[0].setup)], longer):
        found, notes = trained(others, tmp_path)
        assert not notes
        assert_same(found, train(others, evaluations=EVALUATIONS, device=CPU))
    assert path in files(tmp_path)


class Opaque:
    """Holds its number where nobody sees it."""

    __slots__ = ("calls",)


class Hiding(Normed):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = Opaque()
        self.hidden.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden.calls += 1
        return super().forward(x)


class InAHook(Normed):
    """Counts in what a hook alone knows."""

    def __init__(self) -> None:
        super().__init__()
        calls: list[int] = []
        self.norm.register_forward_hook(lambda layer, given, found: calls.append(1))


class KeepsAGraph(Normed):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.found = super().forward(x)
        return self.found


@pytest.mark.parametrize(
    ("module", "what"),
    [
        (Hiding, "hidden` holds a Opaque"),
        (InAHook, "_forward_hooks` has changed"),
        (KeepsAGraph, "found` holds a Tensor"),
    ],
)
def test_what_cannot_be_stored_is_said_and_has_no_checkpoint(
    module: type[nn.Module], what: str, tmp_path: Path
) -> None:
    run = Run(0, 0, setups()["alone"][0].setup.replace(model=Model(module)))
    found, notes = trained([run], tmp_path)
    assert len(notes) == 1 and notes[0].startswith("checkpoints: none of runs of") and what in notes[0], notes
    assert not (tmp_path / ".checkpoints").exists()
    assert_same(found, train([run], evaluations=EVALUATIONS, device=CPU))


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_checkpoints as those
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # as a full disk: nothing longer can be written
tables, notes = those.trained(those.setups()["alone"], Path({folder!r}))
assert len(set(notes)) == 1 and notes[0].startswith("checkpoints: training goes on without, since none"), notes
those.assert_same(tables, those.train(those.setups()["alone"], evaluations=4, device=those.CPU))
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_training_goes_on(tmp_path: Path) -> None:
    program = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / ".checkpoints").iterdir())


def plain_test_loss(run: Run, weights: dict[str, torch.Tensor]) -> float:
    """By nothing but torch: the user's module with the weights, on the examples of the test split."""
    data = run.setup.task.data(run.seed)
    module = build(run.setup, data, run.seed)
    module.load_state_dict(weights)
    module.eval()
    x, y = data.tested()
    with torch.no_grad():
        return float(F.cross_entropy(module(x), y))


class WithoutNoise(Normed):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.first(x)).relu())


def kept() -> dict[str, list[Run]]:
    net = setups()["alone"][0].setup
    normed, wild = net.replace(model=Model(WithoutNoise), optimizer=SGD(0.3)), net.replace(optimizer=Adam(1e38))
    patient = net.replace(patience=1, optimizer=SGD(0.7))
    return {
        "population": [Run(t, s, n) for t, n in enumerate([net, net.replace(optimizer=Adam(0.1))]) for s in (0, 1)],
        "batch norm": [Run(0, seed, normed) for seed in (0, 1, 2)],
        "alone": [Run(0, 0, normed)],
        "patient": [Run(0, seed, patient) for seed in range(4)],
        "alone and patient": [Run(0, 0, normed.replace(patience=1))],
        "diverged": [Run(t, s, n) for t, n in enumerate([net, wild]) for s in (0, 1)],
    }


@pytest.mark.parametrize("which", ["best", "last"])
@pytest.mark.parametrize("name", kept())
def test_weights_give_the_test_loss_that_is_recorded_and_change_no_number(
    name: str, which: Which, tmp_path: Path
) -> None:
    runs = kept()[name]
    keeper = Keeper(Keeping(tmp_path, weights=which))
    table, curves = train(runs, evaluations=EVALUATIONS, device=CPU, keeper=keeper)
    assert_same((table, curves), train(runs, evaluations=EVALUATIONS, device=CPU))
    kept_weights.write(tmp_path, {run_key(run, EVALUATIONS): keeper.weights[run.trial, run.seed] for run in runs})
    for run in runs:
        row = table[(table["trial"] == run.trial) & (table["seed"] == run.seed)].iloc[0]
        weights = kept_weights.read(tmp_path / "weights" / f"{run_key(run, EVALUATIONS)}.safetensors")
        fresh = build(run.setup, run.setup.task.data(run.seed), run.seed).state_dict()
        assert {n: (w.shape, w.dtype) for n, w in weights.items()} == {n: (w.shape, w.dtype) for n, w in fresh.items()}
        loss = plain_test_loss(run, weights)
        if row["nonfinite"]:
            assert not all(w.isfinite().all() for w in weights.values())
        elif which == "best":
            assert loss == pytest.approx(row["best_test_loss"], rel=1e-5)
        elif run.setup.patience is None or row["best_step"] == row["steps_done"]:
            assert loss == pytest.approx(row["test_loss"], rel=1e-5)
        else:  # all that is recorded is that of the best weights
            assert loss != pytest.approx(row["test_loss"], rel=1e-5)


def test_weights_that_no_file_holds_are_said_and_change_no_number(tmp_path: Path) -> None:
    runs = setups()["complex numbers"]
    keeper = Keeper(Keeping(tmp_path, weights="last"))
    assert_same(
        train(runs, evaluations=EVALUATIONS, device=CPU, keeper=keeper),
        train(runs, evaluations=EVALUATIONS, device=CPU),
    )
    (note,) = keeper.notes
    assert note.startswith("--keep-weights: none of runs") and note.endswith("holds no torch.complex128")


STUDY = """
import os, time
import torch
from torch import nn
from harness import Model, Study, Sweep
from harness.optimizers import Adam
from harness.tasks import Tensors

x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))

class Logging(nn.Module):
    def __init__(self, outputs, dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, outputs))

    def forward(self, x):
        if self.training and {log!r}:
            with open({log!r}, "a") as file:
                file.write("x")
        return self.net(x)

study = Study(name="mine", task=Tensors(x, (x[:, 0] * x[:, 1] > 0).long()), model=Model(Logging, dropout=Sweep(0.0, 0.5)),
              optimizer=Adam(0.01), batch_size=16, steps=400, seeds=3, evaluations=20)
"""


def last_lines(folder: Path) -> str:
    return (folder / "out").read_text()[-3000:]


def launch(folder: Path, *options: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-m",
        "harness.run",
        "mine.py",
        "--devices",
        "cpu",
        "--workers",
        "1",
        "--checkpoint-every",
        "0",
    ]
    with (folder / "out").open("a") as out:
        return subprocess.Popen([*command, *options], cwd=folder, stdout=out, stderr=out, start_new_session=True)


def wait_for(what: Any, process: "subprocess.Popen[str]", folder: Path) -> None:
    until = time.monotonic() + 120
    while not what():
        assert process.poll() is None and time.monotonic() < until, last_lines(folder)
        time.sleep(0.002)


def written(folder: Path) -> set[tuple[Path, int]]:
    """The checkpoints that there are, and when each was put in place."""
    found = set()
    for path in (folder / "results" / "mine" / ".checkpoints").glob("*.safetensors"):
        with contextlib.suppress(FileNotFoundError):  # its runs were recorded just now
            found.add((path, path.stat().st_mtime_ns))
    return found


def forward_passes(folder: Path) -> int:
    return (folder / "log").stat().st_size if (folder / "log").exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "mine.py").write_text(STUDY.format(log=""))
    with own_study.no_drawing():
        done = harness_run(folder / "mine.py", "--workers", "1", results=folder / "results")
    assert done.exit_code == 0, done.output
    assert not (folder / "results" / "mine" / ".checkpoints").exists()
    return folder


@pytest.mark.slow
def test_a_study_that_is_killed_twice_goes_on_where_it_was_and_leaves_the_same_bytes(
    whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(STUDY.format(log=""))
    known: set[tuple[Path, int]] = set()

    def one_more() -> bool:
        return not written(tmp_path) <= known

    for _ in range(2):
        process = launch(tmp_path)
        wait_for(one_more, process, tmp_path)
        os.killpg(process.pid, signal.SIGKILL)  # the leader, its workers and their server
        process.wait()
        known |= written(tmp_path)
    assert launch(tmp_path).wait() == 0, last_lines(tmp_path)
    assert "by a checkpoint" in last_lines(tmp_path)
    assert own_study.tables(tmp_path / "results" / "mine") == own_study.tables(whole / "results" / "mine")
    assert not (tmp_path / "results" / "mine" / ".checkpoints").exists()


@pytest.mark.slow
def test_after_a_worker_is_killed_no_more_than_an_evaluation_is_trained_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STUDY.format(log=str(tmp_path / "log")))
    study = load_study(tmp_path / "mine.py")[0]
    values = [{"model.dropout": level} for level in (0.0, 0.5)]
    runs = [Run(trial, seed, study.setup(v), v) for trial, v in enumerate(values) for seed in (0, 1)]
    expected = train(runs, evaluations=20, device=CPU)
    passes = forward_passes(tmp_path)
    killed: list[int] = []
    done = 0
    with Workers([CPU], study, Keeping(tmp_path, every_s=0)) as workers:

        def report(index: int, steps: int, diverged: int) -> None:
            nonlocal done
            done += steps
            if done >= 4 * 200 and not killed:
                killed.append(workers._workers[0].process.pid or 0)
                os.kill(killed[0], signal.SIGKILL)

        parts = [part for _, part in workers.train([runs], report, lambda: False)]
    assert done == 4 * 400
    notes = [note for part in parts for note in part.notes]
    assert any("ended with signal 9" in note for note in notes)
    (went,) = [note for note in notes if "by a checkpoint" in note]
    assert int(went.split("from step ")[1].split()[0]) >= 180, went
    again = forward_passes(tmp_path) - 2 * passes  # of all that trained here, less twice what one training takes
    assert again <= 3 * 20, again  # evaluations until the kill arrives, and what the population learns of its module
    (table,) = [part.runs for part in parts if len(part.runs)]
    pd.testing.assert_frame_equal(table, expected[0], check_exact=True)


@pytest.mark.slow
def test_weights_of_a_study_are_found_from_its_results(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STUDY.format(log=""))
    run = ["--workers", "1", "--set", "steps=60"]
    with own_study.no_drawing():
        assert harness_run(tmp_path / "mine.py", *run, results=tmp_path / "results").exit_code == 0
        found = harness.load(tmp_path / "results" / "mine")
        with pytest.raises(InvalidStudy, match=r"has none of trial 0, seed 1; .*--keep-weights best"):
            found.weights((0, 1))
        late = harness_run(tmp_path / "mine.py", *run, "--keep-weights", "last", results=tmp_path / "results")
        assert "--keep-weights last: 6 runs have none, since they were recorded without" in late.output
        forget("mine", results=tmp_path / "results", storage=None, tracking_uri=None, unused=False, yes=True)
        again = harness_run(tmp_path / "mine.py", *run, "--keep-weights", "last", results=tmp_path / "results")
    assert again.exit_code == 0 and "--keep-weights" not in again.output
    found, study = harness.load(tmp_path / "results" / "mine"), load_study(tmp_path / "mine.py")[0]
    for _, row in found.runs.iterrows():
        setup = study.setup({"model.dropout": row["model.dropout"]}).replace(steps=60)
        of_row = Run(int(row["trial"]), int(row["seed"]), setup)
        assert plain_test_loss(of_row, found.weights(row)) == pytest.approx(row["test_loss"], rel=1e-5)
        key = run_key(of_row, 20)
        keyed = found.weights((of_row.trial, of_row.seed))
        assert all(torch.equal(weights, found.weights(row)[name]) for name, weights in keyed.items())
        assert (tmp_path / "results" / "mine" / "weights" / f"{key}.safetensors").exists()
    with pytest.raises(InvalidStudy, match="none of this study's"):
        found.weights((7, 0))


@pytest.mark.parametrize(("options", "message"), [({"keep_weights": "bst"}, "--keep-weights: input should be 'best' or 'last' .got 'bst'."), ({"checkpoint_every": -1.0}, "--checkpoint-every: input should be greater than or equal to 0 .got -1.0.")])  # fmt: skip
def test_options_from_python_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidStudy, match=message):
        Options(**options)
