"""Optuna's storages: a journal file that outlives crashes, or a database that may be away for a while; led by one process."""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import filelock
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from harness.ledger.journal import Journal, JournalStore, damaged_line, journal_problem
from harness.ledger.sqlite import sqlite_file, sqlite_problem
from harness.settings.credentials import without_credentials
from harness.settings.patience import Unreachable

if TYPE_CHECKING:  # imported when a database is used: it takes a seventh of a second, which a journal should not pay
    import sqlalchemy

optuna.logging.set_verbosity(optuna.logging.WARNING)

TABLES = ("studies", "version_info")
"""Of every database that Optuna uses."""


RETRIES, BETWEEN_S = 2, 1.0
"""How often a database is opened again whose tables could not be made, and the pause before."""


class StorageError(Exception):
    """What was given as a storage is none, or none that one process can lead alone; the message says why."""


def open_storage(storage: str) -> BaseStorage:
    """The storage at a URL, or in a journal file, which is made if there is none.

    Raises:
        StorageError: it is something else, which is left as it is, or damaged, and not only at its end.
    """
    if "://" in storage:
        if problem := address_problem(storage):
            raise StorageError(problem)
        return _database(storage)
    path = Path(storage).resolve()  # whatever links lead there, it has one lock
    if problem := journal_problem(path):
        raise StorageError(problem)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        return JournalStore(journal)
    except (ValueError, KeyError, TypeError) as error:
        number = damaged_line(path)
        where = f" in line {number}" if number else f": {error}"
        raise StorageError(f"{path} is damaged{where}") from error


def _database(url: str) -> RDBStorage:
    """The storage in a database. Who makes its tables while another process does is refused, and finds them a moment later."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    pool = {"pool_pre_ping": True}  # broken connections are replaced unseen
    for _ in range(RETRIES):
        with suppress(IntegrityError, ProgrammingError):
            return RDBStorage(url, engine_kwargs=pool)
        time.sleep(BETWEEN_S)
    return RDBStorage(url, engine_kwargs=pool)


def address_problem(storage: str) -> str:
    """Why there can be no storage at an address, "" if there may be one, or if it is the path of a journal. Connects to nothing."""
    if "://" not in storage:
        return ""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(storage).get_dialect()
    except (ArgumentError, ValueError) as error:
        return f"no database is known at such an address: {without_credentials(str(error))}"
    return sqlite_problem(storage, "Optuna", TABLES)


class LeaderLock(Protocol):
    """That one process alone leads a study of a storage. Nothing of it stays behind when the process, or its machine, dies."""

    def held(self) -> bool:
        """Whether the claim is this process's, now."""

    def end(self) -> None:
        """Leave the study to others."""


def leader_lock(storage: BaseStorage, place: str, study: str) -> LeaderLock:
    """The lock of a study.

    Args:
        storage: where the study is kept.
        place: the path or URL at which it was opened.
        study: its name.

    Raises:
        StorageError: storages of this kind know no locks.
    """
    if not isinstance(storage, RDBStorage):
        return _FileLock(Path(place), study)
    kind, database = storage.engine.dialect.name, storage.engine.url.database
    if kind == "sqlite" and (path := sqlite_file(place)) is not None:
        return _FileLock(path, study)
    if kind == "postgresql":
        return _DatabaseLock(storage.engine, "SELECT pg_try_advisory_lock(hashtextextended(:name, 0))", study)
    if kind in ("mysql", "mariadb"):  # whose locks are those of the whole server, and have short names
        name = hashlib.sha256(f"{database} {study}".encode()).hexdigest()[:64]
        return _DatabaseLock(storage.engine, "SELECT GET_LOCK(:name, 0)", name)
    raise StorageError(
        f"a study in {kind} cannot be kept from being run twice at once; give PostgreSQL, MySQL or a file"
    )


class _FileLock:
    """A lock of the kernel on a file beside that of the storage."""

    def __init__(self, path: Path, study: str) -> None:
        path = path.resolve()
        # Of the process: trials are told by a thread of their own.
        self._lock = filelock.FileLock(path.with_name(f".{path.name}.{study}.lock"), thread_local=False)

    def held(self) -> bool:
        """See `LeaderLock`."""
        if not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                return False
        return True

    def end(self) -> None:
        """See `LeaderLock`."""
        self._lock.release()


class _DatabaseLock:
    """A lock of the database, which ends with its connection; among all machines that share the database."""

    def __init__(self, engine: "sqlalchemy.Engine", question: str, name: str) -> None:
        self._engine, self._question, self._name = engine, question, name
        self._connection: sqlalchemy.Connection | None = None

    def held(self) -> bool:
        """See `LeaderLock`."""
        from sqlalchemy import text

        if self._connection is None or self._connection.invalidated:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return bool(
            self._connection.execute(text(self._question), {"name": self._name}).scalar()
        )  # its holder may take it again

    def end(self) -> None:
        """See `LeaderLock`."""
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
