"""What a host of a cluster does: load the study that was shipped to it and train what it is sent."""

import contextlib
import os
import queue
import socket
import threading
from pathlib import Path

import torch

from harness.engine.cost import Cost
from harness.engine.devices import device_name
from harness.engine.memory_budget import parse_memory
from harness.engine.population_width import measure_cost
from harness.engine.width_cache import cache_file
from harness.execution.jobs import Answer, Message, received
from harness.execution.trainer import Trainer
from harness.ledger.trial_runs import sample_runs
from harness.settings import InvalidStudy, Problem
from harness.study import Study
from harness.study.load import Changes, load_study

SHIPPED = "study"
"""The study file and the modules beside it are in this folder of the process's working directory."""


class Remote:
    """A Ray actor: a process that holds the study and trains one population at a time.

    Args:
        study_file, changes: see `load_study`; an absolute path on the leader's host.
        folder: the leader's working directory.
        gpus: of this process; with a fraction several processes share one, 0 is a core.
    """

    def __init__(self, study_file: Path, changes: Changes, folder: Path, gpus: float) -> None:
        self._study_file, self._changes, self._folder, self._gpus = study_file, changes, folder, gpus
        self._device = torch.device("cuda:0" if gpus else "cpu")  # Ray hides the GPUs of others
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def load(self, expected: dict[str, str]) -> tuple[str, str]:
        """Load the study, from its own folder where a shared file system has it; else what was shipped.

        Args:
            expected: `description` of the leader's study.

        Returns:
            Where this is, and what it trains on, in words.

        Raises:
            InvalidStudy: it cannot be loaded here, or is another one here.
        """
        file = Path(SHIPPED, self._study_file.name).resolve()
        with contextlib.suppress(OSError):
            os.chdir(self._folder)  # relative paths mean the same on a shared file system
            if self._study_file.read_bytes() == file.read_bytes():
                file = self._study_file
        self._study, _ = load_study(file, self._changes)
        found, place = description(self._study), socket.gethostname()
        if found != expected:
            paths = [path for path in expected | found if expected.get(path) != found.get(path)]
            raise InvalidStudy([Problem(p, f"is {found.get(p)} on {place}, {expected.get(p)} here") for p in paths])
        self._trainer = Trainer(self._device, self._study.evaluations)
        return place, device_name(self._device)

    def cost(self, memory: str | None) -> Cost:
        """See `measure_cost`; `memory` bounds what all populations of this GPU, or of this host, take at a time."""
        abreast = round(1 / self._gpus) if self._gpus else os.cpu_count() or 1
        bound = parse_memory(memory, self._device) // abreast
        return measure_cost(sample_runs(self._study), self._device, memory_bytes=bound, cache=cache_file())

    def begin(self, message: Message) -> Answer:
        """Begin a job; its first answer."""
        threading.Thread(target=self._train, args=(message,), daemon=True).start()
        return self.go_on()

    def go_on(self) -> Answer:
        """The next answer."""
        return self._answers.get()

    def _train(self, message: Message) -> None:
        try:
            torch.set_num_threads(1)
            runs = received(self._study, message)
            self._answers.put(self._trainer.train(runs, lambda *done: self._answers.put(done)))
        except BaseException:
            os._exit(1)  # as a process on the leader's host would


def description(study: Study) -> dict[str, str]:
    """What must agree between the hosts, by name: the study, and the torch that trains it."""
    return study.description() | {"torch": torch.__version__.partition("+")[0]}
