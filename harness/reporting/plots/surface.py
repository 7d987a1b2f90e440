"""Two swept factors at once: heatmaps of loss, error and divergence rate."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.reporting.plots.axes import level_ticks
from harness.reporting.plots.estimates import estimate
from harness.reporting.plots.factors import confirmed, keys, levels_of, preferred, rows_at
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import factor_name, metric_name, text_width, tick
from harness.study import Study

METRICS = ("test_loss", "test_error", "diverged")

EQUAL_CONTRAST = 0.18
"""Relative luminance against which black and white have the same contrast (WCAG 2)."""


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """Estimates at every pair of levels of the first two factors; None for less than two."""
    if len(study.sweeps()) < 2:
        return None
    y_factor, x_factor = preferred(study)[:2]
    runs, rows = confirmed(runs), []
    measured = [metric for metric in METRICS if runs[metric].notna().any()]
    for i, x in enumerate(levels_of(study, x_factor)):
        for j, y in enumerate(levels_of(study, y_factor)):
            inside = rows_at(runs, {x_factor: x, y_factor: y})
            names = keys(study, "x", x_factor, i, x) | keys(study, "y", y_factor, j, y)
            rows += [names | {"metric": metric} | estimate(metric, inside) for metric in measured if len(inside)]
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """One heatmap per metric, every cell with its number, interval and count of diverged runs."""
    metrics = list(dict.fromkeys(data["metric"]))
    width = max(3.0, 0.88 * data["x_order"].nunique() + 0.3 + max(text_width(tick(level)) for level in data["y"]))
    height = max(2.4, 0.72 * data["y_order"].nunique() + 1.0)
    figure = Figure(figsize=(width * len(metrics), height), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for ax, metric in zip(axes, metrics, strict=True):
        _heatmap(ax, data[data["metric"] == metric], rate=metric == "diverged")
        ax.set_title(metric_name(metric))
        ax.grid(visible=False)
    return figure


def _heatmap(ax: Axes, data: pd.DataFrame, *, rate: bool) -> None:
    def grid(column: str) -> pd.DataFrame:
        return data.pivot(index="y_order", columns="x_order", values=column).sort_index(ascending=False)

    texts = data.assign(text=[_text(row, rate=rate) for _, row in data.iterrows()])
    text = texts.pivot(index="y_order", columns="x_order", values="text").sort_index(ascending=False).fillna("")
    values = grid("estimate").astype(float)
    finite = values.where(np.isfinite(values))
    known = bool(finite.notna().to_numpy().any())
    low, high = (0.0, 1.0) if rate or not known else (float(finite.min().min()), float(finite.max().max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    sns.heatmap(
        finite, ax=ax, annot=text.to_numpy() if known else None, fmt="", cmap="cividis_r", vmin=low, vmax=high, linewidths=1.5,
        cbar=False, annot_kws={"fontsize": 8, "linespacing": 1.25}, mask=finite.isna(),
        xticklabels=False, yticklabels=False,  # seaborn would draw them to see whether they overlap
    )  # fmt: skip
    colours: Any = ax.collections[0].get_facecolor()[np.isfinite(values.to_numpy(float)).ravel()]
    for label, colour in zip(ax.texts, colours, strict=True):  # seaborn writes white on middling colours too
        label.set_color("black" if sns.utils.relative_luminance(colour) > EQUAL_CONTRAST else "white")
    for y, x in zip(*np.nonzero(~np.isfinite(values.to_numpy(float))), strict=True):
        ax.add_patch(Rectangle((x, y), 1, 1, fill=False, hatch="///", ec="0.75", lw=0))
        ax.text(x + 0.5, y + 0.5, text.iloc[y, x], ha="center", va="center", fontsize=8, linespacing=1.25)
    columns, rows = (data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order") for role in ("x", "y"))
    ax.set(xlabel=factor_name(columns["x_factor"].iloc[0]), ylabel=factor_name(rows["y_factor"].iloc[0]))
    ax.tick_params(axis="both", rotation=0, length=0)
    ax.set_xticks(np.arange(len(columns)) + 0.5)
    ax.set_yticks(np.arange(len(rows)) + 0.5, [tick(level) for level in rows["y"][::-1]])
    level_ticks(ax, columns["x"].to_list())


def _text(row: "pd.Series[Any]", *, rate: bool) -> str:
    value, low, high = (_number(float(row[name])) for name in ("estimate", "low", "high"))
    diverged = f", {row['n_diverged']}×" if row["n_diverged"] and not rate else ""
    interval = "" if low == high == value else f"\n[{low}, {high}]"
    return f"{value}{interval}\nn={row['n']}{diverged}"


def _number(value: float) -> str:
    return "∞" if np.isinf(value) else f"{value:.3g}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3g}"


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure for the first two swept factors."""
    table = data(runs, curves, study)
    if table is not None:
        caption = (
            f"The surface of {table['y_factor'].iloc[0]} × {table['x_factor'].iloc[0]}: median over seeds (share of runs for "
            "diverged), [95 % interval], n runs, k× of them diverged. Yellow is low and good; hatched: more than half became non-finite."
        )
        yield Plot("surface", caption, table, draw)
