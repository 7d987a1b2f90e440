"""Two swept factors at once: how far each cell is from the best one, in pairs of seeds."""

import math
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harness.inference.ranks import as_ranked
from harness.reporting.page.level_names import told_apart
from harness.reporting.page.words import number
from harness.reporting.plots.axes import LEAST_WIDTH, LINE, facet_names, level_name, level_ticks
from harness.reporting.plots.estimates import ONCE, difference, estimate
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.generalization import metrics
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import fences
from harness.reporting.plots.texts import metric_name, metric_words, text_width, tick
from harness.reporting.plots.titles import place_of
from harness.settings.metrics import METRICS, RATE
from harness.settings.show import MILLION, counted

MOST_METRICS = 2
EQUAL_CONTRAST = 0.18
"""Relative luminance against which black and white have the same contrast (WCAG 2)."""

WIDEST = 6.4
"""Of all cells side by side, in inches."""

WORDY, NUMERIC = 0.9, 0.38
"""Width of a cell, in inches, from which on it has room for an interval, and for a number."""

MOST_NAMES = 16
"""Levels that the y axis names; of more evenly spaced ones."""

NEAR = "≈"
"""Marks a cell whose difference to the best one may be 0."""


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Estimates and differences to the best cell at every pair of levels of the first two factors; None for less than two."""
    found = roles.points
    if "group" not in found:
        return None
    runs = as_ranked(confirmed(runs))
    shown = [name for name in metrics(runs, roles.study) if METRICS[name].better and METRICS[name].unit != RATE]
    roles_here = {"x": found["x"], "y": found["group"]} | {k: v for k, v in found.items() if k == "facet"}
    cells = [(names, inside) for names, inside in roles.cells(runs, roles_here) if len(inside)]
    rows: list[dict[str, Any]] = []
    for metric in shown[:MOST_METRICS]:
        estimates = [estimate(metric, inside) for _, inside in cells]
        sign = 1 if METRICS[metric].better == "lower" else -1
        order = [sign * float(str(one["estimate"])) for one in estimates]
        best = int(np.nanargmin(order)) if np.isfinite(order).any() else 0
        for i, ((names, inside), found_here) in enumerate(zip(cells, estimates, strict=True)):
            against = difference(metric, inside, cells[best][1])
            rows.append(names | {"metric": metric} | found_here | against | {"best": i == best})
    return pd.DataFrame(rows) if rows else None


def near(data: pd.DataFrame) -> "pd.Series[bool]":
    """Which cells may be as good as the best one: the interval of their difference is known and holds 0."""
    return ~data["best"] & (data["effect_low"] <= 0) & (data["effect_high"] >= 0)


def draw(data: pd.DataFrame) -> Figure:
    """One heatmap per metric and level of the facet."""
    shown, facets = list(dict.fromkeys(data["metric"])), sorted(data["facet_order"].unique())
    columns, rows = data["x_order"].nunique(), data["y_order"].nunique()
    ticks = [tick(level) for level in told_apart(list(dict.fromkeys(data["y"])))]
    label, lines = max(map(text_width, ticks)), max(text.count("\n") + 1 for text in ticks)
    cell = min(1.05, WIDEST / (columns * len(facets)))
    row = max(0.5 if cell >= WORDY else 0.34, LINE * lines + 0.05 if rows <= MOST_NAMES else 0.0)
    width = columns * cell * len(facets) + label + 0.6
    height = (max(rows * row, 0.6) + 0.85) * len(shown)
    figure = Figure(figsize=(max(width, LEAST_WIDTH), height), layout="constrained")
    axes = figure.subplots(len(shown), len(facets), squeeze=False)
    names = facet_names(data)
    for line, metric in zip(axes, shown, strict=True):
        of_metric = data[data["metric"] == metric]
        norm = _norm(of_metric)
        for ax, facet in zip(line, facets, strict=True):
            panel = of_metric[of_metric["facet_order"] == facet]
            _heatmap(ax, panel, norm, cell)
            _axes(ax, panel, data)
            ax.set_ylabel(ax.get_ylabel() if facet == facets[0] else "")
            if len(facets) > 1:  # side by side there is no room for the name below each
                ax.set_xlabel("")
            what = [f"{metric_name(metric)}: difference to the best cell"] if facet == facets[0] else []
            ax.set_title("\n".join([*what, *filter(None, [names[facet]])]))
        if cell < NUMERIC:
            mappable = matplotlib.cm.ScalarMappable(norm, "cividis_r")
            figure.colorbar(mappable, ax=line.tolist(), extend="max", label="worse by")
    if len(facets) > 1:
        figure.supxlabel(level_name(data, "x"), fontsize=axes[0, 0].xaxis.label.get_fontsize())
    return figure


def _norm(data: pd.DataFrame) -> Normalize:
    """Colours from the best cell to the worst that does not stretch the scale."""
    worse = _worse(data)
    finite = worse[np.isfinite(worse)]
    high = fences(finite)[1] if len(finite) else 1.0
    return Normalize(0.0, high or 1.0)


def _worse(data: pd.DataFrame) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    sign = np.where(data["metric"].map(lambda name: METRICS[name].better) == "lower", 1.0, -1.0)
    return np.asarray(data["effect"].to_numpy(float) * sign)


def _heatmap(ax: Axes, panel: pd.DataFrame, norm: Normalize, cell: float) -> None:
    shown = panel.assign(worse=np.minimum(_worse(panel), norm.vmax or 1.0).astype(float), near=near(panel))
    shown.loc[~np.isfinite(_worse(panel)), "worse"] = np.nan
    table = shown.pivot(index="y_order", columns="x_order", values="worse")
    table = table.reindex(index=range(int(panel["y_order"].max()) + 1), columns=range(int(panel["x_order"].max()) + 1))
    edges = (np.arange(n + 1) - 0.5 for n in table.shape[::-1])
    mesh = ax.pcolormesh(*edges, table.to_numpy(float), norm=norm, cmap="cividis_r", edgecolors="white",
                         linewidth=1.2 if cell >= NUMERIC else 0.4)  # fmt: skip
    for row in shown.to_dict("records"):
        worse = row["worse"]
        place = (row["x_order"] - 0.5, row["y_order"] - 0.5)
        colour = mesh.cmap(norm(worse)) if np.isfinite(worse) else (1.0, 1.0, 1.0, 1.0)
        if not np.isfinite(worse):
            ax.add_patch(Rectangle(place, 1, 1, fill=False, ec="0.75", lw=0, hatch="///"))
        if text := _text(row, cell):
            ax.text(row["x_order"], row["y_order"], text, ha="center", va="center", fontsize=8, linespacing=1.2,
                    color="black" if _luminance(colour) > EQUAL_CONTRAST else "white")  # fmt: skip
        if row["best"]:
            ax.add_patch(Rectangle(place, 1, 1, fill=False, ec="black", lw=2, zorder=4))
    ax.grid(visible=False)


def _luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _text(row: dict[Any, Any], cell: float) -> str:
    """The difference with its interval, as far as there is room, and how many runs diverged; of the best cell what it has."""
    mark = NEAR if row["near"] else ""
    if cell < NUMERIC:
        return "★" if row["best"] else mark
    parts = filter(None, [mark, _difference(row, cell), f"{row['n_diverged']}×" if row["n_diverged"] else ""])
    text = next(parts)
    for part in parts:
        beside = f"{text} {part}"
        text = beside if text_width(beside) < cell else f"{text}\n{part}"
    return text


def _difference(row: dict[Any, Any], cell: float) -> str:
    if row["best"]:
        return f"best: {number(row['estimate'])}" if cell >= WORDY else number(row["estimate"])
    ends = [row["effect_low"], row["effect_high"]]
    if cell < WORDY or not np.isfinite(ends).all():
        return signed(row["effect"])
    largest = max(map(abs, ends))
    digits = max(0, 1 - math.floor(math.log10(largest))) if 1e-5 <= largest < MILLION else None  # two of the larger end
    effect, low, high = (signed(value, digits) for value in (row["effect"], *ends))
    return f"{effect}\n[{low}, {high}]"


def signed(value: float, digits: int | None = None) -> str:
    """With a sign, two digits or so many after the point.

    >>> signed(0.1234), signed(-0.05), signed(0.0), signed(0.00666, 3)
    ('+.12', '−.05', '0', '+.007')
    """
    if np.isnan(value):
        return "–"
    text = "∞" if np.isinf(value) else f"{abs(value):.2g}" if digits is None else f"{abs(value):.{digits}f}"
    if text.strip("0.") == "":
        return "0"
    return ("+" if value > 0 else "−") + (text[1:] if text.startswith("0.") else text)


def _axes(ax: Axes, panel: pd.DataFrame, data: pd.DataFrame) -> None:
    columns, rows = (data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order") for role in ("x", "y"))
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5))
    ax.set(xlabel=level_name(data, "x"), ylabel=level_name(data, "y").replace(" (", "\n("))
    step = -(-len(rows) // MOST_NAMES)
    names = [tick(level, flat=step > 1) for level in told_apart(rows["y"].to_list())]
    ax.set_yticks(rows["y_order"][::step], names[::step])
    ax.tick_params(axis="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    level_ticks(ax, columns["x_order"].to_list(), columns["x"].to_list())


def title(table: pd.DataFrame) -> str:
    """The best cell by the first metric, or how many are equally good, and how many others may be as good."""
    metric = table["metric"].iloc[0]
    cells = table[table["metric"] == metric]
    if not np.isfinite(cells["estimate"]).any():
        return f"{metric_words(metric).capitalize()} is infinite in every cell."
    value = cells.loc[cells["best"], "estimate"].iloc[0]
    best, others = cells[cells["estimate"] == value], cells[cells["estimate"] != value]
    said = f"Best {metric_words(metric)}: {number(value)} at {place_of(best, cells, ('x', 'y', 'facet'), 'cells')}"
    return f"{said}{_as_good(others)}."


def _as_good(others: pd.DataFrame) -> str:
    """Of how many cells with another estimate than the best one the difference to it may be 0."""
    known = int(others["effect_low"].notna().sum())
    if others.empty or not known:
        return "; fewer than six seeds give no interval that tells others from it" if len(others) else ""
    has, have = (" that has an interval", " that have intervals") if known < len(others) else ("", "")
    of = counted(known, f"other cell{has}", f"other cells{have}")
    return f"; {int(near(others).sum()) or 'none'} of {of} may be as good, by the intervals of differences"


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure for the first two swept factors."""
    table = data(runs, roles)
    if table is not None:
        caption = (
            f"Each cell less the best one (framed), median over paired seeds, [95 % interval]; the darker the worse. {NEAR}: the interval "
            "holds 0. k×: k runs diverged; hatched: infinite. The best of many cells is picked with luck: no claim. What to use, on the first "
            "screen, is chosen by validation and compared by tests for all cells together: both may name other cells."
            f"{roles.merged(ONCE)}{roles.said(roles.points)}"
        )  # fmt: skip
        yield Plot("surface", caption, table, draw, title=title(table) + roles.where(roles.points))
