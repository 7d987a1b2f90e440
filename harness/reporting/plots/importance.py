"""Which swept factor explains how much of each metric: shares of its variation, with intervals over seeds."""

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.exploration.factorial import MEDIANS
from harness.inference.exploration.importance import RESIDUAL, REST, SEED, SHARED
from harness.reporting.page.words import number
from harness.reporting.plots.axes import columns_for, name_axes
from harness.reporting.plots.factors import Roles
from harness.reporting.plots.looks import QUIET, palette
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import text_width, wrapped
from harness.settings.metrics import not_comparable
from harness.settings.show import counted

WIDTH = 26
"""Characters of the name of a term in one line."""


MOST_METRICS = 6


def data(shares: pd.DataFrame) -> pd.DataFrame | None:
    """What `harness.inference.exploration.importance` finds; None where nothing can be decomposed."""
    return shares if (shares["why"] == "").any() else None


def draw(data: pd.DataFrame) -> Figure:
    """A panel per metric, a bar per term, and its interval."""
    metrics = list(dict.fromkeys(data.loc[data["why"] == "", "metric"]))[:MOST_METRICS]
    terms = [wrapped(term, WIDTH) for term in dict.fromkeys(data["term"].dropna())]
    columns = columns_for(len(metrics))
    rows = math.ceil(len(metrics) / columns)
    lines = sum(term.count("\n") + 1 for term in terms)
    figure = Figure(
        figsize=(
            1.5 * columns + 0.4 + max(map(text_width, terms)),
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
    name_axes(figure, x="share of the variation, %", y="explained by")
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, places: dict[str, int]) -> None:
    for row in rows.to_dict("records"):
        place, share = places[row["term"]], min(max(row["share"], 0.0), 1.0)
        ax.barh(place, share, height=0.62, color=_colour(row["term"]), alpha=0.55, lw=0)
        ax.plot([row["low"], row["high"]], [place] * 2, color="0.15", lw=1.1, solid_capstyle="butt", clip_on=False)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    first = rows.iloc[0]
    mark = " †" if not_comparable(str(first["metric"]), rows["term"]) else ""
    ax.set_title(f"{str(first['metric']).replace('_', ' ')}{mark}\n({first['scale']})")


def _colour(term: str) -> object:
    if term in (SEED, RESIDUAL, SHARED):
        return QUIET
    return palette()[1] if "×" in term or term == REST else palette()[0]


def title(table: pd.DataFrame) -> str:
    """The factor or interaction that explains most of the first metric, of those whose share can be told from 0, with its interval."""
    rows = table[table["metric"] == table.loc[table["why"] == "", "metric"].iloc[0]]
    factors = rows[~rows["term"].isin([SEED, RESIDUAL, SHARED])].sort_values("share", ascending=False, kind="stable")
    if factors.empty:
        return ""
    metric, told = str(rows["metric"].iloc[0]).replace("_", " "), factors[factors["low"] > 0]
    if told.empty:
        return f"Nothing that is swept explains a share of {metric} that can be told from 0."
    first = told.iloc[0]
    others = factors.drop(first.name)
    low, high, share = (number(round(100 * first[name])) for name in ("low", "high", "share"))
    unsure = " (other intervals overlap it)" if (others["high"] >= first["low"]).any() else ""
    most = "most" if len(others) and first["share"] == factors["share"].max() else "a share"
    return f"Of what is swept, {first['term']} explains {most} of {metric}: {share} % [{low}, {high}]{unsure}."


def plots(shares: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a factor is swept."""
    table = data(shares)
    if table is not None:
        more = table.loc[table["why"] == "", "metric"].nunique() - MOST_METRICS
        caption = (
            "Shares of the variation of a metric between confirm runs, for each swept factor, interactions of two (×), the rest of the "
            "cells, the seed (what all its runs have in common) and the residual. Freed of what chance adds; lines: jackknife intervals "
            "over seeds, nominally of 95 %. Exploratory: a share has no direction, and depends on which levels are swept."
            + (f" {counted(more, 'more metric is', 'more metrics are')} in the table." if more > 0 else "")
            + roles.merged(MEDIANS)
        )
        yield Plot("importance", caption, table, draw, title=title(table))
