"""Columns of a table as a file gives them: numbers by type, or texts and what these may be."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from harness.settings import InvalidStudy
from harness.tasks.dates import DATE
from harness.tasks.numerals import EXACT, Decimal, Numbers, Numerals, exact
from harness.tasks.pooled import unusable

MISSING = (
    "?", "-", "--", ".", "*", "na", "n/a", "n.a.", "#n/a", "#na", "nan", "-nan", "<na>", "null", "none", "nil", "missing",
    "unknown", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan",
)  # fmt: skip
"""Words that stand for a missing number unless `Tabular(missing=…)` says otherwise, in small letters."""

NEARLY_ALL = 0.9
"""Share of numbers among the texts of a column from which on it holds numbers, and other texts are missing ones."""

HALF = 0.5
"""Share of numbers below which a column holds texts; between the two nobody can know."""

Mask = npt.NDArray[np.bool_]


class Given:
    """A column as files give it: its texts, or the numbers that it has by type.

    Args:
        name: of the column.
        values: (n,) of the source, then those of the test file.
        tested: how many are of the test file.
        file: that holds all of them, in words; "" where it need not be named.
    """

    def __init__(self, name: str, values: "pd.Series[Any]", *, tested: int = 0, file: str = "") -> None:
        self.name, self.values, self.tested, self.file = name, values, tested, file

    @cached_property
    def files(self) -> "list[Given]":
        """The part of each file."""
        if not self.tested:
            return [self]
        first = len(self.values) - self.tested
        return [
            Given(self.name, self.values.iloc[:first], file=" of the source"),
            Given(self.name, self.values.iloc[first:], file=" of the test file"),
        ]

    @property
    def numeric(self) -> bool:
        """Whether it has numbers by type, booleans not among them."""
        return types.is_numeric_dtype(self.values) and not types.is_bool_dtype(self.values)

    @property
    def declared(self) -> bool:
        """Whether its type says that it holds categories."""
        return isinstance(self.values.dtype, pd.CategoricalDtype) or types.is_bool_dtype(self.values)

    @property
    def cells(self) -> "pd.Series[Any]":
        """Its numbers where it has them by type, else its texts; NaN where there is no value."""
        return self.values if self.numeric else self.texts

    @cached_property
    def texts(self) -> "pd.Series[Any]":
        """Every value as a text without spaces around it; NaN where there is none.

        Raises:
            InvalidStudy: the column holds lists, mappings or such, or bytes that are no text in UTF-8.
        """
        if self._kind in ("mixed", "complex"):
            raise self._of_no_use()
        try:
            texts = self.values.astype("str").str.strip()
        except UnicodeDecodeError:
            raise self._of_no_use() from None
        return texts.where(self.values.notna() & (texts != ""))

    @cached_property
    def numerals(self) -> Numerals:
        """The texts as numbers."""
        return Numerals(self.texts)

    def numbers(self) -> Numbers:
        """The numbers that it has by type, float64 (n,), NaN where missing."""
        return self.values.to_numpy(dtype=np.float64, na_value=np.nan)

    def merged(self, numbers: Numbers) -> str:
        """One of its whole numbers that are so large that as floating point, float64 (n,), different ones are the same; "" if none is."""
        large = np.abs(numbers) >= EXACT
        if not large.any() or self.cells[large].nunique() == len(np.unique(numbers[large])):
            return ""
        return str(self.texts[large].iloc[0])

    def whole(self, decimal: Decimal) -> bool:
        """Whether its numbers are whole by type, or written without decimals."""
        return types.is_integer_dtype(self.values) if self.numeric else self.numerals.whole(decimal)

    def levels(self) -> tuple[Numbers, list[Any]]:
        """The place of each value among all in order, float64 (n,), −1 where missing, and the values."""
        codes, levels = pd.factorize(self.cells, sort=True)
        return codes.astype(np.float64), levels.tolist()  # plain numbers, which are shown as such

    def groups(self, words: Sequence[str]) -> npt.NDArray[np.int64]:
        """The place of each value among all in order, (n,), where every row has one.

        Args:
            words: that stand for no value.

        Raises:
            InvalidStudy: a row has none; the problem's path is `group`.
        """
        if absent := int((self.cells.isna() | _among(self.texts, words)).sum()):
            message = f"column {self.name!r} must have a value in every row; give a row that is alone a name of its own"
            raise unusable("group", message, f"{absent} without")
        return self.levels()[0].astype(np.int64)

    @cached_property
    def codes(self) -> "pd.Series[Any]":
        """Its texts that are whole numbers that begin with 0, "" elsewhere."""
        return self.texts.where(self.texts.str.fullmatch("0[0-9]+"), "")

    def respelled(self, words: Sequence[str]) -> dict[str, str]:
        """Texts that are the same number as one that comes before them in order, "1.0" as "1", each with that one.

        Empty unless all texts are numbers but for these words. Whole numbers that begin with 0 are codes: "01" is not "1".
        """
        if self.numeric:
            return {}
        texts = sorted(self.texts[~_among(self.texts, words)].dropna().unique())
        numbers = [exact(text) for text in texts]
        if None in numbers:
            return {}
        first: dict[Any, str] = {}
        spelled = {text: first.setdefault(number, text) for text, number in zip(texts, numbers, strict=True)}
        return {text: other for text, other in spelled.items() if text != other}

    def check_type(self, words: Sequence[str]) -> None:
        """Refuse what is neither a number nor a text.

        Args:
            words: that stand for no value.

        Raises:
            InvalidStudy: the column holds dates, times, lists or such.
        """
        if self.dated(words):
            raise unusable(
                "source",
                f"column {self.name!r} holds dates or times; turn them into numbers {self._without}, or name it in `categories` (rows are split "
                "whatever their dates: to test on later ones, give them as a file of their own, `test`)",
            )
        if self._kind in ("mixed", "bytes", "complex"):
            raise self._of_no_use()

    @property
    def _kind(self) -> str:
        """What its values are where its type does not say it, in the words of `pandas.api.types.infer_dtype`."""
        objects = types.is_object_dtype(self.values.dtype) or types.is_complex_dtype(self.values.dtype)
        return types.infer_dtype(self.values, skipna=True) if objects else ""

    @property
    def _without(self) -> str:
        return f"or leave it out, without=({self.name!r},)"

    def _of_no_use(self) -> InvalidStudy:
        """The exception for values that are neither numbers nor texts."""
        first = type(self.values.dropna().iloc[0]).__name__
        message = f"column {self.name!r} must hold numbers or texts; turn it into columns of them {self._without}"
        return unusable("source", message, f"a {first}")

    def dated(self, words: Sequence[str]) -> bool:
        """Whether it holds dates or times: by type, or as most of its texts are written, but for these words for no value."""
        dtype = self.values.dtype
        if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
            return True
        if self.numeric or self.declared:
            return False
        filled = self.texts[~_among(self.texts, (*words, "NaT"))].dropna()
        return bool(len(filled)) and bool(filled.str.fullmatch(DATE).mean() >= HALF)


@dataclass(frozen=True)
class Mixture:
    """Values of a column by what they are: numbers, words for missing ones, and other texts; each (n,)."""

    numbers: Numbers
    words: Mask
    others: Mask

    @classmethod
    def of(cls, given: Given, decimal: Decimal, words: Sequence[str]) -> "Mixture":
        """The mixture that a column is, if its decimals are written so and these words stand for missing numbers."""
        numbers: Numbers = given.numbers() if given.numeric else getattr(given.numerals, decimal)
        texts = np.zeros(len(numbers), dtype=bool) if given.numeric else _among(given.texts, words)
        known = texts | np.isin(numbers, pd.to_numeric(pd.Series(words, dtype="str"), errors="coerce").dropna())
        filled = given.cells.notna().to_numpy(dtype=bool)
        return cls(np.where(known, np.nan, numbers), known, filled & ~known & np.isnan(numbers))

    @classmethod
    def joined(cls, parts: "Sequence[Mixture]") -> "Mixture":
        """The mixture of the parts one after another."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "words", "others"))
        )

    @property
    def share(self) -> float:
        """Of numbers among what is neither missing nor a word for it; 0 where there is nothing else."""
        numbers, others = int((~np.isnan(self.numbers)).sum()), int(self.others.sum())
        return numbers / max(numbers + others, 1)


