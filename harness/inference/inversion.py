"""What follows from intervals at every level and number of seeds: a p-value, and how many seeds would decide."""

import math

from harness.inference.intervals import Bounds

SMALLEST_P = 1e-12
MOST_SEEDS = 100_000


def p_against(bounds: Bounds, null: float, n: int) -> float:
    """Two-sided p-value of "the mean is `null`": the largest α whose interval still holds it.

    >>> import numpy as np
    >>> from harness.inference.intervals import t_bounds
    >>> round(p_against(t_bounds(np.array([1.0, 2.0, 3.0])), 0.0, 3), 4)
    0.0742
    """

    def holds(alpha: float) -> bool:
        low, high = bounds(alpha, n)
        return low <= null <= high

    small, large = math.log(SMALLEST_P), 0.0
    if holds(1.0):
        return 1.0
    if not holds(SMALLEST_P):
        return SMALLEST_P
    for _ in range(50):
        middle = (small + large) / 2
        small, large = (middle, large) if holds(math.exp(middle)) else (small, middle)
    return math.exp(large)


def further_seeds(bounds: Bounds, null: float, n: int, alpha: float) -> int | None:
    """How many seeds more, if they are like those seen, bring the interval clear of `null`; None where ≥ 100,000."""

    def clear(seeds: int) -> bool:
        low, high = bounds(alpha, seeds)
        return not low <= null <= high

    if clear(n):
        return 0
    few, many = n, 2 * n
    while not clear(many):
        few, many = many, 2 * many
        if many > MOST_SEEDS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if clear(middle) else (middle, many)
    return many - n
