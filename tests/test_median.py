"""The interval of a median and the Hodges–Lehmann interval: by brute force, as properties, and their coverage by simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from harness.inference.intervals.hodges_lehmann import hodges_lehmann, hodges_lehmann_bounds
from harness.inference.intervals.inversion import p_against
from harness.inference.intervals.median import decisive_count, median_bounds, sign_rank

INF = math.inf
numbers = some.floats(-100, 100).map(lambda x: round(x, 1)) | some.sampled_from([INF, -INF])
ALPHAS = (0.2, 0.05, 0.05 / 3, 0.0031)


def sign_test(values: np.ndarray, null: float) -> float:
    """Two-sided, exact; values equal to `null` are given to whichever side rejects least, which a closed interval does."""
    above, below, n = int((values > null).sum()), int((values < null).sum()), len(values)
    return min(1.0, 2 * stats.binom.sf(max(above, below) - 1, n, 0.5))


def signed_rank_test(values: np.ndarray, null: float) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over all 2^n signs; no ties."""
    ranks = stats.rankdata(np.abs(values - null))
    signs = np.array(list(itertools.product([0, 1], repeat=len(values))))
    null_law, seen = signs @ ranks, ranks[values > null].sum()
    return min(1.0, 2 * min((null_law >= seen).mean(), (null_law <= seen).mean()))


@settings(max_examples=60, deadline=None)
@given(some.lists(numbers, min_size=1, max_size=25), some.sampled_from(ALPHAS))
def test_the_interval_of_the_median_holds_what_the_sign_test_does_not_reject(values: list[float], alpha: float) -> None:
    array = np.array(values)
    low, high = median_bounds(array, array)(alpha)
    for null in [*values, *(value + 0.05 for value in values), *(value - 0.05 for value in values)]:
        assert (low <= null <= high) == (sign_test(array, null) > alpha) or math.isinf(null)


@pytest.mark.parametrize("n", [1, 4, 5, 6, 9])
def test_the_hodges_lehmann_interval_holds_what_the_signed_rank_test_does_not_reject(n: int) -> None:
    values = np.random.default_rng(n).normal(1, 2, n)
    i, j = np.triu_indices(n)
    walsh = np.sort((values[i] + values[j]) / 2)
    between = np.concatenate([[walsh[0] - 1], (walsh[1:] + walsh[:-1]) / 2, [walsh[-1] + 1]])
    for alpha in ALPHAS:
        low, high = hodges_lehmann_bounds(values, values)(alpha)
        for null in between:
            assert (low <= null <= high) == (signed_rank_test(values, null) > alpha)
    assert hodges_lehmann(values) == pytest.approx(np.median(walsh))


@pytest.mark.parametrize("n", [5, 12, 30])
def test_both_p_values_equal_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, n)
    assert p_against(median_bounds(values, values), 0.1) == pytest.approx(
        stats.binomtest(int((values > 0.1).sum()), n).pvalue
    )
    theirs = stats.wilcoxon(values - 0.1, method="exact").pvalue
    assert p_against(hodges_lehmann_bounds(values, values), 0.1) == pytest.approx(theirs)


@settings(max_examples=60, deadline=None)
@given(some.lists(numbers, min_size=1, max_size=15), some.data())
def test_nothing_that_rises_lowers_an_interval(values: list[float], data: some.DataObject) -> None:
    low = np.array(values)
    high = np.maximum(low, data.draw(some.lists(numbers, min_size=len(low), max_size=len(low))))
    for bounds in (median_bounds, hodges_lehmann_bounds):
        for alpha in ALPHAS:
            both = bounds(low, high)(alpha)
            assert bounds(low, low)(alpha)[0] == both[0] <= both[1] == bounds(high, high)(alpha)[1]
            assert bounds(low, low)(alpha)[1] <= both[1]
            assert bounds(high, high)(alpha)[0] >= both[0]
            mirrored = bounds(-high, -low)(alpha)
            assert mirrored == (-both[1], -both[0])


