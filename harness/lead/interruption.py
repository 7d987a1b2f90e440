"""How a study ends early: at a deadline, at Ctrl-C, or by what kept it from going on."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.settings.progress import Progress


class Interrupted(Exception):
    """A study ended before all was done; the message says why, and what is saved."""


class Stop:
    """Whether no more work is to be begun: at a deadline, or after Ctrl-C; a second Ctrl-C stops at once.

    Attributes:
        asked: by Ctrl-C.
    """

    def __init__(self, deadline: float, progress: Progress) -> None:
        self.asked = False
        self._deadline, self._progress = deadline, progress

    def __call__(self) -> bool:
        """True from the deadline or the first Ctrl-C on."""
        return self.asked or time.monotonic() > self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block the first Ctrl-C only asks to stop. Beside the main thread there is no Ctrl-C to hear."""

        def ask(*_: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            self._progress.say("Finishing what is being trained; Ctrl-C again stops at once.")

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
    if isinstance(error, OSError):
        return f"Stopped, {error.filename or 'disk'}: {error.strerror or str(error) or type(error).__name__}"
    if str(error):
        return f"Stopped, {error}"
    return "Interrupted" if stop.asked else "Out of time"
