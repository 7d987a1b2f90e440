"""Several claims at once: the level that each may use, so that all of them together keep theirs."""

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals import Array


def holm_alphas(p_values: ArrayLike, alpha: float = 0.05) -> Array:
    """The level at which each hypothesis's own interval is drawn, so that interval and Holm's test agree (Holm 1979).

    By rising p-value, hypothesis k of m (k = 0, 1, …) is drawn at α/(m − k). The first one with p ≥ its level stops
    the procedure: it and all after it are drawn at that same level, where none of their intervals excludes its null.
    So a verdict can be read from the interval alone.

    Args:
        p_values: (m,).
        alpha: of the whole family.

    Returns:
        (m,) levels.

    >>> holm_alphas([0.04, 0.001, 0.2], alpha=0.06)
    array([0.03, 0.02, 0.03])
    """
    # Not by statsmodels' `multipletests`: it decides, and knows no level for the interval of what it does not reject;
    # and each of its calls searches the whole process for garbage, which takes a quarter of a second.
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    levels = alpha / (len(p) - np.arange(len(p)))
    open_ = p[order] >= levels
    if open_.any():
        levels[open_.argmax() :] = levels[open_.argmax()]
    out = np.empty_like(levels)
    out[order] = levels
    return out
