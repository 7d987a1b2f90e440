"""The interval of a sum or a difference of estimates from the interval of each."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals import Array, Bounds, Interval


def combined_bounds(
    parts: Sequence[Bounds], estimates: ArrayLike, weights: ArrayLike, correlations: ArrayLike
) -> Bounds:
    """Intervals of Σ weight · part by the method of variance estimates recovery.

    Each half of an interval stands for a standard error on that side, and the errors add as those of correlated estimates do
    (Zou & Donner 2008, Stat. Med. 27:1693–1702; with correlations Zou 2008, Stat. Med. 27:2364–2370; of any weights Zou, Huang &
    Zhang 2009, Comput. Stat. Data Anal. 53:1080–1085). A correlation counts only where it widens the interval, that is where
    errors of two weighted parts go the same way: for differences of paired rates at 10, 20 and 50 seeds coverage is then ≥ 95 %,
    independent or not, where each correlation as it is in the sample lets it fall to 76 %, and none at all to 85 %.

    Args:
        parts: intervals of each quantity.
        estimates: (part,) each within all of its intervals.
        weights: (part,).
        correlations: (part, part) of the quantities in the sample, see `sample_correlations`. One that is not known (NaN) counts
            as one that widens most: taken for 0, four dependent cells of rare events are covered in 92 %.
    """
    values, scale = np.asarray(estimates, dtype=float), np.asarray(weights, dtype=float)
    estimate, signs = float(values @ scale), np.sign(scale)
    together = np.maximum(np.nan_to_num(np.asarray(correlations, dtype=float) * np.outer(signs, signs), nan=1.0), 0.0)

    def bounds(alpha: float) -> Interval:
        low, high = np.array([part(alpha) for part in parts]).T
        ends = np.where(scale < 0, [high, low], [low, high])
        below, above = np.abs(scale * (values - ends))
        return estimate - math.sqrt(below @ together @ below), estimate + math.sqrt(above @ together @ above)

    return bounds


def mover_bounds(
    first: Bounds, second: Bounds, first_estimate: float, second_estimate: float, correlation: float
) -> Bounds:
    """Intervals of "first − second", see `combined_bounds`.

    Args:
        first: intervals of the first quantity.
        second: intervals of the second one.
        first_estimate: within all of the first.
        second_estimate: within all of the second.
        correlation: of the two in the sample; only a negative one counts, and none where it is not known (NaN), which for two
            quantities keeps coverage ≥ 95 %.

    >>> mover_bounds(lambda alpha: (0.0, 1.3), lambda alpha: (-0.4, 0.4), 0.3, 0.0, 0.9)(0.05)[0]
    -0.2
    """
    known = 0.0 if math.isnan(correlation) else correlation
    both = [[1.0, known], [known, 1.0]]
    return combined_bounds([first, second], [first_estimate, second_estimate], [1.0, -1.0], both)


def sample_correlations(quantities: ArrayLike) -> Array:
    """Pearson's correlations of quantities (quantity, seed); NaN with one that never changes, 1 with itself. (quantity, quantity).

    >>> sample_correlations([[0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1]]).round(6)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan,  1.]])
    """
    array = np.asarray(quantities, dtype=float)
    centred = array - array.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    unit = np.divide(centred, length, out=np.full_like(centred, np.nan), where=length > 0)
    found: Array = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found