def _among(texts: "pd.Series[Any]", words: Sequence[str]) -> Mask:
    return np.asarray(texts.str.lower().isin([word.lower() for word in words]), dtype=bool)


def decimals(columns: Collection[Given]) -> set[Decimal]:
    """The ways in which the columns of a file surely write decimals."""
    return {s.numerals.decimal for s in columns if s.numerals.decimal is not None and _mostly_numbers(s)}


def _mostly_numbers(given: Given) -> bool:
    filled = max(int(given.texts.notna().sum()), 1)
    return bool((~np.isnan(getattr(given.numerals, given.numerals.decimal or "point"))).sum() / filled >= HALF)


def written(given: Given, tables: Sequence[set[Decimal]]) -> list[tuple[Given, Decimal]]:
    """The part of each file of a column, and how it writes decimals: for itself where that is sure, else as the other file.

    Args:
        given: the column.
        tables: the ways that are found in the columns of each file, see `decimals`.

    Raises:
        InvalidStudy: its numbers may be read in two ways.
    """
    parts = given.files
    if given.numeric or given.declared:
        return [(part, "point") for part in parts]
    told = [_told(part, table) for part, table in zip(parts, tables, strict=True)]
    return [
        (part, own or _untold(part, table, other, theirs))
        for part, table, own, other, theirs in zip(parts, tables, told, parts[::-1], told[::-1], strict=True)
    ]


