"""Axes: of levels, with labels that have room, and logarithmic."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator, NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from harness.reporting.page.level_names import LONGEST, told_apart
from harness.reporting.plots.factors import AND
from harness.reporting.plots.texts import UNCLIPPED, factor_name, power, text_width, tick, wrapped
from harness.settings.metrics import METRICS

SLANT = 35
"""Degrees by which labels of ticks without room are turned."""

LEAST_WIDTH = 4.4
"""Of a figure, in inches: its legend needs so much."""

TICK = 0.3
"""Room that a slanted label of a tick needs at least, in inches."""

LINE = 0.15
"""Height of a line of a label, in inches."""

SLANTED = 26
"""Characters in a line of a slanted label, where there is room for two lines."""

MOST_TICKS = 16
"""Levels that an axis names; of more evenly spaced ones."""


def grid(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """A figure with panels in rows and columns, and their axes.

    Args:
        rows: of panels.
        columns: of panels.
        width: of a panel, in inches.
        height: likewise.
    """
    figure = Figure(figsize=(max(width * columns + 0.5, LEAST_WIDTH), height * rows + 0.7), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


LETTERS = 11
"""Of a title, about as many as have room in an inch."""


def facet_panels(data: pd.DataFrame, *, width: float, height: float) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """A figure with a panel for each level of the facet, on the same axes, named, and the rows of each.

    Args:
        data: with `facet_order`.
        width: of a panel, in inches.
        height: likewise.
    """
    facets = sorted(data["facet_order"].unique())
    columns = columns_for(len(facets))
    figure, axes = grid(-(-len(facets) // columns), columns, width=width, height=height)
    found = [(ax, data[data["facet_order"] == facet]) for ax, facet in zip(axes.flat, facets, strict=False)]
    for ax in axes.flat[len(facets) :]:
        ax.set_axis_off()
    names = facet_names(data, round(LETTERS * width))
    for i, (ax, _) in enumerate(found):
        if i:
            ax.sharex(found[0][0])
            ax.sharey(found[0][0])
        ax.tick_params(labelleft=i % columns == 0, labelbottom=i + columns >= len(found), which="both")
        ax.set_title(names[facets[i]])
    return figure, found


def columns_for(panels: int) -> int:
    """How many panels stand side by side: three at most, and four two by two.

    >>> [columns_for(n) for n in (1, 2, 3, 4, 5, 6)]
    [1, 2, 3, 2, 3, 3]
    """
    return 2 if panels == 4 else min(panels, 3)


def name_axes(figure: Figure, *, x: str, y: str = "") -> None:
    """Name axes that all panels of a figure share, once."""
    figure.supxlabel(x, fontsize="medium")
    if y:
        figure.supylabel(y, fontsize="medium")


def level_axis(ax: Axes, data: pd.DataFrame, role: str = "x") -> None:
    """The levels along the x axis."""
    levels = data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order")
    ax.set_xlim(levels[f"{role}_order"].min() - 0.5, levels[f"{role}_order"].max() + 0.5)
    level_ticks(ax, levels[f"{role}_order"].to_list(), levels[role].to_list())


def level_name(data: pd.DataFrame, role: str = "x") -> str:
    """A factor with its unit, for an axis of its levels."""
    unclipped = "; ∞: no clipping" if UNCLIPPED in set(data[role]) else ""
    return factor_name(str(data[f"{role}_factor"].iloc[0])) + unclipped


def level_ticks(ax: Axes, places: Sequence[float], levels: Sequence[str]) -> None:
    """Label the ticks of the x axis with levels: upright where there is room, else slanted, in a higher figure."""
    figure, grid = ax.get_figure(root=True), ax.get_subplotspec()
    assert isinstance(figure, Figure) and grid is not None
    most = max(2, min(MOST_TICKS, int(ax.get_window_extent().width / figure.dpi / TICK)))
    step = -(-len(levels) // most)
    places, levels = places[::step], levels[::step]
    ax.set_xticks(places)
    names = told_apart(levels)
    ticks = [tick(text) for text in names]
    widths = [text_width(text) for text in ticks]
    room = ax.get_window_extent().width / figure.dpi / len(levels)
    if all((a + b) / 2 < room for a, b in pairwise(widths)):
        ax.set_xticklabels(ticks)
    else:
        lines = room * math.sin(math.radians(SLANT)) / LINE  # more would lie on the next label
        ticks = [wrapped(tick(text, flat=True), SLANTED if lines >= 2 else LONGEST) for text in names]
        ax.set_xticklabels(ticks, rotation=SLANT, ha="right", rotation_mode="anchor")
        height = max(map(text_width, ticks)) * math.sin(math.radians(SLANT))
        part = height / grid.get_gridspec().ncols  # which every panel of a row adds
        figure.set_figheight(figure.get_figheight() + part)


def log_scale(ax: Axes) -> None:
    """Make the y axis logarithmic."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(_Plain())
    ax.yaxis.set_minor_formatter(_Plain(minor_thresholds=(1, 0.4)))


def label_shares(ax: Axes, metric: str) -> None:
    """Where the y axis shows a metric that is a share, label no tick beyond 0 and 1: an axis has room there, a share has no values."""
    if METRICS[metric].unit.startswith("share") and ax.get_yscale() == "linear":
        ax.yaxis.set_major_formatter(_OfShares())


def log_values(ax: Axes, values: "pd.Series[float]") -> None:
    """Make the x axis logarithmic, with as many labels as values over so many decades have room for."""
    ax.set_xscale("log")
    decades = math.log10(values.max() / values.min())
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades < 2.5 else (1.0,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


class _OfShares(ScalarFormatter):
    """Labels the ticks between 0 and 1 as matplotlib would, and no others."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of the tick at `x`."""
        return str(super().__call__(x, pos)) if -1e-9 <= x <= 1 + 1e-9 else ""


class _Plain(LogFormatter):
    """Labels the ticks that matplotlib would, with `power` instead of formulas, which take a tenth of a report's time."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of the tick at `x`."""
        return power(x) if super().__call__(x, pos) else ""


def facet_names(data: pd.DataFrame, width: int = 28) -> dict[int, str]:
    """By their order the levels of the facet with its factor, in one line where all have room, maybe by its last word."""
    levels = data.drop_duplicates("facet_order")
    factor = str(levels["facet_factor"].iloc[0])
    named = told_apart(levels["facet"].to_list())
    shown = {int(order): tick(level, flat=True) for order, level in zip(levels["facet_order"], named, strict=True)}
    if not factor:
        return dict.fromkeys(shown, "")
    for name in (factor, AND.join(path.rpartition(".")[2] for path in factor.split(AND))):
        if max(len(f"{name} = {level}") for level in shown.values()) <= width:
            return {order: wrapped(f"{name} = {level}", width) for order, level in shown.items()}
    return {order: f"{wrapped(name, width)}\n= {wrapped(level, width)}" for order, level in shown.items()}
