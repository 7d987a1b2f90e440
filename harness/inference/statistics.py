"""Estimates, intervals and tests: pure functions on NumPy arrays, with their sources.

`harness.inference.verdicts` turns them into verdicts on claims; tables and figures use the intervals.
Arrays called `differences` are (seed,): one paired difference per seed, positive where the treatment is better.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Interval = tuple[float, float]
Bounds = Callable[[float, int], Interval]
"""(α, n) → the 1 − α interval that n seeds like those seen would give."""

EVERYTHING: Interval = (-math.inf, math.inf)
RESAMPLES = 20_000
SMALLEST_P = 1e-12
MOST_SEEDS = 100_000
EXACT_PAIRS = 40
DIFFERENCES: Array = np.round(np.linspace(-1.0, 1.0, 401), 6)


@dataclass(frozen=True)
class Estimated:
    """A number with its interval."""

    value: float
    low: float
    high: float


def t_interval(values: ArrayLike, alpha: float = 0.05) -> Interval:
    """The t interval of a mean; everything where fewer than two values, or a value that is not finite, allow none.

    Args:
        values: (n,).
        alpha: 1 − the confidence level.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    array = np.asarray(values, dtype=float)
    if len(array) < 2 or not np.isfinite(array).all():
        return EVERYTHING
    return t_bounds(array)(alpha, len(array))


def t_bounds(differences: Array) -> Bounds:
    """Intervals (t) of the mean of `differences` (seed,), as a function of α and of the number of seeds."""
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1)) if len(differences) > 1 else math.inf

    def bounds(alpha: float, n: int) -> Interval:
        if n < 2 or not math.isfinite(deviation):
            return EVERYTHING
        half = float(special.stdtrit(n - 1, 1 - alpha / 2)) * deviation / math.sqrt(n)
        return mean - half, mean + half

    return bounds


def constant_bounds(value: float, *, bounded: bool) -> Bounds:
    """Intervals of a mean whose n observations were all equal, where a t interval would have no width.

    With probability 1 − α/2 at most the share u = 1 − (α/2)^(1/n) of further observations differs (Clopper & Pearson
    1934 with no success in n). For a difference of quantities in [0, 1] these lie in [−1, 1], which bounds the mean;
    for anything else there is no interval.
    """

    def bounds(alpha: float, n: int) -> Interval:
        if not bounded:
            return EVERYTHING
        share = 1 - (alpha / 2) ** (1 / n)
        return value - share * (value + 1), value + share * (1 - value)

    return bounds


