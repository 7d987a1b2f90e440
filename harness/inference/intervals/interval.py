"""Confidence intervals: what they are, and those of a mean. Pure functions of arrays, like all of this room but the verdicts.

Arrays called `differences` are (seed,): one paired difference per seed, positive where the treatment is better.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import ArrayLike, NDArray

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
    power = np.frexp(np.abs(array).max())[1]
    near_one = np.ldexp(array, -power)  # whose squares are neither too large nor too small for a float
    mean, error = float(array.mean()), float(np.ldexp(near_one.std(ddof=1), power)) / math.sqrt(n)

    def bounds(alpha: float) -> Interval:
        half = float(scipy.special.stdtrit(n - 1, 1 - alpha / 2)) * error
        return mean - half, mean + half

    return bounds
