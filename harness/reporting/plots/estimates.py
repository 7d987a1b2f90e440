"""The estimate that a point of a figure shows: that of the tables."""

import numpy as np
import pandas as pd

from harness.inference.description import NO_INTERVAL, described, interval_of_median, of_means, statistic
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median
from harness.inference.ranks import subtracted

ONCE = "a seed counts once, with the median of its runs, of rates and shares with their mean, and a rate of such seeds has no interval"
"""How `estimate` reduces the runs of several combinations, for captions."""


def estimate(metric: str, rows: pd.DataFrame) -> dict[str, object]:
    """What the table of cells says of some runs, see `description.described`; of `n` seeds.

    Where a seed has several runs they are first reduced to one number, see `of_seeds`. A rate has no interval then: these numbers are
    not 0 or 1, and the runs of a seed are not independent.
    """
    rows = rows[rows[metric].notna()]
    values, kind = of_seeds(metric, rows).to_numpy(float), statistic(metric)
    found = described(metric, values)
    low, high = NO_INTERVAL if kind == "mean" and len(values) < len(rows) else (found.low, found.high)
    return {
        "statistic": kind, "estimate": found.estimate, "low": low, "high": high,
        "n": len(values), "n_diverged": int((rows["status"] == "diverged").sum()),
    }  # fmt: skip


def of_seeds(metric: str, rows: pd.DataFrame) -> "pd.Series[float]":
    """By seed the metric of its runs that have it: the one there is, of several their median, of rates and shares their mean."""
    there = rows.loc[rows[metric].notna(), ["seed", metric]].set_index("seed")[metric]
    if there.index.is_unique:
        return there
    return there.groupby(level="seed").agg("mean" if statistic(metric) == "mean" else median)


def share(count: int, runs: pd.DataFrame) -> dict[str, float]:
    """The share of some runs that `count` of them are, with its exact 95 % interval; none where a seed has several: they are not independent."""
    low, high = NO_INTERVAL if runs["seed"].duplicated().any() else clopper_pearson_bounds(count, len(runs))(0.05)
    return {"n": len(runs), "share": count / len(runs), "low": low, "high": high}


def statistic_in_words(data: pd.DataFrame) -> str:
    """What the points of a figure are."""
    found = set(data["statistic"])
    return (
        {"median": "median over seeds", "mean": "rate"}[found.pop()]
        if len(found) == 1
        else f"median over seeds, {of_means(data['metric'].unique())} the mean"
    )


def difference(metric: str, rows: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """The paired difference of two cells, rows − others over the seeds that both have: its median with the 95 % interval of that.

    Two infinite values tie.
    """
    first, second = (of_seeds(metric, of) for of in (rows, others))
    both = first.index.intersection(second.index)
    values = subtracted(*(np.asarray(of[both], dtype=float) for of in (first, second)))
    low, high = interval_of_median(values)
    return {"effect": median(values), "effect_low": low, "effect_high": high, "n_pairs": len(both)}
