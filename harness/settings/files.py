"""Files that are put in place whole, so that a reader never meets half of one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the disk in the block say of which file they are; those of writing into an open one do not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def put_in_place(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed to it when the block ends; an error leaves what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with named(path):
            yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_durably(content: bytes, path: Path) -> None:
    """Write a file so that it survives a power failure, as the databases do that say it is there."""
    with named(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write(path: Path, content: bytes) -> None:
    """Write a file, in a folder that is made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path):
        path.write_bytes(content)


def disk_error(error: OSError) -> str:
    """Where the disk failed, and how: of two files the one that was written.

    >>> disk_error(OSError(27, "File too large", "kept.db", None, "results/mlflow.db")), disk_error(OSError("the pipe broke"))
    ('results/mlflow.db: File too large', 'disk: the pipe broke')
    """
    place = error.filename2 or error.filename or "disk"
    return f"{place}: {error.strerror or str(error) or type(error).__name__}"
