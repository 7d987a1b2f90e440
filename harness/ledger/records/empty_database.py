"""MLflow's database without a run in it: what takes MLflow seconds to make is made once for a user and then copied."""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from harness.settings.cache import cache_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient


def put(path: Path, client: type["MlflowClient"]) -> None:
    """Put an empty database in place whole, unless one is there: one left half made is of no use to MLflow.

    Args:
        path: its file.
        client: MLflow's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        if path.exists():
            return
        beside, kept = path.with_name(f".{path.name}.partial"), _kept()
        beside.unlink(missing_ok=True)
        if known := _is_whole(kept):
            shutil.copyfile(kept, beside)
        client(tracking_uri=f"sqlite:///{beside}").search_experiments(max_results=1)  # makes what is missing
        if not known:
            _keep(beside, kept)
        os.replace(beside, path)


def _kept() -> Path:
    import mlflow

    return cache_folder() / f"mlflow-{mlflow.__version__}.db"


def _is_whole(kept: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{kept.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _keep(path: Path, kept: Path) -> None:
    """Without the experiment that stands in every database, whose address is of the folder: MLflow adds it to each copy."""
    with suppress(OSError, sqlite3.Error):
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(f".{os.getpid()}")
        shutil.copyfile(path, part)
        with closing(sqlite3.connect(part)) as database, database:
            database.execute("DELETE FROM experiments")
        part.replace(kept)
