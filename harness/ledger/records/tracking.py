"""MLflow's database or server: its address, the connection to it, and what goes wrong with it.

With `experiment`, which asks it, and `empty_database`, the only file that imports mlflow.
"""

import errno
import logging
import os
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.ledger.records import empty_database
from harness.ledger.sqlite import is_sqlite, sqlite_file, sqlite_problem
from harness.settings import InvalidStudy, Problem
from harness.settings.credentials import without_credentials
from harness.settings.files import FULL, disk_error
from harness.settings.patience import Unreachable

if TYPE_CHECKING:  # imported at the first connection: it takes two seconds, which `--dry-run` should not pay
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a line for every trial, with the password
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # `Patience` waits, and says so
for _name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)  # what goes wrong is raised too


LOCAL_PAGE = "http://127.0.0.1:5000"
"""Where `mlflow ui` serves its pages by default."""

TABLES = ("alembic_version", "experiments", "runs")
"""Of every database that MLflow uses."""

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks", "databricks-uc", "uc")
"""Of the addresses that MLflow knows without a plugin."""

OF_DISK = {
    "database or disk is full": (errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "attempt to write a readonly database": (errno.EROFS, "it cannot be written"),
}
"""What SQLite says of its disk, which does not mend itself as a server does that went away."""


class RecordError(Exception):
    """MLflow refused, or could not be reached, or does not have what was asked for. Shows no password."""


def default_tracking_uri(results: Path) -> str:
    """The embedded default, as given: relative if `results` is.

    >>> default_tracking_uri(Path("results"))
    'sqlite:///results/mlflow.db'

    Raises:
        InvalidStudy: an address of the database there is that of another file. MLflow makes folders by the letters of an
            address, so that none can be written in another way.
    """
    file = results / "mlflow.db"
    address = f"sqlite:///{file.as_posix()}"
    if sqlite_file(address) != file:
        message = "MLflow's database cannot be kept in a folder whose path has ? or % with two digits in it"
        raise InvalidStudy(
            [Problem("--results", message, str(results))], "choose another --results, or give a --tracking-uri"
        )
    return address


def ui_command(tracking_uri: str) -> str:
    """What shows the records: a command, or the address of the server. Shows no password.

    >>> ui_command("sqlite:///results/mlflow.db")
    'mlflow ui --backend-store-uri sqlite:///results/mlflow.db'
    >>> ui_command("sqlite:///my results #1/mlflow.db")
    "mlflow ui --backend-store-uri 'sqlite:///my results #1/mlflow.db'"
    >>> ui_command("sqlite:////home/me@example.org/results/mlflow.db")
    'mlflow ui --backend-store-uri sqlite:////home/me@example.org/results/mlflow.db'
    >>> ui_command("https://me:secret@mlflow.example.org")
    'https://***@mlflow.example.org'
    """
    shown = without_credentials(tracking_uri)
    return shown if is_server(tracking_uri) else shlex.join(["mlflow", "ui", "--backend-store-uri", shown])


def page_address(tracking_uri: str, page: str, view: str) -> str:
    """Where a page opens in a view: at the server, or where `ui_command` serves it unless told otherwise. Shows no password.

    >>> page_address("https://me:secret@mlflow.example.org/ml/", "#/experiments/1/runs", "mine")
    'https://mlflow.example.org/ml/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=mine'
    >>> page_address("sqlite:///results/mlflow.db", "#/experiments/1/runs", "mine")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=mine'
    """
    at = urlsplit(tracking_uri)
    server = f"{at.scheme}://{at.netloc.rpartition('@')[2]}{at.path.rstrip('/')}"
    base = server if is_server(tracking_uri) else LOCAL_PAGE
    return f"{base}/{page}?workflowType=machine_learning&viewStateShareKey={view}"


def is_server(tracking_uri: str) -> bool:
    """Whether a tracking server answers there, which then decides where artifacts go."""
    return urlsplit(tracking_uri).scheme in ("http", "https")


@contextmanager
def own_errors() -> Iterator[None]:
    """Raises what MLflow raises as `RecordError`, or as `Unreachable`: its messages repeat the URI, password and all.

    A disk that is full or cannot be written stays an `OSError`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE, ErrorCode
        from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        text = without_credentials(str(error))
        _raise_of_disk(text)
        if silent := re.match(r"API request to (https?://[^/ ]+)", text):
            raise Unreachable(f"MLflow's server does not answer: {silent[1]}") from None
        if error.error_code == ErrorCode.Name(TEMPORARILY_UNAVAILABLE):
            said = re.search(r"^\(.*Error\) .*", text, re.MULTILINE)
            raise Unreachable(f"MLflow's database cannot be used: {said[0] if said else text}") from None
        raise RecordError(text) from None
    except (SQLAlchemyError, ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (*FULL, errno.EROFS):
            raise
        text = without_credentials(_in_words(error))
        _raise_of_disk(text)
        if _of_requests(error):
            raise Unreachable(f"MLflow's server does not answer: {text}") from None
        raise RecordError(text) from None


def _raise_of_disk(text: str) -> None:
    """Raises the `OSError` that a message of SQLite's is, if it is one."""
    for said, error in OF_DISK.items():
        if said in text:
            raise OSError(*error, "MLflow's database") from None


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return disk_error(error)
    return str(getattr(error, "orig", None) or error)


def _of_requests(error: Exception) -> bool:
    """Whether MLflow's own client of HTTP raised it while artifacts went to or from a server.

    Those errors are `OSError`s, as are a disk's, and only their module tells the two apart: `requests` is a dependency of
    MLflow, not of ours, and some `OSError`s of MLflow's on missing files have no `errno` either.
    """
    return any(kind.__module__.partition(".")[0] == "requests" for kind in type(error).__mro__)


def check(tracking_uri: str) -> None:
    """Raises `RecordError` for what cannot be MLflow's, see `tracking_problem`."""
    if problem := tracking_problem(tracking_uri):
        raise RecordError(problem)


def tracking_problem(tracking_uri: str) -> str:
    """Why an address, such as that of a file or of the database of something else, cannot be MLflow's; "" if it may be. Connects to nothing."""
    if "://" not in tracking_uri and Path(tracking_uri).is_file():
        way_out = "" if is_sqlite(Path(tracking_uri)) else " of a SQLite database"
        return f"{tracking_uri} is a file; give the address{way_out}, sqlite:///{tracking_uri}, or that of a server"
    return sqlite_problem(tracking_uri, "MLflow", TABLES) or _scheme_problem(tracking_uri)


def _scheme_problem(tracking_uri: str) -> str:
    """Why MLflow has no records at addresses of this kind, "" if it may have some.

    >>> _scheme_problem("ftp://host"), _scheme_problem("postgresql+psycopg://host/runs")
    ('MLflow keeps no records at ftp://; give a database such as sqlite:///FILE, or a server such as https://HOST', '')
    """
    scheme, is_address, _ = tracking_uri.partition("://")
    kind = scheme.lower().partition("+")[0]
    if not is_address or kind in SCHEMES or kind in entry_points(group="mlflow.tracking_store").names:
        return ""
    return f"MLflow keeps no records at {kind}://; give a database such as sqlite:///FILE, or a server such as https://HOST"


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
        path = sqlite_file(tracking_uri)
        if path is not None and not path.exists():
            empty_database.put(path, MlflowClient)
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
