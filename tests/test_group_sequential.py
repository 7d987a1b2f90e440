"""Planned looks: what is spent, against SciPy's multivariate normal distribution and simulated paths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from harness.inference.intervals.group_sequential import nominal_levels


def crossed(looks: tuple[int, ...], levels: list[float]) -> float:
    """The probability that a normal statistic with independent increments crosses at any of the looks."""
    n = np.array(looks, dtype=float)
    correlation = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    z = stats.norm.isf(np.array(levels) / 2)
    law = stats.multivariate_normal(np.zeros(len(n)), correlation, abseps=1e-7, releps=1e-7, maxpts=200_000, seed=0)
    return 1 - float(law.cdf(z, lower_limit=-z))


@pytest.mark.parametrize("gamma", [0.05, 0.05 / 3, 0.2, 0.9])
@pytest.mark.parametrize("looks", [(10, 20, 40), (5, 6, 7), (100, 101), (1, 1000), (10, 12, 30)])
def test_what_is_spent_up_to_each_look_is_gamma_t_squared(looks: tuple[int, ...], gamma: float) -> None:
    levels = nominal_levels(looks, gamma)
    for k in range(1, len(looks)):
        assert crossed(looks[: k + 1], levels[: k + 1]) == pytest.approx(gamma * (looks[k] / looks[-1]) ** 2, rel=2e-3)
    assert levels[0] == pytest.approx(gamma * (looks[0] / looks[-1]) ** 2)


def test_a_million_paths_cross_as_often_as_is_spent() -> None:
    rng, looks = np.random.default_rng(0), (10, 20, 40)
    sums = np.cumsum(rng.normal(size=(3, 1_000_000)) * np.sqrt(np.diff([0, *looks]))[:, None], axis=0)
    z = stats.norm.isf(np.array(nominal_levels(looks, 0.05)) / 2)
    beyond = np.abs(sums) > (z * np.sqrt(looks))[:, None]
    spent = [beyond[: k + 1].any(axis=0).mean() for k in range(3)]
    assert spent == pytest.approx([0.003125, 0.0125, 0.05], abs=4 * math.sqrt(0.05 / 1e6))


@settings(max_examples=30, deadline=None)
@given(some.lists(some.integers(1, 60), min_size=1, max_size=5, unique=True).map(sorted), some.floats(1e-4, 0.4))
def test_levels_rise_with_what_may_be_spent_and_none_exceeds_it(looks: list[int], gamma: float) -> None:
    levels, more = nominal_levels(looks, gamma), nominal_levels(looks, 1.1 * gamma)
    assert all(0 < one < other for one, other in zip(levels, more, strict=True))
    assert max(levels) <= gamma * (1 + 1e-9)


def test_one_look_spends_all() -> None:
    assert nominal_levels([17], 0.03) == pytest.approx([0.03])


def test_many_looks_at_little() -> None:
    """Bonferroni's bound from below, what is spent at each look from above."""
    looks = tuple(range(5, 105, 5))
    levels = nominal_levels(looks, 1e-4)
    step = np.diff([0, *(1e-4 * (n / 100) ** 2 for n in looks)])
    assert (np.array(levels) >= step * (1 - 1e-6)).all() and max(levels) < 1e-4


@pytest.mark.parametrize(("looks", "gamma"), [((), 0.05), ((10, 10), 0.05), ((20, 10), 0.05), ((0, 5), 0.05), ((5,), 0.0), ((5,), 1.0)])  # fmt: skip
def test_looks_that_do_not_rise_are_refused(looks: tuple[int, ...], gamma: float) -> None:
    with pytest.raises(ValueError, match="got"):
        nominal_levels(looks, gamma)
