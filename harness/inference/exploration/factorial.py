"""The confirm phase as a factorial: what every seed got in every cell, as an array with an axis for each swept factor."""

import math
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.intervals.interval import Array
from harness.inference.ranks import as_ranked, copies
from harness.settings.levels import ordered, places
from harness.study import Study

MEDIANS = "a seed counts with the median of its runs"
"""What `Factorial` does where a cell confirms several trials for all seeds, for captions."""


class Factorial:
    """The runs of the confirm phase by seed and level.

    Seeds whose runs are those of an earlier one are left out, since they are no replicates, and so are failed runs. Where a cell
    confirms several trials for all seeds, a seed counts with their median.

    Args:
        study: says what is swept.
        runs: one row per run; left as it is.
    """

    def __init__(self, study: Study, runs: pd.DataFrame) -> None:
        self._given = runs
        self.levels: dict[str, list[Any]] = {path: ordered(sweep.levels) for path, sweep in study.sweeps().items()}

    @property
    def factors(self) -> list[str]:
        """The swept factors, one for each axis of `values` after that of the seeds."""
        return list(self.levels)

    @cached_property
    def _runs(self) -> pd.DataFrame:
        """Replicates that did not fail, with the `place` of each in a flat table of seeds and levels."""
        confirm = self._given["phase"] == "confirm"
        copied = self._given["seed"].isin(copies(self._given[confirm]))
        runs = as_ranked(self._given)[confirm & ~copied & (self._given["status"] != "failed")]
        cell, n_cells = places(runs, self.levels), math.prod(map(len, self.levels.values()))
        runs, cell = runs[cell < n_cells], cell[cell < n_cells]
        return runs.assign(place=(runs["seed"].rank(method="dense").astype(int) - 1) * n_cells + cell)

    def values(self, metric: str) -> Array:
        """(seed, level of the first factor, level of the second …): the metric, missing as NaN, seeds without any left out.

        They are what tables and figures say, see `as_ranked`: a diverged run ranks worst.
        """
        values = self._runs[metric].astype(float).groupby(self._runs["place"]).median().dropna()
        shape = [self._runs["seed"].nunique(), *map(len, self.levels.values())]
        table = np.full(int(np.prod(shape)), np.nan)
        table[values.index.to_numpy(np.int64)] = values.to_numpy(float)
        table = table.reshape(shape)
        return np.asarray(table[~np.isnan(table).all(axis=tuple(range(1, table.ndim)))])
