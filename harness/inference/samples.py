"""A claim's runs → `Sample`: one number per seed and cell, with what is missing, copied, diverged or collapsed counted."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
        values: (number,) the metric of each seed and cell that has one, infinite where a run ranks worst.
        bad: (seed, cell) the share of runs that diverged or collapsed, of the sample's seeds and cells.
        n_diverged, n_bad, n: runs that diverged, that diverged or collapsed, and all that did not fail.
        clipped: (run,) share of clipped steps, as far as it is known.
        noise: (run,) change of an output by dropout noise, as far as it is known.
    """

    levels: Mapping[str, Any]
    values: Array
    bad: Array
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
        arms = [replace(arm, bad=arm.bad[:, i : i + 1]) for arm in self.arms]
        return replace(self, name=name, arms=arms, cells=[self.cells[i]], terms=self.terms[:, i : i + 1])


def sample(claim: Estimated, contrast: Contrast, confirm: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> Sample:
    """The numbers of one of a claim's contrasts.

    Args:
        claim: says by which metric.
        contrast: names the arms.
        confirm: runs of the confirm phase.
        sweeps: the swept factors.
    """
    others = {path: sweep for path, sweep in sweeps.items() if path not in claim.named()}
    seeds, rows = np.unique(confirm["seed"].to_numpy(), return_inverse=True)
    names = _cells(others)
    place = {name: i for i, name in enumerate(names)}
    columns = np.array([place.setdefault(name, len(place)) for name in _cell_of_each(confirm, others)], dtype=int)
    inside = [at(confirm, levels).to_numpy() for levels in contrast.arms()]
    tables = [_tables(claim, confirm, own, (rows, columns), (len(seeds), len(place))) for own in inside]
    known = np.any([(counts > 0).any(axis=0) for _, _, counts in tables], axis=0)
    ran = np.all([np.isfinite(values).any(axis=0) | np.isinf(values).any(axis=0) for values, _, _ in tables], axis=0)
    chosen = np.flatnonzero(ran[: len(names)])
    complete = np.all([~np.isnan(values[:, chosen]).any(axis=1) for values, _, _ in tables], axis=0) & bool(len(chosen))
    anywhere = np.any(inside, axis=0)
    copied = copies(confirm[anywhere & complete[rows]])
    kept = complete & ~np.isin(seeds, list(copied))
    arms = [
        _arm(levels, confirm[own], values, bad[np.ix_(kept, chosen)])
        for levels, own, (values, bad, _) in zip(contrast.arms(), inside, tables, strict=True)
    ]
    numbers = [
        (levels, values[np.ix_(kept, chosen)]) for levels, (values, _, _) in zip(contrast.arms(), tables, strict=True)
    ]
    terms = [part.weight * subtracted(_of(numbers, part.arm), _other(numbers, part)) for part in contrast.parts]
    return Sample(
        contrast.name, contrast.parts, arms, [int(seed) for seed in seeds[kept]], [names[i] for i in chosen],
        np.stack(terms, axis=2), np.any([arm.bad.any(axis=1) for arm in arms], axis=0),
        n_missing=len(np.unique(rows[anywhere])) - int(complete.sum()), n_copies=len(copied),
        n_cells_left_out=int(known.sum()) - len(chosen),
    )  # fmt: skip


Tables = tuple[Array, Array, Array]


def _tables(
    claim: Estimated, confirm: pd.DataFrame, own: "NDArray[np.bool_]", where: Sequence[Any], shape: tuple[int, int]
) -> Tables:
    """By seed and cell of an arm: the metric, whether a run is bad, and how many did not fail; the mean of several trials.

    Args:
        claim: says by which metric.
        confirm: runs.
        own: (run,) those of the arm.
        where: (run,) seed and cell of each.
        shape: how many seeds and cells there are.
    """
    status = confirm["status"].to_numpy(object)
    there = own & (status != "failed")
    values = ranked(claim.metric, direction(claim), confirm, above=claim.above).to_numpy(float)[there]
    if isinstance(claim, Interaction) and claim.scale == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(values)
    bad = np.isin(status[there], BAD).astype(float)
    index = tuple(each[there] for each in where)
    found = np.zeros((3, *shape))
    for table, each in zip(found, (values, bad, np.ones(len(bad))), strict=True):
        np.add.at(table, index, each)
    with np.errstate(invalid="ignore"):
        return found[0] / found[2], found[1] / found[2], found[2]


def _arm(levels: Mapping[str, Any], runs: pd.DataFrame, values: Array, bad: Array) -> Arm:
    """An arm of all its runs; `bad` of the seeds and cells that are compared."""
    status = runs["status"].to_numpy(object)
    there = runs[status != "failed"]
    return Arm(
        levels, values[~np.isnan(values)], bad, int((status == "diverged").sum()), int(np.isin(status, BAD).sum()), len(there),
        _known(there, "clip_fraction"), _known(there, "train_noise"),
    )  # fmt: skip


def _cells(sweeps: Mapping[str, Sweep]) -> list[str]:
    """Every combination of levels by its name, in the order of the study."""
    levels = [[f"{path} = {label(path, stored(level))}" for level in sweep.levels] for path, sweep in sweeps.items()]
    return [", ".join(each) for each in itertools.product(*levels)]


def _cell_of_each(runs: pd.DataFrame, paths: Iterable[str]) -> list[str]:
    """The name of each run's cell."""
    named = [[f"{path} = {label(path, level)}" for level in runs[path].tolist()] for path in paths]
    return [", ".join(each) for each in zip(*named, strict=True)] if named else [""] * len(runs)


def direction(claim: Estimated) -> Direction:
    """The good direction of a claim's metric, by which runs that diverged rank worst."""
    known = METRICS.get(claim.metric)
    better: Direction = getattr(claim, "better", None)
    return better if better is not None else known.better if known is not None else None


def _known(runs: pd.DataFrame, metric: str) -> Array:
    return runs[metric].dropna().to_numpy(float) if metric in runs else np.empty(0)


def _of(tables: Sequence[tuple[Mapping[str, Any], Array]], levels: Mapping[str, Any]) -> Array:
    return next(table for own, table in tables if own == levels)


def _other(tables: Sequence[tuple[Mapping[str, Any], Array]], part: Difference) -> Array | float:
    return _of(tables, part.other) if isinstance(part.other, Mapping) else float(part.other)
