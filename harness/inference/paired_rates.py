"""Paired binary outcomes: the interval of the difference of two rates, and the test that there is none."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special  # type: ignore[import-untyped]
from statsmodels.stats.contingency_tables import mcnemar  # type: ignore[import-untyped]

from harness.inference.intervals import Array, Bounds, Interval

EXACT_PAIRS = 40
DIFFERENCES: Array = np.round(np.linspace(-1.0, 1.0, 401), 6)


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


def mcnemar_p(first_only: int, second_only: int) -> float:
    """McNemar's exact two-sided test for paired binary outcomes (McNemar 1947): a sign test on discordant pairs.

    >>> mcnemar_p(5, 0)
    0.0625
    """
    return float(mcnemar([[0, first_only], [second_only, 0]], exact=True).pvalue)
