"""Planned looks at growing data: the level of each, so that all of them together keep one."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy  # type: ignore[import-untyped]

from harness.inference.intervals.interval import Array

NODES_PER_DEVIATION, MOST_NODES = 6, 1000
FARTHEST = 9.0
"""Standard errors: beyond lie probabilities of 1e-19."""


def nominal_levels(looks: Sequence[int], gamma: float) -> list[float]:
    """The two-sided level of the test at each look, such that a true null hypothesis is rejected at any with probability `gamma`.

    Up to n of the last look's N seeds γ·(n/N)² is spent (Kim & DeMets 1987, Biometrika 74:149–154; spending: Lan & DeMets
    1983). It holds for a statistic with independent, nearly normal increments, such as a mean, and two-sided symmetric bounds.
    The probability to have gone on so far is integrated from look to look (Armitage, McPherson & Rowe 1969, JRSS-A 132:235–244).

    Args:
        looks: numbers of seeds, rising.
        gamma: spent in all, in (0, 1).

    Returns:
        A level per look. One look spends all.

    Raises:
        ValueError: looks that do not rise from 1 or more, or another `gamma`.

    >>> [round(level, 4) for level in nominal_levels((10, 20, 40), 0.05)]
    [0.0031, 0.0105, 0.0432]
    """
    looks = tuple(looks)
    if not looks or any(b <= a for a, b in pairwise((0, *looks))):
        raise ValueError(f"looks must rise from 1 or more (got {looks})")
    if not 0 < gamma < 1:
        raise ValueError(f"gamma must lie between 0 and 1 (got {gamma})")
    return list(_nominal_levels(looks, gamma))


@lru_cache(maxsize=4096)
def _nominal_levels(looks: tuple[int, ...], gamma: float) -> tuple[float, ...]:
    last, found = looks[-1], [gamma * (looks[0] / looks[-1]) ** 2]
    points, density = _between(looks[0], found[0], np.zeros(1), np.ones(1), math.sqrt(looks[0]))
    for before, n in pairwise(looks):
        spent, step = gamma * (before / last) ** 2, math.sqrt(n - before)
        level = _level(n, gamma * (n / last) ** 2 - spent, points, density, step)
        found.append(level)
        points, density = _between(n, level, points, density, step)
    return tuple(found)


def _level(n: int, probability: float, points: Array, density: Array, step: float) -> float:
    """The two-sided level at look `n` that is crossed with `probability` by what went on so far."""

    def surplus(z: float) -> float:
        crossed = scipy.special.ndtr((points - z * math.sqrt(n)) / step) + scipy.special.ndtr(
            (-z * math.sqrt(n) - points) / step
        )
        return float(math.log(max(density @ crossed, 1e-300) / probability))

    return float(2 * scipy.special.ndtr(-scipy.optimize.brentq(surplus, 0.0, FARTHEST, xtol=1e-10)))


def _between(n: int, level: float, points: Array, density: Array, step: float) -> tuple[Array, Array]:
    """Where the sum of n normal increments lies if it crosses neither bound: points, and the weight of each in an integral."""
    bound = -float(scipy.special.ndtri(level / 2)) * math.sqrt(n)
    nodes, weights = _legendre(min(32 + math.ceil(NODES_PER_DEVIATION * bound / step), MOST_NODES))
    nodes, weights = nodes * bound, weights * bound
    kernel = np.exp(-(((nodes[:, None] - points[None, :]) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
    return nodes, weights * (kernel @ density)


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(count)
