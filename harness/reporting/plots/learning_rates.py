"""The largest learning rate that trains: the share of runs that train at each rate tried, per cell."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median, median_interval
from harness.inference.selection import tried
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_panels, log_values, name_axes
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import factor_name
from harness.reporting.plots.titles import lacking_in_words, least_and_most, levels_of
from harness.study.experiment import RATE

ALWAYS = 0.95
"""Share of clipped steps from which on a run was clipped practically always."""


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """One row per cell and rate: the share of runs that train, with its exact interval, and the cell's 50 % point.

    The 50 % point is the median over seeds of the largest rate that trains, with its order-statistic interval.
    """
    if not roles.study.sweeps_rates():
        return None
    there, chosen = tried(roles.study, runs), confirmed(runs)
    rows: list[dict[str, Any]] = []
    cells = zip(roles.cells(there, roles.lines), roles.cells(chosen, roles.lines), strict=True)
    for (names, all_rates), (_, best) in cells:
        largest = best["largest_lr"].dropna().to_numpy(float)
        low, high = median_interval(largest)
        point = {"half": median(largest), "half_low": low, "half_high": high}
        for rate, inside in all_rates.groupby(RATE):
            count = int((inside["status"] == "finished").sum())
            low, high = clopper_pearson_bounds(count, len(inside))(0.05)
            clipped = float((inside["clip_fraction"] > ALWAYS).mean())
            share = {
                "rate": float(str(rate)),
                "share": count / len(inside),
                "low": low,
                "high": high,
                "n": len(inside),
            }
            rows.append(names | share | point | {"always_clipped": clipped})
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """Panels: levels of the facet; lines: levels of the group; bars at one half: the 50 % points."""
    figure, panels = facet_panels(data, width=2.0, height=2.2)
    for ax, panel in panels:
        log_values(ax, data["rate"])
        ax.margins(x=0.1)
        for order, line in panel.groupby("group_order"):
            kind, first = look_of(line), line.iloc[0]
            ax.plot(line["rate"], line["share"], **kind)
            ax.fill_between(line["rate"], line["low"], line["high"], color=kind["color"], alpha=0.1, lw=0)
            height = 0.5 - 0.06 * int(str(order))
            ax.plot([first["half_low"], first["half_high"]], [height] * 2, color=kind["color"], lw=1, alpha=0.8)
            ax.plot([first["half"]], [height], ls="", marker="|", ms=9, mew=2, color=kind["color"])
        ax.set_ylim(-0.03, 1.03)
    name_axes(figure, x=factor_name(RATE), y="share of runs that train")
    legend(figure, data, note=counts_note(data["n"], "runs per point"))
    return figure


def title(table: pd.DataFrame) -> str:
    """The least and the largest of the 50 % points, and how many cells have none."""
    every = table.drop_duplicates(["facet_order", "group_order"])
    lines = every.dropna(subset="half")
    if lines.empty:
        return ""
    least, most = least_and_most(lines, "half")
    lacking = lacking_in_words(every, lines)
    if least["half"] == most["half"]:
        where = " in every cell" if len(every) == len(lines) > 1 else ""
        return f"Largest learning rate that trains: {number(most['half'])}{where} (median over seeds{lacking})."
    return (
        f"Largest learning rate that trains, median over seeds{lacking}: from {number(least['half'])} at "
        f"{levels_of(least, every, ('facet', 'group'))} to {number(most['half'])} at {levels_of(most, every, ('facet', 'group'))}."
    )


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, all cells, where every seed trained at a grid of rates."""
    table = data(runs, roles)
    if table is None:
        return
    always = table[(table["always_clipped"] > 0.5) & (table["share"] > 0)]
    arithmetic = ""
    if len(always):
        role = "facet" if always["facet_factor"].iloc[0].startswith("clipping") else "group"
        cells = "; ".join(dict.fromkeys(levels_of(row, table, (role,)) for _, row in always.iterrows()))
        arithmetic = (
            f" At {cells} most runs were clipped at nearly every step at some rates: a step is then as long as the rate times the bound, "
            "and how large a rate may be is arithmetic."
        )
    caption = (
        "Share of runs that end better than guessing, at every rate tried (all seeds; bands: 95 %, exact). Bars near one half: median over "
        f"seeds of the largest rate that trains, with its 95 % interval.{arithmetic}{roles.said(roles.lines)}"
    )
    yield Plot("learning_rates", caption, table, draw, title=title(table) + roles.where(roles.lines))
