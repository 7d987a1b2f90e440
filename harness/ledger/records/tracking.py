"""MLflow's database or server: its address, the connection to it, and what goes wrong with it.

The only file beside `harness.ledger.records.recorder` that imports mlflow.
"""

import logging
import os
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import filelock

from harness.settings.credentials import without_credentials
from harness.settings.patience import Unreachable

if TYPE_CHECKING:  # imported at the first connection: it takes two seconds, which `--dry-run` should not pay
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line for every trial, with the password
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # `Patience` waits, and says so
for _name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # what goes wrong is raised too


class RecordError(Exception):
    """MLflow refused, or could not be reached, or does not have what was asked for. Shows no password."""


def default_tracking_uri(results: Path) -> str:
    """The embedded default, as given: relative if `results` is.

    >>> default_tracking_uri(Path("results"))
    'sqlite:///results/mlflow.db'
    """
    return f"sqlite:///{(results / 'mlflow.db').as_posix()}"


def ui_command(tracking_uri: str) -> str:
    """What shows the records: a command, or the address of the server. Shows no password.

    >>> ui_command("sqlite:///results/mlflow.db")
    'mlflow ui --backend-store-uri sqlite:///results/mlflow.db'
    >>> ui_command("https://me:secret@mlflow.example.org")
    'https://***@mlflow.example.org'
    """
    shown = without_credentials(tracking_uri)
    return shown if is_server(tracking_uri) else f"mlflow ui --backend-store-uri {shown}"


def is_server(tracking_uri: str) -> bool:
    """Whether a tracking server answers there, which then decides where artifacts go."""
    return urlsplit(tracking_uri).scheme in ("http", "https")


@contextmanager
def own_errors() -> Iterator[None]:
    """Raises what MLflow raises as `RecordError`, or as `Unreachable`: its messages repeat the URI, password and all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE, ErrorCode
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException) as error:
        text = without_credentials(str(error))
        silent = re.match(r"API request to (https?://[^/ ]+)", text)
        if silent or not isinstance(error, MlflowException):
            raise Unreachable(f"MLflow's server does not answer: {silent[1] if silent else text}") from None
        if error.error_code == ErrorCode.Name(TEMPORARILY_UNAVAILABLE):
            said = re.search(r"^\(.*Error\) .*", text, re.MULTILINE)
            raise Unreachable(f"MLflow's database cannot be used: {said[0] if said else text}") from None
        raise RecordError(text) from None
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise RecordError(without_credentials(str(getattr(error, "orig", None) or error))) from None


def check(tracking_uri: str) -> None:
    """Raises `RecordError` for the path of a file that is no SQLite database, without connecting."""
    path = _sqlite_file(tracking_uri)
    if path is not None and path.is_file():
        try:
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as error:
            raise RecordError(f"{path}: {error}") from None


@own_errors()
def connect(tracking_uri: str) -> "MlflowClient":
    """A client, quietly: MLflow reports on every migration, and its libraries on each other.

    Raises:
        RecordError, Unreachable: the database or server cannot be used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        _try_server(tracking_uri)
        path = _sqlite_file(tracking_uri)
        if path is not None and not path.exists():
            _make(path, MlflowClient)
        return MlflowClient(tracking_uri=tracking_uri)


def _try_server(tracking_uri: str) -> None:
    """Lets a wrong address be known within seconds: MLflow would try for minutes, and show the errors of each time."""
    import sqlalchemy

    if urlsplit(tracking_uri).scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        try:
            engine = sqlalchemy.create_engine(tracking_uri)
        except ValueError as error:
            raise RecordError(f"is no address of a database: {error}") from None
        engine.connect().close()
        engine.dispose()


def _sqlite_file(tracking_uri: str) -> Path | None:
    address = tracking_uri.partition("?")[0]
    return Path(address.removeprefix("sqlite:///")) if address.startswith("sqlite:///") else None


def _make(path: Path, client: type["MlflowClient"]) -> None:
    """Puts a database in place whole: MLflow makes it in many steps, and one left half made is of no use to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            beside = path.with_name(f".{path.name}.partial")
            beside.unlink(missing_ok=True)
            client(tracking_uri=f"sqlite:///{beside}").search_experiments(max_results=1)
            os.replace(beside, path)
