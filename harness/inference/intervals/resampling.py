"""Intervals by seeds drawn again: description, no test. The same seeds give the same numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.inference.intervals.interval import Array

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimated:
    """A number with its interval."""

    value: float
    low: float
    high: float


def bootstrap(statistic: Callable[[Array], Array], differences: ArrayLike, alpha: float = 0.05) -> Estimated:
    """A statistic with its percentile bootstrap interval over seeds, 2,000 resamples of a fixed generator.

    Args:
        statistic: of the last axis.
        differences: (seed,).
        alpha: 1 − the confidence level.
    """
    array = np.asarray(differences, dtype=float)
    low, high = np.quantile(statistic(array[_picks(len(array))]), [alpha / 2, 1 - alpha / 2])
    return Estimated(float(statistic(array)), float(low), float(high))


@lru_cache(maxsize=8)
def _picks(n: int) -> NDArray[np.int64]:
    """Which of `n` seeds are drawn. (resample, seed)."""
    return np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
