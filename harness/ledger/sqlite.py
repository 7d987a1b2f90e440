"""SQLite databases given by their address: looked at before Optuna or MLflow writes its tables into one."""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote


def sqlite_file(uri: str) -> Path | None:
    """The file that an address names, to SQLAlchemy; None where it is no SQLite database's, or that of one in memory.

    >>> sqlite_file("sqlite:///results/mlflow.db?timeout=9"), sqlite_file("sqlite://"), sqlite_file("postgresql://h/d")
    (PosixPath('results/mlflow.db'), None, None)
    >>> sqlite_file("sqlite:///my%20results/mlflow.db"), sqlite_file("sqlite:///50%/mlflow.db")
    (PosixPath('my results/mlflow.db'), PosixPath('50%/mlflow.db'))
    """
    scheme, _, rest = uri.partition("://")
    path = unquote(rest.partition("?")[0]).removeprefix("/").removeprefix("file:")
    named = scheme.partition("+")[0] == "sqlite" and path not in ("", ":memory:")
    return Path(path) if named else None


def is_sqlite(path: Path) -> bool:
    """Whether a file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def sqlite_problem(uri: str, owner: str, tables: Collection[str]) -> str:
    """Why the SQLite database at an address cannot be used, "" if it can, or if the address is that of another kind.

    Args:
        uri: the address.
        owner: who is to use it.
        tables: names of some that every database of the owner has.
    """
    path = sqlite_file(uri)
    if path is None:
        in_memory = uri.partition("://")[0].partition("+")[0] == "sqlite"
        return "a SQLite database in memory would be lost at the end; give sqlite:///FILE" if in_memory else ""
    if path.is_dir():
        return f"{path} is a folder; give a file in it"
    if not path.exists():
        return ""
    try:
        with closing(sqlite3.connect(path)) as database:
            found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        return f"{path}: {error}"
    if found and not found.issuperset(tables):
        return f"{path} is a database of something else, not of {owner}; its tables are {', '.join(sorted(found)[:5])}"
    return ""
