"""Tables of numbers: all runs in order, and a summary per cell of the confirm phase."""

import math
from typing import Any

import pandas as pd

from harness.inference.description import described, statistic
from harness.inference.intervals.robust import median
from harness.inference.ranks import as_ranked
from harness.inference.selection import cells
from harness.settings.levels import tabled
from harness.settings.metrics import METRICS
from harness.study import Study

COUNTS = ("n", "n_diverged", "n_collapsed", "n_failed")
"""Columns of a summary that count runs: all that did not fail, and those of each bad end."""

MAIN = ("test_loss", "test_error", "best_test_loss", "best_test_error", "gap")
"""Metrics of the short summary beside those of claims, the first ones first."""

UNTESTED = ("validation_loss", "validation_error")
"""Likewise where nothing was tested."""

BOUNDS = ("low", "high")
"""What the short summary has of a metric, beside its statistic."""

MOST_COLUMNS = 25
"""Of the short summary, where no more are needed for the metrics of claims."""


def sort_runs(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Runs by factor paths, then seed, phase and trial; columns that mix numbers and text in the order of their text."""
    keys = [path for path in study.factors() if path in runs] + ["seed", "phase", "trial"]
    return runs.sort_values(keys, kind="stable", ignore_index=True, key=_sortable)


def _sortable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column if pd.api.types.is_numeric_dtype(column) else column.map(str)


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Runs by phase, and those that diverged, collapsed or failed."""
    return {
        "confirm runs": int((runs["phase"] == "confirm").sum()),
        "tune runs": int((runs["phase"] == "tune").sum()),
        "diverged": int((runs["status"] == "diverged").sum()),
        "collapsed": int((runs["status"] == "collapsed").sum()),
        "failed": int((runs["status"] == "failed").sum()),
    }


def summarize(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: levels, tuned values, counts, and each metric's mean, median and 95 % interval over `…_n` runs.

    Of values that seeds were tuned to by themselves it is the median, with the range beside it.
    The interval is that of the metric's statistic, see `description.described`: of the mean for what is 0 or 1, else of the median. A run
    that diverged ranks worst, as in claims (`as_ranked`), so that a cell with one has the mean `inf` where that is an infinity. Only
    where a metric is missing a run is not counted, which `…_n` says.
    """
    rows, names = [], [name for name in METRICS if name in runs]
    for cell, inside in cells(study, as_ranked(runs)):
        row: dict[str, Any] = {path: tabled(level) for path, level in cell.items()}
        for path in study.tunes():
            row |= dict(zip(tuned_columns(study, path), _tuned(inside[path]), strict=False))
        statuses = inside["status"]
        row |= {"n": int((statuses != "failed").sum()), "n_diverged": int((statuses == "diverged").sum())}
        row |= {f"n_{status}": int((statuses == status).sum()) for status in ("collapsed", "failed")}
        for name in names:
            row |= {f"{name}_{key}": value for key, value in _estimate(name, inside[name]).items()}
        rows.append(row)
    keys = ("mean", "median", "low", "high", "n")
    tuned = [name for path in study.tunes() for name in tuned_columns(study, path)]
    head = [*study.sweeps(), *tuned, *COUNTS]
    return pd.DataFrame(rows, columns=head + [f"{name}_{key}" for name in names for key in keys])


def short(study: Study, summary: pd.DataFrame) -> pd.DataFrame:
    """The columns of a summary that people look for: levels, tuned values, counts, and of `short_metrics` statistic and interval."""
    shown = [f"{name}_{key}" for name in short_metrics(study, summary) for key in (statistic(name), *BOUNDS)]
    return summary[[*study.sweeps(), *study.tunes(), *COUNTS, *shown]]


def short_metrics(study: Study, summary: pd.DataFrame) -> list[str]:
    """The metrics of claims, then those of `MAIN` for which `short` has room; of all what was measured."""
    there = measured(summary)
    main = MAIN if any(name in there for name in MAIN) else UNTESTED
    claimed = [name for name in dict.fromkeys(claim.metric for claim in study.claims) if name in there]
    room = (MOST_COLUMNS - len(study.sweeps()) - len(study.tunes()) - len(COUNTS)) // (1 + len(BOUNDS)) - len(claimed)
    return claimed + [name for name in main if name in there and name not in claimed][: max(room, 0)]


def tuned_columns(study: Study, path: str) -> list[str]:
    """The columns of a summary that hold a tuned value, and its range where it may differ between seeds."""
    return [path, f"{path}_least", f"{path}_largest"] if study.tunes_within() else [path]


def _tuned(column: "pd.Series[float]") -> tuple[float, float, float]:
    return column.sort_values().iloc[(len(column) - 1) // 2], column.min(), column.max()


def _estimate(name: str, column: "pd.Series[float]") -> dict[str, float]:
    values = column.dropna().to_numpy(float)
    found = described(name, values)
    mean = float(values.mean()) if len(values) else math.nan
    return {"mean": mean, "median": median(values), "low": found.low, "high": found.high, "n": len(values)}


def measured(summary: pd.DataFrame) -> list[str]:
    """The metrics that have a number somewhere in a summary."""
    return [name for name in METRICS if f"{name}_median" in summary and summary[f"{name}_median"].notna().any()]
