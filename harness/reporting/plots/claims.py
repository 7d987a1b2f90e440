"""Claims: every seed's paired difference and the Δ of each cell, as the verdict used them."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.inference.verdict import CellEstimate, Verdict
from harness.reporting.page.level_names import compact
from harness.reporting.page.words import bracketed, ends, metric_of, number, word
from harness.reporting.plots.legends import counts_note
from harness.reporting.plots.looks import QUIET, palette
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import BEHIND, Scale, scale_of
from harness.reporting.plots.texts import metric_words, wrapped
from harness.settings.show import counted, level_text

LABEL = 30
"""Characters of a cell's name in one line."""

MOST_CELLS = 24


def data(verdict: Verdict) -> pd.DataFrame | None:
    """One row per estimate and, below it, per seed: of all cells together first, then of each; None without an estimate.

    `seed` is missing in rows of estimates; `low` and `high` are those of the verdict, infinite where there is no bound.
    """
    if verdict.estimate is None or verdict.label == "exact":
        return None
    together = CellEstimate(
        _together(verdict), verdict.estimate, *ends(verdict), verdict.per_seed, verdict.incomparable, verdict.left_out,
    )  # fmt: skip
    about = {"metric": metric_of(verdict), "estimand": verdict.estimand, "kind": verdict.kind, "level": verdict.level,
             "smallest_effect": verdict.smallest_effect}  # fmt: skip
    rows: list[dict[str, Any]] = []
    for order, cell in enumerate([together, *verdict.cells]):
        where = about | {"row": cell.name, "order": order, "together": order == 0}
        rows.append(
            where | {"seed": np.nan, "value": cell.estimate, "low": cell.low, "high": cell.high, "state": "estimate"}
        )
        rows += [where | {"seed": seed, "value": value, "state": _state(cell, seed)}
                 for seed, value in cell.per_seed.items()]  # fmt: skip
    return pd.DataFrame(rows)


def _together(verdict: Verdict) -> str:
    """What the verdict's own estimate is of."""
    if verdict.at_worst is not None:
        return f"all: the {'farthest from 0' if verdict.kind == 'Equivalence' else 'least'}"
    return "average over cells" if verdict.cells else "all seeds"


def _state(cell: CellEstimate, seed: int) -> str:
    if seed in cell.incomparable:
        return "incomparable"
    return "left out" if seed in cell.left_out else "diverged" if math.isinf(cell.per_seed[seed]) else "compared"


def draw(data: pd.DataFrame) -> Figure:
    """Rows: cells; dots: seeds; squares with lines: Δ and its interval."""
    rows = data[data["order"] < MOST_CELLS]
    cells = rows[rows["state"] == "estimate"].sort_values("order")
    names = [wrapped(compact(str(name)), LABEL) for name in cells["row"]]
    heights = [max(0.42, 0.17 * (name.count("\n") + 1) + 0.12) for name in names]
    figure = Figure(figsize=(6.0, sum(heights) + 1.5), layout="constrained")
    ax = figure.subplots()
    places = -(np.cumsum(heights) - np.array(heights) / 2)
    delta = float(cells["smallest_effect"].iloc[0])
    shown = pd.concat([rows["value"], rows["low"], rows["high"], pd.Series([0.0, delta])])
    scale = scale_of(shown)
    scale = Scale(min(scale.low, -0.05 * delta), max(scale.high, 1.05 * delta))
    for place, (_, cell) in zip(places, cells.iterrows(), strict=True):
        _seeds(ax, rows[(rows["order"] == cell["order"]) & (rows["state"] != "estimate")], place, scale)
        _estimate(ax, cell, place, scale)
    _lines(ax, data, delta)
    ax.set_yticks(places, names)
    ax.set(xlim=(scale.low, scale.high), ylim=(-sum(heights), 0.1))
    if len(cells) > 1:
        ax.axhline(-heights[0], color="0.8", lw=0.8)
    first = cells.iloc[0]
    way = "treatment − baseline" if first["kind"] == "Equivalence" else "positive favours the claim"
    n = data[data["state"] != "estimate"].groupby("order").size()
    over = f" ({counts_note(n, 'seeds')})" if len(n) else ""
    ax.set_xlabel(f"Δ of {first['metric'].replace('_', ' ')}, {first['estimand'].replace('_', '–')}{over};\n{way}")
    ax.grid(axis="y", visible=False)
    return figure


def _lines(ax: Axes, data: pd.DataFrame, delta: float) -> None:
    """At no difference and at the smallest effect worth having."""
    ax.axvline(0, color="0.25", lw=1, zorder=1)
    ends = (delta, -delta) if data["kind"].iloc[0] == "Equivalence" else (delta,)
    for end in ends if delta else ():
        ax.axvline(end, color=palette()[1], lw=1.4, ls=(0, (4, 2)), zorder=1)
    if delta:
        ax.annotate(f"{'±' * (len(ends) > 1)}δ = {number(delta)}", (delta, 1), (0, 2), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="left", va="bottom", fontsize=8.5, color=palette()[1])  # fmt: skip


