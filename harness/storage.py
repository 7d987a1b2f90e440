"""Optuna's storages: a journal file that outlives crashes, or a database that may be away for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.exc import InterfaceError, OperationalError

from harness.patience import Unreachable

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_storage(storage: str) -> BaseStorage:
    """The storage at a URL, or in a journal file, which is made if there is none.

    Raises:
        ValueError: the file is damaged, and not only at its end, or no journal.
    """
    if "://" in storage:
        return RDBStorage(storage, engine_kwargs={"pool_pre_ping": True})  # broken connections are replaced unseen
    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        return JournalStorage(journal)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{storage} is damaged, or no journal of Optuna: {error}") from error


class Journal(JournalFileBackend):
    """A journal whose lock ends with the process that holds it, and whose last line is cut off if it is incomplete.

    Optuna's own locks stay behind when their holder is killed, and a line that it did not finish spoils the file.
    """

    def __init__(self, path: Path) -> None:
        self._kernel_lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        super().__init__(str(path), self._kernel_lock)  # type: ignore[arg-type]  # the type it asks for is not public
        with self._kernel_lock:
            self._cut_off_incomplete_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See `JournalFileBackend`."""
        with self._kernel_lock:
            self._cut_off_incomplete_line()  # another process may have died since
            super().append_logs(logs)

    def _cut_off_incomplete_line(self) -> None:
        with open(self._file_path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def reachable() -> Iterator[None]:
    """Raises `Unreachable` where a database does not answer now."""
    try:
        yield
    except (StorageInternalError, InterfaceError, OperationalError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        if not isinstance(cause, InterfaceError | OperationalError):
            raise
        raise Unreachable(f"The storage cannot be reached: {str(cause.orig).strip().splitlines()[0]}") from None
