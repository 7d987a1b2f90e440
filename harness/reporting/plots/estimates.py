"""The estimate that a point of a figure shows: that of the tables."""

import math

import numpy as np
import pandas as pd

from harness.inference.intervals import t_interval
from harness.inference.ranks import subtracted
from harness.inference.rates import wilson
from harness.inference.robust import median, median_interval
from harness.settings.metrics import METRICS, RATE

MEAN, MEDIAN, SHARE = "mean", "median", "share"


def estimate(metric: str, rows: pd.DataFrame) -> dict[str, object]:
    """What the table of cells says of some runs: their mean with its 95 % t interval, of what is 0 or 1 with Wilson's.

    Where runs became non-finite that mean would be infinite; as in the table the median stands in its place, with its
    order-statistic interval. Runs of one seed, where there are several, are first reduced to their median.
    """
    values = per_seed(metric, rows)
    diverged = (rows["status"] == "diverged").to_numpy() & rows[metric].notna().to_numpy()
    counted = {"n": int(rows[metric].count()), "n_diverged": int(diverged.sum())}
    if METRICS[metric].unit == RATE:
        rate = float(rows[metric].mean()) if len(values) else math.nan
        return _found(SHARE, rate, wilson(float(rows[metric].sum()), counted["n"])) | counted
    array = values.to_numpy(float)
    if not np.isfinite(array).all():
        return _found(MEDIAN, median(array), median_interval(array)) | counted
    mean = float(array.mean()) if len(array) else math.nan
    low, high = t_interval(array)
    return _found(MEAN, mean, (low, high) if math.isfinite(low) else (math.nan, math.nan)) | counted


def per_seed(metric: str, rows: pd.DataFrame) -> "pd.Series[float]":
    """The metric by seed, where it is known; of several runs of a seed the median."""
    values = pd.Series(rows[metric].to_numpy(float), index=rows["seed"].to_numpy()).dropna()
    return values if values.index.is_unique else values.groupby(level=0).agg(median)


def _found(statistic: str, value: float, bounds: tuple[float, float]) -> dict[str, object]:
    return {"statistic": statistic, "estimate": value, "low": bounds[0], "high": bounds[1]}


def statistic_in_words(data: pd.DataFrame) -> str:
    """What the points of a figure are, in words that captions and axes use."""
    found = set(data["statistic"])
    if found == {MEDIAN}:
        return "median over seeds"
    return "mean over seeds" + (", hollow: median, since runs became non-finite" if MEDIAN in found else "")


def difference(metric: str, rows: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """The paired difference of two cells, rows − others over the seeds that both have, with its 95 % interval.

    The mean of it with its t interval, which is the difference of both means; where runs became non-finite the median with its
    order-statistic interval. Two infinite values tie.
    """
    first, second = per_seed(metric, rows), per_seed(metric, others)
    both = first.index.intersection(second.index)
    values = subtracted(*(np.asarray(of[both], dtype=np.float64) for of in (first, second)))
    if np.isfinite(values).all() and len(values):
        found = float(values.mean()), *t_interval(values)
    else:
        found = median(values), *median_interval(values)
    return dict(zip(("effect", "effect_low", "effect_high"), found, strict=True)) | {"n_pairs": len(both)}
