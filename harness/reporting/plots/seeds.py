"""Every seed as a point, those of one seed joined across the levels of a factor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from harness.inference.ranks import as_ranked
from harness.reporting.page.level_names import told_apart
from harness.reporting.plots.axes import facet_panels, label_shares, level_axis, level_name, name_axes
from harness.reporting.plots.estimates import ONCE, estimate, of_seeds, statistic_in_words
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.generalization import metrics
from harness.reporting.plots.looks import QUIET, palette
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import Scale, scale_of
from harness.reporting.plots.texts import metric_name, metric_words
from harness.settings.show import counted, digits


def roles_of(roles: Roles) -> dict[str, str]:
    """The first factor with more levels along the axis, the other in panels."""
    return {"x": roles.points["x"]} | ({"facet": roles.points["group"]} if "group" in roles.points else {})


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """One row per seed and cell: the main metric of generalization, beside what the cell's estimate is."""
    runs, rows = as_ranked(confirmed(runs)), list[dict[str, Any]]()
    shown = metrics(runs, roles.study)
    if not shown or not roles.order:
        return None
    for names, inside in roles.cells(runs, roles_of(roles)):
        found = estimate(shown[0], inside)
        cell = {"metric": shown[0], "estimate": found["estimate"], "statistic": found["statistic"]}
        rows += [
            names | cell | {"seed": seed, "value": value}
            for seed, value in of_seeds(shown[0], inside).sort_index().items()
        ]
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """One panel per level of the facet."""
    figure, panels = facet_panels(data, width=2.0, height=2.4)
    scale = scale_of(data["value"])
    scale = Scale(scale.low, scale.high + (0 if scale.log else 0.1 * (scale.high - scale.low)), scale.log)
    for ax, panel in panels:
        _panel(ax, panel, scale)
    for ax, panel in panels:
        level_axis(ax, panel)
        label_shares(ax, data["metric"].iloc[0])
    name = metric_name(data["metric"].iloc[0]) + (", log scale" if scale.log else "")
    name_axes(figure, x=level_name(data), y=name)
    return figure


def _panel(ax: Axes, panel: pd.DataFrame, scale: Scale) -> None:
    table = panel.pivot(index="seed", columns="x_order", values="value").sort_index(axis=1)
    inside = table.where(np.isfinite(table)).to_numpy(float)
    lines = [np.column_stack([table.columns, scale.clipped(values)]) for values in inside]
    ax.add_collection(LineCollection(lines, colors="0.75", linewidths=0.8, zorder=1))
    scale.apply(ax)
    for order, level in panel.groupby("x_order"):
        x, beyond = float(str(order)), scale.beyond(level["value"])
        seen = level["value"][~beyond]
        ax.plot(
            [x] * len(seen),
            seen,
            ls="",
            marker="o",
            ms=4.5,
            color=palette()[0],
            mec="white",
            mew=0.5,
            alpha=0.85,
            zorder=2,
        )
        for end, mark in ((scale.high, "^"), (scale.low, "v")):
            there = (level["value"] > end) if mark == "^" else (level["value"] < end)
            if count := int(there.sum()):
                ax.plot(x, end, ls="", marker=mark, ms=7, color=palette()[0], clip_on=False, zorder=3)
                ax.annotate(f"{count}×", (x, end), (0, -5 if mark == "^" else 5), textcoords="offset points", ha="center",
                            va="top" if mark == "^" else "bottom", fontsize=8, color=QUIET)  # fmt: skip
        middle = level["estimate"].iloc[0]
        if not scale.beyond(middle):
            ax.hlines(middle, x - 0.3, x + 0.3, color="black", lw=1.8, zorder=3)


def title(table: pd.DataFrame) -> str:
    """In how many seeds the metric rises and falls from the first level to the last one."""
    first, last = table["x_order"].min(), table["x_order"].max()
    name, factor = metric_words(table["metric"].iloc[0]), table["x_factor"].iloc[0]
    wide = table.pivot(index=["facet_order", "seed"], columns="x_order", values="value")
    if first == last:
        n = counted(len(wide), "seed")
        return f"{name.capitalize()} of {n}: from {digits(table['value'].min())} to {digits(table['value'].max())}."
    pairs = wide[[first, last]].dropna()
    before, after = pairs[first].to_numpy(float), pairs[last].to_numpy(float)
    ends = table.drop_duplicates("x_order").set_index("x_order")["x"]
    names = dict(zip(ends.index, told_apart(ends.to_list()), strict=True))
    cells = (
        f" (pairs of {counted(pairs.index.get_level_values(0).nunique(), 'panel')})"
        if wide.index.get_level_values(0).nunique() > 1
        else ""
    )
    return (
        f"From {factor} = {names[first]} to {names[last]} {name} rises in {int((after > before).sum())} and falls in "
        f"{int((after < before).sum())} of {counted(len(pairs), 'pair')} within a seed{cells}."
    )


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a factor is swept."""
    table = data(runs, roles)
    if table is not None:
        caption = (
            f"Every seed as a point; grey lines join those of one seed; bars: {statistic_in_words(table)}. k× at the edge: k lie beyond the axis "
            f"or diverged.{roles.merged(ONCE)}{roles.said(roles_of(roles))}"
        )
        yield Plot("seeds", caption, table, draw, title=title(table) + roles.where(roles_of(roles)))
