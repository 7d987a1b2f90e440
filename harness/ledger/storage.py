"""Optuna's storages: a journal file that outlives crashes, or a database that may be away for a while."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from harness.settings.patience import Unreachable

if TYPE_CHECKING:  # imported when a database is used: it takes a seventh of a second, which a journal should not pay
    import sqlalchemy

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


class LeaderLock:
    """That one process alone leads a study, among all machines that share a PostgreSQL.

    It is an advisory lock, which ends with its connection: nothing of it stays behind when a machine dies. Other storages
    belong to one machine, where the lock on the study's folder decides.
    """

    def __init__(self, storage: BaseStorage, study: str) -> None:
        engine = storage.engine if isinstance(storage, RDBStorage) else None
        self._engine = engine if engine is not None and engine.dialect.name == "postgresql" else None
        self._study = study
        self._connection: sqlalchemy.Connection | None = None

    def held(self) -> bool:
        """Whether the claim is this process's, now."""
        if self._engine is None:
            return True
        if self._connection is None or self._connection.invalidated:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        from sqlalchemy import text

        question = "SELECT pg_try_advisory_lock(hashtextextended(:study, 0))"  # its holder may take it again
        return bool(self._connection.execute(text(question), {"study": self._study}).scalar())

    def end(self) -> None:
        """Leave the study to others."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def close_storage(storage: BaseStorage) -> None:
    """Close all idle connections to a database."""
    if isinstance(storage, RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def this_process() -> str:
    """Who leads, in words."""
    return f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


@contextmanager
def reachable() -> Iterator[None]:
    """Raises `Unreachable` where a database does not answer now."""
    try:
        yield
    except Exception as error:
        from sqlalchemy.exc import InterfaceError, OperationalError

        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        if not isinstance(cause, InterfaceError | OperationalError):
            raise
        raise Unreachable(f"The storage cannot be reached: {str(cause.orig).strip().splitlines()[0]}") from None
