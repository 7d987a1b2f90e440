"""The training curves of single runs, thinned for a page: a bounded number of runs and of points of each, by a rule that is said."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.reporting.page.words import level_in_words, number
from harness.settings import Sweep
from harness.settings.levels import at, in_words
from harness.settings.show import counted
from harness.study import Study

CLIPPED_OVER = 10
"""Points up to each over which the share of steps clipped is a mean: a single step is clipped or not."""

QUANTITIES = {
    "loss": "Loss of training batches", "validation_loss": "Validation loss", "grad_norm": "Gradient norm before clipping",
    "clipped": f"Share of steps clipped (mean of {CLIPPED_OVER} points)",
}  # fmt: skip
"""Columns of the curves that are shown, and their titles."""

MOST_RUNS = 400
POINTS = 100
DIGITS = 4
SHOWN_AT_FIRST = 4
"""Cells that are drawn before a reader chooses."""


@dataclass(frozen=True)
class Curves:
    """What the page draws.

    Attributes:
        steps: (point,) where the curves have numbers: the first step of each bin.
        titles: of the quantities, by name.
        cells: names of the cells.
        shown: indices of the cells that are drawn at first.
        runs: of each its cell, seed, status and a list of numbers per quantity, None where it has none.
        thinned: by which rule runs and steps were left out, sentences.
    """

    steps: list[int] = field(default_factory=list)
    titles: Mapping[str, str] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    thinned: str = ""

    def plain(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {name: value for name, value in vars(self).items() if name != "thinned"}


def curves_of(file: Path, runs: pd.DataFrame, study: Study) -> Curves:
    """The curves of some runs of the confirm phase, of a study without one of those of tuning.

    Args:
        file: `curves.parquet`: one row per run and logged step.
        runs: one row per run, sorted.
        study: names the cells.
    """
    there = runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]
    there = there if len(there) else runs[runs["status"] != "failed"]
    cells = [(levels, inside) for levels in study.cells() if len(inside := there[at(there, levels)])]
    if not cells:
        return Curves()
    kept = _some(cells)
    chosen = pd.concat([inside for _, inside in kept])
    table = _binned(file, chosen)
    if table.empty:
        return Curves()
    steps = sorted(int(step) for step in table["step"].unique())
    place = {step: i for i, step in enumerate(steps)}
    by_run = dict(list(table.groupby(["trial", "seed"])))
    traces = [
        _trace(index, row, by_run[row["trial"], row["seed"]], place)
        for index, (_, inside) in enumerate(kept)
        for row in inside.to_dict("records")
        if (row["trial"], row["seed"]) in by_run
    ]
    constant = dict(_constant(table))
    titles = {name: title for name, title in QUANTITIES.items() if table[name].notna().any() and name not in constant}
    names = [_name(levels, study.sweeps()) for levels, _ in kept]
    said = " ".join([_rule(kept, there, runs, study), *constant.values()])
    return Curves(steps, titles, names, _at_first(study, [levels for levels, _ in kept]), traces, said)


def _constant(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The quantities beside the loss that are no curves, and a sentence on each."""
    for name, title in list(QUANTITIES.items())[1:]:
        found = table[table[name].notna()]
        if found["step"].nunique() == 1 < table["step"].nunique():
            yield name, f"{title}: measured once in each run, see the table."
        elif found[name].nunique() == 1:
            yield name, f"{title}: {number(float(found[name].iloc[0]))} throughout."


def _name(levels: Mapping[str, Any], sweeps: Mapping[str, Sweep]) -> str:
    said = [f"{path.rpartition('.')[2]} {level_in_words(path, level, sweeps)}" for path, level in levels.items()]
    return ", ".join(said) or "all runs"


