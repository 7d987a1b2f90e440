"""Studies on a real Ray cluster of this machine: hosts and workers come and go, and the tables stay the same."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch

pytest.importorskip("ray")

from click.testing import CliRunner
from own_study import MINE, harness_run, tables
from ray.cluster_utils import Cluster
from test_executors import loaded, populations_of, trained_here, whole

from harness import run
from harness.execution.cluster import Ray
from harness.execution.trainer import Trained
from harness.settings import InvalidStudy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

STUDY = """
from beside import Net
from harness import Model, Study, Sweep
from harness.optimizers import SGD
from harness.tasks import Images

study = Study(name="small", task=Images(), model=Model(Net, dropout=Sweep(0.0, 0.5)), optimizer=SGD(0.1),
              steps=60, seeds=32, evaluations=6)
"""

BESIDE = """
import os, signal, time
from functools import cache
from pathlib import Path
from torch import nn

signs = Path({signs!r})

class Net(nn.Module):
    def __init__(self, inputs, outputs, dropout=0.1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, outputs))

    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 30:  # it trains
            if (signs / "kill").exists():
                (signs / "kill").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            while (signs / "wait").exists():
                time.sleep(0.01)
        return self.net(x)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One host with two cores."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield found
    found.shutdown()


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study whose model is in a module beside it, and does what the files in the folder `signs` say."""
    monkeypatch.delitem(sys.modules, "beside", raising=False)  # that of the last test
    for folder in ("study", "signs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "study" / "beside.py").write_text(BESIDE.format(signs=str(tmp_path / "signs")))
    (tmp_path / "study" / "small.py").write_text(STUDY)
    return tmp_path / "study" / "small.py"


def train_like_one_process(
    study_file: Path, cluster: Cluster, stop: Callable[[Ray], bool], before: Callable[[], None]
) -> list[Trained]:
    """Train on the cluster, where the study's files are gone; the same tables and steps as in one process."""
    populations = populations_of(study_file)
    assert len(populations) == 4
    expected = whole(trained_here(populations, 6))
    before()
    steps: list[int] = []
    with Ray(cluster.address, None, loaded(study_file)) as workers:
        shutil.rmtree(study_file.parent)
        trained = workers.train(populations, lambda _, done, __: steps.append(done), lambda: stop(workers))
        parts = [part for _, part in trained]
    for mine, other in zip(whole(parts), expected, strict=True):
        assert mine.equals(other)
    assert sum(steps) == 60 * sum(map(len, populations))
    return parts


def test_a_killed_worker_costs_nothing(study_file: Path, cluster: Cluster) -> None:
    signs = study_file.parent.parent / "signs"
    parts = train_like_one_process(study_file, cluster, lambda _: False, (signs / "kill").touch)
    notes = [note for part in parts for note in part.notes]
    assert notes == [f"{socket.gethostname()}: a worker was lost; its 16 runs are trained again"]


def test_a_host_that_joins_later_is_used_and_its_loss_costs_nothing(study_file: Path, cluster: Cluster) -> None:
    """All populations wait in their training until the second host has come, been given one, and is known to be gone."""
    wait = study_file.parent.parent / "signs" / "wait"
    joined: list[object] = []
    removed: list[object] = []

    def watch(workers: Ray) -> bool:
        busy = sum(worker.job is not None for worker in workers._workers)
        if not joined and busy == 2:
            joined.append(cluster.add_node(num_cpus=1))
        elif busy == 3 and not removed:
            removed.append(joined[0])
            cluster.remove_node(joined[0], allow_graceful=False)
        elif busy == 2 and removed:  # its processes outlive it by up to a second, and would finish their population
            wait.unlink(missing_ok=True)
        return False

    parts = train_like_one_process(study_file, cluster, watch, wait.touch)
    assert joined and not wait.exists()
    assert sum("was lost" in note for part in parts for note in part.notes) == 1


def test_same_bytes_as_on_this_host(tmp_path: Path, cluster: Cluster) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    for name, options in {"here": ["--devices", "cpu", "--workers", "1"], "ray": ["--ray", cluster.address]}.items():
        done = CliRunner().invoke(
            run.main, [str(tmp_path / "mine.py"), "--results", str(tmp_path / name), "--quick", *options]
        )
        assert done.exit_code == 0, done.output
    assert tables(tmp_path / "ray" / "mine-quick") == tables(tmp_path / "here" / "mine-quick")


