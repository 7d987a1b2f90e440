"""The estimate that a point or a cell of a figure shows."""

import math

import pandas as pd

from harness.inference.rates import wilson
from harness.inference.robust import median, median_interval
from harness.settings.metrics import METRICS, RATE


def estimate(metric: str, rows: pd.DataFrame) -> dict[str, float]:
    """Median and 95 % order-statistic interval over seeds (of what is 0 or 1 the rate and Wilson's interval).

    Runs of one seed in several cells are first reduced to their median. Infinite values count as what they are.
    """
    rows = rows[rows[metric].notna()]
    counted = {"n": len(rows), "n_diverged": int((rows["status"] == "diverged").sum())}
    if METRICS[metric].unit == RATE:
        rate = float(rows[metric].mean()) if len(rows) else math.nan
        low, high = wilson(float(rows[metric].sum()), len(rows))
        return {"estimate": rate, "low": low, "high": high} | counted
    seeds = [median(group.to_numpy(float)) for _, group in rows.groupby("seed")[metric]]
    low, high = median_interval(seeds) if seeds else (math.nan, math.nan)
    return {"estimate": median(seeds), "low": low, "high": high} | counted
