"""Which swept factor explains how much of each metric: shares of its variation, with intervals over seeds."""

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference import importance
from harness.inference.importance import RESIDUAL, REST, SEED, SHARED
from harness.reporting.page_tables import explored_metrics
from harness.reporting.plots.looks import PALETTE, QUIET
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import text_width, wrapped
from harness.settings.metrics import not_comparable
from harness.study import Study

COLUMNS = 3
WIDTH = 26
"""Characters of the name of a term in one line."""


def data(runs: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """What `harness.inference.importance` finds; None where nothing can be decomposed."""
    found = importance.importance(study, runs, explored_metrics(study, runs))
    return found if (found["why"] == "").any() else None


def draw(data: pd.DataFrame) -> Figure:
    """A panel per metric, a bar per term, and its interval."""
    metrics = list(dict.fromkeys(data.loc[data["why"] == "", "metric"]))
    terms = [wrapped(term, WIDTH) for term in dict.fromkeys(data["term"].dropna())]
    columns = min(COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    lines = sum(term.count("\n") + 1 for term in terms)
    figure = Figure(
        figsize=(
            2.2 * columns + 0.4 + max(map(text_width, terms)),
            (0.17 * lines + 0.09 * len(terms) + 0.45) * rows + 0.5,
        ),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    places = {term: place for place, term in enumerate(dict.fromkeys(data["term"].dropna()))}
    for ax, metric in zip(axes, metrics, strict=False):
        _panel(ax, data[(data["metric"] == metric) & (data["why"] == "")], places)
    axes[0].set_yticks(range(len(terms)), terms)
    axes[0].set_ylim(len(terms) - 0.5, -0.5)
    axes[0].set_xlim(0, 1)
    axes[0].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    for ax in axes[len(metrics) :]:
        ax.set_axis_off()
    for ax in axes[max(0, len(metrics) - columns) : len(metrics)]:
        ax.tick_params(labelbottom=True)
    for ax in axes[(rows - 1) * columns : len(metrics)]:
        ax.set_xlabel("share of the variation, %")
    for ax in axes[::columns]:
        ax.set_ylabel("explained by")
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, places: dict[str, int]) -> None:
    for row in rows.to_dict("records"):
        place, share = places[row["term"]], min(max(row["share"], 0.0), 1.0)
        ax.barh(place, share, height=0.62, color=_colour(row["term"]), alpha=0.55, lw=0)
        ax.plot([row["low"], row["high"]], [place] * 2, color="0.15", lw=1.1, solid_capstyle="butt", clip_on=False)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    first = rows.iloc[0]
    across = not_comparable(str(first["metric"]), rows["term"])
    ax.set_title(f"{str(first['metric']).replace('_', ' ')} ({first['scale']})" + (across and f"\n{across}"))


def _colour(term: str) -> object:
    if term in (SEED, RESIDUAL, SHARED):
        return QUIET
    return PALETTE[1] if "×" in term or term == REST else PALETTE[0]


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, where a factor is swept."""
    table = data(runs, study)
    if table is not None:
        caption = (
            "Which factor explains how much: shares of the variation of each metric between the runs of the confirm phase, for each "
            "swept factor, the interactions of two (×: how far the effect of one depends on the other), the rest of the cells, the "
            "seed (what all runs of a seed have in common) and the residual (all else). Shares are freed of what chance adds; lines: "
            "intervals by the jackknife over seeds, nominally of 95 %. Exploratory: a share has no direction, and depends on which levels are swept."
        )
        yield Plot("importance", caption, table, draw)
