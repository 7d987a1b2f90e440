"""How a study ends early: at a deadline, at Ctrl-C, or by what kept it from going on."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.settings.files import FULL, disk_error
from harness.settings.patience import Stopped

if TYPE_CHECKING:  # a command that is refused at once does not wait for tables to be imported
    from harness.lead.progress.progress import Progress


class Interrupted(Exception):
    """A study ended before all was done; the message says why, and what is saved."""


class Stop:
    """Whether no more work is to be begun: at a deadline, or after Ctrl-C; a second Ctrl-C stops at once.

    Attributes:
        asked: by Ctrl-C.
    """

    def __init__(self, deadline: float, progress: "Progress") -> None:
        self.asked = False
        self._deadline, self._progress = deadline, progress

    def __call__(self) -> bool:
        """True from the deadline or the first Ctrl-C on."""
        return self.asked or time.monotonic() > self._deadline

    def check(self) -> None:
        """Raises `Stopped` where Ctrl-C asked while the last runs were finished: it ends a command at any moment."""
        if self.asked:
            raise Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block the first Ctrl-C only asks to stop. Beside the main thread there is no Ctrl-C to hear."""

        def ask(number: int, _: object) -> None:
            if self.asked:
                signal.signal(number, before)
                signal.raise_signal(number)
            self.asked = True
            self._progress.say("Finishing what is being trained and recorded; Ctrl-C again stops at once.")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def why_stopped(error: BaseException, stop: Stop) -> str:
    """Why a study ended early, in words."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted"
    if isinstance(error, MemoryError):
        return "Stopped, memory ran out"
    if isinstance(error, OSError):
        return f"Stopped, {disk_error(error)}"
    if str(error):
        return f"Stopped, {error}"
    return "Interrupted" if stop.asked else "Out of time"


def what_to_do(error: BaseException) -> str:
    """How a study that ended early goes on.

    >>> what_to_do(OSError(28, "No space left on device")), what_to_do(KeyboardInterrupt())
    ('make room there, and the same command continues', 'the same command continues')
    """
    if isinstance(error, MemoryError):
        return "close other programs or take fewer --workers, and the same command continues"
    if isinstance(error, OSError):
        return f"{'make room' if error.errno in FULL else 'mend that'} there, and the same command continues"
    ended_by_itself = isinstance(error, KeyboardInterrupt) or (isinstance(error, Stopped) and not str(error))
    return "the same command continues" if ended_by_itself else "once that is mended, the same command continues"
