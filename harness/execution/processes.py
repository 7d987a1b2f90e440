"""Processes that train or draw: how they are started and prepared.

On Linux a server that has imported all that training needs forks them, so that each is ready at once. The server gets
ready beside a parent that still imports: nothing heavy is imported here. Elsewhere, where processes cannot be forked or
libraries do not bear it, each is started anew and imports what it needs.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.process import BaseProcess
from threading import Lock
from types import ModuleType
from typing import Any

from harness.execution.streams import outlive_readers

IMPORTED_BY_SERVER = ["harness.execution.workers", "harness.execution.reload"]

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How processes are started, in the words of `multiprocessing`."""

_starting = Lock()
"""Who starts something changes what all threads of this process see."""


def serve() -> None:
    """Start the server, unless it runs. It ends with this process and those it has forked; Ctrl-C means none of them."""
    if METHOD != "forkserver":
        return
    from multiprocessing import forkserver, resource_tracker

    forkserver.set_forkserver_preload(IMPORTED_BY_SERVER)
    with _starting, own_modules():
        resource_tracker.ensure_running()  # it would unblock Ctrl-C
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with huge_pages(), short_addresses():
                forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls `target`. Its environment is the present one; it does not import `__main__`."""
    serve()
    context: Any = multiprocessing.get_context(METHOD)
    process: BaseProcess = context.Process(target=_run, args=(dict(os.environ), target, *arguments), daemon=True)
    with _starting:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            with own_modules():
                process.start()
        finally:
            sys.modules["__main__"] = main
    return process


def _run(environment: dict[str, str], target: Callable[..., None], *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where no server has blocked it
    os.environ.clear()  # that of the server's start
    os.environ.update(environment)
    outlive_readers()
    target(*arguments)


LONGEST_FOLDER = 64
"""Characters of a folder of temporary files in which a socket's address, of 107 at most, has room."""


@contextmanager
def short_addresses() -> Iterator[None]:
    """In the block the sockets of `multiprocessing` are made in /tmp where the path of temporary files is too long for one."""
    from multiprocessing import util

    before = tempfile.tempdir
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST_FOLDER:
        tempfile.tempdir = "/tmp"
    try:
        util.get_temp_dir()  # made once
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def huge_pages() -> Iterator[None]:
    """Processes that are started in the block have their large buffers in pages of 2 MiB, where glibc and the kernel can.

    A matrix then takes a few entries of the processor's table of pages, not hundreds (1 to 5 % of a training step).
    """
    before = os.environ.get("GLIBC_TUNABLES")
    with _environment("GLIBC_TUNABLES", ":".join(filter(None, ("glibc.malloc.hugetlb=1", before)))):  # the last counts
        yield


def own_modules() -> AbstractContextManager[None]:
    """Processes that are started in the block import Python's own modules, whatever files like random.py lie in the working directory."""
    return _environment("PYTHONSAFEPATH", "1")


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """In the block an environment variable has a value."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
