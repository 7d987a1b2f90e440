"""A team's setup, for real: trials in PostgreSQL, records on an MLflow server, both of which go away in mid-run."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy
from click.testing import CliRunner
from services import MlflowServer, Postgres
from test_run import MINE, harness_run, tables

from harness import report

pytest.importorskip("pgserver")
pytest.importorskip("psycopg")


@dataclass
class Team:
    postgres: Postgres
    mlflow: MlflowServer

    def options(self) -> list[str]:
        return ["--storage", self.postgres.uri("trials"), "--tracking-uri", self.mlflow.uri]

    def n_told(self) -> int:
        try:
            return int(self.postgres.query("trials", "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"))
        except sqlalchemy.exc.ProgrammingError:  # no tables yet
            return 0


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    postgres = Postgres()
    mlflow = MlflowServer(postgres.uri("tracking"), folder / "served").start()
    yield Team(postgres, mlflow)
    mlflow.kill()
    postgres.remove()


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def wait_until(reached: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    while not reached():
        assert running.poll() is None, "the study ended too early"
        time.sleep(0.02)


def test_a_study_outlives_its_database_and_its_server_and_moves_to_another_machine(
    team: Team, study_file: Path, tmp_path: Path
) -> None:
    assert harness_run(study_file, results=tmp_path / "whole").exit_code == 0
    whole = tables(tmp_path / "whole" / "mine")

    command = [
        sys.executable,
        "-m",
        "harness.run",
        str(study_file),
        "--results",
        str(tmp_path / "first"),
        "--devices",
        "cpu",
    ]
    running = subprocess.Popen(
        [*command, *team.options()], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    wait_until(lambda: team.n_told() >= 2, running)
    refused = harness_run(study_file, *team.options(), results=tmp_path / "colleague")
    assert refused.exit_code == 2
    assert f"this study is being run by process {running.pid} on " in refused.output
    team.mlflow.kill()
    team.postgres.stop()
    time.sleep(5)
    waiting = tmp_path / "first" / "mine" / ".unrecorded"
    assert any(waiting.iterdir()), "what is trained meanwhile is on disk"
    team.postgres.start()
    team.mlflow.start()
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert "Waiting for it; what is trained is kept on disk." in said
    assert "It answers again" in said
    assert "Traceback" not in said
    assert tables(tmp_path / "first" / "mine") == whole
    assert not waiting.exists()

    elsewhere = harness_run(study_file, *team.options(), results=tmp_path / "second")
    assert elsewhere.exit_code == 0, elsewhere.output
    assert "12 trials are done" in elsewhere.output
    assert tables(tmp_path / "second" / "mine") == whole

    command = [str(study_file), "--results", str(tmp_path / "third"), "--tracking-uri", team.mlflow.uri]
    rebuilt = CliRunner().invoke(report.main, command)
    assert rebuilt.exit_code == 0, rebuilt.output
    assert tables(tmp_path / "third" / "mine") == whole
