"""Paired binary outcomes: the interval of the difference of two rates."""

from functools import lru_cache

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import ArrayLike

from harness.inference.intervals.interval import Array, Bounds

DIFFERENCES: Array = np.round(np.linspace(-1.0, 1.0, 401), 6)
"""Exact tests are made of these; a bound between two of them is moved outwards."""
JUST = 1e-9
FARTHEST = 6.0
"""Standard errors from the estimate down to which p-values are computed; they are about 1e-9 there."""
SHARES, FINER = 32, 9
"""How many nuisance rates are tried over their range, and again about the worst of these."""


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


def signed_bounds(differences: ArrayLike) -> Bounds:
    """Those of `paired_rate_bounds` for one number per pair: above 0 where only the first happened, below where only the second.

    >>> signed_bounds([1, 1, -1, 0])(0.05) == paired_rate_bounds(2, 1, 4)(0.05)
    True
    """
    array = np.asarray(differences, dtype=float)
    return paired_rate_bounds(int((array > 0).sum()), int((array < 0).sum()), len(array))


def paired_rate_bounds(first_only: int, second_only: int, pairs: int) -> Bounds:
    """Intervals for "first rate − second rate" of paired binary outcomes, by inverting Tango's score test.

    The test is exact: its p-value is the largest over all rates with that difference (Tang, Tang & Chan 2003, Stat. Med. 22). The
    asymptotic one exceeds its level wherever few pairs differ: of 200 it found 5.2 % in place of 2.5 % to lie beyond δ = .02 that did not.

    Args:
        first_only: pairs in which only the first happened.
        second_only: pairs in which only the second happened.
        pairs: all pairs; without any the interval is [−1, 1].

    >>> low, high = paired_rate_bounds(10, 0, 10)(0.05)
    >>> round(low, 3), high
    (0.38, 1.0)
    """
    if pairs == 0:
        return lambda alpha: (-1.0, 1.0)
    lower, upper = _exact_p(first_only, second_only, pairs), _exact_p(second_only, first_only, pairs)
    estimate = (first_only - second_only) / pairs
    return lambda alpha: (min(_accepted_from(lower, alpha), estimate), -min(_accepted_from(upper, alpha), -estimate))


@lru_cache(maxsize=8192)
def _exact_p(first_only: int, second_only: int, n: int) -> Array:
    """One-sided exact p-values of "the difference is at most DIFFERENCES", made monotone. (difference,).

    Above the estimate 1 stands for them, far below it the last one computed: none is smaller than its name says.
    """
    farthest = _score_root(first_only, second_only, n, FARTHEST)
    start, end = np.searchsorted(DIFFERENCES, (farthest, (first_only - second_only) / n), side="right")
    start = max(start - 1, 0)
    found = np.ones(len(DIFFERENCES))
    found[start:end] = _largest_p(first_only, second_only, n, DIFFERENCES[start:end])
    found[:start] = found[start]
    return np.maximum.accumulate(np.minimum(found, 1.0))


def _largest_p(first_only: int, second_only: int, n: int, differences: Array) -> Array:
    """P(score ≥ the one seen) under each difference and the rate of "only the second" that makes it largest. (difference,)."""
    extreme = _extreme(first_only, second_only, n, differences)[:, None, :]

    def p(angle: Array) -> Array:
        least, most = np.maximum(0.0, -differences)[:, None], ((1 - differences) / 2)[:, None]
        return _probability(extreme, least + (most - least) * np.sin(angle) ** 2, differences[:, None])

    angles = np.linspace(0.0, np.pi / 2, SHARES)  # evenly spaced in standard errors of the rate
    coarse = p(angles[None, :])
    about = angles[coarse.argmax(axis=1)][:, None] + np.linspace(-1, 1, FINER) * angles[1]
    largest: Array = np.maximum(coarse.max(axis=1), p(np.clip(about, 0.0, np.pi / 2)).max(axis=1))
    return largest


def _extreme(first_only: int, second_only: int, n: int, differences: Array) -> Array:
    """For each b the largest c whose score is no smaller than the one seen, −1 where there is none. (difference, b).

    By bisection: the score falls with c.
    """
    d, b = differences[:, None], np.arange(n + 1)[None, :]
    seen = paired_rate_score(first_only, second_only, n, d) - 1e-9
    low, high = np.full((len(differences), n + 1), -1), np.broadcast_to(n - b, (len(differences), n + 1))
    while (low < high).any():
        middle = (low + high + 1) // 2
        extreme = paired_rate_score(b, middle, n, d) >= seen
        low, high = np.where(extreme, middle, low), np.where(extreme, high, middle - 1)
    return low


def _probability(extreme: Array, second: Array, differences: Array) -> Array:
    """P(c ≤ the extreme one) summed over b, at the rates `second` of "only the second". (difference, rate).

    b is binomial, and c among the other pairs is binomial, too.

    Args:
        extreme: for each b, (difference, 1, b); −1 for none.
        second: (difference, rate).
        differences: (difference, 1).
    """
    n = extreme.shape[-1] - 1
    b, first = np.arange(n + 1), np.clip(second + differences, 0.0, 1.0)[..., None]
    ways = scipy.special.gammaln(n + 1) - scipy.special.gammaln(b + 1) - scipy.special.gammaln(n - b + 1)
    of_b = np.exp(ways + scipy.special.xlogy(b, first) + scipy.special.xlog1py(n - b, -first))
    among_others = np.clip(second[..., None] / np.maximum(1 - first, 1e-300), 0.0, 1.0)
    up_to = scipy.special.bdtr(np.clip(extreme, 0, n - b), n - b, among_others)
    return np.asarray(np.where(extreme < 0, 0.0, of_b * up_to).sum(-1))


def _accepted_from(p: Array, alpha: float) -> float:
    """Just above the last of DIFFERENCES up to which all are rejected at α/2."""
    rejected = int(np.searchsorted(p, alpha / 2, side="right"))
    return float(DIFFERENCES[rejected - 1]) + JUST if rejected else -1.0


def _score_root(first_only: float, second_only: float, n: int, score: float) -> float:
    """The difference at which the score statistic, which falls with the difference, passes `score`."""
    low, high = -1.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if paired_rate_score(first_only, second_only, n, middle) > score else (low, middle)
    return (low + high) / 2
