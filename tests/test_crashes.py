"""SIGKILL at any moment, then the same command: the tables of an uninterrupted run, nothing missing, nothing doubled.

The leader is killed twenty times: in one study at each seam of a trial's commit, in another at random moments. It runs in
forks of a process that has everything imported, which spares the imports.
"""

import json
import random
import subprocess
import sys
import warnings
from pathlib import Path

import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from own_study import MINE, tables
from test_run import run_storage

pytestmark = pytest.mark.slow

SEED = 20
N_RANDOM_KILLS = 11

SEAMS = [
    "harness.ledger.records.spool.Spool.save:before",
    "pathlib.Path.write_bytes:halfway",
    "harness.ledger.records.spool.Spool.save:after",
    "harness.ledger.records.recorder.Recorder._create:after",
    "harness.ledger.records.recorder.write_durably:halfway",
    "harness.ledger.records.experiment.Experiment.log:before",
    "harness.ledger.records.recorder.Recorder.record:after",
    "harness.ledger.journal.Journal.append_logs:halfway",
    "harness.ledger.design.Design.tell:after",
]
"""Where the leader kills itself: the three steps of a commit (spool, MLflow, tell), before, within and after each."""

FORKS = '''
"""Runs the study once for each line of stdin, in a fork that is killed as the line says; answers with its exit status."""
import functools, importlib, json, os, signal, sys, time
import harness.run, harness.lead.flow, harness.reporting.build, mlflow.tracking, mlflow.store.tracking.sqlalchemy_store  # before the forks

harness.reporting.plots.render_all = lambda plots, *_: [harness.reporting.plots.Image(b"<svg/>", b"", b"")] * len(plots)  # drawing would be half the time

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def rig(seam, count):
    """Die at the count-th call of a function: before it, after it, or when half of its bytes are written."""
    place, when = seam.split(":")
    module, _, name = place.rpartition(".")
    try:
        owner = importlib.import_module(module)
    except ImportError:
        module, _, inner = module.rpartition(".")
        owner = getattr(importlib.import_module(module), inner)
    whole, left = getattr(owner, name), [count]
    @functools.wraps(whole)
    def rigged(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0 and when == "before":
            die()
        answer = whole(*args, **kwargs)
        if left[0] == 0:
            if when == "halfway":
                path = next(str(a) for a in (getattr(args[0], "_file_path", None), *args) if isinstance(a, (str, os.PathLike)))
                os.truncate(path, os.path.getsize(path) - 20)
            die()
        return answer
    setattr(owner, name, rigged)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if "seam" in order:
            rig(order["seam"], order["count"])
        sys.argv = ["harness.run", *order["arguments"]]
        try:
            harness.run.main.main(order["arguments"], standalone_mode=True)
        finally:
            sys.stderr.flush()
    began = time.monotonic()
    pid, status = 0, 0
    while pid == 0:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == 0 and time.monotonic() - began > order.get("after_s", 1e9):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - began]), flush=True)
'''


class Forks:
    """The leader, started as often as one likes; a context manager."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments, self._log = arguments, log

    def __enter__(self) -> "Forks":
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, **order: object) -> tuple[int, float]:
        """Exit code (negative: the signal) and seconds of a leader that is killed as told."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order | {"arguments": self._arguments}) + "\n")
        self._process.stdin.flush()
        code, seconds = json.loads(self._process.stdout.readline())
        return code, seconds


def test_kills_at_any_moment_leave_what_an_uninterrupted_run_leaves(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("tune_trials=2", "tune_trials=4"))
    log = tmp_path / "log"
    common = [str(tmp_path / "mine.py"), "--devices", "cpu", "--workers", "1", "--results"]
    with Forks([*common, str(tmp_path / "whole")], log) as forks:
        code, seconds = forks.run()
    assert code == 0, log.read_text()

    chance = random.Random(SEED)
    kills: dict[str, list[dict[str, object]]] = {
        "seams": [{"seam": seam, "count": chance.randint(1, 3)} for seam in SEAMS],
        "moments": [{"after_s": chance.uniform(0, seconds)} for _ in range(N_RANDOM_KILLS)],
    }
    for name, orders in kills.items():
        with Forks([*common, str(tmp_path / name)], log) as forks:
            codes = [forks.run(**order)[0] for order in orders]
            assert -9 in codes and set(codes) <= ({-9, 0} if name == "moments" else {-9}), (codes, log.read_text())
            assert forks.run()[0] == 0, log.read_text()
        assert "Traceback" not in log.read_text()
        assert tables(tmp_path / name / "mine") == tables(tmp_path / "whole" / "mine")
        assert_each_trial_once(tmp_path / name, 4 * 4 + 4)


def assert_each_trial_once(results: Path, n_trials: int) -> None:
    trials = optuna.load_study(study_name="mine", storage=run_storage(results)).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * n_trials
    with warnings.catch_warnings(action="ignore"):  # of MLflow's own
        client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
        records = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    children = [r for r in records if r.data.tags["harness.kind"] == "trial"]
    assert sorted(int(c.data.tags["harness.trial"]) for c in children) == list(range(n_trials))
    assert {c.info.status for c in children} == {"FINISHED"}
    launches = [r.info.status for r in records if r.data.tags["harness.kind"] == "launch"]
    assert launches.count("FINISHED") >= 1 and set(launches) <= {
        "FINISHED",
        "KILLED",
    }  # some die before they are recorded
    runs = pd.read_parquet(results / "mine" / "runs.parquet")
    assert not runs.duplicated(["trial", "seed"]).any()
    assert not (results / "mine" / ".unrecorded").exists()
