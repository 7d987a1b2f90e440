"""Training curves: batch loss, validation loss and gradient norm over steps, per cell."""

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.inference.intervals.robust import median
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_names, grid, name_axes
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import Scale, scale_of
from harness.reporting.plots.stairs import ALL
from harness.reporting.plots.titles import place_of
from harness.settings.show import counted

QUANTITIES = {
    "loss": "loss of\ntraining batches", "validation_loss": "validation loss",
    "grad_norm": "gradient norm\nbefore clipping",
}  # fmt: skip
POINTS = 150


def data(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Median and quartiles over runs of each quantity, per step and cell; steps binned to at most 150 points.

    Once it has become non-finite a run counts as infinite, to the last step it would have taken, at each at which some run has the
    quantity. `end` is the median of what runs end with, infinite for all that diverged, as in tables of cells. Where runs of one line train
    for different numbers of steps, they are logged at different ones: in between each keeps its last value. Without confirm
    runs, the tune runs are shown.
    """
    binned = _binned(curves)
    rows: list[dict[str, Any]] = []
    lines = [
        (names, binned.merge(inside[["trial", "seed", "status", "nonfinite"]], on=["trial", "seed"]))
        for names, inside in _lines(runs, roles)
    ]
    for quantity in QUANTITIES:
        measured = {step for _, chosen in lines for step in chosen.loc[chosen[quantity].notna(), "step"]}
        for names, chosen in lines:
            rows += [names | {"quantity": quantity} | row for row in _bands(chosen, quantity, measured)]
    return pd.DataFrame(rows) if rows else None


def trials_to_show(runs: pd.DataFrame, roles: Roles) -> set[int]:
    """Those whose curves `data` needs."""
    return {int(trial) for _, inside in _lines(runs, roles) for trial in inside["trial"].unique()}


def _lines(runs: pd.DataFrame, roles: Roles) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The names of each line and its runs."""
    shown = confirmed(runs)
    if shown.empty:
        shown = runs[runs["status"] != "failed"]
    yield from roles.cells(shown, roles.lines)


def _binned(curves: pd.DataFrame) -> pd.DataFrame:
    width = max(1, math.ceil((curves["step"].max() + 1) / POINTS)) if len(curves) else 1
    bins = curves["step"] // width * width
    return curves.assign(step=bins).groupby(["trial", "seed", "step"])[list(QUANTITIES)].mean().reset_index()


def _bands(curves: pd.DataFrame, quantity: str, measured: Collection[int]) -> list[dict[str, Any]]:
    """Median and quartiles at each step that has the quantity, none where just one has it.

    Args:
        curves: of one line, with the `status` of their run and whether it became `nonfinite`.
        quantity: a column.
        measured: steps at which some run of any line has it.
    """
    own = curves.loc[curves[quantity].notna(), "step"]
    gone = curves["loss"].isna() & (curves["nonfinite"] == 1) & curves["step"].isin(measured)
    steps = {*own, *curves.loc[gone, "step"]}
    if len(steps) < 2:
        return []
    curves = curves[curves["step"].isin(steps)]
    lost = curves[quantity].isna() & (curves["nonfinite"] == 1) & (gone | curves["step"].isin(own))
    values = curves.assign(value=curves[quantity].mask(lost, math.inf)).pivot(
        index="step", columns=["trial", "seed"], values="value"
    )
    values = values.ffill().where(values.bfill().notna())  # no run goes on after its end
    ranked = np.sort(values.to_numpy(float), axis=1)  # of each step, NaN last
    n = (~np.isnan(ranked)).sum(axis=1)

    def at_rank(rank: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.take_along_axis(ranked, rank[:, None], axis=1)[:, 0]

    low, high = at_rank(-(-n // 4) - 1), at_rank(-(-3 * n // 4) - 1)  # these need no difference of two infinities
    below, above = at_rank((n - 1) // 2), at_rank(n // 2)
    middle = np.where(below == above, below, (below + above) / 2)
    gone = np.isinf(ranked).sum(axis=1)
    diverged = curves.groupby(["trial", "seed"])["status"].first() == "diverged"
    ends = values.ffill().iloc[-1].mask(diverged, math.inf)
    columns = {"step": values.index, "median": middle, "low": low, "high": high, "n": n, "n_diverged": gone,
               "end": median(ends.dropna())}  # fmt: skip
    return pd.DataFrame(columns).to_dict("records")  # type: ignore[return-value]  # keys are the names above


def draw(data: pd.DataFrame) -> Figure:
    """Rows: quantities; columns: levels of the facet; lines: levels of the group."""
    quantities = [name for name in QUANTITIES if (data["quantity"] == name).any()]
    facets = sorted(data["facet_order"].unique())
    figure, axes = grid(len(quantities), len(facets), width=max(1.55, min(2.1, 6 / len(facets))), height=1.75)
    for row, quantity in zip(axes, quantities, strict=True):
        of_quantity = data[data["quantity"] == quantity]
        scale = scale_of(of_quantity["median"], log=True if quantity == "grad_norm" else None)
        for ax, facet in zip(row, facets, strict=True):
            for _, line in of_quantity[of_quantity["facet_order"] == facet].groupby("group_order"):
                _line(ax, line, scale, marked=quantity == "validation_loss")
            scale.apply(ax)
            ax.set_xlim(data["step"].min(), max(data["step"].max(), data["step"].min() + 1))
            ax.tick_params(labelleft=facet == facets[0], labelbottom=quantity == quantities[-1], which="both")
        row[0].set_ylabel(QUANTITIES[quantity] + (",\nlog scale" if scale.log else ""))
    names = facet_names(data, 14 if len(facets) > 3 else 20)
    for ax, facet in zip(axes[0], facets, strict=True):
        ax.set_title(names[facet])
    name_axes(figure, x="training step")
    runs = data.groupby(["facet_order", "group_order"])["n"].max()
    legend(figure, data, note=counts_note(runs, "runs per line"), markers=False)
    return figure


def _line(ax: Axes, line: pd.DataFrame, scale: Scale, *, marked: bool) -> None:
    kind = look(int(line["group_colour"].iloc[0]), int(line["group_order"].iloc[0]))
    seen = line[np.isfinite(line["median"])]
    band = seen[np.isfinite(seen["high"])]
    low, high = (scale.clipped(band[name]) for name in ("low", "high"))
    ax.fill_between(band["step"], low, high, color=kind["color"], alpha=0.15, lw=0)
    every = max(1, len(seen) // 8)
    ax.plot(
        seen["step"], scale.clipped(seen["median"]), **(kind | {"ms": 3.5 if marked else 0, "markevery": every}), lw=1.3
    )
    if len(seen) < len(line):  # the median run has diverged
        end = seen.iloc[-1:] if len(seen) else line.iloc[:1]
        ax.plot(end["step"], scale.clipped(end["median"]), marker="X", ms=8, color=kind["color"], mec="black", mew=0.7,
                clip_on=False, zorder=5)  # fmt: skip


def title(table: pd.DataFrame) -> str:
    """Where the validation loss ends lowest, and in how many lines it still fell; of the training loss where it ends lowest.

    A run that diverged ends infinite.
    """
    quantity = "validation_loss" if (table["quantity"] == "validation_loss").any() else "loss"
    name = {"validation_loss": "Validation loss", "loss": "The loss of training batches"}[quantity]
    found = table[table["quantity"] == quantity].sort_values("step")
    last = found.groupby(["facet_order", "group_order"]).tail(1)
    finite, n = last[np.isfinite(last["end"])], table.groupby(["facet_order", "group_order"]).ngroups
    if finite.empty:
        return f"In {'each line' if n > 1 else 'the line'} half of the runs or more diverged."
    best = finite[finite["end"] == finite["end"].min()]
    where = f" at {place_of(best, last, of='lines')}" if n > 1 else ""
    said = f"{name} ends lowest{where} (median {number(best['end'].iloc[0])})"
    if quantity == "loss":
        return f"{said}."
    least = found.groupby(["facet_order", "group_order"])["median"].transform("min")
    falling = int((finite["median"] == least[finite.index]).sum())
    of = f"{falling} of {counted(n, 'line')}" if n > 1 else "the line" if falling else "no line"
    return f"{said}; its least value is the last one in {of}."


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, all cells."""
    table = data(runs, curves, roles)
    if table is not None:
        ended = " A line ends at ✗ where half of its runs have become non-finite, which count as infinite from then on." if (
            table["n_diverged"].any()) else ""  # fmt: skip
        caption = (
            f"Training curves: median over runs, band: quartiles.{ended} Where some runs of a line end earlier, it goes on with the "
            f"others. Gradient norms are those of training batches.{roles.merged(ALL)}{roles.said(roles.lines)}"
        )
        yield Plot("training", caption, table, draw, title=title(table) + roles.where(roles.lines))
