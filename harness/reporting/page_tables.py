"""The tables of a page: what a summary, the search and the metrics are to a reader, as texts."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.inference.description import is_median_of_shares, statistic
from harness.inference.selection import tried
from harness.ledger.records.finished import WORST, outcomes
from harness.ledger.sampling import medians
from harness.reporting.page.content import Table
from harness.reporting.tables import measured, tuned_columns
from harness.settings.levels import Labels, label, stored
from harness.settings.measured_on import measured_on
from harness.settings.metrics import METRICS, OF_TUNED_RATES, USUAL_ERRORS, not_comparable, why_missing
from harness.settings.show import digits
from harness.study import Claim, Study
from harness.study.scope import budget, examples_in_words
from harness.study.target_kinds import is_of_errors, knows_errors, unusual_errors

SHOWN = (
    "test_loss", "best_test_loss", "test_error", "best_test_error", "gap", "best_gap", "spike_rate", "grad_norm_q99",
    "clip_fraction",
)  # fmt: skip
"""Metrics in the first table of `report.html` and `summary.md`; `summary.parquet` has all."""

KINDS = {"diverged": "diverged", "nonfinite": "of these non-finite", "collapsed": "collapsed"}
"""Rates of runs that failed to train, and what the table calls them."""

BEST_TRIALS = 10


def shown_metrics(summary: pd.DataFrame) -> list[str]:
    """The metrics of the table of cells: of `SHOWN` what was measured, and the validation loss where nothing was tested."""
    shown = [name for name in SHOWN if name in measured(summary)]
    tested = any(name in shown for name in ("test_loss", "test_error"))
    return shown if tested or "validation_loss" not in measured(summary) else ["validation_loss", *shown]


def explored_metrics(study: Study, runs: pd.DataFrame) -> list[str]:
    """The metrics that exploration looks at: those of claims, then those of the table of cells and its rates, as far as measured."""
    confirm = runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]
    there = [name for name in METRICS if name in confirm and confirm[name].notna().any()]
    shown = SHOWN if any(name in there for name in ("test_loss", "test_error")) else ("validation_loss", *SHOWN)
    claimed = [claim.metric for claim in study.claims if isinstance(claim, Claim)]
    return [name for name in dict.fromkeys([*claimed, *shown, *KINDS, *OF_TUNED_RATES]) if name in there]


def meanings(study: Study, summary: pd.DataFrame) -> Table:
    """What each measured metric means, on which examples it is measured, its unit and which direction is good; and what no run has."""
    there, errors = examples_in_words(study), unusual_errors(study)
    meant = {name: _meaning(name, errors) for name in measured(summary)}
    meant |= {name: f"{_meaning(name, errors)}; no run has it: {why}" for name, why in _lacking(study, summary).items()}
    rows = [
        [name, meaning, measured_on(name, there), METRICS[name].unit, METRICS[name].better or "–"]
        for name, meaning in meant.items()
    ]
    return Table(["metric", "meaning", "examples", "unit", "better"], rows)


def _lacking(study: Study, summary: pd.DataFrame) -> dict[str, str]:
    """Of the metrics that a user looks for those that no run has, and why."""
    there = measured(summary)
    wanted = [name for name in (*SHOWN, *study.metrics.own()) if f"{name}_n" in summary and name not in there]
    return {name: why for name in wanted if summary["n"].any() and (why := why_missing(name))}


def _meaning(name: str, errors: str) -> str:
    """In words; `errors` are what the study calls so, where these are not the usual ones."""
    meaning, across = METRICS[name].meaning, METRICS[name].not_across
    if is_of_errors(name) and errors:
        meaning = f"{meaning.removesuffix(f': {USUAL_ERRORS}')}: {errors}"
    return meaning + (f"; not comparable across {across}" if across else "")


def readable(study: Study, summary: pd.DataFrame, shown: list[str]) -> Table:
    """The summary as a reader wants it: levels, tuned values, rates of runs that failed, some metrics with intervals, see `description.described`.

    Where cells train for different times, each says for how long. Where fewer runs have a metric than there are, the cell says how many.
    """
    kinds = {name: title for name, title in KINDS.items() if f"{name}_mean" in summary}
    known = knows_errors(study)
    names_shown = [name + (f" ({said})" if (said := _reservation(study, name, known)) else "") for name in shown]
    swept = {path: {stored(level): level for level in sweep.levels} for path, sweep in study.sweeps().items()}
    records, named = summary.to_dict("records"), Labels(study.sweeps())
    trained = [
        study.setup(
            {path: swept[path][stored(row[path])] for path in swept} | {path: row[path] for path in study.tunes()}
        )
        for row in records
    ]
    budgets = [budget(study, [setup]) for setup in trained]
    differ = len(set(budgets)) > 1
    head = [
        *swept,
        *(f"{path} (tuned)" for path in study.tunes()),
        *["training"] * differ,
        "n",
        *kinds.values(),
        *names_shown,
    ]
    rows = []
    for row, length in zip(records, budgets, strict=True):
        levels = [named(path, row[path]) for path in swept]
        levels += [_tuned(study, path, row) for path in study.tunes()] + [length] * differ
        rates = [_rate_text(row, name) for name in kinds]
        rows.append([*levels, str(row["n"]), *rates, *(cell_text(row, name) for name in shown)])
    return Table(head, rows)


def _reservation(study: Study, name: str, known: bool) -> str:
    """What stands beside the name of a metric that does not say what it may be taken for, mostly nothing; `known`: whether errors are."""
    if is_of_errors(name) and not known:
        return "differences of outputs and targets, maybe no errors"
    found = [not_comparable(name, study.sweeps()), "median" * is_median_of_shares(name)]
    return "; ".join(filter(None, found))


def _tuned(study: Study, path: str, row: dict[Any, Any]) -> str:
    """A tuned value, or the median and range of those of all seeds."""
    middle, *ends = (label(path, row[name]) for name in tuned_columns(study, path))
    return f"{middle} ({ends[0]} to {ends[1]})" if len(set(ends)) > 1 else middle


def _rate_text(row: dict[Any, Any], name: str) -> str:
    """How many runs of how many, and the interval of the rate."""
    if not row[f"{name}_n"]:
        return "–"
    count = round(row[f"{name}_mean"] * row[f"{name}_n"])
    return f"{count}/{row[f'{name}_n']} [{row[f'{name}_low']:.2f},\u00a0{row[f'{name}_high']:.2f}]"


def cell_text(row: Mapping[Any, Any], name: str) -> str:
    """Of a row of a summary a metric's statistic [low, high], as `readable` has it."""
    found, low, high = (float(row[f"{name}_{key}"]) for key in (statistic(name), "low", "high"))
    if math.isnan(found):
        return "–"
    some = f" (of {row[f'{name}_n']} runs)" if row[f"{name}_n"] < row["n"] else ""
    bounds = "" if math.isnan(low) else f" [{digits(low)},\u00a0{digits(high)}]"
    return digits(found) + bounds + some


def best_trials(study: Study, runs: pd.DataFrame) -> Table:
    """The best trials of a plain search by its first objective, over the seeds that they were tried on, as they were told.

    Empty where factors are swept: cells are not rivals, and the summary says what was chosen in each.
    """
    objectives, paths = list(study.objectives()), list(study.tunes())
    tune = tried(study, runs)
    if tune.empty or study.sweeps():
        return Table([], [])
    trials = [(int(str(trial)), rows, medians(outcomes(rows, objectives))) for trial, rows in tune.groupby("trial")]
    trials = sorted(trials, key=lambda trial: trial[2])[:BEST_TRIALS]
    rows = [
        [str(trial), *(label(path, seeds[path].iloc[0]) for path in paths), *map(_told, told),
         str(len(seeds)), str(int((seeds["status"] == "diverged").sum()))]
        for trial, seeds, told in trials
    ]  # fmt: skip
    return Table(["trial", *paths, *(f"{name} (median)" for name in objectives), "n", "diverged"], rows)


def _told(value: float) -> str:
    return digits(value) if value < WORST / 2 else "∞"
