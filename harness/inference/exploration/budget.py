"""What a search of a smaller budget would have found: the best of b of the values that were tried, over all choices of b.

Dodge et al. 2019 (EMNLP, "Show Your Work", section 3) draw the b with replacement; here they are drawn without, which is unbiased
(Tang et al. 2020, ACL) and exact for the subsets of what was tried.
"""

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals.interval import Array


def expected_least(values: ArrayLike) -> Array:
    """The mean over all subsets of b values of the least of them, for b = 1 … n; infinite as long as a subset has no finite one.

    Args:
        values: (n,), may be infinite.

    Returns:
        (n,) for b = 1 … n.

    >>> expected_least([3.0, 1.0, np.inf])
    array([       inf, 1.66666667, 1.        ])
    """
    array = np.sort(np.asarray(values, dtype=float))
    above = _above(len(array))
    weights = -np.diff(above, axis=1)
    return np.asarray(np.where(weights > 0, weights * np.where(weights > 0, array, 0.0), 0.0).sum(axis=1))


def median_least(values: ArrayLike) -> Array:
    """The least value that at least half of all subsets of b values reach, for b = 1 … n: the typical best, finite or not.

    Args:
        values: (n,), may be infinite.

    Returns:
        (n,) for b = 1 … n.

    >>> median_least([3.0, 1.0, np.inf])
    array([3., 1., 1.])
    """
    array = np.sort(np.asarray(values, dtype=float))
    return np.asarray(array[(_above(len(array))[:, 1:] <= 0.5 + 1e-12).argmax(axis=1)]) if len(array) else array


def _above(n: int) -> Array:
    """(n, n + 1): the share of subsets of b = 1 … n values that hold none of the i least ones, i = 0 … n: C(n − i, b) / C(n, b)."""
    b, i = np.arange(1, n + 1)[:, None], np.arange(n)[None]
    steps = np.maximum(n - b - i, 0) / (n - i)
    return np.concatenate([np.ones((n, 1)), np.cumprod(steps, axis=1)], axis=1)
