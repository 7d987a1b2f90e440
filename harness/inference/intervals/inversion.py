"""What follows from intervals at every level: a p-value."""

import math
from collections.abc import Callable

from harness.inference.intervals.interval import Bounds

SMALLEST_P = 1e-12


def p_value(decides: Callable[[float], bool]) -> float:
    """The least α at which something is decided that is decided at every larger one, too; 1 where it never is.

    >>> round(p_value(lambda alpha: alpha > 0.02), 6)
    0.02
    """
    if not decides(1.0):
        return 1.0
    if decides(SMALLEST_P):
        return SMALLEST_P
    small, large = math.log(SMALLEST_P), 0.0
    for _ in range(30):
        middle = (small + large) / 2
        small, large = (small, middle) if decides(math.exp(middle)) else (middle, large)
    return math.exp(large)


def p_against(bounds: Bounds, null: float) -> float:
    """Two-sided p-value of "the estimand is `null`": the largest α whose interval still holds it.

    >>> import numpy as np
    >>> from harness.inference.intervals.interval import t_bounds
    >>> round(p_against(t_bounds(np.array([1.0, 2.0, 3.0])), 0.0), 4)
    0.0742
    """

    def excludes(alpha: float) -> bool:
        low, high = bounds(alpha)
        return not low <= null <= high

    return p_value(excludes)
