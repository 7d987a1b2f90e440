"""Confidence intervals: what they are, and those of a mean. Pure functions of arrays, like all of this room but the verdicts.

Arrays called `differences` are (seed,): one paired difference per seed, positive where the treatment is better.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Interval = tuple[float, float]
Bounds = Callable[[float], Interval]
"""α → the closed interval at level 1 − α."""

EVERYTHING: Interval = (-math.inf, math.inf)


def t_interval(values: ArrayLike, alpha: float = 0.05) -> Interval:
    """The t interval of a mean; everything where fewer than two values, or a value that is not finite, allow none.

    Args:
        values: (n,).
        alpha: 1 − the confidence level.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    return t_bounds(values)(alpha)


def t_bounds(differences: ArrayLike) -> Bounds:
    """The t intervals (Student 1908) of the mean of `differences` (seed,), see `t_interval`."""
    array = np.asarray(differences, dtype=float)
    n = len(array)
    if n < 2 or not np.isfinite(array).all():
        return lambda alpha: EVERYTHING
    mean, error = float(array.mean()), float(array.std(ddof=1)) / math.sqrt(n)

    def bounds(alpha: float) -> Interval:
        half = float(special.stdtrit(n - 1, 1 - alpha / 2)) * error
        return mean - half, mean + half

    return bounds


def constant_bounds(value: float, n: int, *, bounded: bool) -> Bounds:
    """Intervals of a mean whose `n` observations were all equal, where a t interval would have no width.

    With probability 1 − α/2 at most the share u = 1 − (α/2)^(1/n) of further observations differs (Clopper & Pearson
    1934 with no success in n). For a difference of quantities in [0, 1] these lie in [−1, 1], which bounds the mean;
    for anything else there is no interval.
    """

    def bounds(alpha: float) -> Interval:
        if not bounded:
            return EVERYTHING
        share = 1 - (alpha / 2) ** (1 / n)
        return value - share * (value + 1), value + share * (1 - value)

    return bounds
