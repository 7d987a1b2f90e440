"""Patience: what to do while a storage or a server cannot be reached, in the middle of a study.

Whoever talks to one raises `Unreachable` where the same thing can be asked again later.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Timer
from typing import TypeVar

T = TypeVar("T")

SLOW_S = 10.0
"""Seconds after which it is said that there is no answer yet: an attempt may go on for a minute."""

PAUSE_S = 2.0
"""Seconds between two attempts."""

os.environ.setdefault("PGCONNECT_TIMEOUT", "10")  # seconds: for a host that says nothing, PostgreSQL waits for minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


class Unreachable(Exception):
    """A storage or server cannot be reached now. What was asked of it can be asked again. Shows no password."""


class Stopped(Exception):
    """The study was asked to stop before all was done; all finished trials are saved."""


@dataclass(frozen=True)
class Patience:
    """Asks again until there is an answer.

    Args:
        say: is told when the waiting begins and when it ends.
        stop: once it returns true, the waiting ends.
    """

    say: Callable[[str], None]
    stop: Callable[[], bool] = lambda: False
    _told_slow: Event = field(default_factory=Event, repr=False)

    def __call__(self, ask: Callable[[], T]) -> T:
        """What `ask` returns.

        Raises:
            Stopped: it was asked to stop while nobody answered.
        """
        slow = Timer(SLOW_S, self._say_slow)
        slow.daemon = True
        slow.start()
        try:
            return self._ask(ask, slow)
        finally:
            slow.cancel()

    def _say_slow(self) -> None:
        """Once in a launch: a slow server would have it said of every record."""
        if not self._told_slow.is_set():
            self._told_slow.set()
            self.say(
                f"Records wait: where they are kept there is no answer for {SLOW_S:.0f} s. What is trained is kept on disk."
            )

    def _ask(self, ask: Callable[[], T], slow: Timer) -> T:
        since = None
        while True:
            try:
                answer = ask()
            except Unreachable as error:
                slow.cancel()
                if since is None:
                    since = time.monotonic()
                    self.say(f"{error}\nWaiting for it; what is trained is kept on disk. Ctrl-C stops.")
                if self.stop():
                    raise Stopped from error
                time.sleep(PAUSE_S)
            else:
                if since is not None:
                    self.say(f"It answers again, after {time.monotonic() - since:.0f} s.")
                return answer
