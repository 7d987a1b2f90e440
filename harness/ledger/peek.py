"""A look at what is there of studies, which leaves everything as it is."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from optuna.storages import BaseStorage

from harness.ledger.asking import Retries
from harness.ledger.entries import There, there
from harness.ledger.spaces import as_widened, entries_in, studies
from harness.ledger.sqlite import sqlite_file
from harness.ledger.storage import TABLES, StorageError, close_storage, open_storage
from harness.settings import InvalidStudy, Problem, first_line
from harness.study import Study


def look(study: Study, storage: str, *, retry_failed: bool = False) -> tuple[There, Mapping[str, Any]]:
    """How much of a study is there, and what is kept with it.

    Args:
        study: as it would be run now.
        storage: path of a journal file, or a database URL.
        retry_failed: see `Design`.

    Raises:
        InvalidStudy: the storage cannot be used.
    """
    with looked_at(storage) as found:
        if found is None:
            return there(study, []), {}
        kept, entries = studies(found).get(study.name, {}), entries_in(found, study.name)
    retries = Retries({entry.number for entry in entries if entry.told}, retry_failed=retry_failed)
    return there(as_widened(study, kept), entries, retries), kept


def file_of(storage: str) -> Path | None:
    """The file that a storage is; None where it is a server's.

    >>> file_of("results/optuna.journal"), file_of("postgresql://host/studies")
    (PosixPath('results/optuna.journal'), None)
    """
    return sqlite_file(storage) if "://" in storage else Path(storage)


@contextmanager
def looked_at(storage: str) -> Iterator[BaseStorage | None]:
    """A storage to be read within the block; None where there is none.

    Args:
        storage: path of a journal file, or a database URL.

    Raises:
        InvalidStudy: it cannot be used.
    """
    with TemporaryDirectory() as folder:
        try:
            found = _opened(storage, Path(folder))
        except StorageError as error:
            raise InvalidStudy([Problem("--storage", str(error))]) from None
        except Exception as error:  # whatever a database's driver raises
            raise InvalidStudy([Problem("--storage", first_line(error))]) from None
        try:
            yield found
        finally:
            if found is not None:
                close_storage(found)


def _opened(storage: str, folder: Path) -> BaseStorage | None:
    """The storage, of a journal a copy; None where there is none yet, since to open it would make one."""
    file = file_of(storage)
    if file is not None and not file.is_file():
        return None
    if file is not None and "://" not in storage:
        # Not its mode: of a file that is read-only a copy could not be opened.
        copy = str(shutil.copyfile(file, folder / file.name))
        try:
            return open_storage(copy)
        except StorageError as error:
            raise StorageError(str(error).replace(str(Path(copy).resolve()), str(file.resolve()))) from None
    from sqlalchemy import create_engine, inspect

    engine = create_engine(storage)
    try:
        return open_storage(storage) if inspect(engine).has_table(TABLES[0]) else None
    finally:
        engine.dispose()
