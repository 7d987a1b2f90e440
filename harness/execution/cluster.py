"""Ray: populations train on many hosts, one on each GPU or, where there is none, on each core.

Each worker is an actor that loads the study once; a task would load it again for every population, since Ray ends a
process with its GPU task. Actors are asked for as long as jobs wait, so that hosts that join later are used.
"""

import logging
import math
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # no pages of Ray's own when a process dies: a note says so
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, RuntimeEnvSetupError

import harness
from harness.engine.cost import Cost
from harness.engine.memory_budget import parse_memory
from harness.engine.runs import Run
from harness.execution.device_layout import Layout
from harness.execution.jobs import Answer, Foreman, Lost, Message, Worker
from harness.execution.remote import SHIPPED, Remote, description
from harness.execution.trainer import OnProgress, Trained
from harness.ledger.trial_runs import n_steps
from harness.settings import InvalidStudy, Problem, first_line
from harness.settings.patience import Stopped
from harness.study import Study
from harness.study.load import Changes

REACHED_IN_S = 5
"""How long an address may take to answer."""

ASKED_AHEAD = 64
"""Actors that are asked for and have no room yet, at most."""

HEARD_WITHIN_S = 1.0
"""How long to wait for an answer before looking whether more can be done."""


class Place(Worker):
    """An actor, seen from the leader; `call` is the method of it that is under way.

    Attributes:
        device: what it trains on, in words.
    """

    def __init__(self, actor: Any, expected: dict[str, str]) -> None:
        self.place, self.device, self.ready = "the cluster", "", False
        self.actor, self.call = actor, actor.load.remote(expected)

    def send(self, message: Message) -> None:
        """See `Worker`."""
        self.call = self.actor.begin.remote(message)

    def receive(self) -> Answer | None:
        """See `Worker`."""
        try:
            answer, self.call = fetch(self.call), None
        except Lost:
            ray.kill(self.actor)  # it may only be out of reach
            raise
        if not self.ready:
            self.ready, (self.place, self.device) = True, answer
            return None
        if not isinstance(answer, Trained):
            self.call = self.actor.go_on.remote()
        return answer  # type: ignore[no-any-return]


