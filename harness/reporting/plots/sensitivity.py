"""Sensitivity to the learning rate: the validation loss of every seed at every rate tried, a panel per level of clipping."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.intervals.robust import median
from harness.inference.ranks import as_ranked
from harness.inference.selection import rivals, tried
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_panels, log_values, name_axes
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import QUIET, look_of, palette
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import Scale
from harness.reporting.plots.texts import factor_name
from harness.reporting.plots.titles import lacking_in_words, least_and_most, levels_of, place_of
from harness.study.experiment import RATE

LINE = ["facet_order", "group_order"]
"""Columns that tell lines apart."""

ABOVE_GUESSING = 0.2
"""How far the axis goes on above the loss of guessing, as a part of what lies below."""


def roles_of(roles: Roles) -> dict[str, str]:
    """Levels of clipping in panels, where it is among the first two factors and legible; else as curves."""
    found = roles.contrasted
    if not found.get("group", "").startswith("clipping") or "facet" not in found:
        return roles.lines
    legible = len(roles.levels(found["group"], "group")) == len(roles.levels(found["group"], "facet"))
    return {"facet": found["group"], "group": found["facet"]} if legible else found


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """One row per line, rate and seed: the loss, infinite where the run diverged, and the median of these over seeds.

    `guessing` is the median loss of guessing, `sensitivity` the median over seeds of `lr_sensitivity`, the worst where all rates diverged.
    """
    if not roles.study.sweeps_rates():
        return None
    there, chosen = tried(roles.study, runs), as_ranked(confirmed(runs))
    there = there.assign(loss=rivals(there, "validation_loss"))
    sensitivity = {_key(names): median(inside["lr_sensitivity"].dropna())
                   for names, inside in roles.cells(chosen, roles_of(roles))}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for names, inside in roles.cells(there, roles_of(roles)):
        about = {"guessing": median(inside["guess_loss"].dropna()), "sensitivity": sensitivity[_key(names)]}
        for rate, of_rate in inside.groupby(RATE):
            losses = of_rate.groupby("seed")["loss"].agg(median)
            line = names | about | {"rate": float(str(rate)), "estimate": median(losses), "n": len(losses)}
            rows += [line | {"seed": seed, "loss": loss} for seed, loss in losses.items()]
    return pd.DataFrame(rows) if rows else None


def _key(names: dict[str, Any]) -> tuple[int, int]:
    return names["facet_order"], names["group_order"]


def draw(data: pd.DataFrame) -> Figure:
    """Panels: levels of the facet; dots: seeds; lines: medians of a level of the group."""
    figure, panels = facet_panels(data, width=2.0, height=2.5)
    scale, groups = _scale(data), data["group_order"].nunique()
    decades = np.log10(data["rate"].max() / data["rate"].min())
    for ax, panel in panels:
        log_values(ax, data["rate"])
        ax.axhline(panel["guessing"].median(), color=QUIET, lw=1, ls=(0, (1, 2)), zorder=1)
        best = panel.loc[np.isfinite(panel["estimate"]), "estimate"].min()
        if np.isfinite(best):
            ax.axhline(best, color="0.15", lw=0.9, ls=(0, (6, 2)), zorder=1)
        for i, (_, line) in enumerate(panel.groupby("group_order")):
            apart = 10 ** ((i - (groups - 1) / 2) * 0.025 * max(decades, 0.2))
            _line(ax, line.assign(rate=line["rate"] * apart), scale)
        _beyond(ax, panel, scale)
        scale.apply(ax)
        ax.margins(x=0.08)
    name_axes(figure, x=factor_name(RATE), y="validation loss")
    legend(figure, data, note=counts_note(data["n"], "seeds per line; dotted: guessing"))
    return figure


def _scale(data: pd.DataFrame) -> Scale:
    """From the least loss to a little above guessing; where guessing is not known, to the largest median."""
    finite = data["loss"][np.isfinite(data["loss"])]
    low = float(finite.min()) if len(finite) else 0.0
    medians = data["estimate"][np.isfinite(data["estimate"])]
    guessing = data["guessing"].max()
    top = float(guessing if np.isfinite(guessing) else medians.max() if len(medians) else low + 1)
    top = max(top, low + 1e-9)
    return Scale(low - 0.05 * (top - low), top + ABOVE_GUESSING * (top - low))


def _line(ax: Axes, line: pd.DataFrame, scale: Scale) -> None:
    kind, seen = look_of(line), line[~scale.beyond(line["loss"])]
    ax.plot(seen["rate"], seen["loss"], ls="", marker=kind["marker"], ms=3, color=kind["color"], alpha=0.4, mew=0)
    medians = line.drop_duplicates("rate")
    ax.plot(medians["rate"], scale.clipped(medians["estimate"]), **kind, zorder=3)


def _beyond(ax: Axes, panel: pd.DataFrame, scale: Scale) -> None:
    """At each rate how many of all runs lie above the axis."""
    for rate, runs in panel.groupby("rate"):
        count = int(scale.beyond(runs["loss"]).sum())
        if count:
            ax.plot(
                [float(str(rate))], [scale.high], ls="", marker="^", ms=6, color=palette()[1], clip_on=False, zorder=4
            )
            ax.annotate(f"{count}/{len(runs)}", (float(str(rate)), scale.high), (0, -4), textcoords="offset points", ha="center",
                        va="top", fontsize=8, color=palette()[1], bbox={"fc": "white", "ec": "none", "pad": 0.5, "alpha": 0.8})  # fmt: skip


def title(table: pd.DataFrame) -> str:
    """The lowest median and its rate, and where the rate matters least and most."""
    finite = table[np.isfinite(table["estimate"])]
    if finite.empty:
        return "No rate has a finite median loss."
    points = finite.drop_duplicates([*LINE, "rate"])
    best = points[points["estimate"] == points["estimate"].min()]
    every = table.drop_duplicates(LINE)
    said = f"Lowest median validation loss: {number(best['estimate'].iloc[0])}, at {_place(best, points, len(every))}"
    lines = every.dropna(subset="sensitivity")
    if len(lines) < 2:
        return f"{said}."
    least, most = least_and_most(lines, "sensitivity")
    lacking = lacking_in_words(every, lines)
    if least["sensitivity"] == most["sensitivity"]:
        where = " everywhere" if not lacking else ""
        return f"{said}; the rate matters the same{where} (sensitivity {number(most['sensitivity'])}{lacking})."
    return (
        f"{said}; the rate matters least at {levels_of(least, every, ('facet', 'group'))} (sensitivity {number(least['sensitivity'])}), most at "
        f"{levels_of(most, every, ('facet', 'group'))} ({number(most['sensitivity'])}{lacking})."
    )


def _place(best: pd.DataFrame, points: pd.DataFrame, n_lines: int) -> str:
    """The rate and the line of the best point; of several equal ones how many."""
    if len(best) > 1:
        return place_of(best, points)
    of_line = f" with {levels_of(best.iloc[0], points, ('facet', 'group'))}" if n_lines > 1 else ""
    return f"lr {number(best['rate'].iloc[0])}{of_line}"


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, all cells, where every seed trained at a grid of rates."""
    table = data(runs, roles)
    if table is not None:
        caption = (
            "Validation loss at every rate tried. Dots: seeds; lines: medians over seeds; dotted: the loss of guessing; dashed: the least median; k/n: of n runs k diverged or lie above the axis, "
            "which ends just above guessing. Sensitivity: how far losses, cut at guessing, lie above their least on average over the rates, "
            f"median over seeds; ∞ where all diverge.{roles.said(roles_of(roles))}"
        )
        yield Plot("sensitivity", caption, table, draw, title=title(table) + roles.where(roles_of(roles)))
