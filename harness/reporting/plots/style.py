"""What all figures share: colours and markers of levels, axis names, estimates at points, marks of diverged runs.

The data of a figure is a tidy table that holds all its drawing needs; it is saved beside the figure.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter

from harness.inference.statistics import median, median_interval, wilson
from harness.settings.levels import at, is_number, label, ordered
from harness.settings.metrics import METRICS, RATE
from harness.study import Study

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
UNITS = {
    "dropout": "probability",
    "max_norm": "gradient norm",
    "max_value": "gradient entry",
    "clip_factor": "gradient norm / weight norm",
    "percentile": "percentile of norms",
    "z": "standard deviations",
    "lr": "learning rate",
    "length": "time steps",
    "train_size": "examples",
    "batch_size": "examples",
    "steps": "training steps",
}
PALETTE: list[tuple[float, float, float]] = [
    color
    for i, color in enumerate(sns.color_palette("colorblind"))
    if i not in (6, 8)  # pink and yellow are too light on white
]
QUIET = "0.4"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
CHARACTER, HANDLE = 0.075, 0.55
"""Width of a character and of a legend's line with its spaces, in inches."""
SLANT = 35
"""Degrees by which labels of ticks without room are turned."""

MOST_LEVELS = 8
"""Levels of one factor that a figure shows, at most: more could not be told apart."""


@dataclass(frozen=True)
class Plot:
    """A figure to be: its file name, what to see in it, its data and how to draw them."""

    name: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]


def preferred(study: Study) -> list[str]:
    """Swept factors, dropout first, then clipping, then the others in the order of the study."""

    def rank(path: str) -> int:
        return 0 if path.endswith("dropout") else 1 if path.startswith("clipping") else 2

    return sorted(study.sweeps(), key=rank)


def partner(study: Study, path: str) -> str | None:
    """The swept factor that colours tell apart when `path` is on the x axis."""
    return next((other for other in preferred(study) if other != path), None)


