"""Jobs: populations on their way to workers in other processes, and what is done when one of these is lost.

Workers hold no state: what is lost with one is trained again by another. `workers` has those of this host, `cluster`
those of many.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.engine.planning import cut
from harness.engine.runs import Run
from harness.execution.trainer import OnProgress, Trained, failed
from harness.settings.patience import Stopped
from harness.study import Study

DEATHS = 2
"""A population whose worker died this often is trained in halves: it may have been more than memory bears."""

FRUITLESS_DEATHS = 20
"""So many workers may die in a row, without any progress, before the study is given up."""

Message = list[tuple[int, int, dict[str, Any], bool]]
"""Runs as they are sent: trial, seed, values and whether they confirm; the worker knows the study."""

Answer = Trained | tuple[int, int]
"""What came of a job, or progress on the way: see `OnProgress`."""


class Lost(Exception):
    """A worker is gone; the text says how, as in `ended with signal 9`, and the cause may say more."""


@dataclass
class Job:
    """Runs of one population to be trained by a worker.

    Attributes:
        index: of the population.
        deaths: workers that died over it.
        done: steps that the present worker reported, summed over the runs.
    """

    index: int
    runs: list[Run]
    deaths: int = 0
    done: int = 0

    def message(self) -> Message:
        """The runs, ready to be sent."""
        return [(run.trial, run.seed, run.values, run.confirm) for run in self.runs]


def received(study: Study, message: Message) -> list[Run]:
    """The runs of a job that was sent."""
    return [Run(trial, seed, study.setup(values), values, confirm) for trial, seed, values, confirm in message]


class Worker(ABC):
    """A process that trains one job after another.

    Attributes:
        place: where it is, in words.
        ready: whether it can be sent a job.
        job: what it is doing.
    """

    place: str
    ready: bool = True
    job: Job | None = None

    @abstractmethod
    def send(self, message: Message) -> None:
        """Let it begin a job."""

    @abstractmethod
    def receive(self) -> Answer | None:
        """What it has to say, waiting for it; None if it only became ready.

        Raises:
            Lost: it died.
        """


W = TypeVar("W", bound=Worker)


class Foreman(ABC, Generic[W]):
    """An executor that keeps workers busy: subclasses say where these come from."""

    def __init__(self) -> None:
        self._workers: list[W] = []
        self._fruitless = 0

    @abstractmethod
    def _hire(self, jobs: int) -> None:
        """Start workers, as far as there is room, for so many jobs that wait or are being trained."""

    @abstractmethod
    def _heard(self) -> list[W]:
        """The workers that have something to say; waits for a while."""

    def train(
        self, populations: list[list[Run]], report: OnProgress, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `harness.execution.trainer.Executor`."""
        waiting = deque(Job(index, runs) for index, runs in enumerate(populations))
        while True:
            if waiting and not stop():
                self._hire(len(waiting) + sum(worker.job is not None for worker in self._workers))
            for worker in self._workers:
                if worker.ready and worker.job is None and waiting and not stop():
                    worker.job = waiting.popleft()
                    worker.send(worker.job.message())
            if not any(worker.job for worker in self._workers) and (not waiting or stop()):
                return
            for worker in self._heard():
                try:
                    answer = worker.receive()
                except Lost as lost:
                    self._workers.remove(worker)
                    self._count_death()
                    if worker.job is not None:
                        report(-worker.job.done, 0)
                        again, outcome = after_death(worker.job, worker.place, lost)
                        waiting.extendleft(again)
                        yield worker.job.index, outcome
                    continue
                if answer is None:
                    continue
                assert worker.job is not None
                self._fruitless = 0
                if isinstance(answer, Trained):
                    index, worker.job = worker.job.index, None
                    yield index, answer
                else:
                    worker.job.done += answer[0]
                    report(*answer)

    def _count_death(self) -> None:
        self._fruitless += 1
        if self._fruitless > FRUITLESS_DEATHS:
            raise Stopped(f"{self._fruitless} workers ended in a row without any progress")


def after_death(job: Job, place: str, lost: Lost) -> tuple[list[Job], Trained]:
    """What a job becomes when its worker died: the jobs that are to be trained again, and what there is to tell.

    It is trained again as it is, from its second death on in halves; a run that kills its process alone has failed.
    """
    deaths = job.deaths + 1
    if deaths < DEATHS:
        again = [Job(job.index, job.runs, deaths)]
    elif len(job.runs) > 1:
        again = [Job(job.index, half, DEATHS - 1) for half in cut(job.runs, 2)]
    else:
        return [], failed(job.runs[0], f"The process that trained it {lost}.\n{lost.__cause__ or ''}".strip())
    runs = "run is" if len(job.runs) == 1 else f"{len(job.runs)} runs are"
    nothing = failed(job.runs[0], "")
    note = f"{place}: a worker {lost}; its {runs} trained again"
    return again, Trained(nothing.runs[:0], nothing.curves, {}, (note,))
