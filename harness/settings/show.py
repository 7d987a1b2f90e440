"""`show`: a setting's value as text, the same text in every process; `counted`: how many there are, in words; `aligned`: a table."""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

from harness.settings.arrays import array_text
from harness.settings.modules import owner_of
from harness.settings.source import named, source_digest

ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")
"""Of an object in memory, which differs between processes."""

ABBREVIATED = re.compile(r"(?s).{180}… \(sha256 [0-9a-f]{16}\)")
"""What is abbreviated already, see `abbreviated`."""

PLAIN = frozenset({bool, int, float, str, type(None)})
"""Types whose `repr` says all."""


def show(value: Any) -> str:
    """A value as a reader would write it; tensors and arrays by shape and content, classes and functions by their names.

    What is of the user's own code is followed by a digest of all that it reaches, see `harness.settings.reach`, and so is an
    object with attributes of its own, which its `repr` may leave out. Of a very long text the beginning, and a digest of all of it.
    """
    return abbreviated(whole(value))


def whole(value: Any) -> str:
    """The same however long it is."""
    try:
        return _text(value)
    except Exception as error:  # of a user's own class, a list that is too deep, a tensor without content
        return f"a {type(value).__name__} that cannot be shown: {type(error).__name__}"


def abbreviated(text: str) -> str:
    """A text of at most 207 characters, another one for another text."""
    if len(text) <= 200 or ABBREVIATED.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{text[:180]}… (sha256 {digest[:16]})"


def _text(value: Any) -> str:
    kind = type(value)
    if kind in PLAIN:  # nearly all of the settings of a study, shown many times
        return repr(value)
    if isinstance(value, type | FunctionType):
        return named(value)
    if isinstance(value, MethodType):
        return f"{_text(value.__self__)}.{_text(value.__func__)}"
    if isinstance(value, BuiltinFunctionType | np.ufunc):
        return named(value)
    if isinstance(value, torch.Tensor) or (isinstance(value, np.ndarray) and not value.dtype.hasobject):
        return array_text(value)
    if kind is partial:
        given = [*map(_text, (value.func, *value.args)), *(f"{k}={_text(v)}" for k, v in value.keywords.items())]
        return f"functools.partial({', '.join(given)})"
    if kind in (list, tuple, set, frozenset, dict) and value:
        return _container(value)
    return _object(value)


def _container(value: Any) -> str:
    """As `repr` has it; a set in the order of its texts, since its own differs between processes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(part)}' for key, part in value.items())}}}"
    parts = list(map(_text, value))
    if isinstance(value, list):
        return f"[{', '.join(parts)}]"
    if isinstance(value, tuple):
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    text = f"{{{', '.join(sorted(parts))}}}"
    return text if isinstance(value, set) else f"frozenset({text})"


def _object(value: Any) -> str:
    """What its `repr` says; of one that says nothing but an address its class and attributes."""
    kind, text = type(value), repr(value)
    if isinstance(value, str) or any(owner_of(base) == "harness" for base in kind.__mro__):
        return text
    attributes = getattr(value, "__dict__", None)
    if ADDRESS.search(text):
        shown = f"{kind.__qualname__}({', '.join(f'{k}={_text(v)}' for k, v in (attributes or {}).items())})"
        return f"{shown} ({source_digest(value)})"
    return f"{text} ({source_digest(value)})" if attributes or owner_of(kind) == "user" else text


def digits(value: float) -> str:
    """A number in three digits, as a reader sees it everywhere; thousands whole.

    >>> digits(0.12345), digits(-1e-5), digits(0.0), digits(12345.6), digits(1e7), digits(-math.inf), digits(math.nan)
    ('0.123', '−1e-05', '0', '12,346', '1e+07', '−∞', '–')
    """
    if math.isnan(value):
        return "–"
    size, sign = abs(value), "−" if value < 0 else ""
    whole = THOUSAND <= size < MILLION
    return sign + ("∞" if math.isinf(size) else f"{size:,.0f}" if whole else f"{size:.3g}")


def capital(text: str) -> str:
    """A text that begins a sentence; "" stays "".

    >>> capital("no run"), capital("")
    ('No run', '')
    """
    return text[:1].upper() + text[1:]


def given(value: float, most: int = 6) -> str:
    """A number as a user gave it, in so many digits at most, with a true minus.

    >>> given(-0.5), given(1e-05), given(-0.123, 2)
    ('−0.5', '1e-05', '−0.12')
    """
    return f"{'−' if value < 0 else ''}{abs(value):.{most}g}"


def level_text(level: float) -> str:
    """A level of confidence in percent, in digits enough to see what it leaves: none below 1 is 100 %.

    >>> level_text(0.95), level_text(1 - 0.05 / 3), level_text(1 - 0.05 / 6), level_text(1 - 0.05 / 16 / 11)
    ('95.0', '98.3', '99.2', '99.97')
    """
    left = 100 * (1 - level)
    return str(round(100 * level, max(1, -math.floor(math.log10(left))) if left > 0 else 1))


THOUSAND, MILLION = 999.5, 1e6
"""Numbers from the one to below the other are written whole."""


def spread(numbers: Iterable[float]) -> str:
    """One number, or the least and the most.

    >>> spread([5, 5]), spread([1000, 64, 300]), spread([0.1234, 10.0])
    ('5', '64 to 1,000', '0.123 to 10')
    """
    found = list(numbers)
    low, high = (f"{n:,}" if isinstance(n, int) else digits(n) for n in (min(found), max(found)))
    return low if low == high else f"{low} to {high}"


def counted(n: int, one: str, several: str | None = None) -> str:
    """So many of something, in the words for one or for several; these are the word for one and an s where not given.

    >>> counted(1, "seed"), counted(1200, "run"), counted(2, "run is", "runs are")
    ('1 seed', '1,200 runs', '2 runs are')
    """
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in short.

    >>> ranges([3, 0, 1, 2, 7])
    '0-3, 7'
    """
    there = set(numbers)
    starts = sorted(n for n in there if n - 1 not in there)
    ends = sorted(n for n in there if n + 1 not in there)
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, their columns as wide as their widest text.

    >>> aligned([("seed", "loss"), ("0", "0.25")])
    ['seed  loss', '0     0.25']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def the_first(names: Sequence[str]) -> str:
    """Names one after another, of many the first and how many more there are.

    >>> the_first(["a", "b"]), the_first(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c, 2 more')
    """
    more = [f"{len(names) - FIRST} more"] if len(names) > FIRST else []
    return ", ".join([*names[:FIRST], *more])


FIRST = 3
"""Of many names that are shown."""