def wilson(successes: float, n: float, alpha: float = 0.05) -> Interval:
    """Score interval of a rate (Wilson 1927).

    >>> low, high = wilson(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if n <= 0:
        return 0.0, 1.0
    z, rate = float(special.ndtri(1 - alpha / 2)), successes / n
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low, high = (0.0 if successes <= 0 else middle - half), (1.0 if successes >= n else middle + half)
    return low, high  # at no success the bound is 0, which rounding would miss


def paired_rate_score(first_only: ArrayLike, second_only: ArrayLike, n: float, difference: ArrayLike) -> Array:
    """The score statistic of "first rate − second rate = difference" for pairs (Tango 1998, Stat. Med. 17:891–908).

    Args:
        first_only: pairs in which only the first happened; any shape that broadcasts.
        second_only: pairs in which only the second happened.
        n: all pairs.
        difference: the hypothetical difference of the two rates, in [−1, 1].

    >>> round(float(paired_rate_score(9, 1, 20, 0.0)) ** 2, 6)  # at 0 it is McNemar's χ²
    6.4
    """
    b, c, d = (np.asarray(a, dtype=float) for a in (first_only, second_only, difference))
    linear = (2 * n - b + c) * d - b - c
    rate = (np.sqrt(np.maximum(linear * linear + 8 * n * c * d * (1 - d), 0.0)) - linear) / (4 * n)
    variance = n * (2 * rate + d * (1 - d))
    gap = b - c - n * d
    return np.where(np.abs(gap) < 1e-12, 0.0, gap / np.sqrt(np.maximum(variance, 1e-12)))


def paired_rate_bounds(first_only: int, second_only: int, pairs: int) -> Bounds:
    """Intervals for "first rate − second rate" of paired binary outcomes, by inverting Tango's score test.

    Up to 40 pairs the test is exact: its p-value is the largest over all rates with that difference (Tang, Tang & Chan
    2003, Stat. Med. 22), since the asymptotic one exceeds its level at few pairs. Beyond, and for numbers of seeds not
    yet seen, it is the asymptotic one.

    Args:
        first_only: pairs in which only the first happened.
        second_only: pairs in which only the second happened.
        pairs: all pairs.
    """
    if pairs <= EXACT_PAIRS:
        lower, upper = _exact_p(first_only, second_only, pairs), _exact_p(second_only, first_only, pairs)

    def bounds(alpha: float, n: int) -> Interval:
        if n == pairs <= EXACT_PAIRS:
            return _first_accepted(lower, alpha), -_first_accepted(upper, alpha)
        first, second, z = first_only * n / pairs, second_only * n / pairs, float(special.ndtri(1 - alpha / 2))
        return _score_root(first, second, n, z), _score_root(first, second, n, -z)

    return bounds


def _exact_p(first_only: int, second_only: int, n: int) -> Array:
    """One-sided exact p-values of "the difference is at most DIFFERENCES", made monotone. (difference,)."""
    b, c = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    b, c = b[b + c <= n], c[b + c <= n]
    ways = special.gammaln(n + 1) - special.gammaln(b + 1) - special.gammaln(c + 1) - special.gammaln(n - b - c + 1)
    found = []
    for difference in DIFFERENCES:
        extreme = (
            paired_rate_score(b, c, n, difference) >= paired_rate_score(first_only, second_only, n, difference) - 1e-9
        )
        rate = np.linspace(max(0.0, -difference), (1 - difference) / 2, 60)[:, None]  # of "only the second"
        kinds = ((b, rate + difference), (c, rate), (n - b - c, 1 - 2 * rate - difference))
        log_p = ways[extreme] + sum(special.xlogy(count[extreme], np.maximum(p, 0.0)) for count, p in kinds)
        found.append(np.exp(log_p).sum(axis=1).max())
    return np.maximum.accumulate(np.minimum(found, 1.0))


def _first_accepted(p: Array, alpha: float) -> float:
    """The largest hypothetical difference below which all are rejected at α/2."""
    rejected = int(np.searchsorted(p, alpha / 2, side="right"))
    return float(DIFFERENCES[max(rejected - 1, 0)])


def _score_root(first_only: float, second_only: float, n: int, score: float) -> float:
    """The difference at which the score statistic, which falls with the difference, passes `score`."""
    low, high = -1.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if paired_rate_score(first_only, second_only, n, middle) > score else (low, middle)
    return (low + high) / 2


def p_against(bounds: Bounds, null: float, n: int) -> float:
    """Two-sided p-value of "the mean is `null`": the largest α whose interval still holds it.

    >>> round(p_against(t_bounds(np.array([1.0, 2.0, 3.0])), 0.0, 3), 4)
    0.0742
    """

    def holds(alpha: float) -> bool:
        low, high = bounds(alpha, n)
        return low <= null <= high

    small, large = math.log(SMALLEST_P), 0.0
    if holds(1.0):
        return 1.0
    if not holds(SMALLEST_P):
        return SMALLEST_P
    for _ in range(50):
        middle = (small + large) / 2
        small, large = (middle, large) if holds(math.exp(middle)) else (small, middle)
    return math.exp(large)


def further_seeds(bounds: Bounds, null: float, n: int, alpha: float) -> int | None:
    """How many seeds more, if they are like those seen, bring the interval clear of `null`; None where ≥ 100,000."""

    def clear(seeds: int) -> bool:
        low, high = bounds(alpha, seeds)
        return not low <= null <= high

    if clear(n):
        return 0
    few, many = n, 2 * n
    while not clear(many):
        few, many = many, 2 * many
        if many > MOST_SEEDS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if clear(middle) else (middle, many)
    return many - n


def holm_alphas(p_values: ArrayLike, alpha: float = 0.05) -> Array:
    """The level at which each hypothesis's own interval is drawn, so that interval and Holm's test agree (Holm 1979).

    By rising p-value, hypothesis k of m (k = 0, 1, …) is drawn at α/(m − k). The first one with p ≥ its level stops
    the procedure: it and all after it are drawn at that same level, where none of their intervals excludes its null.
    So a verdict can be read from the interval alone.

    Args:
        p_values: (m,).
        alpha: of the whole family.

    Returns:
        (m,) levels.

    >>> holm_alphas([0.04, 0.001, 0.2], alpha=0.06)
    array([0.03, 0.02, 0.03])
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    levels = alpha / (len(p) - np.arange(len(p)))
    open_ = p[order] >= levels
    if open_.any():
        levels[open_.argmax() :] = levels[open_.argmax()]
    out = np.empty_like(levels)
    out[order] = levels
    return out


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
        (array,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=np.random.default_rng(0)
    )
    return float(result.pvalue)


