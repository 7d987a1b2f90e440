"""How the process of a command ends once its work is done: nobody's thread keeps it, nor Ctrl-C."""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNWRITTEN = 120
"""Python's own exit code where what was printed could not be written."""


@contextmanager
def leaving() -> Iterator[None]:
    """The process ends where `sys.exit` is called within the block.

    The interpreter would wait for threads, and a user's module may have started one that never ends; it would also search all
    that was imported for garbage, which takes a second.
    """
    try:
        yield
    except SystemExit as asked:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = int(asked.code or 0)
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except (OSError, ValueError):  # a disk is full, or a user's module has closed it
                code = code or UNWRITTEN
        os._exit(code)
