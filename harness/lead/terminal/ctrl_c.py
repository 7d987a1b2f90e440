"""Ctrl-C in a command, from its first moment on: "Interrupted.", exit code 130, and no traceback wherever it was heard.

SIGTERM, by which `kill`, a container that is stopped or a job whose time is up ends a process, is a Ctrl-C that will have no second:
who sends it waits for seconds.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

HEARD = (signal.SIGINT, signal.SIGTERM)


class AtOnce:
    """What Ctrl-C does of itself: it says so and ends the process, as safely as a kill would.

    An exception would be lost where it meets an import or a callback, or become another error there.

    Args:
        last_words: said before.
    """

    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words

    def __call__(self, *_: object) -> None:
        """See `signal.signal`."""
        _hear(signal.SIG_IGN)
        with suppress(Exception):  # it may have interrupted the very code that says something
            self._last_words()
            sys.stdout.flush()
        with suppress(OSError):
            os.write(2, b"Interrupted.\n")
        os._exit(INTERRUPTED)


def end_at_once() -> None:
    """From now on Ctrl-C ends this process, see `AtOnce`."""
    _hear(AtOnce(lambda: None))
    # Whoever ends a process that a user's code forks, as `multiprocessing.Pool` does, means that one.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(signal.signal, signal.SIGTERM, signal.SIG_DFL))


def say_before_the_end(last_words: Callable[[], None]) -> None:
    """Have this said where Ctrl-C ends the process; it does so in a command, not in a script or a notebook."""
    if isinstance(signal.getsignal(signal.SIGINT), AtOnce):
        _hear(AtOnce(last_words))


@contextmanager
def raised() -> Iterator[None]:
    """Within the block the first Ctrl-C of a command raises, so that what is begun is ended in order; the second ends at once.

    Whoever listens to Ctrl-C in the block, as `Stop` does, leaves SIGTERM as it is here.

    Raises:
        KeyboardInterrupt: whatever became of it on the way, as in an import that it met.
    """
    before, heard = signal.getsignal(signal.SIGINT), False

    def hear(*_: object) -> None:
        nonlocal heard
        _hear(before)
        heard = True
        raise KeyboardInterrupt

    if not isinstance(before, AtOnce) or threading.current_thread() is not threading.main_thread():
        yield
        return
    _hear(hear)
    try:
        yield
    except Exception as error:
        if heard:
            raise KeyboardInterrupt from error
        raise
    finally:
        _hear(before)


def _hear(handler: Callable[[int, FrameType | None], Any] | int | None) -> None:
    for number in HEARD:
        signal.signal(number, handler)
