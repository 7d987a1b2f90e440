"""Worker processes: one or more on each device of this host, so that nothing trains in the leader's own process.

What a run may do to its process (end it, lose its device) then costs a worker, which is replaced.
"""

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections import Counter
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Self, cast

import torch

from harness.engine.keeping import NOTHING, Keeping
from harness.execution.jobs import Answer, Foreman, LastWords, Lost, Message, Worker, received
from harness.execution.processes import start
from harness.execution.shipping import pack, unpack
from harness.execution.trainer import Trainer
from harness.settings import InvalidStudy, Problem, first_line
from harness.settings.patience import Stopped
from harness.study import Study


class Process(Worker):
    """A process that trains on one device, at the other end of a pipe."""

    def __init__(self, place: str, process: BaseProcess, pipe: Connection) -> None:
        self.place, self.process, self.pipe = place, process, pipe

    def send(self, message: Message) -> None:
        """See `Worker`."""
        with contextlib.suppress(OSError):  # it died; `receive` will say so
            self.pipe.send(message)

    def receive(self) -> Answer | None:
        """See `Worker`."""
        try:
            answer: Answer | InvalidStudy | None = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            raise Lost(f"ended with {how}", killed=code == -signal.SIGKILL) from None
        if isinstance(answer, InvalidStudy):
            raise answer
        if isinstance(answer, LastWords):
            self.process.kill()
            self.process.join()
            raise lost(answer)
        self.ready = True
        return answer


def lost(words: LastWords) -> Lost:
    """What last words say: the traceback's last line, and all of it as the cause."""
    found = Lost(f"ended {words.how}", raised=True)
    found.__cause__ = RuntimeError(words.text)
    return found


class Workers(Foreman[Process]):
    """Trains in processes of this host, one for each place.

    Args:
        places: devices; one named twice gets two workers.
        study: what is trained; sent to each worker when it starts.
        keeping: what is kept of training besides its numbers.

    Raises:
        InvalidStudy: the study cannot be sent.
    """

    def __init__(self, places: list[torch.device], study: Study, keeping: Keeping = NOTHING) -> None:
        super().__init__(study, keeping)
        self._places = Counter(str(place) for place in places)
        self._packed = pack(study)

    def __enter__(self) -> Self:
        """Start them: they get ready while the leader opens what it writes to."""
        with contextlib.suppress(Stopped):  # said once they are needed
            self._hire(self._places.total())
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them: they hold nothing that could be lost."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    def _hire(self, jobs: int) -> None:
        free = self._places - Counter(worker.place for worker in self._workers)
        for place in islice(free.elements(), max(0, jobs - len(self._workers))):
            self._workers.append(self._start(place))

    def _heard(self) -> list[Process]:
        awaited = {worker.pipe: worker for worker in self._workers if worker.job is not None or not worker.ready}
        return [awaited[cast(Connection, pipe)] for pipe in wait(list(awaited))]

    def _start(self, place: str) -> Process:
        ours, theirs = multiprocessing.Pipe()
        try:
            process = start(_work, theirs, place, self._keeping)
        except (OSError, EOFError) as error:
            raise Stopped(f"no process can be started: {first_line(error)}") from None
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # it died; `receive` will say so
            ours.send_bytes(self._packed)
        return Process(place, process, ours)


def _work(pipe: Connection, place: str, keeping: Keeping) -> None:
    """What a worker does until it is killed, or the leader is gone."""
    torch.set_num_threads(1)

    def say(what: Any) -> None:
        try:
            pipe.send(what)
        except OSError:
            os._exit(1)

    try:
        study = unpack(pipe.recv_bytes(), "a process that trains")
        trainer = Trainer(torch.device(place), study.evaluations, keeping)
    except (EOFError, ConnectionError):  # the leader is gone, maybe killed
        return None
    except InvalidStudy as error:
        return say(error)
    except Exception as error:
        return say(InvalidStudy([Problem("study", f"cannot be trained on {place}: {first_line(error)}")]))
    say(None)
    while True:
        try:
            message = pipe.recv()
        except (EOFError, ConnectionError):
            return None
        try:
            say(trainer.train(received(study, message), lambda *done: say(done)))
        except BaseException:  # of the user's, whatever its name: Ctrl-C means none of these processes
            say(LastWords(traceback.format_exc()))
            os._exit(1)  # to end in order would meet the error again
