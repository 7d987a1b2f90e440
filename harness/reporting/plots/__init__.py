"""Figures of a report, one file each. A new one is a file with `plots(runs, curves, study)` and its line in `FIGURES`.

Each file keeps `data`, which makes a tidy table, apart from `draw`, which draws nothing but that table.
"""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from harness.reporting.plots import (
    budget,
    generalization,
    importance,
    learning_rates,
    own,
    seeds,
    sensitivity,
    solving,
    stability,
    surface,
    training,
    tuning,
)
from harness.reporting.plots.factors import omitted
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.rendering import render, render_all, start_helpers
from harness.reporting.plots.training import curves_to_show
from harness.study import Study
from harness.study.scope import examples_in_words

FIGURES = (
    generalization, stability, surface, training, solving, seeds, tuning, learning_rates, sensitivity, budget, importance,
)  # fmt: skip

LEVELS = {"x", "group", "facet"}
"""Columns of the data of figures that show levels, of many not all."""


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """Every figure that the runs allow, the user's own last.

    Args:
        runs: one row per run.
        curves: one row per run and logged step, from `curves_to_show`.
        study: names the factors.
    """
    there = examples_in_words(study)
    said = f" Examples: {there['test']} test, {there['validation']} validation, {there['train']} training."
    for figure in FIGURES:
        for plot in figure.plots(runs, curves, study):
            some = omitted(study) if LEVELS & set(plot.data) else ""
            yield replace(plot, caption=plot.caption + some + said)
    for plot in own.plots(runs, study):
        yield replace(plot, caption=plot.caption + said)


__all__ = ["FIGURES", "Plot", "curves_to_show", "own", "plots", "render", "render_all", "start_helpers"]
