"""What a disk, a hand or a power failure can do to what a study leaves behind: repaired and said so, or a clear stop."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from test_run import MINE, harness_run, tables


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study and its results, finished."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "mine.py").write_text(MINE)
    assert harness_run(folder / "mine.py", results=folder / "results").exit_code == 0
    (folder / "results").rename(folder / "moved")  # or the copies would find their artifacts here
    return folder


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copy(whole / "mine.py", tmp_path)
    return shutil.copytree(whole / "moved", tmp_path / "results")


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
    assert "The records of 3 trials are missing or damaged" in done.output
    assert "They are trained again." in done.output
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
    journal.write_bytes(b"".join([*lines[:5], b"\x00\x00\n", *lines[5:]]))
    refused = again(results)
    assert refused.exit_code == 2
    assert f"--storage: ValueError: {journal} is damaged" in refused.output.replace("\n", "")
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
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        command = [sys.executable, "-m", "harness.run", str(results.parent / "mine.py"), "--results", str(disk / "r")]
        command += ["--devices", "cpu", "--tracking-uri", f"sqlite:///{results / 'mlflow.db'}"]
        full = disk / "full"
        (disk / "r").mkdir()
        full.write_bytes(bytes(2**20 * 3 - 60 * 2**10))
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
