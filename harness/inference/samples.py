"""A claim's runs → `Sample`: one number per seed and cell, with what is missing, copied, diverged or collapsed counted."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.intervals import Array
from harness.inference.ranks import Direction, copies, ranked, subtracted
from harness.settings import Sweep
from harness.settings.levels import at, label, stored
from harness.settings.metrics import METRICS
from harness.study import Estimated, Interaction
from harness.study.contrasts import Contrast, Difference

BAD = ("diverged", "collapsed")
"""Ends of runs that are catastrophes."""


@dataclass(frozen=True)
class Arm:
    """The runs of one arm.

    Attributes:
        levels: that make it.
        values: (seed, cell) the metric, infinite where a run ranks worst, NaN where there is none.
        bad: (seed, cell) 1 where a run diverged or collapsed, likewise.
        n_diverged, n_bad, n: runs that diverged, that diverged or collapsed, and all that did not fail.
        clipped: (run,) share of clipped steps, as far as it is known.
        noise: (run,) change of an output by dropout noise, as far as it is known.
    """

    levels: Mapping[str, Any]
    values: pd.DataFrame
    bad: pd.DataFrame
    n_diverged: int
    n_bad: int
    n: int
    clipped: Array
    noise: Array


@dataclass(frozen=True)
class Sample:
    """The numbers of a contrast.

    Attributes:
        name: of the contrast and cell, "" where there is one alone.
        parts: the terms of which a number is the sum.
        arms: those that it compares.
        seeds: (seed,) those with a run in every cell of every arm, copies left out.
        cells: (cell,) names of the combinations of other factors that are averaged over.
        terms: (seed, cell, part) weighted differences, positive where they favour the claim; infinite where just one arm diverged.
        bad: (seed,) whether any of its runs diverged or collapsed.
        n_missing: seeds left out because a run is missing or has no value.
        n_copies: seeds left out because all their runs are those of an earlier seed.
        n_cells_left_out: cells of which an arm never ran.
    """

    name: str
    parts: Sequence[Difference]
    arms: Sequence[Arm]
    seeds: list[int]
    cells: list[str]
    terms: Array
    bad: Array
    n_missing: int
    n_copies: int
    n_cells_left_out: int

    def bounds(self) -> tuple[Array, Array]:
        """The least and the largest that each seed's number can be, (seed,) each.

        They are equal but where terms or cells are infinite both ways: such a sum has no value, and may be anything.
        """
        flat = self.terms.reshape(len(self.seeds), -1)
        up, down = (flat == np.inf).any(axis=1), (flat == -np.inf).any(axis=1)
        finite = np.where(np.isfinite(flat), flat, 0.0).sum(axis=1) / max(len(self.cells), 1)
        low = np.where(down, -np.inf, np.where(up, np.inf, finite))
        high = np.where(up, np.inf, np.where(down, -np.inf, finite))
        return low, high

    @property
    def differences(self) -> Array:
        """(seed,) each seed's number; 0, a tie, where it may be anything."""
        low, high = self.bounds()
        return np.where(low == high, low, 0.0)

    def at_cell(self, i: int) -> "Sample":
        """The numbers of one cell."""
        name = ", ".join(part for part in (self.name, self.cells[i]) if part)
        return replace(self, name=name, cells=[self.cells[i]], terms=self.terms[:, i : i + 1])


