"""Intervals of means and rates, and of the median that figures draw: as properties, against SciPy, and under simulated nulls."""

import math
import random
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from harness.inference.description import described
from harness.inference.intervals.interval import t_bounds, t_interval
from harness.inference.intervals.inversion import p_against
from harness.inference.intervals.paired_rates import paired_rate_bounds, paired_rate_score
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median, median_interval

SIMULATIONS = 1000
MC_ERROR = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)

finite = some.floats(-100, 100).map(lambda x: round(x, 3))


@settings(max_examples=10, deadline=None)
@given(some.integers(0, 5), some.integers(0, 5), some.integers(0, 5))
def test_paired_rate_interval_nests_and_mirrors(b: int, c: int, rest: int):
    n = max(b + c + rest, 2)
    bounds, mirror = paired_rate_bounds(b, c, n), paired_rate_bounds(c, b, n)
    wide, narrow = bounds(0.01), bounds(0.1)
    assert -1 <= wide[0] <= narrow[0] <= (b - c) / n + 1e-9
    assert (b - c) / n - 1e-9 <= narrow[1] <= wide[1] <= 1
    assert mirror(0.05) == pytest.approx(tuple(-x for x in reversed(bounds(0.05))))


@settings(max_examples=40, deadline=None)
@given(some.lists(finite, min_size=2, max_size=10), some.randoms())
def test_order_of_seeds_does_not_matter(values: list[float], order: random.Random):
    shuffled = order.sample(values, len(values))
    assert t_interval(values) == pytest.approx(t_interval(shuffled))
    assert median_interval(values) == median_interval(shuffled)


@settings(max_examples=40, deadline=None)
@given(some.lists(finite, min_size=1, max_size=30), some.integers(0, 30))
def test_median_interval_holds_the_median_even_with_infinities(values: list[float], n_infinite: int):
    values = values + [math.inf] * n_infinite
    low, high = median_interval(values)
    assert low <= median(values) <= high


# --- oracles -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 40), some.integers(1, 40), some.sampled_from([0.01, 0.05, 0.2]))
def test_the_exact_interval_of_a_rate_equals_scipy(k: int, n: int, alpha: float):
    k = min(k, n)
    theirs = stats.binomtest(k, n).proportion_ci(1 - alpha, "exact")
    assert clopper_pearson_bounds(k, n)(alpha) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("n", [6, 8, 12, 40])
def test_what_describes_a_rate_covers_it_whatever_it_is(n: int):
    """In 95 % at least, by the probabilities of all outcomes."""
    found = [described("diverged", [1.0] * k + [0.0] * (n - k)) for k in range(n + 1)]
    for rate in np.linspace(0.001, 0.999, 999):
        covered = [k for k, each in enumerate(found) if each.low <= rate <= each.high]
        assert stats.binom.pmf(covered, n, rate).sum() >= 0.95
    assert (found[0].low, found[n].high) == (0.0, 1.0)


@pytest.mark.parametrize("size", [1e300, 1e-250])
def test_a_t_interval_is_as_wide_whatever_the_unit(size: float):
    """Squares of such numbers are no floats: they had no interval, or one without width."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = t_interval([1.0 * size, 2.0 * size, 3.0 * size])
    assert np.array(ends) / size == pytest.approx(t_interval([1.0, 2.0, 3.0]))


def test_t_interval_and_p_value_equal_scipy():
    values = np.random.default_rng(1).normal(0.4, 1, 9)
    theirs = stats.ttest_1samp(values, 0.1)
    assert t_interval(values) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert p_against(t_bounds(values), 0.1) == pytest.approx(theirs.pvalue, rel=1e-6)


@pytest.mark.parametrize(("b", "c", "n"), [(9, 1, 20), (3, 4, 9), (40, 10, 100)])
def test_paired_rate_score_at_zero_is_mcnemar_chi_square(b: int, c: int, n: int):
    assert float(paired_rate_score(b, c, n, 0.0)) ** 2 == pytest.approx((b - c) ** 2 / (b + c))


# --- level and coverage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("kind", ["normal", "heavy", "laplace", "rare"])
def test_at_the_smallest_effect_a_verdict_is_given_at_most_at_the_level(n: int, kind: str):
    rng, delta = np.random.default_rng(n), 0.1
    draws = {
        "normal": lambda: rng.normal(size=(SIMULATIONS, n)),
        "heavy": lambda: rng.standard_t(2, size=(SIMULATIONS, n)),
        "laplace": lambda: rng.laplace(size=(SIMULATIONS, n)),
        "rare": lambda: rng.normal(size=(SIMULATIONS, n)) * np.where(rng.random((SIMULATIONS, n)) < 0.1, 20, 1),
    }[kind]()
    decided = sum(not low <= delta <= high for low, high in map(t_interval, draws + delta))
    assert decided / SIMULATIONS <= 0.05 + MC_ERROR


@pytest.mark.parametrize("n", [6, 10, 25])
def test_median_interval_covers(n: int):
    draws = np.exp(np.random.default_rng(n).standard_cauchy((SIMULATIONS, n)).clip(-300, 300))
    missed = sum(not low <= 1.0 <= high for low, high in map(median_interval, draws))
    assert missed / SIMULATIONS <= 0.05 + MC_ERROR
