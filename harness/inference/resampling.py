"""Intervals by seeds drawn again: description, no test. The same seeds give the same numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals import Array

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimated:
    """A number with its interval."""

    value: float
    low: float
    high: float


def bootstrap(statistic: Callable[[Array], float], differences: ArrayLike, alpha: float = 0.05) -> Estimated:
    """A statistic with its percentile bootstrap interval over seeds, 2,000 resamples of a fixed generator."""
    array = np.asarray(differences, dtype=float)
    picks = np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))
    draws = [statistic(array[pick]) for pick in picks]
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return Estimated(statistic(array), float(low), float(high))