def _seeds(ax: Axes, seeds: pd.DataFrame, place: float, scale: Scale) -> None:
    """A dot for each: hollow where a mean leaves it out, a triangle with their number at the edge beyond which they lie."""
    ties = seeds.groupby("value")["value"]
    spread = place + 0.04 + 0.2 * ((ties.cumcount() + 0.5) / ties.transform("size") - 0.5).to_numpy(float)
    beyond = scale.beyond(seeds["value"])
    for state, fill in (("compared", palette()[0]), ("left out", "none")):
        chosen = (seeds["state"] == state).to_numpy() & ~beyond
        ax.plot(
            seeds["value"][chosen], spread[chosen], ls="", marker="o", ms=4.5, mfc=fill, mec=palette()[0], alpha=0.75
        )
    incomparable = (seeds["state"] == "incomparable").to_numpy()
    if incomparable.any():
        ax.plot([0], [place], ls="", marker="x", ms=6, mew=1.6, color=QUIET)
        _note(ax, f"{incomparable.sum()} incomparable", 0, place, "left")
    for end, mark, side in ((scale.low, "<", "left"), (scale.high, ">", "right")):
        there = seeds["value"][beyond & ((seeds["value"] > end) == (side == "right"))]
        infinite = int(np.isinf(there).sum())
        said = [f"{n} {what}" for n, what in ((infinite, "diverged"), (len(there) - infinite, "beyond")) if n]
        if said:
            ax.plot([end], [place], ls="", marker=mark, ms=8, color=palette()[0], clip_on=False, zorder=4)
            _note(ax, ", ".join(said), end, place, side)


def _note(ax: Axes, text: str, x: float, place: float, side: str) -> None:
    ax.annotate(text, (x, place), (7 if side == "left" else -7, 4), textcoords="offset points", ha=side, fontsize=8,
                color=QUIET, bbox=BEHIND)  # fmt: skip


def _estimate(ax: Axes, cell: "pd.Series[Any]", place: float, scale: Scale) -> None:
    low, high = scale.clipped([cell["low"], cell["high"]])
    place -= 0.14
    ax.plot(
        [low, high], [place] * 2, color="black", lw=2.2 if cell["together"] else 1.4, solid_capstyle="butt", zorder=3
    )
    for end in (cell["low"], cell["high"]):
        if scale.beyond(end):
            mark = "<" if end < scale.low else ">"
            ax.plot(scale.clipped(end), [place], ls="", marker=mark, ms=5, color="black", clip_on=False, zorder=3)
    mark = "D" if cell["together"] else "s"
    ax.plot(scale.clipped(cell["value"]), [place], ls="", marker=mark, ms=7 if cell["together"] else 5.5, color="black",
            mec="white", mew=0.7, zorder=5)  # fmt: skip


def title(verdict: Verdict, table: pd.DataFrame) -> str:
    """The estimate beside δ, and how many seeds and cells favour the claim, or lie above δ where all must."""
    estimates = table[table["state"] == "estimate"]
    whole = estimates.iloc[0]
    seeds = table[table["together"] & ~table["state"].isin(["estimate", "left out"])]["value"]
    shown = bracketed(whole["value"], whole["low"], whole["high"])
    said = (
        f"{word(verdict)}: Δ of {metric_words(metric_of(verdict))} is {shown}, δ = {number(whole['smallest_effect'])}"
    )
    if verdict.kind == "Equivalence":
        return f"{said}."
    cells = estimates["value"].iloc[1:]
    if verdict.at_worst is not None:
        return (
            f"{said}; above δ in {int((cells > whole['smallest_effect']).sum())} of {len(cells)}, all of which must be."
        )
    over = [
        f"{int((values > 0).sum())} of {counted(len(values), what)}"
        for values, what in ((seeds, "seed"), (cells, "cell"))
        if len(values)
    ]
    return f"{said}; above 0 in {' and in '.join(over)}." if over else f"{said}."


def _interval(verdict: Verdict) -> str:
    assert verdict.level is not None  # it has an estimate
    level = f"{level_text(verdict.level)}%"
    if verdict.stands_alone:
        return f"its own {level} interval, as all together have none"
    return f"the {level} interval at which all claims of the family cover together"


def _of_cells(verdict: Verdict) -> str:
    return "; squares: Δ of each cell, with the interval of that level by itself" if verdict.cells else ""


def plots(verdicts: Sequence[Verdict]) -> Iterator[Plot]:
    """One figure for each claim with an estimate, by its place; beside it the form that was registered, where that is another."""
    for i, verdict in enumerate(verdicts, start=1):
        for one, name in ((verdict, f"claim_{i}"), (verdict.was, f"claim_{i}_registered")):
            table = data(one) if one is not None else None
            if one is None or table is None:
                continue
            left_out = table["order"].max() + 1 - MOST_CELLS
            caption = (
                f"{one.title.rstrip('.')}: {one.compared}. Dots: a seed's difference; diamond: Δ of the verdict, with {_interval(one)}{_of_cells(one)}."
                + (" Hollow dots: a run diverged or collapsed, no part of the mean." if (table["state"] == "left out").any() else "")
                + (" Triangles at the edge: so many seeds lie beyond it, or a run of theirs diverged." if np.isinf(table["value"]).any() else "")
                + (f" {counted(left_out, 'more cell is', 'more cells are')} in the table." if left_out > 0 else "")
            )  # fmt: skip
            yield Plot(name, caption, table, draw, title=title(one, table))
