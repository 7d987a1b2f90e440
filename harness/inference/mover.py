"""The interval of a difference of two estimates from the interval of each."""

import math

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals import Bounds, Interval


def mover_bounds(
    first: Bounds, second: Bounds, first_estimate: float, second_estimate: float, correlation: float
) -> Bounds:
    """Intervals of "first − second" by the method of variance estimates recovery.

    Each half of an interval stands for a standard error on that side, and the errors add as those of correlated estimates do
    (Zou & Donner 2008, Stat. Med. 27:1693–1702; with a correlation Zou 2008, Stat. Med. 27:2364–2370). Only a negative correlation
    counts: over exact intervals of paired rates of 10, 20 and 50 seeds coverage is then ≥ 95 % for independent and for dependent
    ones, where a positive one of the sample lets it fall to 76 %, and none at all to 85 %.

    Args:
        first: intervals of the first quantity.
        second: intervals of the second one.
        first_estimate: within all of the first.
        second_estimate: within all of the second.
        correlation: of the two quantities in the sample, see `sample_correlation`.

    >>> mover_bounds(lambda alpha: (0.0, 1.3), lambda alpha: (-0.4, 0.4), 0.3, 0.0, 0.9)(0.05)[0]
    -0.2
    """
    against = min(correlation, 0.0)

    def bounds(alpha: float) -> Interval:
        (low, high), (second_low, second_high) = first(alpha), second(alpha)
        estimate = first_estimate - second_estimate
        below = _added(first_estimate - low, second_high - second_estimate, against)
        above = _added(high - first_estimate, second_estimate - second_low, against)
        return estimate - below, estimate + above

    return bounds


def _added(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0))


def sample_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Pearson's correlation of two quantities (seed,); 0 where one of them never changes.

    >>> round(sample_correlation([0, 1, 0, 1], [1, 0, 1, 0]), 6), sample_correlation([0, 1], [1, 1])
    (-1.0, 0.0)
    """
    x, y = (np.asarray(values, dtype=float) for values in (first, second))
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1].clip(-1.0, 1.0))
