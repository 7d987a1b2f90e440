"""MOVER's intervals of sums and differences of paired rates: by hand, and their coverage by simulation."""

import math
from functools import lru_cache

import numpy as np
import pytest
from scipy import stats

from harness.inference.intervals.interval import Interval
from harness.inference.intervals.mover import combined_bounds
from harness.inference.intervals.paired_rates import paired_rate_bounds


def test_ends_add_with_the_sign_of_their_weight() -> None:
    parts = [lambda alpha: (0.2, 0.9), lambda alpha: (-0.3, 0.5)]
    assert combined_bounds(parts, [1.0, -1.0])(0.05) == pytest.approx((0.2 - 0.5, 0.9 + 0.3))
    assert combined_bounds(parts, [0.5, 0.5])(0.05) == pytest.approx(((0.2 - 0.3) / 2, (0.9 + 0.5) / 2))


@lru_cache(maxsize=4096)
def rate_interval(wins: int, losses: int, n: int) -> Interval:
    return paired_rate_bounds(wins, losses, n)(0.05)


SHARED = {"independent": None, "of each arm": [0, 1, 0, 1], "of each group": [0, 0, 1, 1], "crosswise": [0, 1, 1, 0]}


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("rates", [(0.5, 0.5, 0.5, 0.5), (0.2, 0.0, 0.1, 0.0), (0.7, 0.3, 0.3, 0.3)])
@pytest.mark.parametrize("n", [10, pytest.param(20, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.slow)])
def test_interactions_of_paired_rates_are_covered(n: int, rates: tuple[float, ...], shared: str) -> None:
    """Four events a seed happen where a normal number is low; some of them share most of it."""
    rng, studies = np.random.default_rng(n), 500
    common = 0.0 if SHARED[shared] is None else rng.normal(size=(studies, n, 2))[:, :, SHARED[shared]]
    weight = 0.0 if SHARED[shared] is None else 0.95
    noise = math.sqrt(weight) * common + math.sqrt(1 - weight) * rng.normal(size=(studies, n, 4))
    happened = (noise < stats.norm.ppf(rates)).astype(int)
    truth = rates[0] - rates[1] - rates[2] + rates[3]
    missed = 0
    for first, second in zip(happened[:, :, 0] - happened[:, :, 1], happened[:, :, 2] - happened[:, :, 3], strict=True):
        found = [rate_interval(int((d > 0).sum()), int((d < 0).sum()), n) for d in (first, second)]
        low, high = combined_bounds([lambda alpha, one=one: one for one in found], [1.0, -1.0])(0.05)
        missed += not low - 1e-9 <= truth <= high + 1e-9
    assert missed / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


@pytest.mark.parametrize("shared", [0.0, 0.95])
@pytest.mark.parametrize("rates", [(0.5, 0.1), (0.2, 0.0)])
def test_differences_averaged_over_four_cells_are_covered(rates: tuple[float, float], shared: float) -> None:
    rng, studies, n = np.random.default_rng(3), 400, 10
    common = rng.normal(size=(studies, 2, 1, n))
    noise = math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=(studies, 2, 4, n))
    happened = (noise < stats.norm.ppf(rates)[:, None, None]).astype(int)
    missed = 0
    for cells in happened[:, 0] - happened[:, 1]:
        found = [rate_interval(int((d > 0).sum()), int((d < 0).sum()), n) for d in cells]
        parts = [lambda alpha, one=one: one for one in found]
        low, high = combined_bounds(parts, np.full(4, 1 / 4))(0.05)
        missed += not low - 1e-9 <= rates[0] - rates[1] <= high + 1e-9
    assert missed / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)
