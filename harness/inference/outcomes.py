"""What came of a run, and the first thing in which two differ: to the bit, or by a rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.settings.bits import same_bits


class Outcome(NamedTuple):
    """What came of a run.

    Attributes:
        row: `status`, `steps_done` and metrics, by name.
        curve: one row per logged step; None where that was not kept.
        whole: whether the curve has every logged step, and not those of a trace alone.
    """

    row: Mapping[str, Any]
    curve: pd.DataFrame | None
    whole: bool = True


@dataclass(frozen=True)
class Difference:
    """Where two outcomes differ, and how."""

    where: str
    recorded: Any
    again: Any

    def __str__(self) -> str:
        return f"{self.where}: {self.recorded} recorded, {self.again} again"


def in_bits(recorded: Outcome, again: Outcome) -> Difference | None:
    """The first recorded column, then the first logged step, in which a bit differs; NaN equals NaN."""
    found = first_apart(recorded, again, list(recorded.row), lambda _, a, b: same_bits(a, b))
    if found or recorded.curve is None or again.curve is None:
        return found
    names = [str(name) for name in recorded.curve if name != "step"]
    return first_in_curve(recorded.curve, again.curve, names, same_bits)


def first_apart(
    recorded: Outcome, again: Outcome, names: list[str], agree: Callable[[str, Any, Any], Any]
) -> Difference | None:
    """The first of some columns in which two runs do not agree."""
    for name in names:
        if not agree(name, recorded.row[name], again.row[name]):
            return Difference(name, recorded.row[name], again.row[name])
    return None


def first_in_curve(
    recorded: pd.DataFrame, again: pd.DataFrame, names: list[str], agree: Callable[[Any, Any], NDArray[np.bool_]]
) -> Difference | None:
    """The first logged step at which one of the columns of two curves does not agree."""
    steps, others = (curve["step"].to_numpy() for curve in (recorded, again))
    if not np.array_equal(steps, others):
        return Difference("logged steps", len(steps), len(others))
    values = [[curve[name].to_numpy() for name in names] for curve in (recorded, again)]
    wrong = np.argwhere(~np.array([agree(a, b) for a, b in zip(*values, strict=True)], dtype=bool).T)
    if not len(wrong):
        return None
    row, column = wrong[0]
    return Difference(f"{names[column]} at step {steps[row]}", values[0][column][row], values[1][column][row])