def _some(cells: list[tuple[dict[str, Any], pd.DataFrame]]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """As many cells as may be shown, evenly from all, and the first runs of each by seed, as many of all."""
    if len(cells) > MOST_RUNS:
        cells = [cells[i] for i in np.linspace(0, len(cells) - 1, MOST_RUNS).astype(int)]
    each = max(1, MOST_RUNS // len(cells))
    return [(levels, inside.sort_values(["seed", "trial"]).head(each)) for levels, inside in cells]


def _rule(
    kept: list[tuple[dict[str, Any], pd.DataFrame]], there: pd.DataFrame, runs: pd.DataFrame, study: Study
) -> str:
    n, which = sum(len(inside) for _, inside in kept), _which(there, runs)
    if n == len(there):
        return f"{'The one run' if n == 1 else f'All {n:,} runs'} {which or 'of the result'}."
    each, n_cells = max(len(inside) for _, inside in kept), len(study.cells())
    of_cells = (
        "each combination" if len(kept) == n_cells else f"{len(kept)} of {n_cells:,} combinations, evenly chosen,"
    )
    of_all = f"{counted(len(there), 'run')}{which and f' {which}'}"
    return f"{n} of {of_all}: of {of_cells} the first {counted(each, 'run')} by seed."


def _which(there: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Which of all runs may be shown, in words; "" where all of them are."""
    of_phase = runs[runs["phase"].isin(there["phase"])]
    phase = f"of the {there['phase'].iloc[0]} phase" if len(of_phase) < len(runs) else ""
    ended = "that did not fail" if len(there) < len(of_phase) else ""
    return " ".join(filter(None, [phase, ended]))


def _binned(file: Path, chosen: pd.DataFrame) -> pd.DataFrame:
    """The curves of some runs, means over bins of steps; a bin's step is its first."""
    trials = sorted({int(trial) for trial in chosen["trial"]})
    table = pd.read_parquet(file, columns=["trial", "seed", "step", *QUANTITIES], filters=[("trial", "in", trials)])
    table = table.merge(chosen[["trial", "seed"]], on=["trial", "seed"])
    if table.empty:
        return table
    width = max(1, math.ceil((table["step"].max() + 1) / POINTS))
    binned = table.assign(step=table["step"] // width * width)
    points = binned.groupby(["trial", "seed", "step"])[list(QUANTITIES)].mean().reset_index()
    over = points.groupby(["trial", "seed"])["clipped"].rolling(CLIPPED_OVER, min_periods=1).mean()
    smooth = pd.Series(over.to_numpy(), points.index)  # both are sorted by run and step
    return points.assign(clipped=smooth.where(points["clipped"].notna()))


def _trace(cell: int, row: Mapping[Any, Any], table: pd.DataFrame, place: Mapping[int, int]) -> dict[str, Any]:
    """One run; numbers in four digits."""
    where = [place[step] for step in table["step"]]
    found: dict[str, Any] = {
        "cell": cell,
        "seed": int(row["seed"]),
        "trial": int(row["trial"]),
        "status": str(row["status"]),
    }
    for name in QUANTITIES:
        numbers: list[float | None] = [None] * len(place)
        for i, value in zip(where, table[name].tolist(), strict=True):
            numbers[i] = float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        while numbers and numbers[-1] is None:
            numbers.pop()
        found[name] = numbers
    return found


def _at_first(study: Study, cells: list[dict[str, Any]]) -> list[int]:
    """The arms of the first claim that has two, in the first cells of all else; else the first cells."""
    for claim in study.claims:
        arms = [levels for name in ("treatment", "baseline") if (levels := getattr(claim, name, None))]
        pairs = [[i for i, cell in enumerate(cells) if _is_at(cell, levels)] for levels in arms]
        if len(pairs) == 2 and all(pairs):
            return sorted({i for pair in pairs for i in pair[: SHOWN_AT_FIRST // 2]})
    return list(range(min(SHOWN_AT_FIRST, len(cells))))


def _is_at(cell: Mapping[str, Any], levels: Mapping[str, Any]) -> bool:
    return in_words({path: cell.get(path) for path in levels}) == in_words(levels)