def mcnemar_p(first_only: int, second_only: int) -> float:
    """McNemar's exact two-sided test for paired binary outcomes (McNemar 1947): a sign test on discordant pairs.

    >>> mcnemar_p(5, 0)
    0.0625
    """
    discordant = first_only + second_only
    return float(stats.binomtest(first_only, discordant).pvalue) if discordant else 1.0


def median_interval(values: ArrayLike, alpha: float = 0.05) -> Interval:
    """Order-statistic interval of a median, of any distribution; values may be infinite.

    Below six values no such interval reaches 95 %; the range is returned.

    Args:
        values: (n,), none of them NaN.
        alpha: 1 − the smallest coverage.

    >>> median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, np.inf])
    (2.0, 9.0)
    """
    array = np.sort(np.asarray(values, dtype=float))
    n = len(array)
    if n == 0:
        return EVERYTHING
    drop = int(stats.binom.ppf(alpha / 2, n, 0.5))  # P(X ≤ drop − 1) < α/2 ≤ P(X ≤ drop)
    drop = max(drop - 1, 0)
    return float(array[drop]), float(array[n - 1 - drop])


def median(values: ArrayLike) -> float:
    """Median of finite and infinite values; NaN of none.

    >>> median([1.0, np.inf, np.inf]), median([1.0, 2.0])
    (inf, 1.5)
    """
    array = np.sort(np.asarray(values, dtype=float))
    if len(array) == 0:
        return math.nan
    low, high = float(array[(len(array) - 1) // 2]), float(array[len(array) // 2])
    return low if low == high else (low + high) / 2


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half (Agarwal et al. 2021, arXiv:2108.13264).

    >>> interquartile_mean([0, 1, 2, 100])
    1.5
    """
    return float(stats.trim_mean(np.asarray(values, dtype=float), 0.25))


def probability_of_improvement(differences: ArrayLike) -> float:
    """Share of seeds in which the treatment is better, ties half: Agarwal et al. 2021, for pairs.

    >>> probability_of_improvement([1.0, 0.0, -1.0, 2.0])
    0.625
    """
    array = np.asarray(differences, dtype=float)
    return float(((array > 0) + 0.5 * (array == 0)).mean())


def bootstrap(statistic: Callable[[Array], float], differences: ArrayLike, alpha: float = 0.05) -> Estimated:
    """A statistic with its percentile bootstrap interval over seeds, 2,000 resamples of a fixed generator."""
    array = np.asarray(differences, dtype=float)
    picks = np.random.default_rng(0).integers(len(array), size=(2000, len(array)))
    draws = [statistic(array[pick]) for pick in picks]
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return Estimated(statistic(array), float(low), float(high))
