"""Our number beside a published one: described over seeds, each of which has one number."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from harness.inference.description import NO_INTERVAL, Described, described, interval_of_median, statistic
from harness.inference.intervals.bounded_mean import bounded_mean_bounds
from harness.inference.intervals.robust import median
from harness.inference.ranks import as_ranked, subtracted
from harness.settings import Sweep
from harness.settings.levels import at, places
from harness.study.published import Published


def ours(runs: pd.DataFrame, published: Published, sweeps: Mapping[str, Sweep]) -> tuple[Described, int]:
    """Our number with its 95 % interval, and of how many seeds: those with a value in every cell that it names, as planned.

    So all seeds speak of the same cells; without any there is no number.

    A run that diverged ranks worst, as in claims, and two such tie. Rates and shares that are mostly 0 have their mean, also where they
    are averaged over cells or differ from others, with the interval of a mean between bounds; all else has its median.

    Args:
        runs: one row per run of the confirm phase.
        published: names the metric and the cells.
        sweeps: the swept factors, whose combinations of levels are the cells.
    """
    runs = as_ranked(runs)
    both = [
        _by_seed(runs, levels, published.metric, sweeps)
        for levels in (published.at, published.less)
        if levels is not None
    ]
    first, *other = np.asarray(pd.concat(both, axis=1).dropna(), dtype=np.float64).T
    numbers = subtracted(first, *other) if other else first
    a_mean, less = statistic(published.metric) == "mean", published.less is not None
    if not len(numbers):
        return Described(math.nan, *NO_INTERVAL), 0
    if a_mean and (less or not set(numbers) <= {0.0, 1.0}):
        least = -1.0 if less else 0.0
        return Described(float(numbers.mean()), *bounded_mean_bounds(numbers, least, 1.0)(0.05)), len(numbers)
    if less:
        return Described(median(numbers), *interval_of_median(numbers)), len(numbers)
    return described(published.metric, numbers), len(numbers)


def _by_seed(
    runs: pd.DataFrame, levels: Mapping[str, object], metric: str, sweeps: Mapping[str, Sweep]
) -> "pd.Series[float]":
    """The mean over the cells at some levels, by seed; NaN where a cell is missing or a run of it lacks a value, infinite where one is."""
    inside = runs[at(runs, levels)]
    others = {path: sweep.levels for path, sweep in sweeps.items() if path not in levels}
    n_cells = math.prod(map(len, others.values()))
    by_cell = inside.groupby([inside["seed"], places(inside, others)])[metric]
    means = by_cell.agg(lambda values: float(np.mean(values.to_numpy(dtype=float)))).unstack()
    return means.reindex(columns=range(n_cells)).mean(axis=1, skipna=False)
