"""The exact interval of a median by inverting the sign test, for values that may be infinite or known within limits only."""

from functools import lru_cache
from itertools import accumulate
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals.interval import EVERYTHING, Array, Bounds, Interval


def median_bounds(low: ArrayLike, high: ArrayLike) -> Bounds:
    """Intervals of the median of quantities each of which is known to lie between two limits.

    At α it is [k-th smallest of `low`, k-th largest of `high`] with the largest k at which a binomial variable of n fair coins
    is below k with probability ≤ α/2, and everything where there is no such k ≥ 1. It covers with probability ≥ 1 − α whatever
    the distribution, ties included (Thompson 1936, Ann. Math. Stat. 7:122–128; Conover 1999, section 3.2), and moves only up
    where a value does.

    Args:
        low: (seed,) lower limits, infinite ones among them; none NaN.
        high: (seed,) upper limits, `low` where a value is known.

    >>> values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, np.inf]
    >>> median_bounds(values, values)(0.05), median_bounds(values, values)(0.001)
    ((2.0, 9.0), (-inf, inf))
    """
    lows, highs = np.sort(np.asarray(low, dtype=float)), np.sort(np.asarray(high, dtype=float))
    n = len(lows)

    def bounds(alpha: float) -> Interval:
        k = sign_rank(n, alpha)
        return (float(lows[k - 1]), float(highs[n - k])) if k else EVERYTHING

    return bounds


def sign_rank(n: int, alpha: float) -> int:
    """The largest k with P(B ≤ k − 1) ≤ α/2 for a binomial B of `n` fair coins; 0 where there is none."""
    return int(np.searchsorted(_lower_tail(n), alpha / 2, side="right"))


def decisive_count(n: int, alpha: float) -> int | None:
    """How many of `n` seeds must lie beyond δ for an interval of the median at 1 − `alpha` that excludes it; None: no number does.

    >>> decisive_count(10, 0.05 / 3), decisive_count(20, 0.05 / 3), decisive_count(5, 0.05)
    (10, 16, None)
    """
    k = sign_rank(n, alpha)
    return n - k + 1 if k else None


@lru_cache(maxsize=1024)
def _lower_tail(n: int) -> Array:
    """P(B ≤ i) of a binomial B of `n` fair coins, for i below the middle. ((n + 1) // 2,)."""
    return np.array([ways / 2**n for ways in accumulate(comb(n, i) for i in range((n + 1) // 2))])
