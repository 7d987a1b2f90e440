"""`FinishedTrial`: what came of a trial, its tables as they are kept, and the means over its seeds that MLflow shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from harness.ledger.records.populations import POPULATIONS_FILE, no_populations
from harness.ledger.records.tables import parquet

RUNS_FILE, CURVES_FILE = "runs.parquet", "curves.parquet"
WORST = 1e30
"""What a diverged run is told as: Optuna takes finite values only, and a diverged run ranks worst."""

MAX_STEPS = 25
"""Points of a curve that MLflow keeps, at .12 ms each; the artifact has them all."""


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """What is recorded of a trial.

    Attributes:
        number: the trial's number in its study.
        name: what MLflow lists it as.
        phase: `tune` or `confirm`.
        params: factor path → value.
        runs: one row per run: `trial`, `seed`, factors, `status`, metrics. The index is not kept.
        curves: one row per run and logged step: `trial`, `seed`, `step`, values (NaN after a divergence).
        populations: the parts in which the runs trained, see `harness.ledger.records.populations`.
        started_at_s, ended_at_s: when the training of its first run began and that of its last one ended, in seconds since
            1970; unknown: when it is recorded.
        errors: seed → traceback of the runs that failed.
    """

    number: int
    name: str
    phase: str
    params: Mapping[str, object]
    runs: pd.DataFrame
    curves: pd.DataFrame
    populations: pd.DataFrame = field(default_factory=no_populations)
    started_at_s: float | None = None
    ended_at_s: float | None = None
    errors: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def files(self) -> dict[str, bytes]:
        """File name → content of its tables, as they are kept on disk and in MLflow."""
        tables = {RUNS_FILE: self.runs, CURVES_FILE: self.curves, POPULATIONS_FILE: self.populations}
        return {name: parquet(table) for name, table in tables.items()}

    def count(self, status: str) -> int:
        """How many of its runs have a status."""
        return int((self.runs["status"] == status).sum())

    def outcomes(self, objectives: Sequence[str]) -> list[list[float]]:
        """What tuning minimises: (seed, objective), `WORST` where a run diverged or lacks it."""
        return outcomes(self.runs, objectives).to_numpy(float).tolist()


def outcomes(runs: pd.DataFrame, objectives: Sequence[str]) -> pd.DataFrame:
    """See `FinishedTrial.outcomes`: a row per run."""
    values = runs[list(objectives)].astype(float)
    return values.where(np.isfinite(values)).where(runs["status"] != "diverged").fillna(WORST)


def seed_means(runs: pd.DataFrame) -> dict[str, float]:
    """The mean of every numeric column, and how many runs there were of each status.

    A metric that is infinite for one seed has an infinite mean: it ranks worst, whatever the other seeds did.
    """
    numbers = runs.drop(columns=["trial", "seed"], errors="ignore").select_dtypes(["number", "bool"]).astype(float)
    with np.errstate(invalid="ignore"):  # inf − inf
        means = {str(name): float(value) for name, value in numbers.mean().items()}
    statuses = {"diverged": 0, "collapsed": 0, "failed": 0, **runs["status"].value_counts()} if "status" in runs else {}
    return {**means, "n_seeds": len(runs), **{f"n_{status}": float(n) for status, n in statuses.items()}}


def mean_curves(curves: pd.DataFrame) -> dict[str, "pd.Series[float]"]:
    """By step, the mean over the seeds that have a value, at no more than `MAX_STEPS` of a curve's steps, ends included."""
    means = curves.drop(columns=["trial", "seed"], errors="ignore").groupby("step").mean(numeric_only=True)
    found = {}
    for name, column in means.rename(columns={"clipped": "clip_fraction"}).items():
        curve = column.dropna()
        kept = np.unique(np.linspace(0, len(curve) - 1, min(len(curve), MAX_STEPS)).round().astype(int))
        found[str(name)] = curve.iloc[kept]
    return found