class Ray(Foreman[Place]):
    """Trains on a Ray cluster. It is connected when it is made, until the block or the process ends.

    Args:
        address: see `connect`.
        gpus: of a population: with a fraction several share one, 0 is a core; None is 1 if the cluster has GPUs, else 0.
        study: what is trained.
        study_file, changes: where it came from, see `load_study`.

    Raises:
        InvalidStudy: the cluster cannot be reached, or has no room for a population.
    """

    def __init__(self, address: str, gpus: float | None, study: Study, study_file: Path, changes: Changes) -> None:
        super().__init__()
        with TemporaryDirectory() as folder:
            pack(study_file, Path(folder))
            connect(address, folder)
        self._gpus = float(any("GPU" in host for host in hosts())) if gpus is None else gpus
        self._study, self._expected = study, description(study)
        self._start_with = (study_file.absolute(), changes, Path.cwd(), self._gpus)
        if not self._places():
            wanted = f"a core and {self._gpus:g} GPU" if self._gpus else "a core"
            raise InvalidStudy([Problem("--ray", f"no host of the cluster has {wanted} for a population")])

    def __enter__(self) -> Self:
        """Nothing to start before there are jobs."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection, and with it the actors: they hold nothing that could be lost."""
        ray.shutdown()

    def train(
        self, populations: list[list[Run]], report: OnProgress, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `Executor`.

        Raises:
            Stopped: the connection to the cluster is lost.
        """
        try:
            yield from super().train(populations, report, stop)
        except ConnectionError as error:
            raise Stopped(f"the connection to the cluster is lost: {first_line(error)}") from None

    def lay_out(self, memory: str | None) -> Layout:
        """Choose the width by a short measurement on the first actor.

        Args:
            memory: bound on what the populations of a GPU, or of a host without, take at a time, such as 4G; None for a
                share of what is free.

        Raises:
            InvalidStudy: `memory` is no size, or the study cannot be loaded on the cluster.
        """
        parse_memory(memory, torch.device("cpu"))
        self._hire(1)
        worker, places = self._workers[0], self._places()
        try:
            worker.receive()
            cost: Cost = fetch(worker.actor.cost.remote(memory))
        except Lost as lost:
            raise InvalidStudy([Problem("--ray", f"a worker {lost} before it trained anything")]) from lost
        seconds = cost.training_s(n_steps(self._study), places, places)
        kind = torch.device("cuda" if self._gpus else "cpu")
        devices = f"{places} places on a Ray cluster, such as {worker.place}: {worker.device}"
        return Layout([kind] * places, 1, cost.width, seconds, devices)

    def _places(self) -> int:
        """How many populations the cluster has room for, if nobody else uses it."""

        def on(host: dict[str, float]) -> int:
            return int(min(host.get("CPU", 0), host.get("GPU", 0) / self._gpus if self._gpus else math.inf))

        return sum(map(on, hosts()))

    def _hire(self, jobs: int) -> None:
        asked = sum(not worker.ready for worker in self._workers)
        for _ in range(min(jobs - len(self._workers), ASKED_AHEAD - asked)):
            actor = ray.remote(num_cpus=1, num_gpus=self._gpus)(Remote).remote(*self._start_with)
            self._workers.append(Place(actor, self._expected))

    def _heard(self) -> list[Place]:
        calls = {worker.call: worker for worker in self._workers if worker.call is not None}
        return [calls[call] for call in ray.wait(list(calls), timeout=HEARD_WITHIN_S)[0]]


def connect(address: str, folder: str) -> None:
    """Connect this process to a Ray cluster.

    Args:
        address: `auto` (the cluster that this host is part of, or `RAY_ADDRESS`), `host:port`, `ray://host:port`, or
            `local` for one that is started on this host and ends with the process.
        folder: what every process of the cluster shall find in its working directory.

    Raises:
        InvalidStudy: there is no such cluster, or it refuses.
    """
    settings: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if address not in ("auto", "local"):
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if not (colon and port.isdigit()):
            raise InvalidStudy([Problem("--ray", "needs auto, local, host:port or ray://host:port", address)])
        try:
            socket.create_connection((host.strip("[]"), int(port)), REACHED_IN_S).close()
        except OSError as error:
            raise _unreachable(address, error) from None
    if address != "local":  # else Ray waits for minutes
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
        os.environ.setdefault("RAY_py_gcs_connect_timeout_s", str(REACHED_IN_S))
    environment = {"working_dir": folder}
    try:
        ray.init(address, runtime_env=environment, logging_level=logging.ERROR, log_to_driver=False, **settings)
    except Exception as error:
        raise _unreachable(address, error, "; if the cluster asks for a token, set RAY_AUTH_MODE=token") from None


def hosts() -> list[dict[str, float]]:
    """What each host of the cluster has: `CPU` and `GPU`, in numbers."""
    return [host["Resources"] for host in ray.nodes() if host["Alive"]]  # type: ignore[no-untyped-call]


def _unreachable(address: str, error: Exception, hint: str = "") -> InvalidStudy:
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return InvalidStudy([Problem("--ray", f"cannot connect: {text.splitlines()[0]}{hint}", address)])


def fetch(call: Any) -> Any:
    """What a method of an actor returned.

    Raises:
        Lost: the actor's process or host is gone.
        InvalidStudy: the study cannot be loaded where the actor is.
    """
    try:
        return ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, InvalidStudy):
            raise error.cause from None
        raise _unusable(error) from None
    except RuntimeEnvSetupError as error:
        raise _unusable(error) from None
    except RayError as error:
        if isinstance(error, RayActorError) and error.actor_init_failed:
            raise _unusable(error) from None
        raise Lost("was lost") from error


def _unusable(error: Exception) -> InvalidStudy:
    return InvalidStudy([Problem("--ray", f"a host cannot train: {str(error).strip().splitlines()[-1]}")])


def pack(study_file: Path, folder: Path) -> None:
    """Put into a folder what a host needs besides installed packages.

    That is the harness, the study file, and the modules beside or below it that it has imported.
    """
    shutil.copytree(Path(harness.__file__).parent, folder / "harness", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / SHIPPED).mkdir()
    shutil.copyfile(study_file, folder / SHIPPED / study_file.name)
    home = study_file.resolve().parent
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/").resolve()
        if not file.is_relative_to(home):
            continue
        within = file.relative_to(home)
        if ".".join(within.with_suffix("").parts).removesuffix(".__init__") == name:  # else found by another path
            (folder / SHIPPED / within).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / SHIPPED / within)
