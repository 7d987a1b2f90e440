"""What a disk, a hand or a power failure can do to what a study leaves behind: repaired and said so, or a clear stop."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from own_study import MINE, harness_run, tables

from harness import report
from harness.ledger.records.launch import launch_of
from harness.ledger.stores import leadership
from harness.settings import InvalidStudy
from harness.study.changes import Changes
from harness.study.origin import load_with_origin

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


@pytest.fixture
def results(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy to be damaged, of the study beside it."""
    (tmp_path / "mine.py").write_text(MINE)
    return shutil.copytree(undisturbed, tmp_path / "results")


def again(results: Path, *options: str) -> Result:
    return harness_run(results.parent / "mine.py", *options, results=results)


def test_damaged_and_missing_records_are_trained_again(results: Path) -> None:
    before = tables(results / "mine")
    tables_of_trials = sorted((results / "mlartifacts" / "mine").rglob("artifacts/runs.parquet"))
    tables_of_trials[0].write_bytes(tables_of_trials[0].read_bytes()[:100])
    shutil.rmtree(tables_of_trials[5].parent.parent)
    tables_of_trials[7].with_name("curves.parquet").write_bytes(b"")
    for name in ("runs.parquet", "curves.parquet"):
        (results / "mine" / name).write_bytes(b"PAR1")
    done = again(results)
    assert done.exit_code == 0, done.output
    assert "3 records are missing or damaged" in done.output
    assert "They are trained again." in done.output
    assert "Complete, unless records have got lost: " in done.output and "nothing is left" not in done.output
    assert tables(results / "mine") == before
    assert "are missing" not in again(results).output


def test_a_torn_journal_and_locks_of_the_dead_are_no_obstacle(results: Path) -> None:
    before = tables(results / "mine")
    journal = results / "optuna.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-4]) + lines[-4][:17])  # the last tell, and what came after it, never happened
    (results / "optuna.journal.lock").symlink_to("optuna.journal")  # as Optuna leaves it
    (results / "mine" / ".lock").touch()
    (results / "mine" / ".leader").write_text("process 1 on a machine that is no more")
    done = again(results)
    assert done.exit_code == 0, done.output
    assert tables(results / "mine") == before


def test_a_journal_damaged_in_its_middle_is_refused(results: Path) -> None:
    journal = results / "optuna.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:5], b"\x00\x00\n", *lines[5:]]) + b'{"op'
    journal.write_bytes(damaged)
    refused = again(results)
    assert refused.exit_code == 2
    assert f"--storage: {journal} is damaged in line 6" in refused.output.replace("\n", "")
    assert journal.read_bytes() == damaged
    assert "Traceback" not in refused.output


def test_a_damaged_tracking_database_is_refused(results: Path) -> None:
    (results / "mlflow.db").write_bytes(b"this is no database" * 1000)
    refused = again(results)
    assert refused.exit_code == 2
    assert "--tracking-uri: " in refused.output
    assert "Traceback" not in refused.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_stops_the_study_and_room_lets_it_go_on(results: Path, tmp_path: Path) -> None:
    before = tables(results / "mine")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        command = [sys.executable, "-m", "harness.run", str(results.parent / "mine.py"), "--results", str(disk / "r")]
        command += ["--devices", "cpu", "--tracking-uri", f"sqlite:///{results / 'mlflow.db'}"]
        full = disk / "full"
        (disk / "r").mkdir()
        full.write_bytes(bytes(2**20 * 16 - 60 * 2**10))
        stopped = subprocess.run(command, capture_output=True, text=True, check=False)
        assert stopped.returncode in (2, 130), stopped.stderr
        assert "No space left on device" in stopped.stderr
        assert "Traceback" not in stopped.stderr
        full.unlink()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert tables(disk / "r" / "mine") == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_cannot_be_written_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir(mode=0o500)
    if os.access(tmp_path / "blocked", os.W_OK):  # root may write everywhere, but not into a file
        (tmp_path / "blocked").rmdir()
        (tmp_path / "blocked").touch()
    refused = harness_run(tmp_path / "mine.py", results=tmp_path / "blocked" / "results")
    assert refused.exit_code == 2
    assert f"{tmp_path}/blocked/results/mine: cannot be written: " in refused.output


