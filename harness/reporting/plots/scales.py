"""Robust scales: where an axis ends, so that one blown-up run does not stretch it, and marks of what lies beyond."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from harness.reporting.plots.axes import log_scale
from harness.reporting.plots.looks import QUIET

Array = NDArray[np.float64]

LOG_RATIO = 30.0
"""From this ratio of the largest to the least on, an axis of positive numbers is logarithmic."""

FENCE = 10.0
"""Typical deviations from the median beyond which a number is off the axis."""

MOST_BEYOND = 0.1
"""Share of numbers that an axis leaves out, at most, or one."""

MARGIN = 0.07

FARTHEST = math.log(1e200)
"""Farther from 1, in logarithms, no axis goes, so that ticks past its ends are floats, too."""

BEHIND = {"fc": "white", "ec": "none", "pad": 0.8, "alpha": 0.8}
"""Behind texts among marks."""


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low, high: its ends.
        log: whether it is logarithmic.
    """

    low: float
    high: float
    log: bool = False

    def clipped(self, values: ArrayLike) -> Array:
        """Numbers moved onto the axis, infinite ones too; what is no number stays none."""
        return np.asarray(np.clip(np.asarray(values, dtype=float), self.low, self.high), dtype=np.float64)

    def beyond(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Which numbers lie beyond the axis."""
        array = np.asarray(values, dtype=float)
        return (array < self.low) | (array > self.high)

    def apply(self, ax: Axes) -> None:
        """Give it to the y axis."""
        if self.log:
            log_scale(ax)
        ax.set_ylim(self.low, self.high)

    def count(self, ax: Axes, values: ArrayLike) -> None:
        """Say in the upper right corner of a panel how many numbers lie beyond the axis."""
        array = np.asarray(values, dtype=float)
        above, below = int((array > self.high).sum()), int((array < self.low).sum())
        said = [f"{mark} {n} beyond" for mark, n in (("▲", above), ("▼", below)) if n]
        if said:
            ax.text(0.99, 0.99, "\n".join(said), transform=ax.transAxes, ha="right", va="top", fontsize=8, color=QUIET,
                    zorder=9, bbox=BEHIND)  # fmt: skip


def scale_of(values: ArrayLike, *, log: bool | None = None, within: tuple[float, float] | None = None) -> Scale:
    """An axis for numbers, which may be infinite or missing.

    Args:
        values: what it should show.
        log: whether it is logarithmic where all are positive; None where they span much.
        within: ends that it has whatever the values are.

    >>> scale_of([1.0, 2.0, 3.0, 4.0, 5.0, 1e6]).high < 50
    True
    """
    if within is not None:
        return Scale(*within)
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if not len(array):
        return Scale(0.0, 1.0)
    positive = bool((array > 0).all())
    low, high = fences(array)
    as_log = positive and (log if log is not None else high / max(low, 1e-300) > LOG_RATIO)
    if as_log:
        low, high = fences(np.log(array))
    margin = MARGIN * (high - low) or (0.1 if as_log else 0.1 * abs(high) or 0.1)
    ends = low - margin, high + margin
    if as_log:
        ends = math.exp(np.clip(ends[0], -FARTHEST, FARTHEST - 1)), math.exp(np.clip(ends[1], 1 - FARTHEST, FARTHEST))
    return Scale(*ends, bool(as_log))


def fences(values: Array) -> tuple[float, float]:
    """The least and the largest number that are no farther from the median than `FENCE` typical deviations, all finite.

    Typical is the median deviation of those that do deviate, so that where most are alike the rest still has an axis. Where more than
    `MOST_BEYOND` lie beyond, they are no outliers, and there are no fences.
    """
    middle = float(np.median(values))
    deviations = np.abs(values - middle)
    typical = np.median(deviations[deviations > 0]) if (deviations > 0).any() else 0.0
    inside = values[deviations <= FENCE * typical]
    inside = inside if len(values) - len(inside) <= max(1, MOST_BEYOND * len(values)) else values
    return float(inside.min()), float(inside.max())
