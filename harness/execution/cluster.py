"""Ray: populations train on many hosts, one on each GPU or, where there is none, on each core.

Each worker is an actor that is sent the study once; a task would need it for every population, since Ray ends a
process with its GPU task. Actors are asked for as long as jobs wait, so that hosts that join later are used. On a host that
cannot train they stay without being used, so that no others are started there.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # no pages of Ray's own when a process dies: a note says so
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, RuntimeEnvSetupError

from harness.engine.keeping import NOTHING, Keeping
from harness.engine.memory_budget import parse_memory
from harness.engine.planning import groups
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.connection import Connection
from harness.execution.costs import Costs
from harness.execution.examination import code
from harness.execution.jobs import Answer, Foreman, LastWords, Lost, Message, Worker, sent
from harness.execution.placement import Placement
from harness.execution.remote import Ready, Refusal, Remote
from harness.execution.shipping import pack
from harness.execution.trainer import OnPopulation, Trained
from harness.execution.workers import lost
from harness.ledger.trial_runs import sample_runs
from harness.settings import InvalidStudy, Problem, first_line
from harness.settings.patience import Stopped
from harness.study import Study

ASKED_AHEAD = 64
"""Actors that are asked for and have no room yet, at most."""

HEARD_WITHIN_S = 1.0
"""How long to wait for an answer before looking whether more can be done."""


class Place(Worker):
    """An actor, seen from the leader; `call` is the method of it that is under way.

    Attributes:
        device: what it trains on, in words.
        refusal: why it cannot train, if it cannot.
    """

    def __init__(self, actor: Any, packed: Any, keeping: dict[str, Any]) -> None:
        self.place, self.device = "the cluster", ""
        self.refusal: Refusal | None = None
        self.actor, self.call = actor, actor.load.remote(packed, keeping)

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
        if isinstance(answer, LastWords):
            ray.kill(self.actor)
            raise lost(answer)
        if isinstance(answer, Refusal):
            self.refusal, self.place = answer, answer.host
            return None
        if isinstance(answer, Ready):
            self.ready, self.place, self.device = True, answer.host, answer.device
            return None
        if not isinstance(answer, Trained):
            self.call = self.actor.go_on.remote()
        return answer  # type: ignore[no-any-return]


class Ray(Foreman[Place]):
    """Trains on a Ray cluster. It is connected when it is made, until the block or the process ends.

    Args:
        address: see `Connection`.
        gpus: of a population: with a fraction several share one, 0 is a core; None is 1 if the cluster has GPUs, else 0.
        study: what is trained; sent to each actor when it starts.
        keeping: what is kept of training besides its numbers; checkpoints only where its folder is that of the leader.

    Raises:
        InvalidStudy: the study cannot be sent, or the cluster cannot be reached.
    """

    def __init__(self, address: str, gpus: float | None, study: Study, keeping: Keeping = NOTHING) -> None:
        super().__init__(study, keeping)
        packed = pack(study, here=False)
        with TemporaryDirectory() as folder:
            source = Path(__file__).parents[1]
            shutil.copytree(source, Path(folder, "harness"), ignore=shutil.ignore_patterns("__pycache__"))
            self._connection = Connection(address, folder)
        self._packed = ray.put(packed)
        self._gpus = float(any("GPU" in host for host in self._connection.hosts())) if gpus is None else gpus
        self._left_out: set[str] = set()

    def __enter__(self) -> Self:
        """Nothing to start before there are jobs."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection, and with it the actors: they hold nothing that could be lost."""
        self._connection.end()

    def train(
        self, populations: list[list[Run]], report: OnPopulation, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `Executor`.

        Raises:
            Stopped: the connection to the cluster is lost.
        """
        try:
            yield from super().train(populations, report, stop)
        except ConnectionError as error:
            raise Stopped(f"the connection to the cluster is lost: {first_line(error)}") from None

    def placement(self, memory: str | None) -> Placement:
        """Choose how runs train by a proof and a short measurement on the first actor that can train.

        Args:
            memory: bound on what the populations of a GPU, or of a host without, take at a time, such as 4G; None for a
                share of what is free.

        Raises:
            InvalidStudy: `memory` is no size, or no host of the cluster has room for a population or can train the study.
        """
        parse_memory(memory, torch.device("cpu"))
        examine = partial(self._examine, memory=memory)
        try:
            if not self._places():
                wanted = f"a core and {self._gpus:g} GPU" if self._gpus else "a core"
                raise InvalidStudy([Problem("--ray", f"no host of the cluster has {wanted} for a population")])
            worker = self._idle()
            ways, places = examine(groups(sample_runs(self._study))), self._places()
        except Stopped as lost:
            raise InvalidStudy([Problem("--ray", str(lost))]) from None
        kind = torch.device("cuda" if self._gpus else "cpu")
        devices = f"{places} places on a Ray cluster, such as {worker.place}: {worker.device}"
        return Placement([kind] * places, ways, examine, Costs(ways, self._study.evaluations), devices)

    def _examine(self, grouped: Mapping[str, list[Run]], *, memory: str | None) -> dict[str, Way]:
        """See `examination.examine`, on an actor that does nothing else."""
        messages = {name: sent(self._study, runs) for name, runs in grouped.items()}
        worker = self._idle()
        call = worker.actor.examine.remote(messages, memory, code())
        while not self._answered([call]):
            pass
        with at_first():
            found: dict[str, Way] = fetch(call)
        return found

    def _idle(self) -> Place:
        """A worker that can train and does nothing else."""
        while not (able := [worker for worker in self._workers if worker.ready and worker.call is None]):
            with at_first():
                self._hire(1)
                for worker in self._heard():
                    worker.receive()
        return able[0]

    def _places(self) -> int:
        """How many populations the cluster has room for, if nobody else uses it."""

        def on(host: dict[str, float]) -> int:
            return int(min(host.get("CPU", 0), host.get("GPU", 0) / self._gpus if self._gpus else math.inf))

        return sum(map(on, self._connection.hosts()))

    def _hire(self, jobs: int) -> None:
        self._leave_out()
        able = [worker for worker in self._workers if worker.refusal is None]
        asked = sum(not worker.ready for worker in able)
        wanted = min(jobs - len(able), ASKED_AHEAD - asked)
        for _ in range(wanted):
            self._workers.append(self._connection.ask(self._actor))

    def _actor(self) -> Place:
        actor = ray.remote(num_cpus=1, num_gpus=self._gpus)(Remote).remote(Path.cwd(), self._gpus)
        return Place(actor, self._packed, asdict(self._keeping))

    def _leave_out(self) -> None:
        """Say once of each host that cannot train that it is left out.

        Raises:
            InvalidStudy: none is left.
        """
        refusals = [worker.refusal for worker in self._workers if worker.refusal is not None]
        if refusals and len(refusals) >= self._places():
            reasons = {refusal.host: refusal.reason for refusal in refusals}
            raise InvalidStudy([Problem("--ray", f"{host} cannot train: {reason}") for host, reason in reasons.items()])
        for refusal in refusals:
            if refusal.host not in self._left_out:
                self._left_out.add(refusal.host)
                self._notes.append(f"{refusal.host} cannot train and is left out: {refusal.reason}")

    def _heard(self) -> list[Place]:
        calls = {worker.call: worker for worker in self._workers if worker.call is not None}
        return [calls[call] for call in self._answered(list(calls))]

    def _answered(self, calls: list[Any]) -> list[Any]:
        """The first of some calls that is answered, within a while.

        Raises:
            Stopped: the cluster is lost.
        """
        self._connection.check()
        return ray.wait(calls, timeout=HEARD_WITHIN_S)[0]


def fetch(call: Any) -> Any:
    """What a method of an actor returned.

    Raises:
        Lost: the actor's process or host is gone.
        InvalidStudy: a host cannot start an actor at all, or the method raised.
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
        raise Lost("was lost", killed=True) from error


@contextmanager
def at_first() -> Iterator[None]:
    """In the block a worker that is lost ends the study: nothing has trained yet that could go on elsewhere."""
    try:
        yield
    except Lost as lost:
        raise InvalidStudy([Problem("--ray", f"a worker {lost} before it trained anything")]) from lost


def _unusable(error: Exception) -> InvalidStudy:
    return InvalidStudy([Problem("--ray", f"a host cannot train: {str(error).strip().splitlines()[-1]}")])
