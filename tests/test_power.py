"""What a number of seeds can find: against SciPy, enumeration and simulated studies."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.inference.intervals.hodges_lehmann import hodges_lehmann_bounds
from harness.inference.intervals.interval import Bounds, t_bounds
from harness.inference.intervals.median import median_bounds
from harness.inference.intervals.paired_rates import paired_rate_bounds
from harness.inference.power import (
    EFFECTS,
    decisive_pairs,
    fewest_seeds,
    rate_difference_found,
    seeds_to_find,
)


def bounds_of(estimand: str, values: np.ndarray) -> Bounds:
    twice = (values, values)
    return {"median": median_bounds, "hodges_lehmann": hodges_lehmann_bounds}[estimand](*twice) if estimand != "mean" else t_bounds(values)  # fmt: skip


@pytest.mark.parametrize("estimand", EFFECTS)
@pytest.mark.parametrize(("n", "alpha"), [(10, 0.05), (10, 0.05 / 3), (20, 0.05 / 3)])
def test_an_effect_of_that_size_is_found_in_four_of_five_studies(estimand: str, n: int, alpha: float) -> None:
    effect = EFFECTS[estimand](n, alpha)
    draws = np.random.default_rng(1).normal(0.3 + effect, 1, (2000, n))
    found = np.mean([bounds_of(estimand, draw)(alpha)[0] > 0.3 for draw in draws])
    assert found == pytest.approx(0.8, abs=0.035)


def test_effects_of_ten_and_twenty_seeds_with_three_claims() -> None:
    assert [round(EFFECTS["median"](n, 0.05 / 3), 1) for n in (10, 20)] == [2.0, 1.0]
    assert [round(EFFECTS["mean"](n, 0.05 / 3), 2) for n in (10, 20)] == [1.22, 0.78]
    assert 0.78 < EFFECTS["hodges_lehmann"](20, 0.05 / 3) < 0.85


@pytest.mark.parametrize("n", [10, 40])
def test_the_effect_of_the_t_test_has_that_power(n: int) -> None:
    effect = EFFECTS["mean"](n, 0.05)
    assert stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, effect * math.sqrt(n)) == pytest.approx(0.8, abs=1e-6)


def test_drawn_and_asymptotic_effects_of_signed_ranks_meet() -> None:
    assert EFFECTS["hodges_lehmann"](51, 0.05) == pytest.approx(EFFECTS["hodges_lehmann"](50, 0.05), rel=0.03)


@pytest.mark.parametrize("estimand", EFFECTS)
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3, 0.05 / 16])
def test_fewer_than_the_fewest_seeds_decide_nothing(estimand: str, alpha: float) -> None:
    n = fewest_seeds(estimand, alpha)
    best = np.linspace(1.0, 1.001, n)
    assert bounds_of(estimand, best)(alpha)[0] > 0.5
    assert not bounds_of(estimand, best[1:])(alpha)[0] > 0.5


def test_seeds_to_find_one_standard_deviation() -> None:
    for estimand, expected in (("median", 17), ("mean", 10)):
        assert seeds_to_find(estimand, 1.0, 0.05) == expected
        assert EFFECTS[estimand](expected, 0.05) <= 1.0 < EFFECTS[estimand](expected - 1, 0.05)
    assert seeds_to_find("median", 1.0, 0.05 / 3) == 20
    assert seeds_to_find("median", 0.01, 0.05) is None


@pytest.mark.parametrize("delta", [0.0, 0.1])
@pytest.mark.parametrize(("n", "alpha"), [(10, 0.05), (20, 0.05 / 3), (5, 0.05)])
def test_decisive_pairs_by_trying_each(n: int, delta: float, alpha: float) -> None:
    decides = [count for count in range(n + 1) if paired_rate_bounds(count, 0, n)(alpha)[0] > delta]
    expected = decides[0] if decides else None
    assert decisive_pairs(n, delta, alpha) == expected
    rate = rate_difference_found(n, delta, alpha)
    if expected is None:
        assert rate is None
    else:
        assert rate is not None and stats.binom.sf(expected - 1, n, rate) == pytest.approx(0.8)
