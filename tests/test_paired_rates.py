"""Intervals of rates and of differences of paired rates: against SciPy, and their levels by enumeration of every outcome."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from harness.inference.intervals.inversion import p_against
from harness.inference.intervals.paired_rates import paired_rate_bounds, paired_rate_score
from harness.inference.intervals.rates import clopper_pearson_bounds


def outcomes(n: int) -> np.ndarray:
    """Every number of pairs in which only the first, only the second, or neither alone happened. (outcome, 3)."""
    return np.array([(b, c, n - b - c) for b in range(n + 1) for c in range(n + 1 - b)])


def probabilities(counts: np.ndarray, difference: float, second: float) -> np.ndarray:
    """Of each outcome, where only the second happens at the rate `second`. (outcome,)."""
    rates = np.clip([second + difference, second, 1 - 2 * second - difference], 0, 1)
    return stats.multinomial.pmf(counts, counts[0].sum(), rates / rates.sum())


@pytest.mark.parametrize(
    "n", [1, 5, 10, pytest.param(20, marks=pytest.mark.slow), pytest.param(41, marks=pytest.mark.slow)]
)
def test_intervals_of_paired_rates_keep_their_level_at_every_rate(n: int) -> None:
    """Whatever the true rates, each bound misses with probability ≤ α/2, but for .1 % of it that the search may overlook."""
    counts = outcomes(n)
    bounds = [paired_rate_bounds(int(b), int(c), n) for b, c, _ in counts]
    for alpha in (0.05, 0.05 / 3, 0.3):
        low, high = np.array([one(alpha) for one in bounds]).T
        assert (low <= (counts[:, 0] - counts[:, 1]) / n).all() and (high >= (counts[:, 0] - counts[:, 1]) / n).all()
        for difference in (0.0, 0.013, 0.05, 0.1, 0.1234, 0.2, 0.37, 0.5, 0.777, 0.95):
            for second in np.linspace(0.0, (1 - difference) / 2, 33):
                p = probabilities(counts, difference, second)
                assert p[low > difference].sum() <= alpha / 2 * 1.001
                assert p[high < difference].sum() <= alpha / 2 * 1.001


@pytest.mark.parametrize(
    ("b", "c", "n", "null"),
    [(5, 0, 10, 0.1), (5, 2, 7, -0.2), (12, 3, 20, 0.1), (30, 12, 100, 0.05), (9, 1, 200, 0.02)],
)
def test_the_p_value_is_that_of_the_worst_rate(b: int, c: int, n: int, null: float) -> None:
    """Of the null, or of a smaller difference; Tango's score orders the outcomes."""
    counts, worst = outcomes(n), 0.0
    for difference in null - 0.005 * np.arange(6):
        seen = paired_rate_score(b, c, n, difference)
        extreme = counts[paired_rate_score(counts[:, 0], counts[:, 1], n, difference) >= seen - 1e-9]
        rates = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200)
        worst = max(worst, *(probabilities(extreme, difference, rate).sum() for rate in rates))
    assert p_against(paired_rate_bounds(b, c, n), null) == pytest.approx(2 * worst, rel=2e-3)


@pytest.mark.parametrize(
    ("b", "c", "n", "d"),
    [(5, 2, 10, 0.1), (2, 5, 9, 0.3), (7, 1, 20, -0.4), (3, 3, 8, 0.5), (1, 0, 1, 0.2), (4, 1, 10, 0.3)],
)
def test_the_score_is_the_gap_in_standard_errors_at_the_likeliest_rates(b: int, c: int, n: int, d: float) -> None:
    """Tango 1998: of all rates with the difference d those that maximise the likelihood, found by search."""
    least, most = max(0.0, -d), (1 - d) / 2

    def surprise(rate: float) -> float:
        rates = np.array([rate + d, rate, 1 - 2 * rate - d])
        return -float(special.xlogy([b, c, n - b - c], np.maximum(rates, 1e-300)).sum())

    rate = optimize.minimize_scalar(surprise, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    expected = (b - c - n * d) / math.sqrt(n * (2 * rate + d * (1 - d)))
    assert float(paired_rate_score(b, c, n, d)) == pytest.approx(expected, rel=1e-5, abs=1e-12)
    assert float(paired_rate_score(b, c, n, (b - c) / n)) == 0


def test_decisions_at_few_pairs_by_hand() -> None:
    """All of n pairs favour the first, which at a difference d has probability ((1 + d)/2)^n at most."""
    for n in (6, 10, 20):
        low, high = paired_rate_bounds(n, 0, n)(0.05)
        exact = 2 * 0.025 ** (1 / n) - 1
        assert exact - 0.005 <= low <= exact
        assert high == 1.0


@pytest.mark.slow
def test_of_many_pairs_too_few_that_differ_decide_no_more_often_than_promised() -> None:
    """At the boundary the score's asymptotic interval supports 5 % of 200 pairs falsely, where 2.5 % are allowed."""
    n, first, second, alpha = 200, 0.023, 0.003, 0.05
    b, c = np.mgrid[:20, :6].reshape(2, -1)  # all others together: 4e-5
    p = probabilities(np.stack([b, c, n - b - c], 1), first - second, second)
    low = np.array([paired_rate_bounds(int(one), int(other), n)(alpha)[0] for one, other in zip(b, c, strict=True)])
    assert p.sum() > 1 - 1e-4 and 0 < p[low > first - second].sum() <= alpha / 2
    z = stats.norm.ppf(1 - alpha / 2)
    by_score = paired_rate_score(b, c, n, first - second) > z
    assert p[by_score].sum() > alpha / 2, "where the normal distribution would decide"


@pytest.mark.parametrize(("b", "c"), [(10, 40), (3, 3), (0, 0), (60, 1)])
def test_nothing_jumps_at_a_hundred_pairs(b: int, c: int) -> None:
    one, more = (np.array(paired_rate_bounds(b, c, n)(0.05)) for n in (100, 101))
    assert np.abs(one - more).max() < 0.012, "the values between which bounds lie are 0.005 apart"


def test_a_thousand_pairs_have_about_the_interval_of_the_normal_distribution() -> None:
    low, high = paired_rate_bounds(350, 150, 1000)(0.05)
    inside = paired_rate_score(350, 150, 1000, np.array([low, high]))
    assert low < 0.2 < high and np.abs(inside) == pytest.approx(stats.norm.ppf(0.975), abs=0.25)


def test_no_pairs_say_nothing() -> None:
    assert paired_rate_bounds(0, 0, 0)(0.05) == (-1.0, 1.0)


@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.001])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 10), (3, 10), (10, 10), (17, 55)])
def test_clopper_pearson_equals_scipy(k: int, n: int, alpha: float) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(1 - alpha, "exact")
    assert clopper_pearson_bounds(k, n)(alpha) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_clopper_pearson_without_data_and_of_nothing() -> None:
    assert clopper_pearson_bounds(0, 0)(0.05) == (0.0, 1.0)
    assert clopper_pearson_bounds(0, 10)(0.05)[1] == pytest.approx(1 - 0.025**0.1)
    assert math.isclose(clopper_pearson_bounds(0, 10)(0.05)[1], 0.3085, abs_tol=1e-4)
