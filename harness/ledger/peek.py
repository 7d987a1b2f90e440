"""A look at what is there of a study, which leaves everything as it is: what a dry run says."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from harness.ledger.storage import close_storage, open_storage
from harness.ledger.stores import begun_otherwise, unusable_storage
from harness.study import Study


def trials_done(study: Study, storage: str) -> tuple[int, int]:
    """How many trials of a study are done, tune and confirm.

    Args:
        study: as it would be run now.
        storage: path of a journal file, or a database URL.

    Raises:
        InvalidStudy: the storage cannot be used, or holds a study of this name that was begun with other settings.
    """
    with TemporaryDirectory() as folder:
        try:
            found = _opened(storage, Path(folder))
        except Exception as error:
            raise unusable_storage(error) from None
        if found is None:
            return 0, 0
        try:
            return _done(study, found)
        finally:
            close_storage(found)


def _opened(storage: str, folder: Path) -> BaseStorage | None:
    """The storage, of a journal a copy; None where there is none yet."""
    if "://" not in storage:
        if not Path(storage).exists():
            return None
        return open_storage(shutil.copy(storage, folder / "optuna.journal"))
    from sqlalchemy import create_engine, inspect

    if storage.startswith("sqlite:///") and not Path(storage.removeprefix("sqlite:///")).exists():
        return None  # to connect would make it
    engine = create_engine(storage)
    try:
        return open_storage(storage) if inspect(engine).has_table("studies") else None
    finally:
        engine.dispose()


def _done(study: Study, storage: BaseStorage) -> tuple[int, int]:
    if study.name not in optuna.get_all_study_names(storage):
        return 0, 0
    found = optuna.load_study(study_name=study.name, storage=storage)
    if differences := study.differences(found.user_attrs.get("study", {})):
        raise begun_otherwise(study, differences)
    rounds = [t.user_attrs.get("round") for t in found.get_trials(deepcopy=False, states=[TrialState.COMPLETE])]
    confirm = sum(name == "confirm" for name in rounds)
    return len(rounds) - confirm, confirm


