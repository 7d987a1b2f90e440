"""Training curves: batch loss, validation loss and gradient norm over steps, per cell."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from harness.reporting.plots.axes import log_scale, name_panel
from harness.reporting.plots.factors import confirmed, panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look
from harness.reporting.plots.plot import Plot
from harness.study import Study

QUANTITIES = {
    "loss": "loss of\ntraining batches", "validation_loss": "validation loss",
    "grad_norm": "gradient norm\nbefore clipping",
}  # fmt: skip
POINTS = 200
LOG_RATIO = 30.0


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """Median and quartiles over seeds of each quantity, per step and cell; steps binned to at most 200 points.

    Once it has become non-finite a run counts as infinite, to the last step it would have taken. Where runs of one line train
    for different numbers of steps, they are logged at different ones: in between each keeps its last value. Without confirm
    runs, the tune runs are shown.
    """
    binned = _binned(curves)
    rows: list[dict[str, Any]] = []
    for names, inside in _panels(runs, study):
        chosen = binned.merge(inside[["trial", "seed", "status"]], on=["trial", "seed"])
        for quantity in QUANTITIES:
            rows += [names | {"quantity": quantity} | row for row in _bands(chosen, quantity)]
    return pd.DataFrame(rows) if rows else None


def curves_to_show(file: Path, runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Of a file of curves what `data` needs: all of them may be more than memory should hold."""
    trials = {int(trial) for _, inside in _panels(runs, study) for trial in inside["trial"].unique()}
    return pd.read_parquet(file, columns=["trial", "seed", "step", *QUANTITIES], filters=[("trial", "in", trials)])


def _panels(runs: pd.DataFrame, study: Study) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The names of each line and its runs."""
    shown = confirmed(runs)
    if shown.empty:
        shown = runs[runs["status"] != "failed"]
    for names, levels in panels(study):
        yield names, rows_at(shown, levels)


def _binned(curves: pd.DataFrame) -> pd.DataFrame:
    width = max(1, math.ceil((curves["step"].max() + 1) / POINTS)) if len(curves) else 1
    bins = curves["step"] // width * width
    return curves.assign(step=bins).groupby(["trial", "seed", "step"])[list(QUANTITIES)].mean().reset_index()


def _bands(curves: pd.DataFrame, quantity: str) -> list[dict[str, Any]]:
    """Median and quartiles at each step that has the quantity; curves with the `status` of their run."""
    steps = curves.loc[curves[quantity].notna(), "step"].unique()
    curves = curves[curves["step"].isin(steps)]
    lost = curves[quantity].isna() & (curves["status"] == "diverged")
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
    columns = {"step": values.index, "median": middle, "low": low, "high": high, "n": n, "n_diverged": gone}
    return pd.DataFrame(columns).to_dict("records")  # type: ignore[return-value]  # keys are the names above


def draw(data: pd.DataFrame) -> Figure:
    """Rows: quantities; columns: levels of the facet; lines: levels of the group."""
    quantities = [name for name in QUANTITIES if (data["quantity"] == name).any()]
    facets = sorted(data["facet_order"].unique())
    figure = Figure(figsize=(max(2.5 * len(facets) + 0.6, 5.5), 2.1 * len(quantities) + 0.7), layout="constrained")
    axes = figure.subplots(len(quantities), len(facets), squeeze=False, sharex=True, sharey="row")
    for row, quantity in zip(axes, quantities, strict=True):
        of_quantity = data[data["quantity"] == quantity]
        for ax, facet in zip(row, facets, strict=True):
            for _, line in of_quantity[of_quantity["facet_order"] == facet].groupby("group_order"):
                _line(ax, line, marked=quantity == "validation_loss")
        row[0].set_ylabel(QUANTITIES[quantity] + _scale(row[0], of_quantity, logarithmic=quantity == "grad_norm"))
    for ax, facet in zip(axes[0], facets, strict=True):
        name_panel(ax, data[data["facet_order"] == facet])
    for ax in axes[-1]:
        ax.set_xlabel("training step")
    runs = data.groupby(["facet_order", "group_order"])["n"].max()
    legend(figure, data, note=counts_note(runs, "runs per line"), markers=False)
    return figure


def _line(ax: Axes, line: pd.DataFrame, *, marked: bool) -> None:
    kind = look(int(line["group_colour"].iloc[0]), int(line["group_order"].iloc[0]))
    seen = line[np.isfinite(line["median"])]
    band = seen[np.isfinite(seen["high"])]
    ax.fill_between(band["step"], band["low"], band["high"], color=kind["color"], alpha=0.15, lw=0)
    ax.plot(seen["step"], seen["median"], **(kind | {"ms": 3.5 if marked else 0}), lw=1.3)
    if len(seen) and len(seen) < len(line):  # the median run has diverged
        ax.plot(
            seen["step"].iloc[-1:],
            seen["median"].iloc[-1:],
            marker="X",
            ms=8,
            color=kind["color"],
            mec="black",
            mew=0.7,
            zorder=5,
        )


def _scale(ax: Axes, data: pd.DataFrame, *, logarithmic: bool) -> str:
    """Set the y axis by the medians, log where they span much; says so."""
    medians = data["median"].to_numpy(float)
    medians = medians[np.isfinite(medians)]
    if not len(medians):
        return ""
    low, high = float(medians.min()), float(medians.max())
    if low > 0 and (logarithmic or high / low > LOG_RATIO):
        log_scale(ax)
        ax.set_ylim(low / 1.5, high * 1.5)
        return ", log scale"
    margin = 0.12 * (high - low) or 1.0
    ax.set_ylim(low - margin, high + margin)
    return ""


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, all cells."""
    table = data(runs, curves, study)
    if table is not None:
        caption = (
            "Training curves: median over seeds, band from the first to the third quartile. A run that becomes non-finite counts as infinite "
            "from then on; a line ends at ✗ where half of its runs have. A line ends where its runs do; where some of them end "
            "earlier, it goes on with the others. Gradient norms are those of training batches."
        )
        yield Plot("training", caption, table, draw)
