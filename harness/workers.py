"""Worker processes: one or more on each device, told by the leader what to train.

They hold no state: what is lost with one is trained again by another.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, Self, cast

import torch

from harness.executors import Report, Trained, Trainer, failed
from harness.load import Changes, load_study
from harness.population import Run, cut

DEATHS = 2
"""A population whose worker died this often is trained in halves: it may have been more than memory bears."""

FRUITLESS_DEATHS = 20
"""So many workers may die in a row, without any progress, before the study is given up."""


@dataclass
class Job:
    """Runs of one population to be trained by a worker, and how many workers died over them."""

    index: int
    runs: list[Run]
    deaths: int = 0


@dataclass
class Worker:
    """A process that trains on one device, and what it is doing."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None


class Workers:
    """Trains in spawned processes, one for each place; they load the study file themselves.

    Args:
        places: devices; one named twice gets two workers.
        threads: of each worker on a CPU.
        study_file, changes: see `load_study`.
    """

    def __init__(self, places: list[torch.device], threads: int, study_file: Path, changes: Changes) -> None:
        self._places = [str(place) for place in places]
        self._start_with = (threads, study_file, changes)
        self._workers: list[Worker] = []
        self._fruitless = 0

    def __enter__(self) -> Self:
        """Start the processes; they get ready while this one goes on."""
        self._workers = [self._start(place) for place in self._places]
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them: they hold nothing that could be lost."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    def _start(self, place: str) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, place, *self._start_with), daemon=True)
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            process.start()  # would import the main module again, which a worker has no use for
        finally:
            sys.modules["__main__"] = main
        theirs.close()
        return Worker(process, ours)

    def train(
        self, populations: list[list[Run]], report: Report, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `Executor`."""
        waiting = deque(Job(index, runs) for index, runs in enumerate(populations))
        while True:
            for worker in self._workers:
                if worker.job is None and waiting and not stop():
                    worker.job = waiting.popleft()
                    _send(worker.pipe, [(r.trial, r.seed, r.values, r.confirm) for r in worker.job.runs])
            busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
            if not busy:
                return
            for pipe in wait(list(busy)):
                worker = busy[cast(Connection, pipe)]
                assert worker.job is not None
                try:
                    answer = worker.pipe.recv()
                except (EOFError, OSError):
                    yield from self._replace(worker, waiting)
                    continue
                self._fruitless = 0
                if isinstance(answer, Trained):
                    index, worker.job = worker.job.index, None
                    yield index, answer
                else:
                    report(*answer)

    def _replace(self, worker: Worker, waiting: deque[Job]) -> Iterator[tuple[int, Trained]]:
        """Start another in place of a worker that died, and put its job back in the queue."""
        worker.process.join()
        self._fruitless += 1
        if self._fruitless > FRUITLESS_DEATHS:
            raise RuntimeError(f"{self._fruitless} workers ended in a row without any progress")
        job, code = worker.job, worker.process.exitcode
        assert job is not None
        place = self._places[self._workers.index(worker)]
        self._workers[self._workers.index(worker)] = self._start(place)
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        job.deaths += 1
        again = [job]
        if job.deaths >= DEATHS:
            again = [Job(job.index, half, DEATHS - 1) for half in cut(job.runs, 2)] if len(job.runs) > 1 else []
        waiting.extendleft(again)
        if not again:
            yield job.index, failed(job.runs[0], f"The process that trained it ended with {how}.")
            return
        runs = "run is" if len(job.runs) == 1 else f"{len(job.runs)} runs are"
        note = f"{place}: a worker ended with {how}; its {runs} trained again"
        nothing = failed(job.runs[0], "")
        yield job.index, Trained(nothing.runs[:0], nothing.curves, {}, (note,))


def _send(pipe: Connection, message: Any) -> None:
    with contextlib.suppress(OSError):  # the worker died; `recv` will say so
        pipe.send(message)


def _work(pipe: Connection, place: str, threads: int, study_file: Path, changes: Changes) -> None:
    """What a worker does until it is killed, or the leader is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the leader's business
    torch.set_num_threads(threads)
    study, _ = load_study(study_file, changes)
    trainer = Trainer(torch.device(place), study.evaluations)

    def report(steps: int, diverged: int) -> None:
        try:
            pipe.send((steps, diverged))
        except OSError:
            os._exit(1)

    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        runs = [Run(trial, seed, study.setup(values), values, confirm) for trial, seed, values, confirm in job]
        pipe.send(trainer.train(runs, report))