def _told(part: Given, table: set[Decimal]) -> Decimal | None:
    """How a file surely writes the decimals of a column, by the column's numbers or by those of the others; None: that is not told."""
    if part.numerals.either and len(table) == 1:
        return next(iter(table))
    return part.numerals.decimal


def _untold(part: Given, table: set[Decimal], other: Given, theirs: Decimal | None) -> Decimal:
    """How a file writes the decimals of a column where it does not tell: as the other file, if that writes alike.

    Args:
        part: the column in the file.
        table: the ways that are found in the file's columns.
        other: the column in the other file, the same where there is none.
        theirs: what `_told` says of that.

    Raises:
        InvalidStudy: its numbers may be read in two ways.
    """
    numerals = part.numerals
    if not numerals.either:
        return "point"
    if other.numerals.any and not other.numerals.marks & numerals.marks:
        raise _of_two(part, "write its numbers in both files alike")
    if theirs is not None:
        return theirs
    if not table and not numerals.thousands and "," not in numerals.marks:
        return "point"
    thousands = ", without points between thousands, or whole ones with decimals too, such as 100.0"
    raise _of_two(part, "write its numbers plainly" + thousands * numerals.thousands)


def _of_two(given: Given, way_out: str) -> InvalidStudy:
    """The exception for a column that has a number which may be another one."""
    point, comma = given.numerals.point, given.numerals.comma
    at = int(np.flatnonzero(~np.isnan(point) & (point != comma))[0])
    ways = f"{point[at]:.10g} or {comma[at]:.10g}"
    return ambiguous(given.name, f"{given.texts.iloc[at]!r}{given.file}, which may be {ways}", way_out)


def ambiguous(name: str, got: str, way_out: str) -> InvalidStudy:
    """The exception for a column that may be understood in two ways."""
    return unusable("source", f"column {name!r} can be understood in two ways; {way_out}", got)


def samples(texts: "pd.Series[Any]", most: int = 3) -> str:
    """The most frequent texts, to be shown.

    >>> samples(pd.Series(["a", "b", "a", "c", "d"]))
    "'a', 'b', 'c' and 1 more"
    """
    kinds = texts.value_counts().sort_index().sort_values(ascending=False, kind="stable").index.tolist()
    more = f" and {len(kinds) - most} more" if len(kinds) > most else ""
    return ", ".join(map(repr, kinds[:most])) + more


MOST_UNITS = 3
"""Units that a remark names."""

_AMOUNT = re.compile(r"(?P<before>[^\w\s.,+-]*)\s*[+-]?[0-9][0-9.,]*(?P<after>[^0-9]*)")


def unit(given: Given) -> str:
    """What stands at the numbers of a column of which nearly all texts are a number with a unit, such as "'%'"; "" of another one."""
    units: Counter[str] = Counter()
    for text, count in given.texts.value_counts().items():
        if match := _AMOUNT.fullmatch(str(text)):
            units["".join(match.groups()).strip()] += count
    units.pop("", None)
    if units.total() < NEARLY_ALL * given.texts.notna().sum():
        return ""
    return " or ".join(repr(mark) for mark, _ in units.most_common(MOST_UNITS))


_OF_TWO = re.compile("[0-9][0-9.,]*(?: ?(?:[-/:x×–]|to) ?[0-9][0-9.,]*)+")


def of_two_numbers(given: Given) -> str:
    """The first text of a column of which nearly all hold two numbers, such as 120/80, fractions and ranges; "" of another one."""
    filled = given.texts.dropna()
    return str(filled.iloc[0]) if filled.str.fullmatch(_OF_TWO).mean() >= NEARLY_ALL else ""
