"""Panels of estimates at the levels of a factor, with their intervals and marks of diverged runs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.reporting.plots.axes import level_axis, log_scale
from harness.reporting.plots.estimates import estimate
from harness.reporting.plots.factors import confirmed, keys, levels_of, partner, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import QUIET, look_of
from harness.reporting.plots.texts import metric_name
from harness.settings.metrics import METRICS, RATE, not_comparable
from harness.study import Study


def point_data(runs: pd.DataFrame, study: Study, factor: str, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Estimates of several metrics at every level of `factor` and of its partner; None if nothing was measured."""
    runs, group_factor, rows = confirmed(runs), partner(study, factor), []
    measured = [metric for metric in metrics if metric in runs and runs[metric].notna().any()]
    for i, level in enumerate(levels_of(study, factor)):
        for j, group in enumerate(levels_of(study, group_factor)):
            inside = rows_at(runs, {factor: level, group_factor: group})
            names = keys(study, "x", factor, i, level) | keys(study, "group", group_factor, j, group)
            rows += [names | {"metric": metric} | estimate(metric, inside) for metric in measured if len(inside)]
    return pd.DataFrame(rows) if rows else None


def point_panels(data: pd.DataFrame, *, columns: int, logarithmic: Sequence[str] = ()) -> Figure:
    """One panel per metric: estimates against levels, coloured by group, with intervals and counts of diverged runs."""
    metrics = list(dict.fromkeys(data["metric"]))
    columns = min(columns, len(metrics))
    n_rows = math.ceil(len(metrics) / columns)
    figure = Figure(figsize=(max(3.5 * columns, 4.5), 3.1 * n_rows + 0.5), layout="constrained")
    axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
    for ax, metric in zip(axes, metrics, strict=False):
        _points(ax, data[data["metric"] == metric], logarithmic=metric in logarithmic)
        across = not_comparable(metric, {*data["x_factor"], *data["group_factor"]})
        ax.set_ylabel(
            metric_name(metric) + (", log scale" if metric in logarithmic else "") + (across and f"\n{across}")
        )
        if METRICS[metric].unit == RATE:
            ax.set_ylim(-0.04, 1.04)
    for ax in axes[len(metrics) :]:
        ax.set_axis_off()
    legend(figure, data, note=counts_note(data["n"], "runs per point"))
    return figure


def _points(ax: Axes, data: pd.DataFrame, *, logarithmic: bool) -> None:
    groups = data["group_order"].nunique()
    step = min(0.16, 0.7 / groups)
    metric = str(data["metric"].iloc[0])
    finite = data[np.isfinite(data["estimate"])]
    ceiling = _ceiling(finite, logarithmic=logarithmic)
    height = 0
    for _, rows in data.groupby("group_order"):
        order = int(rows["group_order"].iloc[0])
        look, offset = look_of(rows), (order - (groups - 1) / 2) * step
        seen = rows[np.isfinite(rows["estimate"])]
        x = seen["x_order"] + offset
        high = seen["high"].clip(upper=ceiling)
        ax.vlines(x, seen["low"], high, color=look["color"], lw=1.3)
        ax.plot(x[seen["high"] > ceiling], high[seen["high"] > ceiling], ls="", marker="^", ms=4, color=look["color"])
        ax.plot(x, seen["estimate"], **(look if rows["x_numeric"].all() else look | {"ls": ""}), lw=1)
        lost = rows[rows["n_diverged"] > 0]
        if metric != "diverged" and len(lost):
            _counts(ax, lost, offset, color=look["color"], height=height)
            height += 1
    if logarithmic and len(finite) and (finite["low"] > 0).all():
        log_scale(ax)
    elif METRICS[metric].unit.startswith("share"):
        top = ax.get_ylim()[1]
        ax.set_ylim(-0.04 * top, top)
    level_axis(ax, data, "x")
    if height:
        ax.annotate(
            "diverged",
            (0, 1),
            (-4, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=7,
            color=QUIET,
            ha="right",
        )


def _ceiling(finite: pd.DataFrame, *, logarithmic: bool) -> float:
    """Where infinite intervals are cut: a little above all that is finite."""
    tops = finite[["estimate", "high"]].to_numpy(float).ravel()
    tops = tops[np.isfinite(tops)]
    if not len(tops):
        return 1.0
    spread = float(tops.max() - min(finite["low"].min(), tops.min()))
    return float(tops.max()) * 2 if logarithmic else float(tops.max()) + 0.15 * spread


def _counts(ax: Axes, rows: pd.DataFrame, offset: float, *, color: Any, height: int) -> None:
    """`3×` above the panel: three runs diverged; `∞ 8×`: so many that the estimate itself is infinite."""
    for _, row in rows.iterrows():
        text = f"{row['n_diverged']}×" if np.isfinite(row["estimate"]) else f"∞ {row['n_diverged']}×"
        ax.annotate(
            text, (row["x_order"] + offset, 1.0), (0, 5 + 9 * height), xycoords=ax.get_xaxis_transform(),
            textcoords="offset points", ha="center", fontsize=7, color=color, weight="bold",
        )  # fmt: skip
