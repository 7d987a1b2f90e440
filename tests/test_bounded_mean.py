"""The betting interval of a bounded mean: coverage by simulation, properties, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from harness.inference.intervals.bounded_mean import bounded_mean_bounds
from harness.inference.intervals.paired_rates import paired_rate_bounds

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


def test_limits_of_any_place_and_width_give_the_interval_of_0_to_1_moved_and_stretched() -> None:
    values = np.array([0.0, 0.2, 0.25, 0.6, 0.7, 1.0, 1.0, 0.9])
    low, high = bounded_mean_bounds(values, 0.0, 1.0)(0.05)
    assert 0 < low < values.mean() < high < 1
    for least, most in ((-1.0, 1.0), (2.0, 5.0), (-7.0, -3.0)):
        width = most - least
        found = bounded_mean_bounds(least + width * values, least, most)(0.05)
        assert found == pytest.approx((least + width * low, least + width * high), rel=1e-9)


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
