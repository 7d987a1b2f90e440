"""Jobs: populations on their way to workers in other processes, and what is done when one of these is lost.

Workers hold no state: what is lost with one is trained again by another. `workers` has those of this host, `cluster`
those of many.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from harness.engine import kept_weights
from harness.engine.content import run_key
from harness.engine.keeping import NOTHING, Keeping
from harness.engine.planning import cut
from harness.engine.runs import Run
from harness.execution.trainer import OnPopulation, Trained, failed
from harness.settings import Sweep, show
from harness.settings.patience import Stopped
from harness.study import Study

DEATHS = 2
"""A population whose worker died this often is trained in halves: it may have been more than memory bears."""

FRUITLESS_DEATHS = 20
"""So many workers for each that there is may die in a row, no run trained any further or known to have failed, before the
study is given up."""

UNREADY_DEATHS = 5
"""So many workers may die in a row before they can train at all."""

Message = list[tuple[int, int, dict[str, float], bool]]
"""Runs as they are sent: trial, seed, values by factor path and whether they confirm. The worker knows the study: of a swept
factor the value is the index of its level."""


@dataclass(frozen=True)
class LastWords:
    """The traceback of an error after which a worker can train nothing more."""

    text: str

    @property
    def how(self) -> str:
        """How the worker ended, in words.

        >>> LastWords("RuntimeError: CUDA error.").how
        'by RuntimeError: CUDA error'
        """
        return f"by {self.text.strip().splitlines()[-1].rstrip('.')}"


Answer = Trained | tuple[int, int] | LastWords
"""What came of a job, or progress on the way: see `harness.execution.trainer.OnProgress`."""


class Lost(Exception):
    """A worker is gone; the text says how, as in `ended with signal 9`, and the cause may say more.

    Attributes:
        raised: whether by an error that its job raised; else it may have been anything.
        killed: whether from outside, as by the system when memory runs out.
    """

    def __init__(self, text: str, *, raised: bool = False, killed: bool = False) -> None:
        super().__init__(text)
        self.raised, self.killed = raised, killed


@dataclass
class Job:
    """Runs of one population to be trained by a worker.

    Attributes:
        index: of the population.
        deaths: workers that died over it.
        done: steps that the present worker reported, summed over the runs.
        begun_at_s: when it was given to the present worker, in seconds since the epoch.
    """

    index: int
    runs: list[Run]
    deaths: int = 0
    done: int = 0
    begun_at_s: float = 0.0


def sent(study: Study, runs: list[Run]) -> Message:
    """The runs of a job, ready to be sent: levels, which may be objects of the user's, as their index."""
    levels = {path: _places(sweep) for path, sweep in study.sweeps().items()}
    return [
        (
            run.trial, run.seed,
            {path: levels[path][show(v)] if path in levels else v for path, v in run.values.items()},
            run.confirm,
        )
        for run in runs
    ]  # fmt: skip


def _places(sweep: Sweep) -> dict[str, int]:
    """The index of each level, by its text."""
    return {text: i for i, text in enumerate(map(show, sweep.levels))}


def received(study: Study, message: Message) -> list[Run]:
    """The runs of a job that was sent."""
    sweeps, runs = study.sweeps(), []
    for trial, seed, sent_values, confirm in message:
        values = {path: sweeps[path].levels[int(v)] if path in sweeps else v for path, v in sent_values.items()}
        runs.append(Run(trial, seed, study.setup(values), values, confirm))
    return runs


class Worker(ABC):
    """A process that trains one job after another.

    Attributes:
        place: where it is, in words.
        ready: whether it can be sent a job.
        job: what it is doing.
    """

    place: str
    ready: bool = False
    job: Job | None = None

    @abstractmethod
    def send(self, message: Message) -> None:
        """Let it begin a job."""

    @abstractmethod
    def receive(self) -> Answer | None:
        """What it has to say, waiting for it; None if it only became ready.

        Raises:
            Lost: it died.
            InvalidStudy: it cannot train the study.
        """


W = TypeVar("W", bound=Worker)