def test_two_people_with_one_tracking_database_and_one_study_name_lose_nothing(results: Path) -> None:
    before = tables(results / "mine")
    study_file, address = str(results.parent / "mine.py"), f"sqlite:///{results / 'mlflow.db'}"
    theirs = ["--tracking-uri", address]
    done = harness_run(Path(study_file), *theirs, results=results.parent / "theirs")
    assert done.exit_code == 0, done.output
    for mine in (again(results), harness_run(Path(study_file), *theirs, results=results.parent / "theirs")):
        assert mine.exit_code == 0, mine.output
        assert "are missing" not in mine.output
    assert tables(results / "mine") == tables(results.parent / "theirs" / "mine") == before
    rebuilt = CliRunner().invoke(report.main, [study_file, *theirs, "--results", str(results.parent / "third")])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert "MLflow has the records of 2 studies named 'mine'; this is that of the newest launch" in rebuilt.output


def test_no_password_of_a_study_file_is_left_anywhere(tmp_path: Path) -> None:
    lines = {
        '"""Does my net like dropout? Data: postgresql://me:hunter2@host/x"""': '"""Does my net like dropout? Data: postgresql://***@host/x"""',
        'SOURCE = "mysql://host/x?password=hunter2"  # not for others': 'SOURCE = "mysql://host/x?password=***"  # not for others',
        'PLAIN = "https://example.org/a@b"': 'PLAIN = "https://example.org/a@b"',
    }  # fmt: skip
    source = "\n".join(lines) + MINE.partition('"""Does my net like dropout?"""')[2]
    (tmp_path / "mine.py").write_text(source)
    done = harness_run(tmp_path / "mine.py", "--quick", results=tmp_path / "results")
    assert done.exit_code == 0, done.output
    assert "hunter2" not in done.output
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert {"study.py", "report.html", "mlflow.db", "optuna.journal"} <= {path.name for path in left}
    assert [path for path in left if b"hunter2" in path.read_bytes()] == []
    recorded = (tmp_path / "results" / "mine-quick" / "study.py").read_text()
    assert recorded.splitlines() == "\n".join(lines.values()).splitlines() + source.splitlines()[len(lines) :]

    study, origin = load_with_origin(tmp_path / "mine.py", Changes())
    changes = Changes(("task.source=postgresql://me:hunter2@host/x", "steps=5"))
    origin = replace(origin, changes=changes)
    environment = {"at": "x://a:hunter2@b"}
    launch = launch_of(study, origin, plan={"width": 1}, environment=environment)
    assert "hunter2" not in repr(launch)
    assert launch.params["settings"] == ("task.source=postgresql://***@host/x", "steps=5")


def test_mlflow_shows_how_long_every_trial_trained(results: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine").experiment_id
    launch, *_ = client.search_runs([experiment], "tags.`harness.kind` = 'launch'")
    for trial in client.search_runs([experiment], "tags.`harness.kind` = 'trial'"):
        assert launch.info.start_time - 60_000 < trial.info.start_time < trial.info.end_time <= launch.info.end_time


@pytest.mark.parametrize("theirs", ["study.py", "figures/mine.png"])
def test_a_folder_of_something_else_is_not_taken_for_results(theirs: str, tmp_path: Path) -> None:
    file = tmp_path / "mine" / theirs
    file.parent.mkdir(parents=True)
    file.write_text("my own")
    with pytest.raises(InvalidStudy, match="which no study left there"), leadership(tmp_path / "mine"):
        pass
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_an_error_while_a_study_is_led_is_not_one_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of something else"), leadership(tmp_path / "mine"):
        raise OSError("of something else")
    with leadership(tmp_path / "mine"):
        pass
