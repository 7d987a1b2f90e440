"""Figures of a report, one file each. A new one is a file with `plots(runs, curves, roles)` and its line in `FIGURES`.

Each file keeps `data`, which makes a tidy table, apart from `draw`, which draws nothing but that table, and `title`, which says what
is seen in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from harness.inference.exploration.importance import importance as shares_of
from harness.inference.verdict import Verdict
from harness.reporting.page_tables import explored_metrics
from harness.reporting.plots import (
    budget,
    claims,
    generalization,
    gradient_flow,
    importance,
    learning_rates,
    own,
    seeds,
    sensitivity,
    solving,
    stability,
    surface,
    survival,
    training,
    tuning,
)
from harness.reporting.plots.factors import Roles
from harness.reporting.plots.plot import Image, Plot
from harness.reporting.plots.rendering import render, render_all, start_helpers
from harness.settings.show import counted
from harness.study import Study
from harness.study.scope import examples_in_words

FIGURES = (
    generalization,
    seeds,
    surface,
    sensitivity,
    learning_rates,
    stability,
    survival,
    training,
    gradient_flow,
    solving,
    tuning,
    budget,
)
"""Of the runs; `claims` and `importance`, which show what the room of inference found, stand before and after them."""

DRAWN = {figure.__name__.rpartition(".")[2]: figure for figure in (*FIGURES, importance)} | {"claim": claims}
"""By the first word of a figure's name what draws it from its table."""


def plots(runs: pd.DataFrame, curves: Path, study: Study, verdicts: Sequence[Verdict]) -> Iterator[Plot]:
    """Every figure that the runs allow, those of claims first, the user's own last.

    Args:
        runs: one row per run.
        curves: the file of curves: one row per run and logged step.
        study: names the factors.
        verdicts: on its claims.
    """
    shares = shares_of(study, runs, explored_metrics(study, runs))
    roles = Roles.of(study, runs, shares)
    shown = _curves(curves, runs, roles)
    there = examples_in_words(study)
    failed, of = int((runs["status"] == "failed").sum()), counted(len(runs), "run")
    said = f" Left out: {failed:,} of {of}, which failed." if failed else ""
    said += f" Examples: {there['test']} test, {there['validation']} validation, {there['train']} training."
    for plot in _all(runs, shown, roles, verdicts, shares):
        yield replace(plot, caption=plot.caption + said)


def _all(
    runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles, verdicts: Sequence[Verdict], shares: pd.DataFrame
) -> Iterator[Plot]:
    yield from claims.plots(verdicts)
    for figure in FIGURES:
        yield from figure.plots(runs, curves, roles)
    yield from importance.plots(shares, roles)
    yield from own.plots(runs, roles.study)


def _curves(file: Path, runs: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Of a file of curves what figures need: all of them may be more than memory should hold."""
    trials = training.trials_to_show(runs, roles) | survival.trials_to_show(runs)
    columns = ["trial", "seed", "step", *training.QUANTITIES]
    return pd.read_parquet(file, columns=columns, filters=[("trial", "in", trials)])


__all__ = ["DRAWN", "FIGURES", "Image", "Plot", "own", "plots", "render", "render_all", "start_helpers"]