def test_a_cluster_of_its_own_trains_a_study_and_ends_with_it(tmp_path: Path) -> None:
    """Ray ends what it starts on this host with the thread that started it: by the command, and by a script."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "script.py").write_text(MINE + "\nstudy.run(ray='local', results='script')\n")
    assert harness_run(tmp_path / "mine.py", "--workers", "1", results=tmp_path / "here").exit_code == 0
    for command in (["-m", "harness.run", "mine.py", "--ray", "local", "--results", "command"], ["script.py"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    for results in ("command", "script"):
        assert tables(tmp_path / results / "mine") == tables(tmp_path / "here" / "mine")


@pytest.mark.parametrize("lost", [signal.SIGKILL, signal.SIGSTOP])
def test_a_cluster_that_is_lost_is_said_and_what_is_finished_is_saved(tmp_path: Path, lost: signal.Signals) -> None:
    """The head of it is killed, or answers no more, while a worker trains."""
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-m", "harness.run", "mine.py", "--ray", "local", "--set", "steps=1000000"]
    with (tmp_path / "said").open("w") as file:  # a pipe Ray's own processes would hold open for a while
        process = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT)
    while "Training begins" not in (tmp_path / "said").read_text():
        assert process.poll() is None
        time.sleep(0.1)
    (head,) = [child for child in psutil.Process(process.pid).children() if child.name() == "gcs_server"]
    head.send_signal(lost)
    exit_code, said = process.wait(), (tmp_path / "said").read_text()
    assert exit_code == 130, said
    assert "Stopped, the cluster is lost: " in said
    assert "0 of 24 runs are saved; once that is mended, the same command continues." in said


def test_without_a_cluster_on_this_host_it_is_said_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", cache(set))
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda *_: None)
    (tmp_path / "mine.py").write_text(MINE)
    refused = CliRunner().invoke(run.main, [str(tmp_path / "mine.py"), "--results", str(tmp_path), "--ray", "auto"])
    assert refused.exit_code == 2
    message = "--ray: there is no cluster here; start one with `ray start --head`, or give host:port (got auto)"
    assert message in refused.output


def test_a_host_that_cannot_train_is_left_out_and_that_is_said_once(
    study_file: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """A real host of the cluster, whose torch is broken; it has room for two of the four populations."""
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    (tmp_path / "broken" / "torch" / "__init__.py").write_text("raise ImportError('no such library')")
    host = cluster.add_node(num_cpus=2, env_vars={"PYTHONPATH": str(tmp_path / "broken")})
    wait = study_file.parent.parent / "signs" / "wait"

    def watch(workers: Ray) -> bool:
        if sum(worker.refusal is not None for worker in workers._workers) == 2:
            wait.unlink(missing_ok=True)
        return False

    try:
        parts = train_like_one_process(study_file, cluster, watch, wait.touch)
    finally:
        cluster.remove_node(host)
    notes = [note for part in parts for note in part.notes]
    assert notes == [f"{socket.gethostname()} cannot train and is left out: no such library"]


def test_a_cluster_without_a_host_that_can_train_is_an_error(
    study_file: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader has a torch that none of the hosts has."""
    monkeypatch.setattr(torch, "__version__", "1.0.0")
    with Ray(cluster.address, None, loaded(study_file)) as workers, pytest.raises(InvalidStudy) as refused:
        workers.placement(None)
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"--ray: {socket.gethostname()} cannot train: torch: is 2.")
    assert "1.0.0 where the study was read" in str(problem)


def test_data_that_no_host_has_is_named(study_file: Path, cluster: Cluster) -> None:
    (study_file.parent / "data.csv").write_text("a,y\n" + "1.5,u\n2.5,v\n" * 100)
    study_file.write_text(STUDY.replace("Images()", "Tabular(Path(__file__).with_name('data.csv'), target='y')")
                          .replace("\n", "\nfrom pathlib import Path\nfrom harness.tasks import Tabular\n", 1))  # fmt: skip
    with Ray(cluster.address, None, loaded(study_file)) as workers:
        shutil.rmtree(study_file.parent)
        with pytest.raises(InvalidStudy, match=r"cannot train: source: no such file \(got .*data\.csv\)"):
            workers.placement(None)


def closed_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ray", closed_port()], "--ray: cannot connect: Connection refused"),
        (["--ray", f"ray://{closed_port()}"], "--ray: cannot connect: Connection refused"),
        (["--ray", "nonsense"], "--ray: needs auto, local, host:port or ray://host:port"),
        (["--ray", "local", "--workers", "2"], "--workers: is for this host"),
        (["--ray", "local", "--devices", "cpu"], "--devices: is for this host"),
        (["--gpus-per-population", "0.5"], "--gpus-per-population: needs --ray"),
    ],
)
def test_bad_arguments_exit_with_2_and_a_path(options: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    refused = CliRunner().invoke(run.main, [str(tmp_path / "mine.py"), "--results", str(tmp_path), *options])
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Traceback" not in refused.output
