"""Panels of estimates at the levels of a factor, with their intervals, and what all panels have alike as sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.ranks import as_ranked
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_names, grid, label_shares, level_axis, level_name, name_axes
from harness.reporting.plots.estimates import estimate, statistic_in_words
from harness.reporting.plots.factors import AND, Roles, confirmed
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.scales import Scale, fences, scale_of
from harness.reporting.plots.texts import metric_name, metric_words
from harness.settings.metrics import METRICS, RATE, not_comparable
from harness.settings.show import counted

INCOMPARABLE = " †"
"""Marks a metric whose values cannot be compared across dropout."""

BOLD_DIGIT = 0.085
"""Width of a bold character of the counts in a panel, in inches."""

COUNTED = 0.09
"""What the counts of a group take, relative to what else a panel shows."""

LEGIBLE = 24
"""Points of a panel above which no numbers stand beside them."""


def measured(runs: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    """Those of some metrics that confirm runs have."""
    runs = confirmed(runs)
    return [metric for metric in dict.fromkeys(metrics) if metric in runs and runs[metric].notna().any()]


def point_data(runs: pd.DataFrame, roles: Roles, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Estimates of several metrics at every level of the first factors; None if nothing was measured or nothing is swept."""
    if "x" not in roles.panels:
        return None
    metrics, rows = measured(runs, metrics), list[dict[str, Any]]()
    runs = as_ranked(confirmed(runs)[[*roles.order, "seed", "status", *metrics]])
    for names, inside in roles.cells(runs, roles.panels):
        rows += [names | {"metric": metric} | estimate(metric, inside) for metric in metrics if len(inside)]
    return pd.DataFrame(rows) if rows else None


