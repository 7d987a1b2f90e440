"""Many writes to a storage as one: one transaction of a database, one wait for the disk of a journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage

from harness.ledger.journal import JournalStore

if TYPE_CHECKING:  # see `harness.ledger.storage`
    import sqlalchemy


@contextmanager
def together(storage: BaseStorage) -> Iterator[None]:
    """What this thread writes within the block is durable at its end.

    A database has all of it, or nothing where the block raises or the process dies. In a journal a process that dies leaves
    what it had written by then.

    Raises:
        StorageInternalError: a database cannot be used; the cause is its first error.
    """
    if isinstance(storage, RDBStorage):
        with _one_transaction(storage):
            yield
    elif isinstance(storage, JournalStore):
        with storage.journal.synced_once():
            yield
    else:
        yield


@contextmanager
def _one_transaction(storage: RDBStorage) -> Iterator[None]:
    from sqlalchemy import event

    errors: list[BaseException] = []

    def keep(context: "sqlalchemy.engine.ExceptionContext") -> None:
        errors.append(context.sqlalchemy_exception or context.original_exception)

    event.listen(storage.engine, "handle_error", keep)
    try:
        with storage.engine.begin() as connection:
            storage.remove_session()
            storage.scoped_session(bind=connection)  # of this thread: its commits leave the transaction open
            yield
    except StorageInternalError as error:  # of Optuna's last attempt in a transaction that had ended at the first one
        raise StorageInternalError(str(error)) from (errors[0] if errors else error.__cause__)
    finally:
        storage.remove_session()
        event.remove(storage.engine, "handle_error", keep)
