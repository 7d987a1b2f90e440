"""Time to solve: the share of runs that have solved their task, over training steps."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.inference.rates import wilson
from harness.reporting.plots.axes import name_panel
from harness.reporting.plots.factors import confirmed, panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.study import Study


def data(runs: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """Per cell, the share solved after 0 steps, after each at which a run did, and after all, with Wilson's interval.

    Runs of a line that train for as many steps are censored at the same one, so this is one minus Kaplan and Meier's
    estimate (1958); a run that ends earlier counts as not solved from there on.
    """
    if "solved" not in runs or runs["solved"].isna().all():
        return None
    runs = confirmed(runs.dropna(subset="solved"))
    rows: list[dict[str, Any]] = []
    for names, levels in panels(study):
        inside = rows_at(runs, levels)
        end = float(inside[["steps_done", "solve_step"]].to_numpy(float).max(initial=0.0))
        for step in sorted({0.0, *inside["solve_step"]}) if len(inside) else ():
            count = int(((inside["solved"] == 1) & (inside["solve_step"] <= step)).sum())
            low, high = wilson(count, len(inside))
            share = {"share": count / len(inside), "low": low, "high": high}
            rows.append(names | {"step": step, "end": end, "n": len(inside)} | share)
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; stairs: levels of the group."""
    facets = sorted(data["facet_order"].unique())
    figure = Figure(figsize=(max(2.5 * len(facets) + 0.6, 5.5), 3.2), layout="constrained")
    axes = figure.subplots(1, len(facets), squeeze=False, sharey=True)[0]
    for ax, facet in zip(axes, facets, strict=True):
        panel = data[data["facet_order"] == facet]
        for _, line in panel.groupby("group_order"):
            kind = look_of(line) | {"marker": ""}
            steps, shares = [*line["step"], line["end"].iloc[0]], [*line["share"], line["share"].iloc[-1]]
            ax.step(steps, shares, where="post", **kind)
            band = ([*line[name], line[name].iloc[-1]] for name in ("low", "high"))
            ax.fill_between(steps, *band, step="post", color=kind["color"], alpha=0.12, lw=0)
        name_panel(ax, panel)
        ax.set_xlabel("training step")
        ax.set_ylim(-0.03, 1.03)
    axes[0].set_ylabel("share of runs that\nhave solved the task")
    legend(figure, data, note=counts_note(data["n"], "runs per line"), markers=False)
    return figure


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, all cells, if the task says when it is solved."""
    table = data(runs, study)
    if table is not None:
        caption = (
            "Time to solve: share of runs whose validation error has come below the task's target_error, by the step at which "
            "it was first seen there; bands: 95 % (Wilson). A diverged run counts as never solved."
        )
        yield Plot("solving", caption, table, draw)
