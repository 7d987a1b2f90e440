"""A team's setup, for real: trials in PostgreSQL, records on an MLflow server, both of which go away in mid-run."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from click.testing import CliRunner
from mlflow import MlflowClient
from own_study import MINE, harness_run, tables
from services import MlflowServer, Postgres, free_port
from test_design import make
from test_record import trial as finished_trial

import harness.reporting.build
from harness import report
from harness.lead import flow
from harness.lead.as_begun import still_widened
from harness.ledger.claim_record import ClaimRecord
from harness.ledger.design import Design
from harness.ledger.records.commit import Commits
from harness.ledger.records.launch import Launch
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
from harness.ledger.stores import Stores
from harness.settings import patience
from harness.settings.patience import Stopped

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


@dataclass
class Team:
    postgres: Postgres
    mlflow: MlflowServer

    def options(self) -> list[str]:
        return ["--storage", self.postgres.uri("trials"), "--tracking-uri", self.mlflow.uri]

    def n_asked(self) -> int:
        try:
            return int(self.postgres.query("trials", "SELECT count(*) FROM trials"))
        except sqlalchemy.exc.ProgrammingError:  # no tables yet
            return 0


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    pytest.importorskip("pgserver")
    pytest.importorskip("psycopg")
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
    given_up = time.monotonic() + 120
    while not reached():
        assert running.poll() is None, "the study ended too early"
        assert time.monotonic() < given_up, "it never came"
        time.sleep(0.02)


@contextmanager
def held(running: subprocess.Popen[str]) -> Iterator[None]:
    """Within the block the processes that train stand still: the study does not end."""
    processes = psutil.Process(running.pid).children(recursive=True)
    for process in processes:
        process.suspend()
    yield
    for process in processes:
        process.resume()


def test_a_study_outlives_its_database_and_its_server_and_moves_to_another_machine(
    team: Team, study_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    whole = tables(undisturbed / "mine")
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
    wait_until(lambda: team.n_asked() >= 1, running)  # it tunes first: all confirm runs are still to come
    with held(running):
        refused = harness_run(study_file, *team.options(), results=tmp_path / "colleague")
        assert refused.exit_code == 2
        assert f"this study is being run by process {running.pid} on " in refused.output
        team.mlflow.kill()
        team.postgres.stop()
    waiting = tmp_path / "first" / "mine" / ".unrecorded"
    wait_until(lambda: any(waiting.rglob("runs.parquet")), running)  # what is trained meanwhile is on disk
    team.postgres.start()
    team.mlflow.start()
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert "Waiting for it; what is trained is kept on disk." in said
    assert "It answers again" in said
    assert "Traceback" not in said
    assert tables(tmp_path / "first" / "mine") == whole
    assert not waiting.exists()

    elsewhere = harness_run(study_file, *team.options(), results=tmp_path / "second")
    assert elsewhere.exit_code == 0, elsewhere.output
    assert "24 of 24 runs are recorded" in elsewhere.output
    assert tables(tmp_path / "second" / "mine") == whole

    command = [str(study_file), "--results", str(tmp_path / "third"), "--tracking-uri", team.mlflow.uri]
    rebuilt = CliRunner().invoke(report.main, command)
    assert rebuilt.exit_code == 0, rebuilt.output
    assert tables(tmp_path / "third" / "mine") == whole


def test_a_launch_waits_for_a_database_that_goes_away_as_it_begins(
    team: Team, study_file: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is away at each thing that is asked of it before, and as, the first round is planned."""
    team = replace(team, postgres=Postgres())
    met: set[str] = set()
    back: list[threading.Timer] = []

    def without_database(name: str) -> None:
        function = getattr(Design, name)

        def called(*args: object, **options: object) -> object:
            if begun and name not in met and all(not timer.is_alive() for timer in back):
                met.add(name)
                team.postgres.stop()
                back.append(threading.Timer(1, team.postgres.start))
                back[-1].start()
            return function(*args, **options)

        monkeypatch.setattr(Design, name, called)

    begun: list[bool] = []
    monkeypatch.setattr(flow, "still_widened", lambda *of: begun.append(True) or still_widened(*of))
    names = ["remembered", "collected", "changes", "there", "entries"]
    for name in names:
        without_database(name)
    try:
        done = harness_run(study_file, *team.options(), results=tmp_path / "results")
    finally:
        team.postgres.remove()
    assert done.exit_code == 0, done.output
    assert met == set(names) and "Waiting for it" in done.output
    assert tables(tmp_path / "results" / "mine") == tables(undisturbed / "mine")


