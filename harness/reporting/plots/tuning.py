"""What tuning saw: the objective against each tuned factor, per cell."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.intervals.robust import median, median_interval
from harness.inference.selection import tried
from harness.reporting.plots.axes import facet_names, grid, label_shares, log_values, name_axes
from harness.reporting.plots.factors import Roles
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import Scale, scale_of
from harness.reporting.plots.texts import factor_name, metric_name
from harness.settings.show import counted


def data(runs: pd.DataFrame, roles: Roles, factor: str) -> pd.DataFrame | None:
    """One row per tuned trial and objective: the value of `factor`, the median over its seeds, and in which share it was chosen."""
    study = roles.study
    tune, confirm = tried(study, runs), runs[runs["phase"] == "confirm"]
    rows: list[dict[str, Any]] = []
    cells = zip(roles.cells(tune, roles.lines), roles.cells(confirm, roles.lines), strict=True)
    for (names, tried_here), (_, confirmed_here) in cells:
        chosen = confirmed_here[factor]
        for trial, seeds in tried_here.groupby("trial"):
            value = float(seeds[factor].iloc[0])
            point = {
                "trial": trial,
                "factor": factor,
                "log": study.tunes()[factor].log,
                "value": value,
                "chosen": float((chosen == value).mean()) if len(chosen) else 0.0,
            }
            names_here = names | point
            good = seeds["status"] != "diverged"  # the others rank worst
            rows += [
                names_here | {"objective": name} | _estimate(seeds[name].where(good, np.inf))
                for name in study.objectives()
            ]
    return pd.DataFrame(rows) if rows else None


def _estimate(column: "pd.Series[float]") -> dict[str, float]:
    values = column.dropna().to_numpy(float)
    low, high = median_interval(values)
    return {
        "estimate": median(values),
        "low": low if len(values) else np.nan,
        "high": high if len(values) else np.nan,
        "n": len(values),
    }


def draw(data: pd.DataFrame) -> Figure:
    """Rows: objectives; columns: levels of the facet; lines: levels of the group; rings: where it was chosen."""
    facets, objectives = sorted(data["facet_order"].unique()), list(dict.fromkeys(data["objective"]))
    figure, axes = grid(len(objectives), len(facets), width=max(1.6, min(4.0, 6 / len(facets))), height=2.4)
    for row, objective in zip(axes, objectives, strict=True):
        of_objective = data[data["objective"] == objective]
        scale = scale_of(of_objective["estimate"])
        for ax, facet in zip(row, facets, strict=True):
            _panel(ax, of_objective[of_objective["facet_order"] == facet], scale)
            label_shares(ax, objective)
            ax.tick_params(labelleft=facet == facets[0], which="both")
        row[0].set_ylabel(metric_name(objective) + (",\nlog scale" if scale.log else ""))
    names = facet_names(data, 14 if len(facets) > 3 else 20)
    for ax, facet in zip(axes[0], facets, strict=True):
        ax.set_title(names[facet])
    name_axes(figure, x=factor_name(str(data["factor"].iloc[0])))
    legend(figure, data, note=counts_note(data["n"], "seeds per point"))
    return figure


def _panel(ax: Axes, panel: pd.DataFrame, scale: Scale) -> None:
    if panel["log"].any():
        log_values(ax, panel["value"])
    for _, line in panel.sort_values("value").groupby("group_order"):
        kind = look_of(line)
        seen, lost = line[~scale.beyond(line["estimate"])], line[scale.beyond(line["estimate"])]
        ax.vlines(seen["value"], scale.clipped(seen["low"]), scale.clipped(seen["high"]), color=kind["color"], lw=1)
        ax.plot(seen["value"], seen["estimate"], **kind)
        ring = seen[seen["chosen"] > 0]
        ax.scatter(ring["value"], ring["estimate"], s=40 + 200 * ring["chosen"], facecolors="none", edgecolors=kind["color"],
                   lw=1.3, zorder=3)  # fmt: skip
        if len(lost):
            y = scale.clipped(lost["estimate"])
            ax.plot(lost["value"], y, ls="", marker="^", ms=6, color=kind["color"], clip_on=False)
    scale.apply(ax)
    scale.count(ax, panel["estimate"])
    ax.margins(x=0.1)


def title(table: pd.DataFrame) -> str:
    """In how many cells the value chosen most lies at an end of those tried."""
    first = table[table["objective"] == table["objective"].iloc[0]]
    lines = [line for _, line in first.groupby(["facet_order", "group_order"]) if line["chosen"].max() > 0]
    at_end = sum(
        line.loc[line["chosen"].idxmax(), "value"] in (line["value"].min(), line["value"].max()) for line in lines
    )
    factor = table["factor"].iloc[0]
    if not lines:
        return f"No value of {factor} is chosen yet."
    cells = f"in {at_end} of {counted(len(lines), 'cell')}" if len(lines) > 1 else "" if at_end else "not"
    return f"The {factor} chosen lies {cells} at an end of the values tried.".replace("  ", " ")


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure per tuned factor, but where `sensitivity` shows every seed at every rate."""
    for factor in () if roles.study.sweeps_rates() else roles.study.tunes():
        table = data(runs, roles, factor)
        if table is not None:
            caption = (
                f"Tuning of {factor}: the objective at every value tried (no test data; median over seeds, bars: its 95 % interval, "
                "of few seeds their range). Rings: chosen, the larger the oftener; triangles at the edge: beyond the axis, or half or more "
                f"diverged.{roles.said(roles.lines)}"
            )
            yield Plot(f"tuning_{factor}", caption, table, draw, title=title(table) + roles.where(roles.lines))
