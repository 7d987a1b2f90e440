"""Axes: of levels, with labels that have room, and logarithmic."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator, NullFormatter

from harness.reporting.plots.texts import factor_name, power, text_width, tick, wrapped

SLANT = 35
"""Degrees by which labels of ticks without room are turned."""


def row_of_panels(data: pd.DataFrame, *, width: float, height: float) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A figure with a panel for each level of the facet, on the same axes, and the rows of each.

    Args:
        data: with `facet_order`.
        width: of a panel, in inches.
        height: likewise.
    """
    facets = sorted(data["facet_order"].unique())
    figure = Figure(figsize=(max(width * len(facets) + 0.6, 5.5), height), layout="constrained")
    axes = figure.subplots(1, len(facets), squeeze=False, sharey=True, sharex=True)[0]
    return figure, [(ax, data[data["facet_order"] == facet]) for ax, facet in zip(axes, facets, strict=True)]


def level_axis(ax: Axes, data: pd.DataFrame, role: str) -> None:
    """Name the x axis and its levels."""
    levels = data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order")
    ax.set_xticks(levels[f"{role}_order"].to_list())
    ax.set_xlim(levels[f"{role}_order"].min() - 0.5, levels[f"{role}_order"].max() + 0.5)
    ax.set_xlabel(factor_name(str(levels[f"{role}_factor"].iloc[0])))
    level_ticks(ax, levels[role].to_list())


def level_ticks(ax: Axes, levels: Sequence[str]) -> None:
    """Label the ticks of the x axis with levels: upright where there is room, else slanted, in a higher figure."""
    figure, grid = ax.get_figure(root=True), ax.get_subplotspec()
    assert isinstance(figure, Figure) and grid is not None
    ticks = [tick(text) for text in levels]
    widths = [text_width(text) for text in ticks]
    room = ax.get_window_extent().width / figure.dpi / len(levels)
    if all((a + b) / 2 < room for a, b in pairwise(widths)):
        ax.set_xticklabels(ticks)
    else:
        ticks = [wrapped(text, 26) for text in levels]
        ax.set_xticklabels(ticks, rotation=SLANT, ha="right", rotation_mode="anchor")
        height = max(map(text_width, ticks)) * math.sin(math.radians(SLANT))
        part = height / grid.get_gridspec().ncols  # which every panel of a row adds
        figure.set_figheight(figure.get_figheight() + part)


def log_scale(ax: Axes) -> None:
    """Make the y axis logarithmic."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(_Plain())
    ax.yaxis.set_minor_formatter(_Plain(minor_thresholds=(1, 0.4)))


def log_values(ax: Axes, values: "pd.Series[float]") -> None:
    """Make the x axis logarithmic, with as many labels as values over so many decades have room for."""
    ax.set_xscale("log")
    decades = math.log10(values.max() / values.min())
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades < 2.5 else (1.0,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


class _Plain(LogFormatter):
    """Labels the ticks that matplotlib would, with `power` instead of formulas, which take a tenth of a report's time."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of the tick at `x`."""
        return power(x) if super().__call__(x, pos) else ""


def name_panel(ax: Axes, panel: pd.DataFrame) -> None:
    """The level of the facet above a panel, where there is a facet."""
    first = panel.iloc[0]
    if first["facet_factor"]:
        ax.set_title(f"{first['facet_factor']}\n= {wrapped(first['facet'], 28)}")
