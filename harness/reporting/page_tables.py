"""The tables of a page: what a summary, the search and the metrics are to a reader, as texts."""

import math
from typing import Any

import pandas as pd

from harness.reporting.html import Table
from harness.reporting.tables import measured
from harness.settings.levels import label, stored
from harness.settings.measured_on import measured_on
from harness.settings.metrics import METRICS
from harness.study import Study
from harness.study.scope import budget, examples_in_words

SHOWN = ("test_loss", "test_error", "gap", "spike_rate", "grad_norm_q99", "clip_fraction")
"""Metrics in the first table of `report.html` and `summary.md`; `summary.csv` has all."""

BEST_TRIALS = 10


def shown_metrics(summary: pd.DataFrame) -> list[str]:
    """The metrics of the table of cells: of `SHOWN` what was measured, and the validation loss where nothing was tested."""
    shown = [name for name in SHOWN if name in measured(summary)]
    tested = any(name in shown for name in ("test_loss", "test_error"))
    return shown if tested or "validation_loss" not in measured(summary) else ["validation_loss", *shown]


def meanings(study: Study, summary: pd.DataFrame) -> Table:
    """What each measured metric means, on which examples it is measured, its unit and which direction is good."""
    there = examples_in_words(study)
    rows = [
        [name, METRICS[name].meaning, measured_on(name, there), METRICS[name].unit, METRICS[name].better or "–"]
        for name in measured(summary)
    ]
    return Table(["metric", "meaning", "examples", "unit", "better"], rows)


def readable(study: Study, summary: pd.DataFrame, shown: list[str]) -> Table:
    """The summary as a reader wants it: levels, tuned values, rate of divergence, some metrics "mean [low, high]".

    Where cells train for different times, each says for how long.

    Where runs diverged a mean would be infinite; the median over all runs stands in its place, marked "median".
    """
    swept = {path: {stored(level): level for level in sweep.levels} for path, sweep in study.sweeps().items()}
    records = summary.to_dict("records")
    trained = [
        study.setup({path: swept[path][row[path]] for path in swept} | {path: row[path] for path in study.tunes()})
        for row in records
    ]
    budgets = [budget(study, [setup]) for setup in trained]
    differ = len(set(budgets)) > 1
    head = [*swept, *(f"{path} (tuned)" for path in study.tunes()), *["training"] * differ, "n", "diverged", *shown]
    rows = []
    for row, length in zip(records, budgets, strict=True):
        levels = [label(path, swept[path][row[path]]) for path in swept]
        levels += [label(path, row[path]) for path in study.tunes()] + [length] * differ
        rate = f"{row['n_diverged']}/{row['n']}"
        if row["n"]:
            rate += f" [{row['diverged_low']:.2f},\u00a0{row['diverged_high']:.2f}]"
        rows.append([*levels, str(row["n"]), rate, *(_cell_text(row, name) for name in shown)])
    return Table(head, rows)


def _cell_text(row: dict[Any, Any], name: str) -> str:
    mean, middle, low, high = (float(row[f"{name}_{key}"]) for key in ("mean", "median", "low", "high"))
    if math.isnan(middle):
        return "–"
    if math.isinf(middle):
        return "∞ (median)"
    if math.isinf(mean):
        return f"{_short(middle)} (median)"
    return f"{_short(mean)} [{_short(low)},\u00a0{_short(high)}]" if math.isfinite(low) else _short(mean)


def _short(value: float) -> str:
    """Three significant digits, never more than needed.

    >>> _short(0.12345), _short(12345.6), _short(0.0)
    ('0.123', '1.23e+04', '0')
    """
    return f"{value:.3g}"


def best_trials(study: Study, runs: pd.DataFrame) -> Table:
    """The best trials of a plain search by its first objective, over their tune seeds.

    Empty where factors are swept: cells are not rivals, and the summary says what was chosen in each.
    """
    objectives, paths = list(study.objectives()), list(study.tunes())
    tune = runs[(runs["phase"] == "tune") & (runs["status"] != "failed")]
    if tune.empty or study.sweeps():
        return Table([], [])
    trials = [(int(str(trial)), rows) for trial, rows in tune.groupby("trial")]
    trials = sorted(trials, key=lambda pair: float(pair[1][objectives[0]].mean()))[:BEST_TRIALS]
    rows = [
        [str(trial), *(label(path, seeds[path].iloc[0]) for path in paths), *(_short(seeds[name].mean()) for name in objectives),
         str(len(seeds))]
        for trial, seeds in trials
    ]  # fmt: skip
    return Table(["trial", *paths, *(f"{name} (mean)" for name in objectives), "n"], rows)
