"""Where populations train: nothing is lost with a worker, with memory, or with a run that raises."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from harness.engine.planning import plan
from harness.engine.runs import Run
from harness.execution.trainer import InProcess, Trained
from harness.execution.workers import Workers
from harness.ledger.design import Trial
from harness.ledger.trial_runs import runs_of
from harness.study.load import Changes, load_study

CPU = torch.device("cpu")
STUDY = """
from harness import Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

study = Study(name="small", task=Images(), model=DropoutNet(hidden=(16,), dropout=Sweep(0.0, 0.5)), optimizer=SGD(0.1),
              steps=200, seeds=16, evaluations=10)
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "small.py").write_text(STUDY)
    return tmp_path / "small.py"


def populations_of(study_file: Path) -> list[list[Run]]:
    study, _ = load_study(study_file)
    trials = [Trial(i, i, True, cell, told=False) for i, cell in enumerate(study.cells())]
    return plan([run for trial in trials for run in runs_of(study, trial)], 16)


def whole(parts: list[Trained]) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs, curves = (pd.concat([getattr(part, name) for part in parts]) for name in ("runs", "curves"))
    return runs.sort_values(["trial", "seed"], ignore_index=True), curves.sort_values(
        ["trial", "seed", "step"], ignore_index=True
    )


def never() -> bool:
    return False


def test_a_killed_worker_is_replaced_and_its_population_trained_again(study_file: Path) -> None:
    populations = populations_of(study_file)
    assert len(populations) == 2
    with InProcess(CPU, 10) as here:
        expected = whole([part for _, part in here.train(populations, lambda *_: None, never)])
    killed: list[int] = []
    with Workers([CPU], 1, study_file, Changes()) as workers:

        def report(steps: int, diverged: int) -> None:
            if not killed:
                killed.append(workers._workers[0].process.pid or 0)
                os.kill(killed[0], signal.SIGKILL)

        parts = [part for _, part in workers.train(populations, report, never)]
    assert any("ended with signal 9; its 16 runs are trained again" in note for part in parts for note in part.notes)
    for mine, other in zip(whole(parts), expected, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)


def test_workers_are_gone_when_the_block_ends(study_file: Path) -> None:
    with Workers([CPU, CPU], 1, study_file, Changes()) as workers:
        pids = [worker.process.pid for worker in workers._workers]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_nothing_is_begun_after_a_stop(study_file: Path) -> None:
    begun: list[int] = []

    def stop() -> bool:
        return len(begun) > 0

    with InProcess(CPU, 10) as here:
        for index, _ in here.train(populations_of(study_file), lambda *_: None, stop):
            begun.append(index)
    assert begun == [0]


def test_too_little_memory_halves_the_population_and_says_so(study_file: Path) -> None:
    """A real limit on the address space, in a process of its own."""
    source = f"""
import re, resource, sys
from pathlib import Path
import torch
from test_executors import *
torch.set_num_threads(1)
study_file = Path({str(study_file)!r})
study_file.write_text(STUDY.replace("hidden=(16,)", "hidden=(2048, 512)").replace("steps=200", "steps=3").replace("evaluations=10", "evaluations=1"))
populations = [[run for population in populations_of(study_file) for run in population]]
here = InProcess(CPU, 1)
list(here.train([populations[0][:2]], lambda *_: None, never))  # whatever is loaded at first use is loaded
size = int(re.search(r"VmSize:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 500 * 2**20, -1))
done = []
parts = [part for _, part in here.train(populations, lambda steps, _: done.append(steps), never)]
runs, _ = whole(parts)
print(len(runs), set(runs["status"]), sum(done), *[note for part in parts for note in part.notes], sep="|")
"""
    ran = subprocess.run(
        [sys.executable, "-c", source], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    count, statuses, steps, *notes = ran.stdout.strip().splitlines()[-1].split("|")
    assert (count, statuses, steps) == ("32", "{'finished'}", "96")
    assert notes[0] == "cpu: out of memory with 32 runs at once; going on with 16"
