"""The column of a table that is to be predicted: classes or numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.settings import InvalidStudy
from harness.settings.show import counted
from harness.tasks.columns import HALF, Given, Mixture, samples, written
from harness.tasks.features import (
    MANY,
    MOST_LEVELS,
    Column,
    remark_on_dates,
    remark_on_respelled,
    remark_on_spelling,
    remark_on_writing,
)
from harness.tasks.numerals import Decimal, Numbers
from harness.tasks.pooled import unusable
from harness.tasks.remarks import Remarks

FEW = 10
"""Examples of a class below which some seeds may train or test without it."""


def target(
    given: Given, regression: bool | None, missing: Sequence[str], tables: Sequence[set[Decimal]], remarks: Remarks
) -> Column:
    """The target as classes, or as numbers.

    Args:
        given: the column.
        regression: whether it holds numbers; None: it does if they have decimals.
        missing: words that stand for a missing number.
        tables: the ways in which the columns of each file write decimals.
        remarks: gets what the user should know.

    Raises:
        InvalidStudy: it has no value in some row or one value only, or it is not clear what it holds.
    """
    if empty := int(given.cells.isna().sum()):
        raise _without_value(given, counted(empty, "row lacks it", "rows lack it"))
    if given.cells.nunique() < 2:
        message = f"column {given.name!r} has one value only: there is nothing to learn"
        raise unusable("target", message, str(given.texts.iloc[0]))
    parts = written(given, tables)
    mixture = Mixture.joined([Mixture.of(part, way, missing) for part, way in parts])
    numbers = None if given.declared else _numbers(given, mixture, regression)
    if numbers is None:
        if regression:
            message = f"needs a column of numbers, and {given.name!r} holds texts; use regression=False"
            raise unusable("regression", message, repr(given.texts.iloc[0]))
        return _classes(given, missing, remarks)
    if not np.isfinite(numbers).all():
        got = counted(int((~np.isfinite(numbers)).sum()), "is not", "are not")
        raise unusable("target", f"all numbers of column {given.name!r} must be finite", got)
    if large := given.merged(numbers):
        if not regression:
            return _classes(given, missing, remarks)
        message = f"column {given.name!r} holds whole numbers too large to be told apart as floating point"
        raise unusable("target", f"{message}; take a constant off them", large)
    first = 0
    for part, way in parts:
        remark_on_writing(part, numbers[first : first + len(part.values)], way, remarks)
        first += len(part.values)
    remark_on_dates(given, numbers, remarks)
    whole = all(part.whole(way) for part, way in parts)
    return _of_numbers(given, numbers, regression, whole=whole, remarks=remarks)


def _numbers(given: Given, mixture: Mixture, regression: bool | None) -> Numbers | None:
    """The target's numbers, one in every row; None where its values are texts."""
    known = ~np.isnan(mixture.numbers)
    if known.all():
        return mixture.numbers
    words = given.texts[mixture.words]
    if (named := int(pd.to_numeric(words, errors="coerce").notna().sum())) and (
        given.numeric or regression is not False
    ):
        message = f"holds for the target {given.name!r} too, which must have a value in every row"
        raise unusable(
            "missing", f"{message}; leave out the number, or remove these rows", f"{named} are {samples(words)}"
        )
    if given.numeric or (regression and mixture.words.any() and not mixture.others.any()):
        raise _without_value(given, f"{mixture.words.sum()} are {samples(given.texts[mixture.words])}")
    whole = not (mixture.numbers[known] % 1).any()
    if regression is not None or known.mean() < HALF or (whole and not mixture.words.any()):
        return None
    got = f"{(~known).sum()} of {len(known)} are {samples(given.texts[~known])}"
    message = f"column {given.name!r} holds numbers and texts: if all are classes, use regression=False"
    raise unusable("target", f"{message}; if texts mean that there is no value, remove these rows", got)


def _without_value(given: Given, got: str) -> InvalidStudy:
    return unusable("target", f"column {given.name!r} must have a value in every row; remove the others", got)


def _classes(given: Given, missing: Sequence[str], remarks: Remarks) -> Column:
    """Texts or booleans as classes."""
    codes, levels = given.levels()
    if len(levels) > MOST_LEVELS:
        raise _too_many(given, levels, "merge some")
    words = [word.lower() for word in missing]
    alike = given.texts[given.texts.str.lower().isin(words)]
    if len(alike):
        seen = f"{samples(alike)} in {len(alike)} of {len(codes)} rows"
        remarks.add(given.name, seen, f"among the {len(levels)} classes, not missing values")
    if given.dated(missing):
        remarks.add(given.name, f"dates or times such as {given.texts.iloc[0]!r}", "each taken as a class of its own")
    remark_on_spelling(given, remarks)
    _remark_on_rare(given, codes, levels, remarks)
    return Column(given.name, codes, levels)


def _of_numbers(given: Given, numbers: Numbers, regression: bool | None, *, whole: bool, remarks: Remarks) -> Column:
    """Numbers as they are, or as classes: whole numbers that begin with 0 are codes, each a class of its own, "01" beside "1"."""
    if not whole if regression is None else regression:
        kinds = len(np.unique(numbers))
        if regression is None and kinds <= MANY and not (numbers % 1).any():
            seen = f"{kinds} different numbers, all whole"
            remarks.add(given.name, seen, "taken as numbers to predict; regression=False takes classes as such")
        return Column(given.name, numbers)
    if (numbers % 1).any():
        message = f"column {given.name!r} holds fractions, which are no classes; use regression=True"
        raise unusable("regression", message, "False")
    keys = pd.DataFrame({"number": numbers, "code": given.codes})
    levels = keys.drop_duplicates().sort_values(["number", "code"])
    names = [code or int(number) for number, code in levels.itertuples(index=False)]
    places = keys.groupby(["number", "code"]).ngroup().to_numpy().astype(np.float64)
    if len(levels) > MOST_LEVELS:
        raise _too_many(given, names, "use regression=True")
    if regression is None and len(levels) > MANY:
        seen = f"{len(levels)} different whole numbers"
        remarks.add(given.name, seen, "taken as classes; regression=True predicts them as numbers")
    if respelled := given.respelled(()):
        remark_on_respelled(respelled, given.name, "class", remarks)
    _remark_on_rare(given, places, names, remarks)
    return Column(given.name, places, names)


def _too_many(given: Given, levels: list[object], way_out: str) -> InvalidStudy:
    message = f"column {given.name!r} has {len(levels):,} different values, at most {MOST_LEVELS} are categories"
    return unusable("target", f"{message}; {way_out}")


def _remark_on_rare(given: Given, codes: Numbers, levels: list[object], remarks: Remarks) -> None:
    counts = np.bincount(codes.astype(int), minlength=len(levels))
    rare = [f"{level!r} in {count}" for level, count in zip(levels, counts, strict=True) if count < FEW]
    if rare:
        more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
        seen = f"{', '.join(rare[:3])}{more} of {len(codes)} rows"
        remarks.add(given.name, seen, "classes so rare that some seeds train or test without them")
