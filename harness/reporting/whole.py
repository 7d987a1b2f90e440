"""The files of a result are of one state: made in a folder beside them, and put in place together.

`counts.json` is the mark: it is removed before the first file is put in place and comes back last, with a digest of each other
file. So a reader never takes files of two states for one result, and `harness verify` finds the one that was changed.
"""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.settings import InvalidStudy, Problem
from harness.settings.digests import digest_of_file

MARK = "counts.json"
MADE = ".making"
"""Of a result's folder, the one in which its next files are made."""

REMEDY = "`harness report STUDY` writes the folder anew from the records, `harness run STUDY` goes on with the study"


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """An empty folder for the next files of a result, for `put_together`; gone when the block ends."""
    made = folder / MADE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def put_together(made: Path, folder: Path) -> None:
    """Put all files that were made in place of those of before, within moments; what is not made anew stays."""
    (folder / MARK).unlink(missing_ok=True)
    for name in (*files_in(made), MARK):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / name, folder / name)


def files_in(made: Path) -> list[str]:
    """All files that were made but the mark, in order, by their paths within."""
    found = (path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    return sorted(name for name in found if name != MARK)


def digests(folder: Path, names: Collection[str]) -> dict[str, str]:
    """Name → digest, of those files that are there."""
    return {name: digest_of_file(folder / name) for name in names if (folder / name).is_file()}


def check_marked(folder: Path) -> None:
    """Raises `InvalidStudy` where the files of a result may be of two states."""
    if not (folder / MARK).is_file():
        message = (
            f"has no {MARK}, which is written last: it is being written, or was when that was interrupted; {REMEDY}"
        )
        raise InvalidStudy([Problem(str(folder), message)])


def check_unchanged(path: Path, noted: Mapping[str, str]) -> None:
    """Raises `InvalidStudy` for a file that is not the one of which a digest was noted; those of older versions have none.

    Args:
        path: the file.
        noted: name → digest.
    """
    if path.name in noted and noted[path.name] != digest_of_file(path):
        message = f"is not the file that was written with the others: it was changed or cut short, or the folder is being written; {REMEDY}"
        raise InvalidStudy([Problem(str(path), message)])
