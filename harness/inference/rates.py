"""The interval of a rate: of runs that diverged, of runs that solved their task."""

from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from harness.inference.intervals import Interval


def wilson(successes: float, n: float, alpha: float = 0.05) -> Interval:
    """Score interval of a rate (Wilson 1927).

    >>> low, high = wilson(0, 10)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.278)
    """
    if n <= 0:
        return 0.0, 1.0
    low, high = proportion_confint(successes, n, alpha, method="wilson")
    return (0.0 if successes <= 0 else float(low)), (1.0 if successes >= n else float(high))  # which rounding may miss
