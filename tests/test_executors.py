"""Where populations train: nothing is lost with a worker, with memory, with a device, or with a run that raises."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from ways import width

from harness.engine.devices import find_devices
from harness.engine.planning import plan
from harness.engine.runs import Run
from harness.execution import workers as local
from harness.execution.examination import examined
from harness.execution.jobs import UNREADY_DEATHS
from harness.execution.trainer import Trained, Trainer
from harness.execution.workers import Workers
from harness.ledger.trial_runs import runs_of
from harness.ledger.trials import Trial
from harness.settings import InvalidStudy
from harness.settings.patience import Stopped
from harness.study import Study
from harness.study.load import load_study

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
STUDY = """
from harness import Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

study = Study(name="small", task=Images(), model=DropoutNet(hidden=(16,), dropout=Sweep(0.0, 0.5)), optimizer=SGD(0.1),
              steps=200, seeds=16, evaluations=10)
"""

FATAL = """
import os, sys
import torch
from ways import width
from torch import nn
from harness import Model, Study, Sweep
from harness.optimizers import SGD
from harness.tasks import Images

leader = os.getpid()

class Mine(nn.Module):
    def __init__(self, inputs, outputs, dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))
        self.fatal = dropout

    def forward(self, x):
        if self.fatal == {when} and os.getpid() != leader:
            {what}
        return self.net(x)

study = Study(name="fatal", task=Images(), model=Model(Mine, dropout=Sweep(0.1, 0.2)), optimizer=SGD(0.1), steps=4,
              seeds=2, evaluations=2)
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "small.py").write_text(STUDY)
    return tmp_path / "small.py"


def loaded(study_file: Path) -> Study:
    return load_study(study_file)[0]


def populations_of(study_file: Path) -> list[list[Run]]:
    study = loaded(study_file)
    trials = [Trial(i, i, True, cell) for i, cell in enumerate(study.cells())]
    return plan([run for trial in trials for run in runs_of(study, trial)], width(16))


def trained_here(populations: list[list[Run]], evaluations: int) -> list[Trained]:
    """By this process, as any worker does it."""
    return [Trainer(CPU, evaluations).train(runs, lambda *_: None) for runs in populations]


def whole(parts: list[Trained]) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs, curves = (pd.concat([getattr(part, name) for part in parts]) for name in ("runs", "curves"))
    return runs.sort_values(["trial", "seed"], ignore_index=True), curves.sort_values(
        ["trial", "seed", "step"], ignore_index=True
    )


def keys(runs: list[Run]) -> tuple[tuple[int, int], ...]:
    return tuple((run.trial, run.seed) for run in runs)


def never() -> bool:
    return False


def test_a_killed_worker_is_replaced_and_its_population_trained_again(study_file: Path) -> None:
    populations = populations_of(study_file)
    assert len(populations) == 2
    expected = whole(trained_here(populations, 10))
    killed: list[int] = []
    with Workers([CPU], loaded(study_file)) as workers:

        def report(index: int, steps: int, diverged: int) -> None:
            if not killed:
                killed.append(workers._workers[0].process.pid or 0)
                os.kill(killed[0], signal.SIGKILL)

        parts = [part for _, part in workers.train(populations, report, never)]
    assert any("ended with signal 9; its 16 runs are trained again" in note for part in parts for note in part.notes)
    for mine, other in zip(whole(parts), expected, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)


def test_workers_are_gone_when_the_block_ends(study_file: Path) -> None:
    with Workers([CPU, CPU], loaded(study_file)) as workers:
        pids = [worker.process.pid for worker in workers._workers]
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_nothing_is_begun_after_a_stop(study_file: Path) -> None:
    begun: list[int] = []

    def stop() -> bool:
        return len(begun) > 0

    with Workers([CPU], loaded(study_file)) as workers:
        for index, _ in workers.train(populations_of(study_file), lambda *_: None, stop):
            begun.append(index)
    assert begun == [0]


def test_each_part_that_trained_is_told_with_its_members_and_its_time(study_file: Path) -> None:
    populations = populations_of(study_file)
    for part, runs in zip(trained_here(populations, 10), populations, strict=True):
        assert part.parts == (keys(runs),)
        assert 0 < part.started_at_s < part.ended_at_s


