"""The largest learning rate that trains: the share of runs that train at each rate tried, per cell."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.inference.learning_rates import RATE, sweeps_rates
from harness.inference.rates import wilson
from harness.inference.robust import median, median_interval
from harness.inference.selection import tried
from harness.reporting.plots.axes import log_values, name_panel, row_of_panels
from harness.reporting.plots.factors import confirmed, panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import factor_name
from harness.study import Study

ALWAYS = 0.95
"""Share of clipped steps from which on a run was clipped practically always."""


def data(runs: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """One row per cell and rate: the share of runs that train, with Wilson's interval, and the cell's 50 % point.

    The 50 % point is the median over seeds of the largest rate that trains, with its order-statistic interval.
    """
    if not sweeps_rates(study):
        return None
    there, chosen = tried(study, runs), confirmed(runs)
    rows: list[dict[str, Any]] = []
    for names, levels in panels(study):
        largest = rows_at(chosen, levels)["largest_lr"].dropna().to_numpy(float)
        low, high = median_interval(largest)
        point = {"half": median(largest), "half_low": low, "half_high": high}
        for rate, inside in rows_at(there, levels).groupby(RATE):
            count = int((inside["status"] == "finished").sum())
            low, high = wilson(count, len(inside))
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
    """Columns: levels of the facet; lines: levels of the group; bars at one half: the 50 % points."""
    figure, panels = row_of_panels(data, width=2.5, height=3.2)
    for ax, panel in panels:
        log_values(ax, panel["rate"])
        ax.margins(x=0.1)
        for order, line in panel.groupby("group_order"):
            kind, first = look_of(line), line.iloc[0]
            ax.plot(line["rate"], line["share"], **kind)
            ax.fill_between(line["rate"], line["low"], line["high"], color=kind["color"], alpha=0.1, lw=0)
            height = 0.5 - 0.03 * int(str(order))
            ax.plot([first["half_low"], first["half_high"]], [height] * 2, color=kind["color"], lw=1, alpha=0.8)
            ax.plot([first["half"]], [height], ls="", marker="|", ms=9, mew=2, color=kind["color"])
        name_panel(ax, panel)
        ax.set_xlabel(factor_name(RATE))
        ax.set_ylim(-0.03, 1.03)
    panels[0][0].set_ylabel("share of runs that train")
    legend(figure, data, note=counts_note(data["n"], "runs per point"))
    return figure


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, all cells, where every seed trained at a grid of rates."""
    table = data(runs, study)
    if table is None:
        return
    always = table[(table["always_clipped"] > 0.5) & (table["share"] > 0)]
    arithmetic = ""
    if len(always):
        groups = ", ".join(dict.fromkeys(f"{row['group_factor']} = {row['group']}" if row["group_factor"] else "all runs"
                                         for row in always.to_dict("records")))  # fmt: skip
        arithmetic = (
            f" At {groups} there are rates at which most runs were clipped at nearly every step: there the length of a step is the "
            "rate times the bound, and how large a rate may be is arithmetic."
        )
    caption = (
        "Largest learning rate that trains: share of runs that end better than guessing, at every rate tried (all seeds; bands: 95 %, "
        "Wilson). Bars near one half: median over seeds of the largest rate that trains, with its 95 % interval."
        + arithmetic
    )
    yield Plot("learning_rates", caption, table, draw)
