"""Every run as a point, runs of one seed joined across the levels of a factor: what the paired estimates are made of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.robust import median
from harness.reporting.plots.axes import level_axis
from harness.reporting.plots.factors import confirmed, keys, levels_of, partner, rows_at
from harness.reporting.plots.looks import MARKERS, PALETTE, QUIET
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import metric_name, wrapped
from harness.settings.show import counted
from harness.study import Study

METRICS = ("test_loss", "test_error", "validation_loss")
COLUMNS = 4


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study, factor: str) -> pd.DataFrame | None:
    """One row per seed and level of `factor` and its partner: the first metric measured (the median over other cells)."""
    runs, facet_factor = confirmed(runs), partner(study, factor)
    metric = next((name for name in METRICS if np.isfinite(runs[name]).any()), None)
    rows: list[dict[str, Any]] = []
    if metric is None:
        return None
    for i, level in enumerate(levels_of(study, factor)):
        for j, facet in enumerate(levels_of(study, facet_factor)):
            inside = rows_at(runs, {factor: level, facet_factor: facet})
            names = (
                keys(study, "x", factor, i, level) | keys(study, "facet", facet_factor, j, facet) | {"metric": metric}
            )
            for seed, values in inside[inside[metric].notna()].groupby("seed")[metric]:
                rows.append(names | {"seed": seed, "value": median(values.to_numpy(float))})
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """One panel per level of the facet."""
    facets = sorted(data["facet_order"].unique())
    columns = min(COLUMNS, len(facets))
    n_rows = -(-len(facets) // columns)
    width = max(1.9, 0.62 * data["x_order"].nunique() + 0.9)
    figure = Figure(figsize=(max(width * columns + 0.5, 4.5), 3.0 * n_rows + 0.2), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False, sharey=True).ravel()
    for ax, facet in zip(axes, facets, strict=False):
        panel = data[data["facet_order"] == facet]
        _panel(ax, panel)
        first = panel.iloc[0]
        where = f"{first['facet_factor']}\n= {wrapped(first['facet'], 24)}\n" if first["facet_factor"] else ""
        ax.set_title(f"{where}n = {counted(panel['seed'].nunique(), 'seed')}")
        level_axis(ax, panel, "x")
    for ax in axes[::columns]:
        ax.set_ylabel(metric_name(data["metric"].iloc[0]))
    for ax in axes[len(facets) :]:
        ax.set_axis_off()
    return figure


def _panel(ax: Axes, panel: pd.DataFrame) -> None:
    finite = panel[np.isfinite(panel["value"])]
    for _, seed in panel.sort_values("x_order").groupby("seed"):
        ax.plot(seed["x_order"], seed["value"].where(np.isfinite(seed["value"])), color="0.75", lw=0.8, zorder=1)
    for _, level in panel.groupby("x_order"):
        order = int(level["x_order"].iloc[0])
        color, marker = PALETTE[int(level["x_colour"].iloc[0])], MARKERS[order % len(MARKERS)]
        seen = finite[finite["x_order"] == order]
        ax.plot(
            seen["x_order"],
            seen["value"],
            ls="",
            marker=marker,
            ms=5,
            color=color,
            mec="white",
            mew=0.5,
            alpha=0.85,
            zorder=2,
        )
        middle = median(level["value"])
        if np.isfinite(middle):
            ax.hlines(
                middle,
                level["x_order"].iloc[0] - 0.25,
                level["x_order"].iloc[0] + 0.25,
                color="black",
                lw=1.6,
                zorder=3,
            )
        gone = len(level) - len(seen)
        if gone:
            ax.annotate(f"{gone}×", (level["x_order"].iloc[0], 1.0), (0, -1), xycoords=ax.get_xaxis_transform(), va="top", ha="center",
                        textcoords="offset points", color=color, fontsize=8, weight="bold")  # fmt: skip
    if not len(finite):
        ax.text(0.5, 0.5, "all runs became non-finite", transform=ax.transAxes, ha="center", color=QUIET)
    ax.margins(y=0.15)


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure per swept factor."""
    for factor in study.sweeps():
        table = data(runs, curves, study, factor)
        if table is not None:
            caption = (
                f"Every seed: one point per run, a line joins the runs of one seed across {factor}; black bars are medians over "
                "all runs. k×: so many runs became non-finite (infinite, above the axis); lines break there."
            )
            yield Plot(f"seeds_{factor}", caption, table, draw)