@pytest.mark.parametrize(
    "what",
    ["os.kill(os.getpid(), 9)", "sys.exit(3)", "raise KeyboardInterrupt", "raise BaseException('CUDA error: mine')",
     "raise torch.AcceleratorError('CUDA error: device-side assert triggered')",
     "raise RuntimeError('CUDA error: an illegal memory access was encountered')"],
)  # fmt: skip
def test_what_ends_its_process_fails_alone_with_one_worker_as_well(
    what: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a CUDA error the process can do nothing more: it ends, and others train what did not raise it."""
    (tmp_path / "fatal.py").write_text(FATAL.format(when=0.2, what=what))
    populations = populations_of(tmp_path / "fatal.py")
    steps: list[int] = []
    with Workers([CPU], loaded(tmp_path / "fatal.py")) as workers:
        parts = [part for _, part in workers.train(populations, lambda _, done, __: steps.append(done), never)]
    runs, _ = whole(parts)
    assert [status == "failed" for status in runs["status"]] == [False] * 2 + [True] * 2
    assert sum(steps) == 8
    errors = {key: error for part in parts for key, error in part.errors.items()}
    assert sorted(errors) == [(1, 0), (1, 1)]
    if "os.kill" not in what:
        name = re.search(r"KeyboardInterrupt|SystemExit|CUDA error: ", what.replace("sys.exit", "SystemExit"))
        assert name and all(name[0] in error and "in forward" in error for error in errors.values())
    assert "Traceback" not in capfd.readouterr().err
    trained = [members for part in parts for members in part.parts]
    assert sorted(key for members in trained for key in members) == [(0, 0), (0, 1)]


def test_what_an_examination_dies_of_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fatal.py").write_text(FATAL.format(when=0.2, what="raise KeyboardInterrupt"))
    runs = [run for population in populations_of(tmp_path / "fatal.py") for run in population]
    found = examined(loaded(tmp_path / "fatal.py"), {"a": runs}, device=CPU, memory_bytes=2**30, remember=False)
    assert {way.why for way in found.values()} == {"the process that took their first steps ended by KeyboardInterrupt"}
    assert "Traceback" not in capfd.readouterr().err


def test_whole_populations_that_end_their_process_do_not_end_the_study(tmp_path: Path) -> None:
    """Halving 16 such runs takes more deaths in a row than are borne of workers that die whatever they are given."""
    (tmp_path / "fatal.py").write_text(FATAL.format(when=0.2, what="os._exit(3)").replace("seeds=2", "seeds=16"))
    populations = populations_of(tmp_path / "fatal.py")
    with Workers([CPU], loaded(tmp_path / "fatal.py")) as workers:
        parts = [part for _, part in workers.train(populations, lambda *_: None, never)]
    assert [status == "failed" for status in whole(parts)[0]["status"]] == [False] * 16 + [True] * 16


def test_a_worker_that_cannot_start_ends_the_study_with_a_sentence(
    study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_work", os._exit)  # takes no pipe: every process ends at once
    with Workers([CPU], loaded(study_file)) as workers, pytest.raises(Stopped) as stopped:
        list(workers.train(populations_of(study_file), lambda *_: None, never))
    assert str(stopped.value) == (
        f"no worker can start: {UNREADY_DEATHS + 1} in a row ended at once; on cpu one ended with exit code 1"
    )


def test_devices_of_two_kinds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [str(device) for device in find_devices("0,cuda:1")] == ["cuda:0", "cuda:1"]
    with pytest.raises(InvalidStudy, match=r"--devices: must be of one kind: .* \(got cpu,0\)"):
        find_devices("cpu,0")


def test_too_little_memory_halves_the_population_and_says_so(study_file: Path) -> None:
    """A real limit on the address space, in a process of its own."""
    source = f"""
import re, resource, sys
from pathlib import Path
import torch
from ways import width
from test_executors import *
torch.set_num_threads(1)
study_file = Path({str(study_file)!r})
study_file.write_text(STUDY.replace("hidden=(16,)", "hidden=(2048, 512)").replace("steps=200", "steps=3").replace("evaluations=10", "evaluations=1"))
population = [run for population in populations_of(study_file) for run in population]
here = Trainer(CPU, 1)
here.train(population[:2], lambda *_: None)  # whatever is loaded at first use is loaded
size = int(re.search(r"VmSize:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 500 * 2**20, -1))
done = []
part = here.train(population, lambda steps, _: done.append(steps))
assert [key for members in part.parts for key in members] == list(keys(population))
assert max(map(len, part.parts)) <= 16, part.parts
print(len(part.runs), set(part.runs["status"]), sum(done), *part.notes, sep="|")
"""
    ran = subprocess.run(
        [sys.executable, "-c", source], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    count, statuses, steps, *notes = ran.stdout.strip().splitlines()[-1].split("|")
    assert (count, statuses, steps) == ("32", "{'finished'}", "96")
    assert notes[0] == "cpu: out of memory with 32 runs (trials 0-1; seeds 0-15) at once; going on with 16"