def confirmed(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of the confirm phase that did not fail."""
    return runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]


def levels_of(study: Study, path: str | None) -> list[Any]:
    """The levels of a swept factor that figures show, in the order of its axis; a single None for no factor.

    Of more than `MOST_LEVELS` evenly spaced ones, the first and the last among them.
    """
    if path is None:
        return [None]
    levels = ordered(study.sweeps()[path].levels)
    shown = min(len(levels), MOST_LEVELS)
    return [levels[i * (len(levels) - 1) // max(1, shown - 1)] for i in range(shown)]


def omitted(study: Study) -> str:
    """A sentence for the captions of a study with more levels than its figures show, else nothing."""
    counts = {path: (len(levels_of(study, path)), len(ordered(sweep.levels))) for path, sweep in study.sweeps().items()}
    parts = [f"{shown} of the {there} levels of {path}" for path, (shown, there) in counts.items() if shown < there]
    return f" Shown: {' and '.join(parts)}." if parts else ""


def colour_of(study: Study, path: str | None, order: int) -> int:
    """Index of a level's colour: the same in every figure of a study, different for every level of every factor."""
    before = 0
    for other in preferred(study):
        if other == path:
            return (before + order) % len(PALETTE)
        before += len(levels_of(study, other))
    return 0


def keys(study: Study, role: str, path: str | None, order: int, level: Any) -> dict[str, Any]:
    """The columns by which a figure's data names one level in one role (`x`, `group`, `facet`)."""
    text = label(path, level) if path is not None else ""
    numeric = path is None or all(map(is_number, levels_of(study, path)))
    return {
        f"{role}_factor": path or "", role: text, f"{role}_order": order, f"{role}_colour": colour_of(study, path, order),
        f"{role}_numeric": numeric,
    }  # fmt: skip


def rows_at(runs: pd.DataFrame, levels: dict[str | None, Any]) -> pd.DataFrame:
    """The runs at some levels; None as a factor stands for all."""
    return runs[at(runs, {path: level for path, level in levels.items() if path is not None})]


def estimate(metric: str, rows: pd.DataFrame) -> dict[str, float]:
    """Median and 95 % order-statistic interval over seeds (of what is 0 or 1 the rate and Wilson's interval).

    Runs of one seed in several cells are first reduced to their median. Infinite values count as what they are.
    """
    rows = rows[rows[metric].notna()]
    counted = {"n": len(rows), "n_diverged": int((rows["status"] == "diverged").sum())}
    if METRICS[metric].unit == RATE:
        rate = float(rows[metric].mean()) if len(rows) else math.nan
        low, high = wilson(float(rows[metric].sum()), len(rows))
        return {"estimate": rate, "low": low, "high": high} | counted
    seeds = [median(group.to_numpy(float)) for _, group in rows.groupby("seed")[metric]]
    low, high = median_interval(seeds) if seeds else (math.nan, math.nan)
    return {"estimate": median(seeds), "low": low, "high": high} | counted


def point_data(runs: pd.DataFrame, study: Study, factor: str, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Estimates of several metrics at every level of `factor` and of its partner; None if nothing was measured."""
    runs, group_factor, rows = confirmed(runs), partner(study, factor), []
    measured = [metric for metric in metrics if runs[metric].notna().any()]
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
        ax.set_ylabel(metric_name(metric) + (", log scale" if metric in logarithmic else ""))
        if METRICS[metric].unit == RATE:
            ax.set_ylim(-0.04, 1.04)
    for ax in axes[len(metrics) :]:
        ax.set_axis_off()
    legend(figure, data, note=seeds_note(data))
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


def look_of(rows: pd.DataFrame, role: str = "group") -> dict[str, Any]:
    """Colour, marker and line of the level that all `rows` have in a role."""
    first = rows.iloc[0]
    return look(int(first[f"{role}_colour"]), int(first[f"{role}_order"]))


def look(colour: int, order: int) -> dict[str, Any]:
    """Colour, marker and line; the latter two tell levels apart in grey print."""
    return {
        "color": PALETTE[colour], "marker": MARKERS[order % len(MARKERS)], "ls": LINES[order % len(LINES)], "ms": 5,
        "mec": "white", "mew": 0.6,
    }  # fmt: skip


def log_scale(ax: Axes) -> None:
    """Make the y axis logarithmic."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(_Plain())
    ax.yaxis.set_minor_formatter(_Plain(minor_thresholds=(1, 0.4)))


class _Plain(LogFormatter):
    """Labels the ticks that matplotlib would, with `power` instead of formulas, which take a tenth of a report's time."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of the tick at `x`."""
        return power(x) if super().__call__(x, pos) else ""


def power(value: float) -> str:
    """A positive number of one digit, as short as can be.

    >>> power(0.4), power(20), power(3e5), power(1e-6)
    ('0.4', '20', '3×10⁵', '10⁻⁶')
    """
    digit, exponent = f"{value:.0e}".split("e")
    if -4 < int(exponent) < 4:
        return f"{value:g}"
    raised = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return raised if digit == "1" else f"{digit}×{raised}"


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


def text_width(text: str) -> float:
    """About how wide a text is, in inches."""
    return max(map(len, text.split("\n"))) * CHARACTER


def wrapped(text: str, width: int) -> str:
    r"""A label in lines of some characters, at most four; what is too long is first broken at its bracket.

    A `$` in it is no formula.

    >>> wrapped("PerTensorNorm(max_norm=0.5)", 24)
    'PerTensorNorm\n(max_norm=0.5)'
    """
    parts = (text if len(text) <= width else text.replace("(", "\n(", 1)).splitlines()
    lines = [line for part in parts for line in textwrap.wrap(part, width)]
    return "\n".join(lines if len(lines) <= 4 else [*lines[:3], lines[3][: width - 1] + "…"]).replace("$", r"\$")


def tick(text: str) -> str:
    r"""A level as a narrow tick label: what stands in brackets goes below.

    >>> tick("∞ (no clipping)"), tick("GlobalNorm(max_norm=1)")
    ('∞\n(no clipping)', 'GlobalNorm\n(max_norm=1)')
    """
    return "\n".join(wrapped(part, 18) for part in text.replace("(", "\n(", 1).splitlines())


def factor_name(path: str) -> str:
    """A factor with its unit, where it has one.

    >>> factor_name("model.dropout"), factor_name("optimizer.momentum")
    ('model.dropout (probability)', 'optimizer.momentum')
    """
    unit = UNITS.get(path.rsplit(".", 1)[-1])
    return f"{path} ({unit})" if unit else path


def metric_name(metric: str) -> str:
    """A metric with its unit, unless the name says it.

    >>> metric_name("grad_norm_q99"), metric_name("gap"), metric_name("diverged")
    ('grad norm q99', 'gap (loss)', 'diverged (share of runs)')
    """
    unit, name = METRICS[metric].unit, metric.replace("_", " ")
    return name if unit in name.split() else f"{name} ({unit})"


def seeds_note(data: pd.DataFrame) -> str:
    """`n = 10 runs per point`, or the range of n."""
    low, high = int(data["n"].min()), int(data["n"].max())
    return f"n = {low if low == high else f'{low}–{high}'} runs per point"


def legend(figure: Figure, data: pd.DataFrame, *, note: str = "", role: str = "group", markers: bool = True) -> None:
    """Below the figure: factor and levels of a role, and a note, in one row; where it has no room, the levels below the others."""
    handles: list[Line2D] = []
    levels = data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order")
    factor = str(levels[f"{role}_factor"].iloc[0])
    if factor:
        for _, row in levels.iterrows():
            kind = look(int(row[f"{role}_colour"]), int(row[f"{role}_order"]))
            handles.append(Line2D([], [], label=wrapped(row[role], 40), **(kind if markers else kind | {"marker": ""})))
    before, after = ([Line2D([], [], ls="", label=text)] if text else [] for text in (factor, note))
    every, width, title = [*before, *handles, *after], figure.get_figwidth(), None
    columns = legend_columns([str(handle.get_label()) for handle in every], width)
    if handles and columns < len(every):
        title = ";  ".join(filter(None, (factor, note)))
        every = handles
        columns = legend_columns([str(handle.get_label()) for handle in every], width)
    if every:
        figure.legend(handles=every, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.2,
                      title=title)  # fmt: skip


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Columns of a legend, at most six, that fit into a width in inches: each is as wide as its longest label."""
    for columns in range(min(len(labels), 6), 1, -1):
        longest = [max(map(text_width, part)) for part in np.array_split(labels, columns)]
        if sum(longest) + columns * HANDLE < width:
            return columns
    return 1
