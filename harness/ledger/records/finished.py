"""`FinishedTrial`: what came of a trial's runs, their tables as they are kept, and what MLflow shows of its seeds together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from harness.engine.content import seed_key
from harness.engine.diagnostics.churn import PREDICTIONS
from harness.engine.run_tables import CURVE_VALUES
from harness.inference.ranks import as_ranked
from harness.ledger.records.populations import POPULATIONS_FILE, no_populations
from harness.ledger.records.tables import parquet
from harness.settings.metrics import DETAIL, METRICS

RUNS_FILE, CURVES_FILE = "runs.parquet", "curves.parquet"
WORST = 1e30
"""What a diverged run is told as: Optuna takes finite values only, and a diverged run ranks worst."""

MAX_STEPS = 25
"""Points of a curve that MLflow keeps, at .12 ms each; the artifact has them all."""


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """What is recorded of those runs of a trial that were asked for at a time.

    Attributes:
        number: of the entry, see `harness.ledger.entries`.
        key: of the trial, see `harness.engine.content`.
        level, measures: what was measured, see `harness.ledger.entries`.
        name: what MLflow lists it as.
        phase: `tune` or `confirm`.
        params: factor path → value.
        cell: of these, those that say which cell it is of; None where that is not known, as what an older version left waiting.
        tuned: paths of what is tuned.
        runs: one row per run: `trial`, `seed`, factors, `status`, metrics, and `predictions` where runs of several seeds are
            compared. The index is not kept.
        curves: one row per run and logged step: `trial`, `seed`, `step`, values (NaN after a divergence).
        populations: the parts in which the runs trained, see `harness.ledger.records.populations`.
        started_at_s, ended_at_s: when the training of its first run began and that of its last one ended, in seconds since
            1970; unknown: when it is recorded.
        errors: seed → traceback of the runs that failed.
        failed: seed → why it did, `machine` or `run`.
        kept: `files`, where they are on disk already.
    """

    number: int
    key: str
    level: str = DETAIL[0]
    measures: Mapping[str, str] = field(default_factory=dict)
    name: str
    phase: str
    params: Mapping[str, object]
    cell: Mapping[str, object] | None = None
    tuned: Sequence[str] = ()
    runs: pd.DataFrame
    curves: pd.DataFrame
    populations: pd.DataFrame = field(default_factory=no_populations)
    started_at_s: float | None = None
    ended_at_s: float | None = None
    errors: Mapping[int, str] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    kept: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """Of its runs, in their order."""
        return [int(seed) for seed in self.runs["seed"]]

    def run_keys(self) -> set[str]:
        """The keys of its runs."""
        return {seed_key(self.key, seed) for seed in self.seeds}

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """File name → content of its tables, as they are kept on disk and in MLflow."""
        if self.kept:
            return self.kept
        tables = {RUNS_FILE: self.runs, CURVES_FILE: self.curves, POPULATIONS_FILE: self.populations}
        return {name: parquet(table) for name, table in tables.items()}

    @property
    def varied(self) -> dict[str, object]:
        """Of its parameters those that vary in the study; all where it does not know its cell."""
        if self.cell is None:
            return dict(self.params)
        return dict(self.cell) | {path: self.params[path] for path in self.tuned}

    def count(self, status: str) -> int:
        """How many of its runs have a status."""
        return int((self.runs["status"] == status).sum())


def outcomes(runs: pd.DataFrame, objectives: Sequence[str]) -> dict[int, list[float]]:
    """What tuning minimises: each objective by seed, `WORST` where a run diverged or lacks it."""
    values = runs[list(objectives)].astype(float)
    values = values.where(np.isfinite(values)).where(runs["status"] != "diverged").fillna(WORST)
    return dict(zip(map(int, runs["seed"]), values.to_numpy(float).tolist(), strict=True))


def tunable(runs: pd.DataFrame) -> dict[str, list[float]]:
    """Of each seed, in order, all that a study may tune by, as `outcomes` has it."""
    names = [name for name, metric in METRICS.items() if metric.tunable and name in runs]
    found = list(outcomes(runs, names).values())
    return {name: [values[i] for values in found] for i, name in enumerate(names)}


def seed_means(runs: pd.DataFrame) -> dict[str, float]:
    """The mean of every numeric column, and how many runs there were of each status.

    A run that diverged counts as in a cell and a claim (`as_ranked`): where it ranks worst the mean is infinite, of shares and rates it
    is theirs with the worst.
    """
    ranked = as_ranked(runs) if "status" in runs else runs
    numbers = (
        ranked.drop(columns=["trial", "seed", PREDICTIONS], errors="ignore")
        .select_dtypes(["number", "bool"])
        .astype(float)
    )
    with np.errstate(invalid="ignore"):  # inf − inf
        means = {str(name): float(value) for name, value in numbers.mean().items()}
    statuses = {"diverged": 0, "collapsed": 0, "failed": 0, **runs["status"].value_counts()} if "status" in runs else {}
    return {**means, "n_seeds": len(runs), **{f"n_{status}": float(n) for status, n in statuses.items()}}


def until_their_end(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of curves without those after the end of runs that `patience` ended: these lack numbers there, and never became non-finite.

    Args:
        curves: one row per run and logged step: `trial`, `seed`, `step`, values.
        runs: one row per run: `trial`, `seed`, `steps_done`, `nonfinite`.
    """
    ended = runs.loc[runs["nonfinite"] == 0, ["trial", "seed", "steps_done"]]
    last = curves[["trial", "seed"]].merge(ended, on=["trial", "seed"], how="left")["steps_done"]
    return curves[~(curves["step"].to_numpy() > last.to_numpy(float))]


def curves_over_seeds(curves: pd.DataFrame, at_most: int = MAX_STEPS) -> dict[str, "pd.Series[float]"]:
    """By step, the median over the seeds of each value (`…_median`), and the share of seeds that were clipped (`clip_fraction`).

    A seed that has become non-finite counts as infinite, and where that makes a median infinite the curve has no point: else it would
    be one of the seeds that train. Curves end where the first seed does.

    Args:
        curves: one row per seed, or trial and seed, and logged step, from `until_their_end`; columns that say of which cell they are have no curve.
        at_most: so many of a curve's steps, ends included.

    Returns:
        Name → value by step.
    """
    runs = curves[[name for name in CURVE_VALUES if name in curves]].astype(float)
    of_step = runs.groupby(curves["step"], sort=True)
    rows = of_step.size()
    shared = rows.index[rows == curves["seed"].nunique()]
    measured = of_step.count() > 0
    medians = runs.fillna(np.inf).groupby(curves["step"], sort=True).median()
    found = {f"{name}_median": column for name, column in medians.items() if name != "clipped"}
    if "clipped" in runs:
        found["clip_fraction"] = of_step["clipped"].mean()
        measured["clip_fraction"] = measured["clipped"]
    return {
        str(name): _thinned(column.where(measured[str(name).removesuffix("_median")]).loc[shared], at_most)
        for name, column in found.items()
    }


def _thinned(curve: "pd.Series[float]", at_most: int) -> "pd.Series[float]":
    curve = curve[np.isfinite(curve)]
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, min(len(curve), at_most)).round().astype(int))]
