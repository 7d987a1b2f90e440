"""How a command ends, and what a dry run says: every exit has a sentence that is true."""

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from own_study import MINE, harness_run, tables

from harness import report
from harness.lead import flow
from harness.lead.as_begun import DEVICE_KIND
from harness.lead.interruption import Stop, why_stopped
from harness.lead.progress.progress import Progress
from harness.ledger.design import Design
from harness.settings import InvalidStudy
from harness.settings.patience import Stopped
from harness.study.changes import Changes
from harness.study.load import load_study

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def test_an_error_of_the_harness_itself_exits_with_3_and_keeps_its_traceback(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("at postgresql://me:secret@db/runs")

    monkeypatch.setattr(flow, "place", broken)
    done = harness_run(study_file, results=tmp_path / "results")
    assert done.exit_code == 3
    assert "ZeroDivisionError" in done.output and "secret" not in done.output and "Traceback (most" not in done.output
    kept = Path(done.output.split("The traceback is in ")[1].split(":")[0])
    text = kept.read_text()
    assert "in broken" in text and "secret" not in text
    kept.unlink()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    unkept = harness_run(study_file, results=tmp_path / "results")
    assert unkept.exit_code == 3
    assert "in broken" in unkept.output and "secret" not in unkept.output and "No such file" in unkept.output


@pytest.mark.slow
def test_ctrl_c_while_the_report_is_written_is_called_so(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.reporting import build

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write_report", interrupted)
    done = harness_run(study_file, "--quick", results=tmp_path / "results")
    assert done.exit_code == 130
    assert "Interrupted: 20 of 20 runs are saved; the same command continues." in done.output
    assert "Out of time" not in done.output


@pytest.mark.slow
def test_ctrl_c_while_the_last_runs_train_is_called_so(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_all = flow.train_all

    def interrupted(*of: Any) -> Any:
        runs = train_all(*of)
        signal.raise_signal(signal.SIGINT)
        return runs

    monkeypatch.setattr(flow, "train_all", interrupted)
    done = harness_run(study_file, "--quick", results=tmp_path / "results")
    assert done.exit_code == 130, done.output
    assert "Interrupted: 20 of 20 runs are saved; the same command continues." in done.output


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/full"), "Stopped, /full: No space left on device"),
        (OSError(errno.EFBIG, "File too large", "/kept", None, "/full"), "Stopped, /full: File too large"),
        (OSError("the pipe broke"), "Stopped, disk: the pipe broke"),
        (OSError(), "Stopped, disk: OSError"),
        (KeyboardInterrupt(), "Interrupted"),
        (Stopped(), "Out of time"),
        (Stopped("20 workers ended in a row"), "Stopped, 20 workers ended in a row"),
    ],
)
def test_why_a_study_ended_is_said_in_words(error: BaseException, words: str) -> None:
    assert why_stopped(error, Stop(time.monotonic() - 1, Progress(0, 0))) == words


@pytest.mark.parametrize(("name", "whose"), [("harness", "the harness itself"), ("queue", "a module of Python")])
@pytest.mark.parametrize("line", ["from {} import scale", "import {0}; {0}.scale"])
def test_a_module_that_another_hides_is_named(name: str, whose: str, line: str, study_file: Path) -> None:
    study_file.with_name(f"{name}.py").write_text("def scale(x): return x\n")
    study_file.write_text(f"{line.format(name)}\n")
    with pytest.raises(
        InvalidStudy, match=rf"{name}\.py beside the study cannot be imported.*that of {whose}.*: rename it"
    ):
        load_study(study_file)


def test_a_module_of_the_users_own_is_not_called_hidden(study_file: Path) -> None:
    study_file.with_name("helpers_of_mine.py").write_text("def scale(x): return x\n")
    study_file.write_text("from helpers_of_mine import sclae\n")
    with pytest.raises(InvalidStudy) as refused:
        load_study(study_file)
    assert "cannot import name 'sclae'" in str(refused.value) and "rename" not in str(refused.value)


@pytest.mark.slow
def test_a_finished_study_says_that_nothing_was_trained(study_file: Path, tmp_path: Path) -> None:
    first = harness_run(study_file, "--quick", results=tmp_path / "results")
    assert "Trained 20 runs in " in first.output
    again = harness_run(study_file, "--quick", results=tmp_path / "results")
    assert again.exit_code == 0
    assert "Nothing to train: 20 of 20 runs are recorded" in again.output
    assert "Trained" not in again.output
    for option in (["--memory", "1K"], ["--until-decided"]):
        refused = harness_run(study_file, "--quick", *option, results=tmp_path / "results")
        assert refused.exit_code == 2 and "written anew" not in refused.output


@pytest.mark.slow
def test_time_counts_from_the_start_of_the_command(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where finding out how to train takes an hour."""
    place, monotonic = flow.place, time.monotonic

    def placed_in_an_hour(*arguments: Any) -> Any:
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 3600)
        return place(*arguments)

    monkeypatch.setattr(flow, "place", placed_in_an_hour)
    stopped = harness_run(study_file, "--quick", "--timeout", "1800", results=tmp_path / "results")
    assert stopped.exit_code == 130
    assert "Out of time: 0 of 20 runs are saved" in stopped.output
    monkeypatch.setattr(time, "monotonic", monotonic)
    done = harness_run(study_file, "--quick", results=tmp_path / "results")
    assert "Trained 20 runs in 1 h " in done.output


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_dry_run_says_what_is_done_refuses_what_the_run_would_and_writes_nothing(
    study_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    assert (
        ", besides the start, the records and the report."
        in harness_run(study_file, "--dry-run", results=results).output
    )
    assert not results.exists() and not (tmp_path / "cache" / "ablation-harness").exists()
    shutil.copytree(undisturbed, results)
    before = files(tmp_path)
    assert "24 of 24 runs are there" in harness_run(study_file, "--dry-run", results=results).output
    changed = harness_run(study_file, "--dry-run", "--set", "steps=41", results=results)
    assert changed.exit_code == 0
    assert "runs are there" not in changed.output and "tf32" not in changed.output
    rounded = harness_run(study_file, "--dry-run", "--set", "tf32=True", results=results)
    assert "note:    tf32: True has no effect on a CPU" in rounded.output
    assert files(tmp_path) == before


REFUSED = [
    (["--until-decided"], "--until-decided: needs planned looks"),
    (
        ["--until-decided", "--set", "looks=(2, 4)", "--set", "claims=()"],
        "--until-decided: the study has no claim that",
    ),
    (["--storage", "postgresql://me:secret@there@host/x"], "--storage: has several @"),
    (["--memory", "1"], "--memory: what trains at a time takes "),
    (["--set", "name=begun"], "--devices: the study was begun on cuda, and on cpu the same seeds draw other"),
]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_dry_run_refuses_what_the_run_refuses(
    options: list[str], message: str, dry: list[str], study_file: Path, tmp_path: Path
) -> None:
    study, _ = load_study(study_file, Changes(("name=begun",)))
    design = Design(study, str(tmp_path / "results" / "optuna.journal"))
    design.remembered(DEVICE_KIND, lambda: "cuda")
    design.close()
    done = harness_run(study_file, *options, *dry, results=tmp_path / "results")
    assert done.exit_code == 2 and message in done.output, done.output
    assert "secret" not in done.output


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_a_dry_run_refuses_results_that_cannot_be_written(dry: list[str], study_file: Path) -> None:
    done = harness_run(study_file, *dry, results=study_file / "inside")
    assert done.exit_code == 2 and "cannot be written: " in done.output, done.output


@pytest.mark.slow
def test_a_dry_run_of_a_study_that_is_half_done_says_how_much_is_left(study_file: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    command = [sys.executable, "-m", "harness.run", str(study_file), "--results", str(results), "--devices", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = results / "optuna.journal"
    while process.poll() is None and (
        not journal.exists() or b'"state":1' not in journal.read_bytes().replace(b" ", b"")
    ):
        time.sleep(0.005)
    process.kill()
    process.wait()
    said = harness_run(study_file, "--dry-run", results=results).output
    assert " of 24 runs are there" in said


@pytest.mark.slow
def test_runs_are_counted_once_though_lost_records_are_trained_again(
    study_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    results = shutil.copytree(undisturbed, tmp_path / "results")
    whole = tables(results / "mine")
    next((results / "mlartifacts").rglob("artifacts/runs.parquet")).unlink()
    done = harness_run(study_file, "--json", results=results)
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert any("trained again" in one.get("text", "") for one in told)
    assert max(one["done_runs"] for one in told if one["event"] == "progress") == 24
    assert tables(results / "mine") == whole


@pytest.mark.slow
def test_quiet_says_that_it_waits_and_nothing_else(study_file: Path, tmp_path: Path) -> None:
    done = harness_run(study_file, "--quick", "-q", results=tmp_path / "results")
    assert done.exit_code == 0 and done.output == ""


@pytest.mark.slow
def test_a_report_is_of_what_is_recorded_and_of_the_claims_as_they_are(
    study_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    stopped = harness_run(study_file, "--timeout", "0", results=tmp_path / "stopped")
    assert stopped.exit_code == 130
    none = CliRunner().invoke(report.main, [str(study_file), "--results", str(tmp_path / "stopped")])
    assert none.exit_code == 2 and "mine: was launched, and no run of it is recorded yet" in none.output
    assert f"nothing is wrong; go on with `python -m harness.run {study_file} --results" in none.output
    assert "--tracking-uri" not in none.output
    other = ["--results", str(tmp_path / "stopped"), "--set", "name=other"]
    never = CliRunner().invoke(report.main, [str(study_file), *other])
    assert never.exit_code == 2 and "No trial of 'other' is recorded" in never.output
    results = shutil.copytree(undisturbed, tmp_path / "results")
    changed = study_file.with_name("changed.py")
    changed.write_text(MINE.replace("steps=40", "steps=41"))
    refused = CliRunner().invoke(report.main, [str(changed), "--results", str(results)])
    assert refused.exit_code == 2
    assert "steps: 40 → 41" in refused.output
    claims = study_file.with_name("claims.py")
    claims.write_text(MINE.replace('"dropout helps"', '"dropout helps a lot"'))
    judged = CliRunner().invoke(report.main, [str(claims), "--results", str(results)])
    assert judged.exit_code == 0, judged.output
    assert "dropout helps a lot" in (results / "mine" / "report.html").read_text()
    assert len(pd.read_parquet(results / "mine" / "runs.parquet")) == 24


@pytest.mark.slow
def test_a_thread_that_a_module_left_behind_keeps_no_process(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(
        MINE.replace("import torch\n", "import threading, time, torch\n", 1).replace(
            "return self.net(x)",
            "threading.Thread(target=time.sleep, args=(3600,)).start()\n        return self.net(x)",
        )
    )
    command = [sys.executable, "-m", "harness.run", str(study_file), "--results", str(tmp_path / "results"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Report:" in done.stdout
