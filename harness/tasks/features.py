"""What a network sees of a table: each column as numbers or categories, and what its user should know about that."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harness.settings.show import counted
from harness.tasks.columns import (
    HALF,
    NEARLY_ALL,
    Given,
    Mask,
    Mixture,
    ambiguous,
    of_two_numbers,
    samples,
    unit,
    written,
)
from harness.tasks.dates import WITH_POINT, like_dates
from harness.tasks.numerals import Decimal, Numbers, number
from harness.tasks.pooled import unusable
from harness.tasks.remarks import MOST, Remarks

MOST_LEVELS = 256
"""Different values of a column of categories, at most: with more it is a name or a text."""

MANY = 20
"""Different values from which on it is worth a remark that they are taken as categories, or rows as names."""


@dataclass(frozen=True)
class Column:
    """A column as it is understood.

    Attributes:
        name: of the column.
        values: float64 (n,): numbers, NaN where missing; or the place of each value in `levels`, −1 where missing.
        levels: the different values in order; None where the column holds numbers.
    """

    name: str
    values: Numbers
    levels: list[Any] | None = None

    @property
    def missing(self) -> Mask:
        """Where there is no value, (n,)."""
        return np.isnan(self.values) if self.levels is None else self.values < 0

    def tensor(self) -> Tensor:
        """Its numbers (n,), float64, or the places of its values, int64."""
        values = torch.from_numpy(self.values)
        return values if self.levels is None else values.long()

    def one_hot(self) -> Any:
        """A column of ones and zeros for each level, and one for what is missing, if any is; (n, levels)."""
        assert self.levels is not None
        places = np.where(self.missing, len(self.levels), self.values).astype(int)
        return np.eye(len(self.levels) + 1)[places][:, : len(self.levels) + bool(self.missing.any())]


@dataclass
class Reader:
    """Understands the columns of one table.

    Attributes:
        missing: words that stand for a missing number.
        categories: columns whose values are categories, numbers or not.
        tables: the ways in which the columns of each file write decimals.
        remarks: what was not sure.
        met: the words for missing numbers that occurred, each as `same` gives it.
    """

    missing: Sequence[str]
    categories: Sequence[str]
    tables: Sequence[set[Decimal]]
    remarks: Remarks
    met: set[str] = field(default_factory=set)

    def column(self, given: Given) -> Column:
        """The column as numbers or categories.

        Raises:
            InvalidStudy: it is neither, or could be both; the problem's path is `source`.
        """
        if given.name not in self.categories:
            given.check_type(self.missing)
        if given.cells.isna().all():
            raise unusable("source", f"column {given.name!r} has no values; leave it out, without=({given.name!r},)")
        numbers = None if given.name in self.categories or given.declared else self._numbers(given)
        column = self._of_levels(given) if numbers is None else Column(given.name, numbers)
        if len(np.unique(column.values)) == 1:
            self.remarks.add(given.name, "one value only", "tells nothing; `without` leaves it out")
        return column

    def _numbers(self, given: Given) -> Numbers | None:
        """The numbers of a column, NaN where missing; None where it holds texts."""
        parts = written(given, self.tables)
        mixtures = [Mixture.of(part, way, self.missing) for part, way in parts]
        mixture = Mixture.joined(mixtures)
        if mixture.share < HALF:
            return None
        for (part, _), own in zip(parts, mixtures, strict=True):
            if own.others.any() and own.share < NEARLY_ALL:
                got = f"{own.share:.0%} numbers{part.file}, the others such as {samples(part.texts[own.others])}"
                way_out = (
                    f"categories=({given.name!r},) takes all as categories, missing=(…) names texts that mean no number"
                )
                raise ambiguous(given.name, got, way_out)
        numbers = mixture.numbers
        if endless := int(np.isinf(numbers).sum()):
            raise unusable(
                "source", f"all numbers of column {given.name!r} must be finite", counted(endless, "is not", "are not")
            )
        if large := given.merged(numbers):
            message = f"column {given.name!r} holds whole numbers too large to be told apart as floating point"
            way_out = f"leave it out, without=({given.name!r},), or name it in `categories`"
            raise unusable("source", f"{message}; {way_out}", large)
        for (part, way), own in zip(parts, mixtures, strict=True):
            self._remark_on_missing(part, own.words | own.others)
            if np.isnan(own.numbers).all():
                self.remarks.add(
                    given.name, f"no number in any row{part.file}", "tells nothing there; `without` leaves it out"
                )
            remark_on_writing(part, own.numbers, way, self.remarks)
        remark_on_dates(given, numbers, self.remarks)
        self._remark_on_whole(given, numbers, whole=all(part.whole(way) for part, way in parts))
        return numbers

    def _remark_on_missing(self, given: Given, absent: Mask) -> None:
        if absent.any():
            self.met |= {same(text) for text in given.texts[absent].unique()}
            seen = f"{absent.sum()} of {len(absent)} values{given.file} are {samples(given.texts[absent])}"
            self.remarks.add(given.name, seen, "read as missing")

    def _remark_on_whole(self, given: Given, numbers: Numbers, *, whole: bool) -> None:
        if whole and len(numbers) >= MANY and len(np.unique(numbers)) == len(numbers):
            self.remarks.add(
                given.name,
                "another whole number in every row",
                "taken as a number; if it only names the row, `without` leaves it out",
            )
        elif whole and not given.numeric and (given.codes != "").any():
            self.remarks.add(
                given.name, "whole numbers that begin with 0", "taken as numbers; `categories` takes codes as such"
            )

    def _of_levels(self, given: Given) -> Column:
        """A column of categories."""
        chosen = given.name in self.categories
        if chosen:
            given = one_spelling(given, self.missing, "category", self.remarks)
        codes, levels = given.levels()
        if len(levels) > MOST_LEVELS:
            message = (
                f"column {given.name!r} has {len(levels):,} different values, at most {MOST_LEVELS} are categories"
            )
            raise unusable("source", f"{message}; is it a name? Leave it out, without=({given.name!r},)")
        if len(levels) > max(MANY, len(codes) / 2) and not chosen:
            seen = f"{len(levels)} different values in {len(codes)} rows"
            self.remarks.add(given.name, seen, "taken as categories; if it only names the row, `without` leaves it out")
        if not given.numeric:
            if not chosen and given.declared and Mixture.of(given, "point", self.missing).share >= NEARLY_ALL:
                self.remarks.add(
                    given.name, f"numbers such as {samples(given.texts)}", "taken as categories, as its type says"
                )
            if not chosen and (mark := unit(given)):
                seen = f"{given.texts.dropna().iloc[0]!r}"
                self.remarks.add(
                    given.name, seen, f"taken as categories; they are numbers only without {mark} in the file"
                )
            if not chosen and (two := of_two_numbers(given)):
                self.remarks.add(
                    given.name, repr(two), "taken as categories; to use its numbers give each a column of its own"
                )
            remark_on_spelling(given, self.remarks)
        return Column(given.name, codes, levels)


def remark_on_dates(given: Given, numbers: Numbers, remarks: Remarks) -> None:
    """Remark on numbers, float64 (n,), that may be meant as dates."""
    seen = like_dates(numbers)
    if not seen and not given.numeric and given.texts.dropna().str.fullmatch(WITH_POINT).all():
        seen = "months of a year"
    if seen:
        first = given.texts.dropna().iloc[0]
        remarks.add(given.name, f"{first!r} and the others may be {seen}", "taken as they are written, not as dates")


def remark_on_spelling(given: Given, remarks: Remarks) -> None:
    """Remark on texts that are the same number, or differ in case, in spaces or in how their letters are encoded only."""
    if alike := spelled_alike(given.texts.dropna()):
        remarks.add(given.name, alike, SPELLED_ALIKE)


SPELLED_ALIKE = (
    "taken as different, though they are the same number, or differ in case, spaces or the encoding of letters only"
)
"""What is said of texts that `spelled_alike` finds."""


def spelled_alike(texts: "pd.Series[Any]") -> str:
    """The texts that are the number of others, or those but for case, spaces or how their letters are encoded, to be shown; "" if none are."""
    kinds = texts.drop_duplicates()
    alike = kinds[kinds.map(_spelled).duplicated(keep=False)]
    return samples(alike) if len(alike) else ""


def _spelled(text: str) -> object:
    """What texts that are spelled alike have in common."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    value = number(plain)
    return plain if value is None else value


