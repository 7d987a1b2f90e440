"""What a host of a cluster does: unpack the study that was sent to it and train what it is given.

Nothing heavy is imported here: a host that cannot import it must be able to say so.
"""

import contextlib
import os
import queue
import socket
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """Why a host cannot train, said by its process, which stays where it is and so keeps others from landing there."""

    host: str
    reason: str


@dataclass(frozen=True)
class Ready:
    """A process that can train: where it is, and on what, in words."""

    host: str
    device: str


class Remote:
    """A Ray actor: a process that holds the study and trains one population at a time.

    Args:
        folder: the leader's working directory.
        gpus: of this process; with a fraction several processes share one, 0 is a core.
    """

    def __init__(self, folder: Path, gpus: float) -> None:
        self._folder, self._gpus = folder, gpus
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def load(self, packed: bytes, keeping: dict[str, Any]) -> Ready | Refusal:
        """Unpack the study, see `harness.execution.shipping`; `keeping` has the fields of `harness.engine.keeping.Keeping`."""
        host = socket.gethostname()
        with contextlib.suppress(OSError):
            os.chdir(self._folder)  # relative paths mean the same on a shared file system
        try:
            import torch

            from harness.engine.devices import device_name
            from harness.engine.keeping import Keeping
            from harness.execution.shipping import unpack
            from harness.execution.trainer import Trainer

            self._device = torch.device("cuda:0" if self._gpus else "cpu")  # Ray hides the GPUs of others
            self._study = unpack(packed, host)
            self._trainer = Trainer(self._device, self._study.evaluations, Keeping(**keeping))
            return Ready(host, device_name(self._device))
        except Exception as error:
            said = str(error).strip() or type(error).__name__
            return Refusal(host, "; ".join(said.splitlines()))

    def examine(self, messages: dict[str, list[Any]], memory: str | None, code: str) -> Any:
        """See `examination.examine`; `memory` bounds what all populations of this GPU, or of this host, take at a time."""
        from harness.engine.memory_budget import check_bound, parse_memory
        from harness.execution.examination import examine

        abreast = round(1 / self._gpus) if self._gpus else os.cpu_count() or 1
        bound = parse_memory(memory, self._device) // abreast
        found = examine(self._study, messages, self._device, bound, code)
        check_bound(memory, found.values(), bound, abreast)
        return found

    def begin(self, message: list[Any]) -> Any:
        """Begin a job; its first answer."""
        threading.Thread(target=self._train, args=(message,), daemon=True).start()
        return self.go_on()

    def go_on(self) -> Any:
        """The next answer."""
        return self._answers.get()

    def _train(self, message: list[Any]) -> None:
        import torch

        from harness.execution.jobs import LastWords, received

        try:
            torch.set_num_threads(1)
            runs = received(self._study, message)
            self._answers.put(self._trainer.train(runs, lambda *done: self._answers.put(done)))
        except BaseException:  # as of a process on the leader's host
            self._answers.put(LastWords(traceback.format_exc()))
