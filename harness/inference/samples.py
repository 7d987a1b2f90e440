"""A claim's runs → `Sample`: one number per seed and cell, with what is missing, copied, diverged or collapsed counted."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.inference.intervals.interval import Array
from harness.inference.ranks import ROUNDING, Direction, copies, ranked, subtracted
from harness.settings import Sweep
from harness.settings.levels import at, label, places
from harness.settings.metrics import METRICS
from harness.study import Estimated
from harness.study.contrasts import Contrast, Difference

BAD = ("diverged", "collapsed")
"""Ends of runs that are catastrophes."""

KNOWN = ("clip_fraction", "train_noise")
"""What of a run shows that clipping and dropout acted."""


@dataclass(frozen=True)
class Arm:
    """The runs of one arm.

    Attributes:
        levels: that make it.
        values: (number,) the metric of each seed and cell that has one, infinite where a run ranks worst.
        bad: (pair, cell) the share of runs that diverged or collapsed, of the seeds of which no run failed, copies left out.
        n_diverged, n_bad, n: runs that diverged, that diverged or collapsed, and all that did not fail.
        clipped: (run,) share of clipped steps, as far as it is known.
        noise: (run,) change of an output by dropout noise, of the runs that trained: in one that did not, units may be dead or
            outputs not finite, whatever dropout does.
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
        cells: (cell,) names of the combinations of other factors that are averaged over: those with runs of every arm, failed or not.
        terms: (seed, cell, part) weighted differences, positive where they favour the claim; infinite where just one arm diverged.
        lost: (seed, cell) whether both arms of a part are infinite and tie, and those of no other differ by infinity: the part's term is 0, and
            compares no numbers.
        rounding: (seed, cell) how far from 0, or from δ, the sum of the terms may be for rounding alone; less than δ.
        bad: (seed,) whether any of its runs diverged or collapsed.
        n_missing: seeds left out because a run is missing or has no value.
        n_copies: seeds left out because all their runs are those of an earlier seed.
        n_cells_left_out: cells of which an arm never ran; one whose runs failed, or have no value, is none of these: its seeds are missing.
        n_combinations: of tuned values that a cell confirms for a seed, at most, whose mean is the number of its arm there.
    """

    name: str
    parts: Sequence[Difference]
    arms: Sequence[Arm]
    seeds: list[int]
    cells: list[str]
    terms: Array
    lost: NDArray[np.bool_]
    rounding: Array
    bad: Array
    n_missing: int
    n_copies: int
    n_cells_left_out: int
    n_combinations: int

    @property
    def n_all(self) -> int:
        """Seeds that have run, those left out included."""
        return len(self.seeds) + self.n_missing + self.n_copies

    def bounds(self) -> tuple[Array, Array]:
        """The least and the largest that each seed's number can be, (seed,) each.

        They are equal but where terms or cells are infinite both ways: such a sum has no value, and may be anything. One that is
        nothing but rounding is 0.
        """
        flat = self.terms.reshape(len(self.seeds), -1)
        up, down = (flat == np.inf).any(axis=1), (flat == -np.inf).any(axis=1)
        finite = np.where(np.isfinite(flat), flat, 0.0).sum(axis=1) / max(len(self.cells), 1)
        finite = np.where(np.abs(finite) <= self.rounding.mean(axis=1), 0.0, finite)
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
        terms, rounding, lost = self.terms[:, i : i + 1], self.rounding[:, i : i + 1], self.lost[:, i : i + 1]
        return replace(self, name=name, arms=arms, cells=[self.cells[i]], terms=terms, lost=lost, rounding=rounding)


def sample(claim: Estimated, contrast: Contrast, confirm: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> Sample:
    """The numbers of one of a claim's contrasts.

    Args:
        claim: says by which metric.
        contrast: names the arms.
        confirm: runs of the confirm phase.
        sweeps: the swept factors.
    """
    others = {path: sweep for path, sweep in sweeps.items() if path not in claim.named()}
    runs, names = _Runs.of(claim, confirm, others), _cells(others)
    inside = [at(confirm, levels).to_numpy() for levels in contrast.arms()]
    tables = [runs.tables(own) for own in inside]
    ran = np.array([np.isin(np.arange(len(names)), runs.column[own]) for own in inside])  # (arm, cell), failed or not
    chosen = np.flatnonzero(ran.all(axis=0))
    complete = np.all([~np.isnan(values[:, chosen]).any(axis=1) for values, _, _ in tables], axis=0) & (len(chosen) > 0)
    ended = np.all([(counts[:, chosen] > 0).all(axis=1) for _, _, counts in tables], axis=0) & (len(chosen) > 0)
    anywhere = np.any(inside, axis=0)
    copied = copies(confirm[anywhere & complete[runs.row]])
    kept, paired = (np.flatnonzero(which & ~np.isin(runs.seeds, list(copied))) for which in (complete, ended))
    where = np.ix_(kept, chosen)
    arms = [
        runs.arm(levels, own, values[~np.isnan(values)], bad[np.ix_(paired, chosen)])
        for levels, own, (values, bad, _) in zip(contrast.arms(), inside, tables, strict=True)
    ]
    bad = np.any([(bad[where] > 0).any(axis=1) for _, bad, _ in tables], axis=0)
    numbers = [(levels, values[where]) for levels, (values, _, _) in zip(contrast.arms(), tables, strict=True)]
    terms, ties, sizes = [], [], []
    for part in contrast.parts:
        one, other = _of(numbers, part.arm), _other(numbers, part)
        terms.append(part.weight * subtracted(one, other))
        ties.append(np.isinf(one) & (one == other))
        sizes.append(abs(part.weight) * (_size(one, claim) + _size(other, claim)))
    rounding, delta = ROUNDING * np.sum(sizes, axis=0), claim.smallest_effect
    lost = np.any(ties, axis=0) & np.isfinite(terms).all(axis=0)
    return Sample(
        contrast.name, contrast.parts, arms, [int(seed) for seed in runs.seeds[kept]], [names[i] for i in chosen],
        np.stack(terms, axis=2), lost, np.minimum(rounding, delta / 4) if delta else rounding, bad,
        n_missing=len(np.unique(runs.row[anywhere])) - int(complete.sum()), n_copies=len(copied),
        n_cells_left_out=int(ran.any(axis=0).sum()) - len(chosen),
        n_combinations=max(int(counts[where].max(initial=1)) for _, _, counts in tables),
    )  # fmt: skip


@dataclass(frozen=True)
class _Runs:
    """Runs of the confirm phase as arrays, (run,) each.

    Attributes:
        values: the metric of each, see `ranked`.
        status: how it ended.
        seeds: (seed,) all of them, ascending.
        row: which of these is its.
        column: which cell is its, in the order of `_cells`; the last where the study has no such cell.
        n_cells: how many columns there are.
        clipped: its share of clipped steps, NaN where it is not known.
        noise: the change of an output by dropout noise, likewise.
    """

    values: Array
    status: NDArray[np.object_]
    seeds: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    n_cells: int
    clipped: Array
    noise: Array

    @classmethod
    def of(cls, claim: Estimated, confirm: pd.DataFrame, others: Mapping[str, Sweep]) -> "_Runs":
        """Those of a table, by a claim's metric, in the cells of the factors that it does not name."""
        values = np.asarray(ranked(claim.metric, direction(claim), confirm, above=claim.above), dtype=np.float64)
        if claim.takes_logarithms():
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(values == -np.inf, -np.inf, np.log(values))
        seeds, row = np.unique(confirm["seed"].to_numpy(), return_inverse=True)
        levels = {path: sweep.levels for path, sweep in others.items()}
        column, n_cells = places(confirm, levels), math.prod(map(len, levels.values()))
        status, shown = confirm["status"].to_numpy(object), (_shown(confirm, name) for name in KNOWN)
        return cls(values, status, seeds, row, column, n_cells + 1, *shown)

    def tables(self, own: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
        """By seed and cell of those `own` to an arm: the metric, the share that is bad (means of several trials), how many they are.

        None where one of several failed: the others speak for other values of what is tuned.
        """
        failed, bad = self.status[own] == "failed", np.isin(self.status[own], BAD)
        sums = np.zeros((4, len(self.seeds), self.n_cells))
        for table, each in zip(sums, (self.values[own], bad, np.ones(len(bad)), failed), strict=True):
            np.add.at(table, (self.row[own], self.column[own]), each)
        values, bad_runs, n, n_failed = sums
        n = np.where(n_failed == 0, n, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n, values / n, np.nan), np.where(n, bad_runs / n, np.nan), n

    def arm(self, levels: Mapping[str, Any], own: NDArray[np.bool_], values: Array, bad: Array) -> Arm:
        """An arm with what is known of all its runs."""
        there = own & (self.status != "failed")
        status = self.status[there]
        clipped, noise = (each[there] for each in (self.clipped, self.noise))
        clipped, noise = clipped[~np.isnan(clipped)], noise[~np.isnan(noise) & ~np.isin(status, BAD)]
        return Arm(
            levels, values, bad, int((status == "diverged").sum()), int(np.isin(status, BAD).sum()), len(status), clipped, noise,
        )  # fmt: skip


def _cells(sweeps: Mapping[str, Sweep]) -> list[str]:
    """Every combination of levels by its name, in the order of the study."""
    levels = [[f"{path} = {label(path, level)}" for level in sweep.levels] for path, sweep in sweeps.items()]
    return [", ".join(each) for each in itertools.product(*levels)]


def direction(claim: Estimated) -> Direction:
    """The good direction of a claim's metric, by which runs that diverged rank worst: the claim's own where the metric has none."""
    known = METRICS.get(claim.metric)
    if known is not None and known.better is not None:
        return known.better
    better: Direction = getattr(claim, "better", None)
    return better


def _shown(runs: pd.DataFrame, metric: str) -> Array:
    return runs[metric].to_numpy(float) if metric in runs else np.full(len(runs), np.nan)


def _size(values: Array | float, claim: Estimated) -> Array:
    """By what the rounding of numbers is measured: their magnitude; a logarithm is as uncertain as its number is by ratio."""
    return np.where(np.isfinite(values), np.abs(values) + claim.takes_logarithms(), 0.0)


def _of(tables: Sequence[tuple[Mapping[str, Any], Array]], levels: Mapping[str, Any]) -> Array:
    return next(table for own, table in tables if own == levels)


def _other(tables: Sequence[tuple[Mapping[str, Any], Array]], part: Difference) -> Array | float:
    return _of(tables, part.other) if isinstance(part.other, Mapping) else float(part.other)
