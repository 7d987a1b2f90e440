"""Sensitivity to the learning rate: the validation loss at every rate tried, a line per level of clipping."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.learning_rates import RATE, bounded_losses, sweeps_rates
from harness.inference.robust import median
from harness.inference.selection import tried
from harness.reporting.plots.axes import log_values, name_panel, row_of_panels
from harness.reporting.plots.factors import confirmed, contrasted, panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import QUIET, look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import factor_name
from harness.study import Study


def data(runs: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """One row per line and rate: median and range over seeds of the loss up to that of guessing, and the line's sensitivity.

    Runs of one seed in several cells are first reduced to their median. `sensitivity` is the median over seeds of
    `lr_sensitivity`, `guessing` of the loss of guessing.
    """
    if not sweeps_rates(study):
        return None
    there, chosen = tried(study, runs), confirmed(runs)
    there = there.assign(loss=bounded_losses(there)).dropna(subset="loss")
    rows: list[dict[str, Any]] = []
    for names, levels in panels(study, contrasted):
        sensitivity = median(rows_at(chosen, levels)["lr_sensitivity"].dropna())
        for rate, inside in rows_at(there, levels).groupby(RATE):
            seeds = [median(losses) for _, losses in inside.groupby("seed")["loss"]]
            point = {
                "rate": float(str(rate)),
                "estimate": median(seeds),
                "low": min(seeds),
                "high": max(seeds),
                "n": len(seeds),
            }
            rows.append(names | point | {"guessing": median(inside["guess_loss"]), "sensitivity": sensitivity})
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; lines: levels of the group; numbers: their sensitivities; above them the loss of guessing."""
    figure, panels = row_of_panels(data, width=2.9, height=3.5)
    for ax, panel in panels:
        _panel(ax, panel)
    panels[0][0].set_ylabel("validation loss,\nat most that of guessing")
    legend(figure, data, note=counts_note(data["n"], "seed(s) per point"))
    return figure


def _panel(ax: Axes, panel: pd.DataFrame) -> None:
    log_values(ax, panel["rate"])
    ax.margins(x=0.1, y=0.06)
    ax.axhline(panel["guessing"].median(), color=QUIET, lw=1, ls=(0, (1, 2)), zorder=1)
    said = []
    for _, line in panel.groupby("group_order"):
        kind = look_of(line)
        ax.fill_between(line["rate"], line["low"], line["high"], color=kind["color"], alpha=0.12, lw=0)
        ax.plot(line["rate"], line["estimate"], **kind)
        said.append((f"{line['sensitivity'].iloc[0]:#.2g}", kind["color"]))
    name_panel(ax, panel)
    ax.set_xlabel(factor_name(RATE))
    _sensitivities(ax, [one for one in said if one[0] != "nan"])


def _sensitivities(ax: Axes, said: list[tuple[str, Any]]) -> None:
    """Below a panel, in the colours of its lines."""
    for i, (text, colour) in enumerate([("sensitivity", QUIET), *said] if said else []):
        place = 0.0 if i == 0 else 0.3 + 0.7 * (i - 0.5) / len(said)
        ax.annotate(text, (place, -0.3), xycoords="axes fraction", fontsize=7.5, color=colour, annotation_clip=False,
                    ha="left" if i == 0 else "center", weight="normal" if i == 0 else "bold")  # fmt: skip


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, all cells, where every seed trained at a grid of rates."""
    table = data(runs, study)
    if table is not None:
        caption = (
            "How much the learning rate matters: validation loss at every rate tried, median over seeds, band: from the least to the "
            "largest of them. A run that diverged or ends worse than guessing counts as guessing (dotted). Sensitivity: how far a line "
            "lies above its lowest point on average over the rates, per seed, median over seeds; 0: the rate does not matter."
        )
        yield Plot("sensitivity", caption, table, draw)
