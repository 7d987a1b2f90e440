"""A look at what is there of a study, which leaves everything as it is: what a dry run says."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from harness.ledger.sqlite import sqlite_file
from harness.ledger.storage import TABLES, StorageError, close_storage, open_storage
from harness.ledger.stores import begun_otherwise
from harness.settings import InvalidStudy, Problem, first_line
from harness.study import Study


def runs_done(study: Study, storage: str) -> int:
    """How many runs of a study are done.

    Args:
        study: as it would be run now.
        storage: path of a journal file, or a database URL.

    Raises:
        InvalidStudy: the storage cannot be used, or holds a study of this name that was begun with other settings.
    """
    with TemporaryDirectory() as folder:
        try:
            found = _opened(storage, Path(folder))
        except StorageError as error:
            raise InvalidStudy([Problem("--storage", str(error))]) from None
        except Exception as error:  # whatever a database's driver raises
            raise InvalidStudy([Problem("--storage", first_line(error))]) from None
        if found is None:
            return 0
        try:
            return _done(study, found)
        finally:
            close_storage(found)


def _opened(storage: str, folder: Path) -> BaseStorage | None:
    """The storage, of a journal a copy; None where there is none yet, since to open it would make one."""
    if "://" not in storage:
        path = Path(storage)
        return open_storage(str(shutil.copy(path, folder))) if path.is_file() else None
    file = sqlite_file(storage)
    if file is not None and not file.exists():
        return None
    from sqlalchemy import create_engine, inspect

    engine = create_engine(storage)
    try:
        return open_storage(storage) if inspect(engine).has_table(TABLES[0]) else None
    finally:
        engine.dispose()


def _done(study: Study, storage: BaseStorage) -> int:
    if study.name not in optuna.get_all_study_names(storage):
        return 0
    found = optuna.load_study(study_name=study.name, storage=storage)
    if differences := study.differences(found.user_attrs.get("study", {})):
        raise begun_otherwise(study.name, differences)
    complete = found.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return sum(len(t.user_attrs.get("outcomes", ())) for t in complete)