class Foreman(ABC, Generic[W]):
    """An executor that keeps workers busy: subclasses say where these come from.

    Args:
        study: what is trained.
        keeping: what is kept of training besides its numbers.
    """

    def __init__(self, study: Study, keeping: Keeping = NOTHING) -> None:
        self._study, self._keeping = study, keeping
        self._said: set[str] = set()
        self._workers: list[W] = []
        self._notes: list[str] = []
        self._fruitless, self._unready = 0, 0

    @abstractmethod
    def _hire(self, jobs: int) -> None:
        """Start workers, as far as there is room, for so many jobs that wait or are being trained."""

    @abstractmethod
    def _heard(self) -> list[W]:
        """The workers that have something to say; waits for a while."""

    def train(
        self, populations: list[list[Run]], report: OnPopulation, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `harness.execution.trainer.Executor`.

        Raises:
            InvalidStudy: no worker can train the study.
            Stopped: workers die, one after another, whatever they are given.
        """
        waiting = deque(Job(index, runs) for index, runs in enumerate(populations))
        while True:
            if waiting and not stop():
                self._hire(len(waiting) + sum(worker.job is not None for worker in self._workers))
            for worker in self._workers:
                if worker.ready and worker.job is None and waiting and not stop():
                    self._give(worker, waiting.popleft())
            if not any(worker.job for worker in self._workers) and (not waiting or stop()):
                return
            for worker in self._heard():
                job = worker.job
                outcome, again = self._outcome(worker, report)
                waiting.extendleft(again)
                if outcome is not None:
                    assert job is not None
                    yield job.index, outcome
            if self._notes and populations:
                yield 0, replace(_nothing(populations[0][0]), notes=self.notes())

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the workers, once."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def _give(self, worker: W, job: Job) -> None:
        worker.job = replace(job, begun_at_s=time.time(), done=0)
        worker.send(sent(self._study, job.runs))

    def _outcome(self, worker: W, report: OnPopulation) -> tuple[Trained | None, list[Job]]:
        """What a worker that is heard has to say: what came of its job, if that is over, and jobs to be done again."""
        job = worker.job
        try:
            answer = worker.receive()
        except Lost as lost:
            self._workers.remove(worker)
            if job is None:
                self._count_death(worker, lost)
                return None, []
            report(job.index, -job.done, 0)
            again, outcome = after_death(job, worker.place, lost)
            if outcome.errors:  # something is known now
                self._fruitless = 0
            else:
                self._count_death(worker, lost)
            return outcome, again
        self._unready = 0
        if job is None or answer is None:  # it only became ready
            return None, []
        self._fruitless = 0
        if isinstance(answer, Trained):
            worker.job = None
            return self._kept(job, answer), []
        assert not isinstance(answer, LastWords), "`receive` raises"
        job.done += answer[0]
        report(job.index, *answer)
        return None, []

    def _kept(self, job: Job, trained: Trained) -> Trained:
        """What came of a job, its weights in their files, without notes that were said before.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        notes = tuple(note for note in dict.fromkeys(trained.notes) if note not in self._said)
        self._said.update(notes)
        if trained.weights and self._keeping.folder is not None:
            keys = {run_key(run, self._study.evaluations): (run.trial, run.seed) for run in job.runs}
            contents = {key: trained.weights[run] for key, run in keys.items() if run in trained.weights}
            kept_weights.write(self._keeping.folder, contents)
        return replace(trained, notes=notes, weights={})

    def _count_death(self, worker: W, lost: Lost) -> None:
        if not worker.ready:
            self._unready += 1
            if self._unready > UNREADY_DEATHS:
                raise Stopped(
                    f"no worker can start: {self._unready} in a row ended at once; on {worker.place} one {lost}"
                )
            return
        self._fruitless += 1
        if self._fruitless > FRUITLESS_DEATHS * (1 + len(self._workers)):
            raise Stopped(
                f"{self._fruitless} workers ended in a row without any progress; on {worker.place} one {lost}"
            )


def after_death(job: Job, place: str, lost: Lost) -> tuple[list[Job], Trained]:
    """What a job becomes when its worker died: the jobs that are to be trained again, and what there is to tell.

    It is trained again as it is, from its second death on in halves, and at once so if it raised what its worker died of; a
    run that kills its process alone has failed.
    """
    deaths = job.deaths + 1
    if deaths < DEATHS and (len(job.runs) == 1 or not lost.raised):
        again = [Job(job.index, job.runs, deaths)]
    elif len(job.runs) > 1:
        again = [Job(job.index, half, DEATHS - 1) for half in cut(job.runs, 2)]
    else:
        error = f"The process that trained it {lost}.\n{lost.__cause__ or ''}".strip()
        return [], failed(job.runs[0], error, job.begun_at_s, by_machine=lost.killed)
    runs = "run is" if len(job.runs) == 1 else f"{len(job.runs)} runs are"
    note = f"{place}: a worker {lost}; its {runs} trained again"
    nothing = _nothing(job.runs[0])
    return again, replace(nothing, notes=(note,), started_at_s=job.begun_at_s, ended_at_s=time.time())


def _nothing(run: Run) -> Trained:
    """What came of no runs at all: empty tables, of which `run` says the columns."""
    empty = failed(run, "")
    return Trained(empty.runs[:0], empty.curves, {})
