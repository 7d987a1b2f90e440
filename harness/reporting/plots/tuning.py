"""What tuning saw: the objective against each tuned factor, per cell."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.robust import median, median_interval
from harness.inference.selection import tried
from harness.reporting.plots.axes import log_values, name_panel
from harness.reporting.plots.factors import panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import factor_name, metric_name
from harness.study import Study


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study, factor: str) -> pd.DataFrame | None:
    """One row per tuned trial and objective: the value of `factor`, the median over its seeds, and in which share it was chosen."""
    tune, confirm = tried(study, runs), runs[runs["phase"] == "confirm"]
    rows: list[dict[str, Any]] = []
    for names, levels in panels(study):
        chosen = rows_at(confirm, levels)[factor]
        for trial, seeds in rows_at(tune, levels).groupby("trial"):
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
    figure = Figure(figsize=(max(2.5 * len(facets) + 0.6, 5.0), 2.6 * len(objectives) + 0.9), layout="constrained")
    axes = figure.subplots(len(objectives), len(facets), squeeze=False, sharex=True, sharey="row")
    for row, objective in zip(axes, objectives, strict=True):
        for ax, facet in zip(row, facets, strict=True):
            _panel(ax, data[(data["objective"] == objective) & (data["facet_order"] == facet)])
        row[0].set_ylabel(metric_name(objective))
    for ax, facet in zip(axes[0], facets, strict=True):
        name_panel(ax, data[data["facet_order"] == facet])
    for ax in axes[-1]:
        ax.set_xlabel(factor_name(str(data["factor"].iloc[0])) + (",\nlog scale" if data["log"].any() else ""))
    note = counts_note(data["n"], "seed(s) per point; ring: chosen, the larger the oftener; ×: half or more diverged")
    legend(figure, data, note=note)
    return figure


def _panel(ax: Axes, panel: pd.DataFrame) -> None:
    if panel["log"].any():
        log_values(ax, panel["value"])
    ax.margins(x=0.1, y=0.12)
    for _, line in panel.sort_values("value").groupby("group_order"):
        order = int(line["group_order"].iloc[0])
        kind, finite = look_of(line), np.isfinite(line["estimate"])
        seen, lost = line[finite], line[~finite]
        ax.vlines(
            seen["value"],
            seen["low"],
            seen["high"].where(np.isfinite(seen["high"]), seen["estimate"]),
            color=kind["color"],
            lw=1,
        )
        ax.plot(seen["value"], seen["estimate"], **kind)
        ring = seen[seen["chosen"] > 0]
        ax.scatter(
            ring["value"],
            ring["estimate"],
            s=40 + 200 * ring["chosen"],
            facecolors="none",
            edgecolors=kind["color"],
            lw=1.3,
            zorder=3,
        )
        height = 0.97 - 0.05 * order
        ax.plot(lost["value"], [height] * len(lost), ls="", marker="x", ms=5, mew=1.6, color=kind["color"],
                transform=ax.get_xaxis_transform())  # fmt: skip


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure per tuned factor."""
    for factor in study.tunes():
        table = data(runs, curves, study, factor)
        if table is not None:
            caption = (
                f"Tuning of {factor}: the objective at every value tried (no test data; median over seeds, bars: its 95 % interval, "
                "of few seeds their range). A curve whose minimum lies at an end of the range would put the comparison in doubt."
            )
            yield Plot(f"tuning_{factor}", caption, table, draw)
