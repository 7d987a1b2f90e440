"""Levels of factors: as columns of the run tables hold them, as a reader sees them, and in which order.

Tables, verdicts and figures all meet factor levels here, so that a level has one spelling everywhere.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.settings import Component, Sweep, show
from harness.settings.show import abbreviated, whole

Stored = float | int | str

SHORT, WRITTEN, MOST = 4, 8, 12
"""Digits of a number in short, up to how many it may have been written with, and in how many it is said at most."""

FEW = 8
"""So many levels are all said to a reader; of more, how many there are and the first and the last."""


def stored(level: Any) -> Stored:
    """A level as it is known by: numbers and strings as they are, components as text; of what is very long in short.

    >>> stored(0.5), stored("adam"), stored(None)
    (0.5, 'adam', 'None')
    """
    found = tabled(level)
    return abbreviated(found) if isinstance(found, str) else found


def tabled(level: Any) -> Stored:
    """A level as tables of runs and cells hold it: likewise, whole however long it is."""
    value = _of_python(level)
    return value if isinstance(value, str | Real) else whole(value)  # type: ignore[return-value]


def _of_python(value: Any) -> Any:
    """A number, truth value or text of NumPy's, which columns of tables give, as the one of Python's that it is."""
    return value.item() if isinstance(value, np.number | np.bool_ | np.str_) else value


def spelled(value: Any) -> str:
    """A setting's spelling, whatever type its column has: 1, 1.0 and "1" are the same.

    >>> spelled(1), spelled("1.0"), spelled(True), spelled(None)
    ('1.0', '1.0', 'True', 'None')
    """
    value = _of_python(value)
    text = abbreviated(value) if isinstance(value, str) else show(value)
    try:
        return str(float(text))
    except ValueError:
        return text


def label(path: str, level: Any) -> str:
    """A level as a reader sees it.

    >>> label("clipping.max_norm", math.inf), label("optimizer.lr", 0.1), label("model.shift", -1), label("model.kind", " ")
    ('∞ (no clipping)', '0.1', '−1', '" "')

    Of a component only what tells it apart: its first setting and those that differ from their default.
    """
    if isinstance(level, Component):
        shown = [f"{name}={label(name, value)}" for name, value in level.notable().items()]
        return f"{level.class_name()}({', '.join(shown)})" if shown else level.class_name()
    value = stored(level)
    if isinstance(value, str | bool):
        return str(value) if str(value).strip() else f'"{value}"'
    if value == math.inf:
        return "∞ (no clipping)" if path.startswith("clipping") else "∞"
    if value < 0:
        return f"−{label('', -value)}"
    return _digits(value) if isinstance(value, float) else str(value)


def _digits(value: float) -> str:
    """A number of few digits, as people write them, whole; one that was computed in four, or as many as tell it from a rounder one.

    >>> _digits(0.1), _digits(0.99999), _digits(0.05758123456789), _digits(1 - 2**-20), _digits(-0.0)
    ('0.1', '0.99999', '0.05758', '0.999999', '0')
    """
    texts = [f"{value + 0.0:.{n}g}" for n in range(SHORT, MOST + 1)]
    if written := [text for text in texts[: WRITTEN - SHORT + 1] if float(text) == value]:
        return written[0]
    return next((text for text in texts if len(_significant(text)) >= SHORT), texts[-1])


def _significant(text: str) -> str:
    """The digits of a number from the first to the last that is not 0."""
    return text.partition("e")[0].replace(".", "").strip("-0")


class Labels:
    """Levels that tables hold, as a reader sees them: those of a sweep by what tells a component apart, none as another one.

    Args:
        sweeps: by path.
    """

    def __init__(self, sweeps: Mapping[str, Sweep]) -> None:
        self._known = {
            (path, stored(level)): label(path, level) for path, sweep in sweeps.items() for level in sweep.levels
        }
        often = Counter((path, text) for (path, _), text in self._known.items())
        self._known |= {
            (path, level): str(level) for (path, level), text in self._known.items() if often[path, text] > 1
        }

    def __call__(self, path: str, value: Any) -> str:
        """The label of what a table has at a path."""
        return self._known.get((path, stored(value))) or label(path, value)


def in_words(levels: Mapping[str, Any]) -> str:
    """Several levels as one phrase.

    >>> in_words({"model.dropout": 0.5, "batch_size": 32})
    'model.dropout = 0.5, batch_size = 32'
    """
    return ", ".join(f"{path} = {label(path, level)}" for path, level in levels.items()) or "all runs"


def in_short(path: str, levels: Iterable[Any]) -> str:
    """Levels of a factor as a reader wants them: all of a few, of many how many there are and the first and the last.

    >>> in_short("clipping.max_norm", [0.25, 1.0, math.inf]), in_short("optimizer.lr", [i / 100 for i in range(1, 501)])
    ('0.25, 1, ∞ (no clipping)', '500 levels, 0.01 … 5')
    """
    labels = [label(path, level) for level in ordered(levels)]
    return ", ".join(labels) if len(labels) <= FEW else f"{len(labels):,} levels, {labels[0]} … {labels[-1]}"


def sweep_in_short(path: str, sweep: Sweep) -> str:
    """A sweep as a reader wants it.

    >>> sweep_in_short("model.dropout", Sweep(0.0, 0.5)), sweep_in_short("optimizer.lr", Sweep(*range(1, 501)))
    ('Sweep(0.0, 0.5)', 'Sweep(500 levels, 1 … 500)')
    """
    return show(sweep) if len(sweep.levels) <= FEW else f"Sweep({in_short(path, sweep.levels)})"


def ordered(levels: Iterable[Any]) -> list[Any]:
    """Distinct levels, numbers ascending (∞ last), anything else as given.

    >>> ordered([math.inf, 1, 0.25]), ordered(["b", "a", "b"])
    ([0.25, 1, inf], ['b', 'a'])
    """
    distinct = list({stored(level): level for level in levels}.values())
    return sorted(distinct, key=float) if all(map(is_number, distinct)) else distinct


def is_number(level: Any) -> bool:
    """Whether a level has a place on an axis of numbers; what is true or false has none.

    >>> is_number(0.5), is_number(True), is_number("adam")
    (True, False, False)
    """
    return not isinstance(stored(level), str | bool)


def at(runs: pd.DataFrame, levels: Mapping[str, Any]) -> "pd.Series[bool]":
    """Which rows of `runs` are at all of `levels`.

    Raises:
        KeyError: a factor path is no column.
    """
    chosen = np.ones(len(runs), dtype=bool)
    for path, level in levels.items():
        wanted, column = stored(level), runs[path]
        if pd.api.types.is_numeric_dtype(column):
            chosen &= column.to_numpy() == wanted
        else:
            chosen &= np.array([stored(value) == wanted for value in column.tolist()], dtype=bool)
    return pd.Series(chosen, index=runs.index, dtype=bool)


def places(runs: pd.DataFrame, levels: Mapping[str, Sequence[Any]]) -> NDArray[np.int64]:
    """Which combination of levels each row is at, the last factor varying fastest; one past the end where it is at none.

    Args:
        runs: with a column for each factor; 1 and 1.0 are one level.
        levels: of each factor, by its path.

    >>> places(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]}), {"a": [1.0, 2.0], "b": ["y", "x"]}).tolist()
    [1, 2, 4]
    """
    found, known = np.zeros(len(runs), dtype=np.int64), np.ones(len(runs), dtype=bool)
    for path, own in levels.items():
        of_level = {spelled(stored(level)): i for i, level in enumerate(own)}
        of_value = {value: of_level.get(spelled(value), -1) for value in runs[path].unique().tolist()}
        place = np.array([of_value[value] for value in runs[path].tolist()], dtype=np.int64)
        found, known = found * len(own) + place, known & (place >= 0)
    return np.where(known, found, math.prod(map(len, levels.values())))
