"""What follows from intervals at every level: a p-value."""

import math

from harness.inference.intervals import Bounds

SMALLEST_P = 1e-12


def p_against(bounds: Bounds, null: float) -> float:
    """Two-sided p-value of "the estimand is `null`": the largest α whose interval still holds it.

    >>> import numpy as np
    >>> from harness.inference.intervals import t_bounds
    >>> round(p_against(t_bounds(np.array([1.0, 2.0, 3.0])), 0.0), 4)
    0.0742
    """

    def holds(alpha: float) -> bool:
        low, high = bounds(alpha)
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
