"""The Hodges–Lehmann estimate and its exact interval by inverting Wilcoxon's signed-rank test."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals.interval import EVERYTHING, Array, Bounds, Interval
from harness.inference.intervals.robust import median


def hodges_lehmann_bounds(low: ArrayLike, high: ArrayLike) -> Bounds:
    """Intervals of the centre of symmetry of quantities each of which is known to lie between two limits.

    At α it is [k-th smallest Walsh average of `low`, k-th largest of `high`] with the largest k at which the signed-rank
    statistic is below k with probability ≤ α/2 under the null hypothesis; everything where there is no such k ≥ 1 (Hollander,
    Wolfe & Chicken 2014, section 3.3). It covers with probability ≥ 1 − α where the quantities are distributed symmetrically.

    Args:
        low: (seed,) lower limits, infinite ones among them; none NaN.
        high: (seed,) upper limits, `low` where a value is known.

    >>> hodges_lehmann_bounds([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0])(0.05)
    (1.0, 32.0)
    """
    lows, highs = np.sort(walsh_averages(low, -np.inf)), np.sort(walsh_averages(high, np.inf))
    n = len(np.asarray(low))

    def bounds(alpha: float) -> Interval:
        k = signed_rank(n, alpha)
        return (float(lows[k - 1]), float(highs[len(highs) - k])) if k else EVERYTHING

    return bounds


def hodges_lehmann(values: ArrayLike) -> float:
    """Median of the averages of all pairs, each value with itself among them; NaN of none, and where infinite ones hide it.

    >>> hodges_lehmann([1.0, 2.0, 6.0]), hodges_lehmann([1.0, np.inf, np.inf]), hodges_lehmann([-np.inf, np.inf])
    (2.75, inf, nan)
    """
    low, high = median(walsh_averages(values, -np.inf)), median(walsh_averages(values, np.inf))
    return low if low == high else np.nan


def signed_rank(n: int, alpha: float) -> int:
    """The largest k with P(W ≤ k − 1) ≤ α/2 for the signed-rank statistic W of `n` symmetric values; 0 where there is none."""
    return int(np.searchsorted(_lower_tail(n), alpha / 2, side="right"))


def walsh_averages(values: ArrayLike, undecided: float) -> Array:
    """Averages of all pairs i ≤ j; `undecided` stands for the average of −∞ and ∞. (n (n + 1) / 2,)."""
    halves = np.asarray(values, dtype=float) / 2
    i, j = np.triu_indices(len(halves))
    with np.errstate(invalid="ignore"):
        averages = halves[i] + halves[j]
    return np.where(np.isnan(averages), undecided, averages)


@lru_cache(maxsize=256)
def _lower_tail(n: int) -> Array:
    """P(W ≤ w) of the signed-rank statistic, the sum of each rank 1 … n with probability ½, for w below the middle."""
    p = np.zeros(n * (n + 1) // 2 + 1)
    p[0] = 1.0
    for rank in range(1, n + 1):
        p[rank:] = p[rank:] + p[:-rank]
        p /= 2
    return np.cumsum(p)[: (len(p) + 1) // 2]