def test_infinite_and_unknown_seeds_by_hand() -> None:
    """Of eight, k = 1 at 5 % for the median (P(B ≤ 0) = 1/256), and k = 4 for Hodges–Lehmann (P(W ≤ 3) = 5/256)."""
    known = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, INF])
    assert median_bounds(known, known)(0.05) == (1.0, INF)
    assert median_bounds(known, known)(0.5) == (3.0, 6.0)  # P(B ≤ 2) = 37/256
    assert hodges_lehmann_bounds(known, known)(0.05) == (2.0, INF)  # 1, 1.5, 2 and 2 are the smallest averages
    unknown = np.where(np.isinf(known), -INF, known)
    assert median_bounds(unknown, known)(0.5) == (2.0, 6.0)
    assert hodges_lehmann_bounds(unknown, known)(0.05) == (-INF, INF)
    assert hodges_lehmann([-INF, 1.0, 2.0]) == -INF
    assert math.isnan(hodges_lehmann([]))


@pytest.mark.parametrize("n", range(13))
def test_the_rank_of_the_sign_test_is_that_of_the_binomial_tail_at_every_level_up_to_1(n: int) -> None:
    for alpha in (0.001, 0.05, 0.2, 0.5, 0.9, 1.0):
        tails = [sum(math.comb(n, i) for i in range(k)) / 2**n for k in range(1, n + 2)]  # P(B ≤ k − 1), exact
        assert sign_rank(n, alpha) == sum(tail <= alpha / 2 for tail in tails)


def test_too_few_seeds_have_no_interval() -> None:
    for bounds in (median_bounds, hodges_lehmann_bounds):
        assert bounds([], [])(0.05) == (-INF, INF)
        assert bounds(np.ones(5), np.ones(5))(0.05) == (-INF, INF)
        assert bounds(np.ones(6), np.ones(6))(0.05) == (1.0, 1.0)
        assert bounds(np.ones(5), np.ones(5))(0.0625) == (1.0, 1.0)  # twice 1/32, exactly


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("n", [1, 5, 10, 20, 41])
def test_the_decisive_count_is_the_least_that_decides(n: int, alpha: float) -> None:
    decides = [m for m in range(n + 1) if median_bounds(*[np.arange(n) < m] * 2)(alpha)[0] > 0.5]
    assert decisive_count(n, alpha) == (decides[0] if decides else None)


LAWS = {
    "lognormal": lambda rng, n: np.exp(rng.normal(0, 2, n)) - 1,
    "blow-ups": lambda rng, n: np.where(rng.random(n) < 0.1, -40.0, rng.normal(0, 1, n)) - stats.norm.ppf(4 / 9),
    "diverging": lambda rng, n: np.where(rng.random(n) < 0.2, INF, rng.normal(0, 1, n)) - stats.norm.ppf(5 / 8),
    "ties": lambda rng, n: np.round(rng.normal(0, 1, n)),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", [6, 10, 20])
def test_the_interval_of_the_median_covers_whatever_the_law(law: str, n: int) -> None:
    """The true median is 0 in all of them."""
    rng = np.random.default_rng(n)
    draws = [LAWS[law](rng, n) for _ in range(2000)]
    missed = sum(not low <= 0 <= high for low, high in (median_bounds(draw, draw)(0.05) for draw in draws))
    assert missed / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("law", ["normal", "laplace", "cauchy", "blow-ups either way"])
def test_the_hodges_lehmann_interval_covers_the_centre_of_symmetric_laws(law: str) -> None:
    rng = np.random.default_rng(8)
    draws = {
        "normal": rng.normal(size=(2000, 10)),
        "laplace": rng.laplace(size=(2000, 10)),
        "cauchy": rng.standard_cauchy((2000, 10)),
        "blow-ups either way": rng.normal(size=(2000, 10)) * np.where(rng.random((2000, 10)) < 0.1, INF, 1.0),
    }[law]
    missed = sum(not low <= 0 <= high for low, high in (hodges_lehmann_bounds(draw, draw)(0.05) for draw in draws))
    assert missed / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
