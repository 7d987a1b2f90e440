"""Tests and intervals that assume no distribution: signs flipped, seeds drawn again. The same seeds give the same numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats  # type: ignore[import-untyped]

from harness.inference.intervals import Array

SIGN_PATTERNS = 20_000
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimated:
    """A number with its interval."""

    value: float
    low: float
    high: float


def sign_flip_p(differences: ArrayLike) -> float:
    """Two-sided permutation test of "signs of the paired differences are arbitrary".

    Exact up to 14 seeds (2¹⁴ sign patterns), beyond that 20,000 draws of a fixed generator.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    array = np.asarray(differences, dtype=float)
    if len(array) < 2 or not array.any():
        return 1.0
    result = stats.permutation_test(
        (array,), np.mean, permutation_type="samples", n_resamples=SIGN_PATTERNS, rng=np.random.default_rng(0)
    )
    return float(result.pvalue)


def bootstrap(statistic: Callable[[Array], float], differences: ArrayLike, alpha: float = 0.05) -> Estimated:
    """A statistic with its percentile bootstrap interval over seeds, 2,000 resamples of a fixed generator."""
    array = np.asarray(differences, dtype=float)
    picks = np.random.default_rng(0).integers(len(array), size=(RESAMPLES, len(array)))
    draws = [statistic(array[pick]) for pick in picks]
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return Estimated(statistic(array), float(low), float(high))