def group_places(given: Given, missing: Sequence[str], remarks: Remarks) -> npt.NDArray[np.int64]:
    """The places of a column's groups, (n,), see `Given.groups`; texts that are one group, or nearly so, are remarked on."""
    given = one_spelling(given, missing, "group", remarks)
    if not given.numeric:
        remark_on_spelling(given, remarks)
    return given.groups(missing)


def one_spelling(given: Given, missing: Sequence[str], kind: str, remarks: Remarks) -> Given:
    """A column with each number written in one way where all are numbers, which is remarked on; see `Given.respelled`."""
    if not (respelled := given.respelled(missing)):
        return given
    remark_on_respelled(respelled, given.name, kind, remarks)
    return Given(given.name, given.texts.replace(respelled))


def remark_on_respelled(respelled: dict[str, str], name: str, kind: str, remarks: Remarks) -> None:
    """Remark on texts of a column that are of one category, class or group, with another one each; see `Given.respelled`."""
    seen = ", ".join(f"{text!r} and {first!r}" for text, first in sorted(respelled.items())[:MOST])
    remarks.add(name, seen, f"taken as the same {kind}, being the same number")


def remark_on_writing(given: Given, numbers: Numbers, way: Decimal, remarks: Remarks) -> None:
    """Remark on numbers that Python would not read so."""
    if not given.numeric and (other := np.flatnonzero(~np.isnan(numbers) & (given.numerals.plain != numbers))).size:
        seen = f"{given.texts.iloc[other[0]]!r}{given.file} is {numbers[other[0]]:.10g}"
        remarks.add(given.name, seen, f"read with a decimal {way}")


def same(word: str) -> str:
    """What words have in common that stand for the same missing number.

    >>> same("NA"), same("-999.0")
    ('na', '-999')
    """
    try:
        return f"{float(word):.17g}"
    except ValueError:
        return word.lower()
