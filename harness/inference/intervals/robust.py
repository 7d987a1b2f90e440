"""Estimates that a few extreme seeds, or infinite ones, do not decide."""

import math

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals.interval import EVERYTHING, Array, Interval
from harness.inference.intervals.median import median_bounds, sign_rank
from harness.inference.intervals.paired_rates import signed_bounds
from harness.inference.intervals.resampling import Estimated


def median_interval(values: ArrayLike, alpha: float = 0.05) -> Interval:
    """Order-statistic interval of a median, of any distribution; values may be infinite.

    The sign test inverted, see `median_bounds`. Below six values no such interval reaches 95 %; the range is returned.

    Args:
        values: (n,), none of them NaN.
        alpha: 1 − the smallest coverage.

    >>> median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, np.inf])
    (2.0, 9.0)
    """
    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        return EVERYTHING
    if sign_rank(len(array), alpha) == 0:
        return float(array.min()), float(array.max())
    return median_bounds(array, array)(alpha)


def median(values: ArrayLike) -> float:
    """Median of finite and infinite values; NaN of none.

    >>> median([1.0, np.inf, np.inf]), median([1.0, 2.0])
    (inf, 1.5)
    """
    array = np.sort(np.asarray(values, dtype=float))
    if len(array) == 0:
        return math.nan
    low, high = float(array[(len(array) - 1) // 2]), float(array[len(array) // 2])
    return low if low == high else (low + high) / 2


def interquartile_mean(values: ArrayLike) -> Array:
    """Mean of the middle half, along the last axis (Agarwal et al. 2021, arXiv:2108.13264).

    >>> float(interquartile_mean([0, 1, 2, 100]))
    1.5
    """
    array = np.asarray(values, dtype=float)
    n, cut = array.shape[-1], array.shape[-1] // 4
    middle: Array = np.partition(array, (cut, n - cut - 1), axis=-1)[..., cut : n - cut].mean(axis=-1)
    return middle


def probability_of_improvement(differences: ArrayLike, alpha: float = 0.05) -> Estimated:
    """Share of seeds in which the treatment is better, ties half (Agarwal et al. 2021, for pairs), with its exact interval.

    It is (1 + P(Δ > 0) − P(Δ < 0)) / 2, and the difference of these two rates has the interval of paired rates.

    >>> probability_of_improvement([1.0, 0.0, -1.0, 2.0]).value, round(probability_of_improvement([1.0] * 20).low, 2)
    (0.625, 0.83)
    """
    array = np.asarray(differences, dtype=float)
    wins, losses, n = int((array > 0).sum()), int((array < 0).sum()), len(array)
    low, high = signed_bounds(array)(alpha)
    return Estimated((1 + (wins - losses) / n) / 2 if n else math.nan, (1 + low) / 2, (1 + high) / 2)
