"""Files of tables as frames: every column that the file has under its own name, nothing guessed from a part of it."""

import codecs
import csv
import os
from io import BytesIO, StringIO
from typing import Any

import pandas as pd
import pyarrow  # type: ignore[import-untyped]
from pandas.api import types
from pandas.api.types import union_categoricals
from pyarrow import parquet

from harness.settings import Note, first_line
from harness.settings.show import counted
from harness.tasks.numerals import EXACT
from harness.tasks.pooled import File, read, unusable

SEPARATORS = (",", ";", "\t", "|")
"""What may part the values of a line; the one that gives the header most names is taken."""

ENDINGS = (".csv", ".parquet")


def read_table(file: File, setting: str) -> tuple[pd.DataFrame, list[Note]]:
    """The table in a file, and what is worth knowing about how it was read.

    A CSV file is UTF-8, or UTF-16 with a byte order mark, with names in its first line. Its values are texts, NaN where a
    cell is empty; spaces around names and texts are no part of them.

    Args:
        file: that holds the table.
        setting: that names it, the path of problems and notes.

    Raises:
        InvalidStudy: it cannot be read, or columns share a name.
    """
    ending = os.path.splitext(file.path)[1].lower()
    raw = read(file, setting)
    try:
        frame, said = (_csv if ending == ".csv" else _parquet)(raw)
    except Exception as error:  # of pandas and of Arrow, and of many kinds where a file is damaged
        reason = str(error).strip().splitlines()[0] if isinstance(error, ValueError | OSError) else first_line(error)
        raise unusable(setting, f"cannot be read as {ending}: {reason}", file.path) from None
    return named(frame, setting), [Note(setting, message) for message in said]


