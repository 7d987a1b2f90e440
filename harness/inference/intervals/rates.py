"""Intervals of a rate: of runs that diverged, of runs that solved their task."""

import scipy  # type: ignore[import-untyped]

from harness.inference.intervals.interval import Bounds, Interval


def clopper_pearson_bounds(successes: int, n: int) -> Bounds:
    """Exact intervals of a rate (Clopper & Pearson 1934, Biometrika 26:404–413); [0, 1] where `n` is 0.

    >>> low, high = clopper_pearson_bounds(0, 10)(0.05)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.308)
    """

    def bounds(alpha: float) -> Interval:
        low = scipy.special.betaincinv(successes, n - successes + 1, alpha / 2) if successes > 0 else 0.0
        high = scipy.special.betaincinv(successes + 1, n - successes, 1 - alpha / 2) if successes < n else 1.0
        return float(low), float(high)

    return bounds
