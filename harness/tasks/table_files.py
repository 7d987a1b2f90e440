"""Files of tables as frames: every column that the file has under its own name, nothing guessed from a part of it."""

import codecs
import csv
import os
import re
from io import BytesIO, StringIO
from typing import Any

import pandas as pd

from harness.settings import Note
from harness.tasks.pooled import File, read, unusable

SEPARATORS = (",", ";", "\t", "|")
"""What may part the values of a line; the one that gives the header most names is taken."""

ENDINGS = (".csv", ".parquet")


def read_table(file: File) -> tuple[pd.DataFrame, list[Note]]:
    """The table in a file, and what is worth knowing about how it was read.

    A CSV file is UTF-8, or UTF-16 with a byte order mark, with names in its first line. Its values are texts, NaN where a
    cell is empty; spaces around names and texts are no part of them.

    Raises:
        InvalidStudy: it cannot be read, or columns share a name; the problem's path is `source`.
    """
    ending = os.path.splitext(file.path)[1].lower()
    try:
        frame, notes = (_csv if ending == ".csv" else _parquet)(read(file, "source"))
    except (ValueError, OSError, ArithmeticError) as error:  # of pandas and of Arrow
        raise unusable("source", f"cannot be read as {ending}: {_reason(error)}", file.path) from None
    return named(frame), notes


def _reason(error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    longer = re.search(r"Expected ([0-9]+) fields in line ([0-9]+), saw ([0-9]+)", reason)
    return (
        "line {1} has {2} values, more values than the header has names, {0}".format(*longer.groups())
        if longer
        else reason
    )


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with texts as the names of its columns.

    Raises:
        InvalidStudy: columns share a name.
    """
    frame.columns = [str(name).strip() for name in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise unusable("source", "the columns must have different names", f"two are called {twice!r}")
    return frame


def _csv(raw: bytes) -> tuple[pd.DataFrame, list[Note]]:
    text = _text(raw)
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    lines = pd.read_csv(
        StringIO(text), sep=separator, header=None, dtype="str", keep_default_na=False,
        skipinitialspace=separator != "\t", low_memory=False,
    )  # fmt: skip
    if (short := lines.isna().any(axis=1)).any():  # what is there but empty is "", what is not there NaN
        row = int(short.to_numpy().argmax())
        got = f"row {row} has {lines.iloc[row].notna().sum()}"
        raise ValueError(f"each row needs {lines.shape[1]} values, as many as the header has names, and {got}")
    frame = lines.iloc[1:].reset_index(drop=True)
    names = lines.iloc[0].str.strip().tolist()
    frame.columns = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    frame = frame.where(frame != "")
    notes = [Note("source", f"read as values that are parted by {separator!r}")] if separator != "," else []
    return frame, notes + _unnamed(names)


def _text(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be UTF-8, and is not at byte {error.start}; save it as UTF-8") from None


def _unnamed(names: list[str]) -> list[Note]:
    unnamed = [f"Unnamed: {i}" for i, name in enumerate(names) if not name]
    if not unnamed:
        return []
    without = f"without=({', '.join(map(repr, unnamed))},)"
    return [
        Note("source", f"a column without a name is an input; row numbers that pandas wrote are left out by {without}")
    ]


def _parquet(raw: bytes) -> tuple[pd.DataFrame, list[Note]]:
    frame: pd.DataFrame = pd.read_parquet(BytesIO(raw))
    index: list[Any] = [name for name in frame.index.names if name is not None]
    if not index:
        return frame, []
    message = f"the index {', '.join(map(repr, index))} is no input; reset_index() before to_parquet makes it a column"
    return frame, [Note("source", message)]