def named(frame: pd.DataFrame, setting: str = "source") -> pd.DataFrame:
    """The frame with texts as the names of its columns.

    Raises:
        InvalidStudy: columns share a name.
    """
    frame.columns = [str(name).strip() for name in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise unusable(setting, "the columns must have different names", f"two are called {twice!r}")
    return frame


def appended(frame: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """The rows of a test table below those of a table with the same columns, whatever their order.

    Raises:
        InvalidStudy: it has none, or other columns, or a column is of another type; the problem's path is `test`.
    """
    if not len(test):
        raise unusable("test", "must hold at least one row")
    if lacking := [name for name in frame if name not in test]:
        raise unusable("test", f"lacks the column{'s'[: len(lacking) - 1]} {', '.join(map(repr, lacking))}")
    if more := [name for name in test if name not in frame]:
        raise unusable("test", "must have the columns of the source and no others", ", ".join(map(repr, more)))
    return pd.DataFrame({name: _column(str(name), frame[name], test[name]) for name in frame})


def _column(name: str, values: "pd.Series[Any]", test: "pd.Series[Any]") -> "pd.Series[Any]":
    one, other = values.dtype, test.dtype
    if isinstance(one, pd.CategoricalDtype) and isinstance(other, pd.CategoricalDtype):
        return pd.Series(union_categoricals([values, test], ignore_order=True))
    numeric = [types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype) for dtype in (one, other)]
    if one != other and not all(numeric):
        message = f"column {name!r} must be of the same type as in the source, {one}; save both alike"
        raise unusable("test", message, str(other))
    joined = pd.concat([values, test], ignore_index=True)
    whole = [part for part in (values, test) if types.is_integer_dtype(part.dtype)]
    if types.is_float_dtype(joined.dtype) and any(bool(((part >= EXACT) | (part <= -EXACT)).any()) for part in whole):
        message = f"column {name!r} holds whole numbers that floating point cannot tell apart, in types that only it has in common"
        raise unusable("test", f"{message}; save both alike", f"{other} for {one}")
    return joined


def _csv(raw: bytes) -> tuple[pd.DataFrame, list[str]]:
    text = _text(raw)
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    broken = _checked_rows(text, separator)
    lines = pd.read_csv(
        StringIO(text), sep=separator, header=None, dtype="str", keep_default_na=False,
        skipinitialspace=separator != "\t", low_memory=False,
    )  # fmt: skip
    frame = lines.iloc[1:].reset_index(drop=True)
    names = lines.iloc[0].str.strip().tolist()
    frame.columns = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    frame = frame.where(frame != "")
    notes = [f"read as values that are parted by {separator!r}"] if separator != "," else []
    return frame, notes + broken + _unnamed(names) + _totals(frame)


def _checked_rows(text: str, separator: str) -> list[str]:
    """Refuse rows that pandas would fill up or that repeat the header, and say which are longer than a line.

    Raises:
        ValueError: a row has more or fewer values than the header has names, or is the header again.
    """
    rows = csv.reader(StringIO(text), delimiter=separator, skipinitialspace=separator != "\t")
    header = next((row for row in rows if row), [])
    names = len(header)
    n, last, broken = 0, rows.line_num, []
    for row in rows:
        n += bool(row)
        broken += [(last + 1, rows.line_num)] if rows.line_num > last + 1 else []
        last = rows.line_num
        if row and len(row) != names:
            more = "more" if len(row) > names else "fewer"
            raise ValueError(
                f"line {rows.line_num} has {more} values than the header has names, {len(row)} for {names}"
            )
        if row == header:
            raise ValueError(
                f"line {rows.line_num} is the header again; remove it, or put names before the first row if there are none"
            )
    if not broken:
        return []
    seen = f"{len(broken)} of {counted(n, 'row')} {'is' if len(broken) == 1 else 'are'} longer than a line, the first from line {broken[0][0]} to {broken[0][1]}"
    return [f"{seen}; a quote that is opened and not closed takes in what follows it"]


def _text(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be UTF-8, and is not at byte {error.start}; save it as UTF-8") from None


def _unnamed(names: list[str]) -> list[str]:
    unnamed = [f"Unnamed: {i}" for i, name in enumerate(names) if not name]
    if not unnamed:
        return []
    without = f"without=({', '.join(map(repr, unnamed))},)"
    return [f"a column without a name is an input; row numbers that pandas wrote are left out by {without}"]


TOTALS = (
    "total", "totals", "grand total", "subtotal", "sum", "average", "mean", "gesamt", "summe", "insgesamt", "mittelwert",
)  # fmt: skip
"""Words in the last row that say that it is of the rows before it, in small letters."""


def _totals(frame: pd.DataFrame) -> list[str]:
    """That the last row may be no example."""
    last = frame.iloc[-1].dropna() if len(frame) else pd.Series(dtype="str")
    words = last[last.str.strip().str.rstrip(":").str.lower().isin(TOTALS)]
    words = words[[(frame[name] == word).sum() == 1 for name, word in words.items()]]
    return [f"the last row holds {words.iloc[0]!r}, and is taken as an example like the others"] if len(words) else []


NULLABLE = {
    kind(): dtype
    for kind, dtype in (
        (pyarrow.int8, pd.Int8Dtype()), (pyarrow.int16, pd.Int16Dtype()), (pyarrow.int32, pd.Int32Dtype()),
        (pyarrow.int64, pd.Int64Dtype()), (pyarrow.uint8, pd.UInt8Dtype()), (pyarrow.uint16, pd.UInt16Dtype()),
        (pyarrow.uint32, pd.UInt32Dtype()), (pyarrow.uint64, pd.UInt64Dtype()),
    )
}  # fmt: skip
"""Types of pandas in which whole numbers stay exact where some are missing; else they become floating-point ones."""


def _parquet(raw: bytes) -> tuple[pd.DataFrame, list[str]]:
    table = parquet.read_table(BytesIO(raw))
    frame: pd.DataFrame = table.to_pandas(types_mapper=NULLABLE.get)
    texts = pyarrow.Table.from_pandas(frame.select_dtypes("str"))
    texts.validate(full=True)  # those of a damaged file need be no UTF-8
    return frame, [*_of_index(frame.index), *_of_categories(frame, table.schema.pandas_metadata or {})]


def _of_index(index: "pd.Index[Any]") -> list[str]:
    """That an index is no input: one with a name, or that holds more than numbers of rows."""
    names: list[Any] = [name for name in index.names if name is not None]
    if not names and (types.is_integer_dtype(index.dtype) or index.empty):
        return []
    called = ", ".join(map(repr, names)) or f"without a name, {str(index[0])!r} in the first row,"
    return [f"the index {called} is no input; reset_index() before to_parquet makes it a column"]


def _of_categories(frame: pd.DataFrame, metadata: dict[str, Any]) -> list[str]:
    """Which columns of numbers were categories where pandas wrote them."""
    declared = {column["name"] for column in metadata.get("columns", ()) if column["pandas_type"] == "categorical"}
    found = [name for name, dtype in frame.dtypes.items() if str(name) in declared and types.is_numeric_dtype(dtype)]
    if not found:
        return []
    way_out = "`categories` takes columns as such, regression=False the target"
    return [f"of categories in pandas, but numbers in the file: {', '.join(map(repr, found))}; {way_out}"]
