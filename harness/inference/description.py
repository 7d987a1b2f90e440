"""What describes some runs' values of a metric, in tables, figures and MLflow alike. Claims have estimands of their own, of differences."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.intervals.median import sign_rank
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median, median_interval
from harness.settings.metrics import METRICS

Statistic = Literal["mean", "median"]

NO_INTERVAL = (math.nan, math.nan)


def is_median_of_shares(metric: str) -> bool:
    """Whether a metric is a share and its statistic none the less the median, since it is not 0 in many runs.

    >>> is_median_of_shares("churn"), is_median_of_shares("spike_rate"), is_median_of_shares("test_loss")
    (True, False, False)
    """
    return METRICS[metric].unit.startswith("share") and statistic(metric) == "median"


def of_means(metrics: Iterable[str]) -> str:
    """Of which of some metrics the statistic is the mean, in words.

    >>> of_means(["test_loss", "spike_rate"]), of_means(["churn", "spike_rate"])
    ('of rates and shares', 'of rates and of shares of steps or units')
    """
    return (
        "of rates and of shares of steps or units" if any(map(is_median_of_shares, metrics)) else "of rates and shares"
    )


class Described(NamedTuple):
    """The statistic of some values with its 95 % interval, NaN where there is none."""

    estimate: float
    low: float
    high: float


def statistic(metric: str) -> Statistic:
    """What describes a metric: the mean of what is 0 or 1, and of shares that are mostly 0, else the median.

    A few runs that diverged or trained halfway decide a mean, and may make it infinite.

    >>> statistic("test_loss"), statistic("test_error"), statistic("diverged"), statistic("spike_rate")
    ('median', 'median', 'mean', 'mean')
    """
    return "mean" if METRICS[metric].kind in ("rate", "share") else "median"


def described(metric: str, values: ArrayLike) -> Described:
    """The statistic of some values with its interval.

    A rate's is exact (Clopper & Pearson), and so is a median's: that of the order statistics (the sign test inverted), from six values
    on, as no fewer reach 95 %. The mean of shares that are mostly 0 has no valid one.

    Args:
        metric: that they are of.
        values: (n,), infinite where a run became non-finite; none of them NaN.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        return Described(math.nan, *NO_INTERVAL)
    if METRICS[metric].kind == "rate":
        return Described(float(array.mean()), *clopper_pearson_bounds(round(array.sum()), len(array))(0.05))
    if statistic(metric) == "mean":
        return Described(float(array.mean()), *NO_INTERVAL)
    return Described(median(array), *interval_of_median(array))


def interval_of_median(values: ArrayLike) -> tuple[float, float]:
    """That of `described`."""
    array = np.asarray(values, dtype=float)
    return median_interval(array) if sign_rank(len(array), 0.05) else NO_INTERVAL
