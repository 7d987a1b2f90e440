"""Worker processes: one or more on each device of this host."""

import contextlib
import multiprocessing
import os
from collections import Counter
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self, cast

import torch

from harness.execution.jobs import Answer, Foreman, Lost, Message, Worker, received
from harness.execution.processes import start
from harness.execution.trainer import Trainer
from harness.study.load import Changes, load_study


class Process(Worker):
    """A process that trains on one device, at the other end of a pipe."""

    def __init__(self, place: str, process: BaseProcess, pipe: Connection) -> None:
        self.place, self.process, self.pipe = place, process, pipe

    def send(self, message: Message) -> None:
        """See `Worker`."""
        with contextlib.suppress(OSError):  # it died; `receive` will say so
            self.pipe.send(message)

    def receive(self) -> Answer:
        """See `Worker`."""
        try:
            return cast(Answer, self.pipe.recv())
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            raise Lost(f"ended with {how}") from None


class Workers(Foreman[Process]):
    """Trains in processes of this host, one for each place; they load the study file themselves.

    Args:
        places: devices; one named twice gets two workers.
        threads: of each worker on a CPU.
        study_file, changes: see `load_study`.
    """

    def __init__(self, places: list[torch.device], threads: int, study_file: Path, changes: Changes) -> None:
        super().__init__()
        self._places = Counter(str(place) for place in places)
        self._start_with = (threads, study_file, changes)

    def __enter__(self) -> Self:
        """Nothing to start before there are jobs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them: they hold nothing that could be lost."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    def _hire(self, jobs: int) -> None:
        free = self._places - Counter(worker.place for worker in self._workers)
        self._workers += map(self._start, islice(free.elements(), max(0, jobs - len(self._workers))))

    def _heard(self) -> list[Process]:
        busy = {worker.pipe: worker for worker in self._workers if worker.job is not None}
        return [busy[cast(Connection, pipe)] for pipe in wait(list(busy))]

    def _start(self, place: str) -> Process:
        ours, theirs = multiprocessing.Pipe()
        process = start(_work, theirs, place, *self._start_with)
        theirs.close()
        return Process(place, process, ours)


def _work(pipe: Connection, place: str, threads: int, study_file: Path, changes: Changes) -> None:
    """What a worker does until it is killed, or the leader is gone."""
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
            message = pipe.recv()
        except EOFError:
            return
        pipe.send(trainer.train(received(study, message), report))
