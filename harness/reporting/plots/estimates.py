"""The estimate that a point of a figure shows: that of the tables."""

import numpy as np
import pandas as pd

from harness.inference.description import described, interval_of_median, statistic
from harness.inference.intervals.robust import median
from harness.inference.ranks import subtracted


def estimate(metric: str, rows: pd.DataFrame) -> dict[str, object]:
    """What the table of cells says of some runs, see `description.described`.

    Runs of one seed, where there are several, are first reduced to their median; shares are counted over runs.
    """
    rows = rows[rows[metric].notna()]
    values, kind = rows[metric].to_numpy(float), statistic(metric)
    if kind == "median" and rows["seed"].duplicated().any():
        values = np.array([median(group) for _, group in rows.groupby("seed")[metric]])
    found = described(metric, values)
    return {
        "statistic": kind, "estimate": found.estimate, "low": found.low, "high": found.high,
        "n": len(rows), "n_diverged": int((rows["status"] == "diverged").sum()),
    }  # fmt: skip


def statistic_in_words(data: pd.DataFrame) -> str:
    """What the points of a figure are."""
    found = set(data["statistic"])
    return (
        {"median": "median over seeds", "mean": "rate"}[found.pop()]
        if len(found) == 1
        else "median over seeds, of rates and shares the mean"
    )


def difference(metric: str, rows: pd.DataFrame, others: pd.DataFrame) -> dict[str, float]:
    """The paired difference of two cells, rows − others over the seeds that both have: its median with the 95 % interval of that.

    Two infinite values tie.
    """
    first, second = (of[of[metric].notna()].groupby("seed")[metric].agg(median) for of in (rows, others))
    both = first.index.intersection(second.index)
    values = subtracted(*(np.asarray(of[both], dtype=float) for of in (first, second)))
    low, high = interval_of_median(values)
    return {"effect": median(values), "effect_low": low, "effect_high": high, "n_pairs": len(both)}