def without_constant(data: pd.DataFrame, runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The metrics that vary from run to run, and a sentence on each that does not; of all constant ones the first is kept."""
    runs = as_ranked(confirmed(runs))
    values = {metric: runs[metric] for metric in data["metric"].unique()}
    constant = {metric: column for metric, column in values.items() if column.nunique() == 1}
    if len(constant) == len(values):
        constant.pop(next(iter(values)))
    said = [f" {_constant(metric, column)}" for metric, column in constant.items()]
    return data[~data["metric"].isin(list(constant))].reset_index(drop=True), "".join(said)


def _constant(metric: str, column: "pd.Series[float]") -> str:
    there = column.dropna()
    lacking = f" that have it, of {len(column):,}" if len(there) < len(column) else ""
    value, n = float(there.iloc[0]), counted(len(there), "run") + lacking
    if METRICS[metric].unit == RATE and value in (0.0, 1.0):
        return f"{metric.replace('_', ' ').capitalize()}: {'no run of' if value == 0 else 'all'} {n}."
    return f"{metric_words(metric).capitalize()} is {number(value)} in all {n}."


def point_panels(data: pd.DataFrame, places: Mapping[str, tuple[int, int]] | None = None) -> Figure:
    """Estimates against levels, coloured by group, with intervals and counts of diverged runs.

    A panel per metric and level of the facet, metrics in rows; without a facet at their `places`, (row, column) by metric, or two
    in a row. Panels of a row that show the same quantity have the same scale.
    """
    metrics, facets = list(dict.fromkeys(data["metric"])), sorted(data["facet_order"].unique())
    several = len(facets) > 1
    if several or places is None:
        columns = 1 if several else min(len(metrics), 2)
        places = {metric: (i, 0) if several else divmod(i, columns) for i, metric in enumerate(metrics)}
    n_rows, n_columns = (1 + max(place[i] for place in places.values()) for i in (0, 1))
    n_columns = max(n_columns, len(facets))
    figure, axes = grid(n_rows, n_columns, width=max(6.0 / n_columns, 1.7), height=2.1)
    for ax in axes.flat:
        ax.set_axis_off()
    names = facet_names(data, 26)
    for metric, (row, column) in places.items():
        scale = _scale(data[data["metric"].isin(_alike(metric, metrics))], metric)
        for facet in facets:
            ax = axes[row, facets.index(facet) if several else column]
            ax.set_axis_on()
            panel = data[(data["metric"] == metric) & (data["facet_order"] == facet)]
            _points(ax, panel, scale)
            label_shares(ax, metric)
            if several and row == 0:
                ax.set_title(names[facet])
            if not several or facet == facets[0]:
                ax.set_ylabel(_label(metric, data, scale))
    name_axes(figure, x=level_name(data))
    legend(figure, data, note=counts_note(data["n"], "seeds per point"))
    return figure


def _alike(metric: str, metrics: Sequence[str]) -> list[str]:
    """The metrics with the same scale: at the end and at the best step."""
    return [other for other in metrics if other.removeprefix("best_") == metric.removeprefix("best_")]


def _scale(data: pd.DataFrame, metric: str) -> Scale:
    if METRICS[metric].unit == RATE:
        return Scale(-0.04, 1.04)
    finite = data["estimate"][np.isfinite(data["estimate"])]
    inside = data[data["estimate"].between(*fences(finite.to_numpy(float)))] if len(finite) else data
    ends = pd.concat([inside["estimate"], inside["low"], inside["high"]])
    ends = ends.clip(0, 1) if METRICS[metric].unit.startswith("share") else ends
    scale = scale_of(ends, log=True if "norm" in metric else None)
    crowded = data["n_diverged"].any() and _is_legible(data[data["metric"] == metric])
    room = max(0.12, COUNTED * data["group_order"].nunique()) if crowded and not scale.log else 0.0
    return Scale(scale.low, scale.high + room * (scale.high - scale.low), scale.log)


def _label(metric: str, data: pd.DataFrame, scale: Scale) -> str:
    mark = INCOMPARABLE if across(metric, data) else ""
    name = metric_name(metric)
    name = name if len(name) < 24 else name.replace(" (", "\n(")
    return name + mark + (",\nlog scale" if scale.log else "")


def across(metric: str, data: pd.DataFrame) -> str:
    """What of the factors of a figure a metric cannot be compared across; mostly nothing."""
    named = {*data["x_factor"], *data["group_factor"], *data["facet_factor"]}
    return not_comparable(metric, {path for paths in named for path in paths.split(AND)})


def _is_legible(panel: pd.DataFrame) -> bool:
    return len(panel) / max(1, panel["facet_order"].nunique()) <= LEGIBLE


def _has_room(ax: Axes, panel: pd.DataFrame) -> bool:
    """Whether counts of runs that diverged can stand side by side at all levels."""
    longest = len(f"{panel['n_diverged'].max()}×") * BOLD_DIGIT
    return bool(ax.get_window_extent().width / ax.figure.dpi / panel["x_order"].nunique() > longest)


def _points(ax: Axes, panel: pd.DataFrame, scale: Scale) -> None:
    groups = panel["group_order"].nunique()
    step = min(0.16, 0.7 / max(groups, 1))
    scale.apply(ax)
    if len(panel) and METRICS[panel["metric"].iloc[0]].unit.startswith("share"):
        panel = panel.assign(low=panel["low"].clip(lower=0), high=panel["high"].clip(upper=1))
    for i, (_, rows) in enumerate(panel.groupby("group_order")):
        offset, kind = (i - (groups - 1) / 2) * step, look_of(rows)
        rows = rows[rows["estimate"].notna()]
        _line(ax, rows.assign(place=rows["x_order"] + offset), scale, kind)
    if not _is_legible(panel):
        scale.count(ax, panel["estimate"])
    if len(panel):
        level_axis(ax, panel)
        if _is_legible(panel) and _has_room(ax, panel) and METRICS[panel["metric"].iloc[0]].unit != RATE:
            _diverged(ax, panel, scale, step, groups)


def _line(ax: Axes, rows: pd.DataFrame, scale: Scale, kind: dict[str, Any]) -> None:
    """The points of a group, a triangle at the edge where an estimate or the end of an interval lies beyond it."""
    x, y = rows["place"], scale.clipped(rows["estimate"])
    low, high = (scale.clipped(rows[name].fillna(rows["estimate"])) for name in ("low", "high"))
    ax.vlines(x, low, high, color=kind["color"], lw=1.3)
    numeric = bool(rows["x_numeric"].all())
    ax.plot(x, y, color=kind["color"], ls=kind["ls"] if numeric else "", lw=1, zorder=2)
    beyond = scale.beyond(rows["estimate"])
    ax.plot(x[~beyond], y[~beyond], **(kind | {"ls": "", "mfc": kind["color"], "mec": "white"}), zorder=3)
    for mark, end, name in (("^", scale.high, "high"), ("v", scale.low, "low")):
        for column, look in ((name, {"ms": 4}), ("estimate", {"ms": 7, "mfc": "white", "zorder": 4})):
            out = (rows[column] > end) if mark == "^" else (rows[column] < end)
            if out.any():
                ax.plot(x[out], [end] * int(out.sum()), ls="", marker=mark, color=kind["color"], clip_on=False, **look)


def _diverged(ax: Axes, panel: pd.DataFrame, scale: Scale, step: float, groups: int) -> None:
    """How many runs diverged, above the points, below the triangles of what lies beyond the axis."""
    top = -9 if (panel[["estimate", "high"]] > scale.high).any(axis=None) else -2
    for i, (_, rows) in enumerate(panel.groupby("group_order")):
        for row in rows[rows["n_diverged"] > 0].to_dict("records"):
            ax.annotate(
                f"{row['n_diverged']}×", (row["x_order"] + (i - (groups - 1) / 2) * step, 1.0), (0, top - 9 * i),
                xycoords=ax.get_xaxis_transform(), textcoords="offset points", ha="center", va="top", fontsize=8,
                color=look_of(rows)["color"], weight="bold", zorder=5,
                bbox={"fc": "white", "ec": "none", "pad": 0.2, "alpha": 0.75},
            )  # fmt: skip


def reading(data: pd.DataFrame) -> str:
    """How the points of a figure are read."""
    diverged = " k×: k runs diverged, where there is room." if data["n_diverged"].any() else ""
    ends = data[["estimate", "low", "high"]].to_numpy(float)
    beyond = " Triangles at the edge: beyond the axis." if np.isinf(ends).any() else ""
    return f" Points: {statistic_in_words(data)}; bars: 95 % intervals, of shares within 0 and 1.{diverged}{beyond}"
