"""Numbers that are written as texts: with a decimal point or a decimal comma, plain or with groups of thousands."""

import decimal
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.float64]
Decimal = Literal["point", "comma"]

EXACT = 2.0**53
"""From which on floating point lacks some of the whole numbers."""

_PLAIN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SPACES = " '\u00a0\u2009\u202f"
_UNGROUPED = r"[+-]?(?:0|[1-9][0-9]{0,2})"
_POINT_OR_GROUPS = r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}"


def _groups(marks: str) -> str:
    """Pattern of groups of thousands that one of these marks parts, the same in all of a number."""
    return "[0-9]{1,3}(?:" + "|".join(f"(?:{re.escape(mark)}[0-9]{{3}})+" for mark in marks) + ")"


_GROUPED_POINT = rf"[+-]?{_groups(',' + _SPACES)}(?:\.[0-9]*)?"
_COMMA = rf"[+-]?(?:[0-9]+|{_groups('.' + _SPACES)})(?:,[0-9]*)?(?:[eE][+-]?[0-9]+)?"


@dataclass(frozen=True)
class Numerals:
    """Texts (n,), NaN where missing, as the numbers that they may be; NaN where they are none."""

    texts: "pd.Series[Any]"

    @cached_property
    def plain(self) -> Numbers:
        """With a decimal point and no groups, as in Python."""
        return pd.to_numeric(self._signed, errors="coerce").to_numpy(dtype=np.float64)

    @cached_property
    def point(self) -> Numbers:
        """With a decimal point, and groups of thousands parted by commas, spaces or apostrophes: `1,234.5`."""
        rest = np.isnan(self.plain) & self.texts.notna().to_numpy()
        return np.where(rest, _each(_grouped_point, self._signed.where(rest)), self.plain) if rest.any() else self.plain

    @cached_property
    def comma(self) -> Numbers:
        """With a decimal comma, and groups of thousands parted by points, spaces or apostrophes: `1.234,5`."""
        return _each(_comma, self._signed)

    @cached_property
    def decimal(self) -> Decimal | None:
        """The way of writing that gives more numbers; None where both give as many."""
        if not self._marked:
            return None
        point, comma = (~np.isnan(self.point)).sum(), self._signed.str.fullmatch(_COMMA).sum()
        return None if point == comma else "point" if point > comma else "comma"

    @property
    def either(self) -> bool:
        """Whether both ways of writing give as many numbers, but other ones: `1,234`."""
        return self._marked and self.decimal is None and not np.array_equal(self.point, self.comma, equal_nan=True)

    @property
    def thousands(self) -> bool:
        """Whether points may part thousands, since all numbers are whole and below 1,000, or have three digits after one: `992`, `2.246`.

        Measurements to three decimals have them in all numbers: `1.250`, `2.000`.
        """
        numbers = self._signed[~np.isnan(self.point)]
        ungrouped, grouped = numbers.str.fullmatch(_UNGROUPED), numbers.str.fullmatch(_POINT_OR_GROUPS)
        return bool((ungrouped | grouped).all() and ungrouped.any() and grouped.any())

    def whole(self, decimal: Decimal) -> bool:
        """Whether all numbers are written without decimals and without an exponent."""
        numbers = self._signed[~np.isnan(getattr(self, decimal))]
        return not numbers.str.contains(r"[.eE]" if decimal == "point" else r"[,eE]").any()

    @property
    def any(self) -> bool:
        """Whether one is a number."""
        return not self._numbers.empty

    @cached_property
    def marks(self) -> set[str]:
        """Which of point and comma its numbers have."""
        return {mark for mark in ".," if self._numbers.str.contains(mark, regex=False).any()}

    @cached_property
    def _numbers(self) -> "pd.Series[Any]":
        return self._signed[~(np.isnan(self.point) & np.isnan(self.comma))]

    @cached_property
    def _marked(self) -> bool:
        return bool(self._signed.str.contains(r"[,.]").any())

    @cached_property
    def _signed(self) -> "pd.Series[Any]":
        return self.texts.str.replace("\u2212", "-", regex=False)


def exact(text: str) -> decimal.Decimal | str | None:
    """The number that a text is, of any size and precision, or a code that begins with 0 as it is; None for another text.

    >>> exact("1.0") == exact("1"), exact("01") == exact("1"), exact("one")
    (True, False, None)
    """
    return text if re.fullmatch("0[0-9]+", text) else number(text)


def number(text: str) -> decimal.Decimal | None:
    """The number that a text is, of any size and precision, codes that begin with 0 among them; None for another text.

    >>> number("1.0") == number("01"), number("one")
    (True, None)
    """
    return decimal.Decimal(text) if re.fullmatch(_PLAIN, text) else None


def _each(read: Callable[[str], float], texts: "pd.Series[Any]") -> Numbers:
    codes, kinds = pd.factorize(texts)
    return np.array([*map(read, kinds), np.nan])[codes]


def _number(text: str, *, form: str, groups: str, decimal: str) -> float:
    """The number that a text of this form is; NaN for another one."""
    if not re.fullmatch(form, text):
        return np.nan
    return float(text.translate(str.maketrans("", "", groups)).replace(decimal, "."))


_grouped_point = partial(_number, form=_GROUPED_POINT, groups="," + _SPACES, decimal=".")
_comma = partial(_number, form=_COMMA, groups="." + _SPACES, decimal=",")
