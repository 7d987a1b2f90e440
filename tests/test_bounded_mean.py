"""The betting interval of a bounded mean, and MOVER's of a difference: coverage by simulation, properties, by hand."""

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from harness.inference.bounded_mean import bounded_mean_bounds
from harness.inference.intervals import Interval
from harness.inference.mover import mover_bounds, sample_correlation
from harness.inference.paired_rates import paired_rate_bounds

LAWS = {
    "rarely the worst": ([-1.0, 0.0], [0.05, 0.95]),
    "rarely the best": ([0.0, 1.0], [0.95, 0.05]),
    "mostly the best, rarely the worst": ([-1.0, 1.0], [0.1, 0.9]),
    "thirds": ([-1 / 3, 0.0, 1 / 3, 1.0], [0.05, 0.5, 0.3, 0.15]),
    "either end": ([-1.0, 1.0], [0.5, 0.5]),
    "one value": ([0.25], [1.0]),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [5, 10, 20])
def test_bets_cover_the_mean_of_nasty_laws(law: str, n: int) -> None:
    values, p = LAWS[law]
    draws, truth = np.random.default_rng(n).choice(values, (1500, n), p=p), float(np.dot(values, p))
    counts = {tuple(sorted(draw)) for draw in draws}
    intervals = {one: bounded_mean_bounds(one, -1.0, 1.0)(0.05) for one in counts}
    missed = sum(not low <= truth <= high for low, high in (intervals[tuple(sorted(draw))] for draw in draws))
    assert missed / len(draws) <= 0.05


def test_bets_on_a_coin_by_hand() -> None:
    """Ten times 1 against "m at most": at stake 1 wealth is m^−10, at ½ (½ + ½/m)^10, at ¾ (¼ + ¾/m)^10."""
    low, high = bounded_mean_bounds(np.ones(10), 0.0, 1.0)(0.05)
    wealth = 0.25 * (0.5 + 0.5 / low) ** 10 + 0.25 * (0.25 + 0.75 / low) ** 10 + 0.5 * low**-10
    assert wealth == pytest.approx(40, rel=1e-4) and wealth >= 40
    assert high == 1.0
    assert 2 * low - 1 < paired_rate_bounds(10, 0, 10)(0.05)[0]  # Tango's is narrower where it applies


@settings(max_examples=40, deadline=None)
@given(some.lists(some.floats(-1, 1), min_size=0, max_size=12), some.randoms())
def test_bets_nest_mirror_and_know_no_order(values: list[float], order: object) -> None:
    bounds = bounded_mean_bounds(values, -1.0, 1.0)
    wide, narrow = bounds(0.01), bounds(0.1)
    mean = float(np.mean(values)) if values else 0.0
    assert -1 <= wide[0] <= narrow[0] <= mean + 1e-9 and mean - 1e-9 <= narrow[1] <= wide[1] <= 1
    shuffled = order.sample(values, len(values))  # type: ignore[attr-defined]
    assert bounded_mean_bounds(shuffled, -1.0, 1.0)(0.05) == pytest.approx(bounds(0.05), abs=1e-5)
    mirrored = bounded_mean_bounds([-value for value in values], -1.0, 1.0)(0.05)
    assert mirrored == pytest.approx((-bounds(0.05)[1], -bounds(0.05)[0]), abs=1e-5)


@pytest.mark.parametrize("value", [1.1, -0.1, math.nan])
def test_what_lies_beyond_the_limits_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        bounded_mean_bounds([0.5, value], 0.0, 1.0)


# --- MOVER ---------------------------------------------------------------------------------------------------------


def test_errors_add_as_a_right_angle_or_along_a_line() -> None:
    first, second = (lambda alpha: (0.2, 0.9)), (lambda alpha: (-0.3, 0.5))
    assert mover_bounds(first, second, 0.5, 0.1, 0.0)(0.05) == pytest.approx((0.4 - 0.5, 0.4 + math.hypot(0.4, 0.4)))
    assert mover_bounds(first, second, 0.5, 0.1, -1.0)(0.05) == pytest.approx((0.2 - 0.5, 0.9 + 0.3))
    assert mover_bounds(first, second, 0.5, 0.1, 0.7)(0.05) == mover_bounds(first, second, 0.5, 0.1, 0.0)(0.05)


@lru_cache(maxsize=4096)
def rate_interval(wins: int, losses: int, n: int) -> Interval:
    return paired_rate_bounds(wins, losses, n)(0.05)


SHARED = {"independent": None, "of each arm": [0, 1, 0, 1], "of each group": [0, 0, 1, 1], "crosswise": [0, 1, 1, 0]}


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("rates", [(0.5, 0.5, 0.5, 0.5), (0.2, 0.0, 0.1, 0.0), (0.7, 0.3, 0.3, 0.3)])
@pytest.mark.parametrize("n", [10, pytest.param(20, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.slow)])
def test_interactions_of_paired_rates_are_covered(n: int, rates: tuple[float, ...], shared: str) -> None:
    """Four events a seed happen where a normal number is low; some of them share most of it."""
    rng, studies = np.random.default_rng(n), 1000
    common = 0.0 if SHARED[shared] is None else rng.normal(size=(studies, n, 2))[:, :, SHARED[shared]]
    weight = 0.0 if SHARED[shared] is None else 0.95
    noise = math.sqrt(weight) * common + math.sqrt(1 - weight) * rng.normal(size=(studies, n, 4))
    happened = (noise < stats.norm.ppf(rates)).astype(int)
    truth = rates[0] - rates[1] - rates[2] + rates[3]
    missed = 0
    for first, second in zip(happened[:, :, 0] - happened[:, :, 1], happened[:, :, 2] - happened[:, :, 3], strict=True):
        found = [rate_interval(int((d > 0).sum()), int((d < 0).sum()), n) for d in (first, second)]
        low, high = mover_bounds(
            lambda alpha, found=found: found[0], lambda alpha, found=found: found[1],
            first.mean(), second.mean(), sample_correlation(first, second),
        )(0.05)  # fmt: skip
        missed += not low - 1e-9 <= truth <= high + 1e-9
    assert missed / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)
