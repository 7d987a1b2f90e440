"""Two sets of runs of the same seeds, such as a cell before and after a change: how a metric differs between them, seed by seed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from harness.inference.intervals.interval import Array
from harness.inference.intervals.paired_rates import signed_bounds
from harness.inference.intervals.robust import median, median_interval
from harness.inference.ranks import copies, ranked, subtracted
from harness.settings.metrics import METRICS, RATE, Metric

LEAST_SEEDS = 6
"""Fewer values have no 95 % interval of their median, see `median_interval`."""

MEDIAN, RATES, TOO_FEW = (
    "median, order-statistic interval",
    "rates, paired score interval",
    "median, too few seeds for an interval",
)

ALPHA = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """How a metric differs between two sets of runs, `b` − `a`.

    Attributes:
        per_seed: seed → difference; infinite where just one of the two runs ranks worst, 0 where both do.
        a, b: medians over these seeds, of what is 0 or 1 the shares.
        difference: median of `per_seed`, of what is 0 or 1 its mean; NaN without seeds.
        low, high: its 95 % interval; NaN where there is none.
        method: of the interval, in words.
        n_missing: seeds that both have, but of which a run failed or lacks the metric.
        n_copies: seeds whose runs are those of an earlier seed: no replicates, and left out.
    """

    per_seed: dict[int, float]
    a: float
    b: float
    difference: float
    low: float
    high: float
    method: str
    n_missing: int
    n_copies: int


def paired_difference(
    metric: str, better: Literal["lower", "higher", None], a: pd.DataFrame, b: pd.DataFrame, known: Metric | None = None
) -> PairedDifference:
    """The difference of a metric over the seeds that both sets have.

    A run that diverged ranks worst, see `ranked`, and two such tie. The interval of the median is exact (order statistics: the sign test
    inverted); that of rates is Tango's score interval, exact. What is 0 or 1 in all runs is a rate if that is its unit, or if nobody
    knows its unit.

    Args:
        metric: a column of both.
        better: which of its directions is good, if one is.
        a: runs, one per seed, with `seed`, `status` and metrics.
        b: likewise.
        known: what the metric means, where no study of this process says so.
    """
    a, b = (runs.set_index("seed", drop=False).rename_axis(None).sort_index() for runs in (a, b))
    both = a.index.intersection(b.index)
    joined = pd.concat([a.loc[both].assign(trial=0), b.loc[both].assign(trial=1)])
    copied = both.isin(copies(joined))
    seeds = both[~copied]
    before, after = (ranked(metric, better, runs.loc[seeds], known=known) for runs in (a, b))
    there = before.notna() & after.notna()
    x, y = (np.asarray(values[there], dtype=np.float64) for values in (before, after))
    differences = subtracted(y, x)
    found = (_rates if _is_rate(known or METRICS.get(metric), x, y) else _medians)(x, y, differences)
    per_seed = {int(seed): float(value) for seed, value in zip(seeds[there], differences, strict=True)}
    return PairedDifference(per_seed, *found, int((~there).sum()), int(copied.sum()))


def _is_rate(known: Metric | None, x: Array, y: Array) -> bool:
    return (known is None or known.unit == RATE) and bool(np.isin(np.concatenate([x, y]), (0, 1)).all())


def _rates(x: Array, y: Array, differences: Array) -> tuple[float, float, float, float, float, str]:
    n = len(x)
    if n == 0:
        return np.nan, np.nan, np.nan, np.nan, np.nan, RATES
    low, high = signed_bounds(differences)(ALPHA)
    return float(x.mean()), float(y.mean()), float(differences.mean()), low, high, RATES


def _medians(x: Array, y: Array, differences: Array) -> tuple[float, float, float, float, float, str]:
    low, high, method = np.nan, np.nan, TOO_FEW
    if len(x) >= LEAST_SEEDS:
        (low, high), method = median_interval(differences, ALPHA), MEDIAN
    return median(x), median(y), median(differences), low, high, method
