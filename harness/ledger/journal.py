"""Optuna's journal file, made to outlive crashes. A file that is something else is left as it is."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from harness.ledger.sqlite import is_sqlite

BEGINNING = b'{"op_code":'
"""Of every line that Optuna writes."""


class Journal(JournalFileBackend):
    """A journal whose lock ends with the process that holds it, and whose last line is cut off if it is incomplete.

    Optuna's own locks stay behind when their holder is killed, and a line that it did not finish spoils the file.

    Args:
        path: the file, which is made if there is none; it is a journal if it passes `journal_problem`.
    """

    def __init__(self, path: Path) -> None:
        self._kernel_lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        self._synced_later_by: int | None = None  # a thread
        super().__init__(str(path), self._kernel_lock)  # type: ignore[arg-type]  # the type it asks for is not public
        with self._kernel_lock:
            self._cut_off_incomplete_line()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See `JournalFileBackend`."""
        with self._kernel_lock:
            self._cut_off_incomplete_line()  # another process may have died since
            with open(self._file_path, "ab") as file:
                file.writelines(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
                file.flush()
                if self._synced_later_by != threading.get_ident():
                    os.fsync(file.fileno())

    @contextmanager
    def synced_once(self) -> Iterator[None]:
        """What this thread appends within the block is flushed to the disk at its end, not line by line."""
        self._synced_later_by = threading.get_ident()
        try:
            yield
        finally:
            self._synced_later_by = None
            with open(self._file_path, "rb+") as file:
                os.fsync(file.fileno())

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


class JournalStore(JournalStorage):
    """Optuna's storage in a journal, which stays at hand.

    Args:
        journal: the journal.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.journal = journal


def journal_problem(path: Path) -> str:
    """Why a file cannot be used as a journal, "" if it can: there is none, it is empty, or all its lines look like a journal's.

    The last line may be cut short. Nothing is written.
    """
    if path.is_dir():
        return f"{path} is a folder; give a file in it"
    if not path.exists():
        return ""
    if not path.is_file():
        return f"{path} is no file"
    if is_sqlite(path):
        return f"{path} is no journal of Optuna but a SQLite database; give sqlite:///{path}"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            whole = line.startswith(BEGINNING) and line.endswith(b"}\n")
            if not (whole if line.endswith(b"\n") else number > 1 or _begins_entry(line)):
                return f"{path} is {f'damaged in line {number}' if number > 1 else 'no journal of Optuna'}"
    return ""


def damaged_line(path: Path) -> int | None:
    """The number of the first whole line of a journal that cannot be read, None where all can: each is read, which takes a while."""
    with path.open("rb") as file:
        return next(
            (number for number, line in enumerate(file, 1) if line.endswith(b"\n") and not _is_entry(line)), None
        )


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and "op_code" in entry


def _begins_entry(line: bytes) -> bool:
    return line.startswith(BEGINNING) or BEGINNING.startswith(line)
