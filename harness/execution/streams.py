"""Standard output and error that outlive who reads them: `harness run … | head` trains to the end, and so it does where its terminal is closed."""

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def outlive_readers() -> None:
    """From now on a reader of this process's standard output or error may go: what is written then is dropped.

    A terminal that is closed says so to its processes by SIGHUP, which would end them; those that this one starts ignore it, too.
    """
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and _is_plain(stream):  # else a caller has put its own there
            setattr(sys, name, _outliving(stream))


def _is_plain(stream: object) -> bool:
    """Whether a stream is a file, pipe or terminal; there is none where it was closed, and Windows' console is another thing."""
    return isinstance(stream, io.TextIOWrapper) and isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO)


def _outliving(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    raw = _Descriptor(stream.fileno())
    is_unbuffered = isinstance(stream.buffer, io.FileIO)  # python -u
    return io.TextIOWrapper(
        raw if is_unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding, errors=stream.errors, line_buffering=stream.line_buffering, write_through=is_unbuffered,
    )  # fmt: skip


class _Descriptor(io.FileIO):
    """A file descriptor that leads nowhere from the first write on that finds its reader gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._gone = {errno.EPIPE, errno.EIO} if self.isatty() else {errno.EPIPE}  # EIO of a file is that of its disk

    def write(self, content: Any, /) -> int:
        """See `io.RawIOBase`."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in self._gone:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return memoryview(content).nbytes


@contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Processes that are started within the block print to this one's stderr."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