def sample(claim: Estimated, contrast: Contrast, confirm: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> Sample:
    """The numbers of one of a claim's contrasts.

    Args:
        claim: says by which metric.
        contrast: names the arms.
        confirm: runs of the confirm phase.
        sweeps: the swept factors.
    """
    others = {path: sweep for path, sweep in sweeps.items() if path not in claim.named()}
    inside = [at(confirm, levels) for levels in contrast.arms()]
    arms = [
        _arm(claim, levels, confirm[rows], list(others)) for levels, rows in zip(contrast.arms(), inside, strict=True)
    ]
    everywhere = pd.DataFrame({"seed": confirm["seed"], "in": np.any(inside, axis=0)}) if len(confirm) else None
    known = {str(cell) for arm in arms for cell in arm.values}
    cells = [cell for cell in _cells(others) if all(_ran(arm, cell) for arm in arms)]
    tables = {id(arm.levels): arm.values.reindex(columns=cells).dropna() for arm in arms}
    complete = sorted(set.intersection(*(set(table.index) for table in tables.values()))) if cells else []
    chosen = confirm[everywhere["in"]] if everywhere is not None else confirm
    copied = copies(chosen[chosen["seed"].isin(complete)])
    seeds = [int(seed) for seed in complete if seed not in copied]
    by_levels = [(arm.levels, tables[id(arm.levels)].loc[seeds]) for arm in arms]
    terms = [
        part.weight * subtracted(_of(by_levels, part.arm), _other(by_levels, part)).to_numpy(float)
        for part in contrast.parts
    ]
    bad = [arm.bad.reindex(index=seeds, columns=cells).fillna(0).to_numpy(float).any(axis=1) for arm in arms]
    return Sample(
        contrast.name, contrast.parts, arms, seeds, cells,
        np.stack(terms, axis=2) if seeds else np.empty((0, len(cells), len(contrast.parts))),
        np.any(bad, axis=0) if seeds else np.empty(0, dtype=bool),
        n_missing=int(chosen["seed"].nunique()) - len(complete), n_copies=len(copied), n_cells_left_out=len(known) - len(cells),
    )  # fmt: skip


def _arm(claim: Estimated, levels: Mapping[str, Any], runs: pd.DataFrame, others: Sequence[str]) -> Arm:
    there = runs[runs["status"] != "failed"]
    values = ranked(claim.metric, direction(claim), there, above=claim.above)
    if isinstance(claim, Interaction) and claim.scale == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values.map(np.log).mask(values == -np.inf, -np.inf)
    bad = there["status"].isin(BAD).astype(float)
    cell = [", ".join(f"{path} = {label(path, level)}" for path, level in zip(others, row, strict=True))
            for row in there[list(others)].itertuples(index=False, name=None)]  # fmt: skip
    keyed = pd.DataFrame({"value": values, "bad": bad, "cell": np.array(cell, dtype=object), "seed": there["seed"]})
    tables = keyed.groupby(["seed", "cell"]).mean(skipna=False)  # of several trials that a search confirms
    status = there["status"]
    return Arm(
        levels, tables["value"].unstack("cell"), tables["bad"].unstack("cell"), int((status == "diverged").sum()),
        int(bad.sum()), len(there), _known(there, "clip_fraction"), _known(there, "train_noise"),
    )  # fmt: skip


def _cells(sweeps: Mapping[str, Sweep]) -> list[str]:
    """Every combination of levels by its name, in the order of the study."""
    levels = [[f"{path} = {label(path, stored(level))}" for level in sweep.levels] for path, sweep in sweeps.items()]
    return [", ".join(each) for each in itertools.product(*levels)]


def _ran(arm: Arm, cell: str) -> bool:
    return cell in arm.values and bool(arm.values[cell].notna().any())


def direction(claim: Estimated) -> Direction:
    """The good direction of a claim's metric, by which runs that diverged rank worst: the claim's own where the metric has none."""
    known = METRICS.get(claim.metric)
    if known is not None and known.better is not None:
        return known.better
    better: Direction = getattr(claim, "better", None)
    return better


def _known(runs: pd.DataFrame, metric: str) -> Array:
    return runs[metric].dropna().to_numpy(float) if metric in runs else np.empty(0)


def _of(tables: Sequence[tuple[Mapping[str, Any], pd.DataFrame]], levels: Mapping[str, Any]) -> pd.DataFrame:
    return next(table for own, table in tables if own == levels)


def _other(tables: Sequence[tuple[Mapping[str, Any], pd.DataFrame]], part: Difference) -> "pd.DataFrame | float":
    return _of(tables, part.other) if isinstance(part.other, Mapping) else float(part.other)