def test_the_report_waits_for_a_server_that_goes_away_before_and_while_it_is_written(
    team: Team, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back: dict[str, threading.Timer] = {}

    def without_server(owner: object, name: str) -> None:
        """Let the server go away for three seconds when a function is called first."""
        function = getattr(owner, name)

        def called(*args: object, **options: object) -> object:
            if name not in back:
                for earlier in back.values():
                    earlier.join()
                team.mlflow.kill()
                back[name] = threading.Timer(3, team.mlflow.start)
                back[name].start()
            return function(*args, **options)

        monkeypatch.setattr(owner, name, called)

    without_server(Recorder, "read_documents")
    without_server(harness.reporting.build, "write_report")
    done = harness_run(study_file, *team.options(), results=tmp_path / "results")
    assert done.exit_code == 0, done.output
    assert done.output.count("It answers again") == 2
    client = MlflowClient(tracking_uri=team.mlflow.uri)
    experiment = client.get_experiment_by_name("mine").experiment_id
    launch, *_ = client.search_runs([experiment], "tags.`harness.kind` = 'launch'")
    assert launch.info.status == "FINISHED"
    assert "report/report.html" in [file.path for file in client.list_artifacts(launch.info.run_id, "report")]


def test_tables_do_not_pile_up_in_memory_while_a_server_is_away(tmp_path: Path) -> None:
    design = Design(make(), str(tmp_path / "j"))
    away = Recorder("x", f"http://127.0.0.1:{free_port()}", identity=design.identity)
    stores, stop = Stores(design, away, Spool(tmp_path / "waiting", design.identity)), threading.Event()
    tables: list[weakref.ref[object]] = []
    claims = ClaimRecord(design.study, *stores, folder=tmp_path / design.study.name)
    with Commits(stores, launch=Launch({}, {}, {}), claims=claims, say=print, stop=stop.is_set, done=print) as commits:
        for portion in design.ask(design.rounds()[0]).waves[0]:
            finished = finished_trial(portion.number)
            tables += [weakref.ref(finished), weakref.ref(finished.runs), weakref.ref(finished.curves)]
            commits.add(finished)
        del finished
        gc.collect()
        assert len(tables) == 3 * 8 and not any(table() is not None for table in tables)
        assert len(list((tmp_path / "waiting" / design.identity).iterdir())) == 8
        stop.set()
        with pytest.raises(Stopped):
            commits.wait()
    design.close()


OPENS = """
import sys, time
from pathlib import Path
from harness.ledger.storage import open_storage

Path(sys.argv[2]).touch()
while not Path("go").exists():
    time.sleep(0.001)
open_storage(sys.argv[1])
"""


def test_leaders_that_make_the_tables_of_a_database_at_once_all_find_them(team: Team, tmp_path: Path) -> None:
    team.postgres.create("fresh")
    command = [sys.executable, "-c", OPENS, team.postgres.uri("fresh")]
    leaders = [
        subprocess.Popen([*command, f"ready{i}"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) for i in range(3)
    ]
    while len(list(tmp_path.iterdir())) < len(leaders):
        assert all(leader.poll() is None for leader in leaders)
        time.sleep(0.01)
    (tmp_path / "go").touch()
    said = [leader.communicate()[1] for leader in leaders]
    assert [leader.returncode for leader in leaders] == [0] * len(leaders), said


def test_that_there_is_no_answer_is_said_once_before_the_attempt_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SLOW_S", 0.05)
    said: list[str] = []
    patiently = patience.Patience(said.append)
    for _ in range(2):
        assert patiently(lambda: time.sleep(0.3) or len(said)) == 1
    assert len(said) == 1 and "Records wait" in said[0]
    monkeypatch.setattr(patience, "SLOW_S", 5.0)
    quick = patience.Patience(said.append)
    assert quick(lambda: len(said)) == 1
