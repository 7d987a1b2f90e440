"""A claim's runs → `Pairs`: both arms by seed and cell, diverged runs at the worst value of those that did not, or at their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.inference.intervals import Array
from harness.settings.levels import at
from harness.settings.metrics import METRICS, RATE, SHARES
from harness.study import Claim


@dataclass(frozen=True)
class Pairs:
    """Both arms of a claim, paired by seed.

    Attributes:
        metric: what is compared.
        seeds: (seed,) those with a run in every cell of both arms.
        treatment: (seed, cell) values of the metric, imputed where diverged.
        baseline: (seed, cell), paired with `treatment`.
        sign: +1 where higher is better.
        n_diverged: diverged runs (treatment, baseline).
        n_imputed: imputed runs (treatment, baseline).
        worst: what they were imputed with.
        n_dropped: seeds left out because a run of theirs is missing, or has no value.
        n_copies: seeds left out because all their runs are those of an earlier seed.
        n_cells_left_out: cell pairs of which one never ran.
        clipped: each run's share of clipped steps (treatment, baseline), (run,) as far as known.
    """

    metric: str
    seeds: list[int]
    treatment: Array
    baseline: Array
    sign: float
    n_diverged: tuple[int, int]
    n_imputed: tuple[int, int]
    worst: float
    n_dropped: int
    n_copies: int
    n_cells_left_out: int
    clipped: tuple[Array, Array]

    @property
    def differences(self) -> Array:
        """(seed,) mean over cells of treatment − baseline, signed so that positive favours the claim."""
        return np.asarray(self.sign * (self.treatment - self.baseline).mean(axis=1))

    @property
    def are_shares(self) -> bool:
        """Whether the metric lies in [0, 1] by what it is."""
        return METRICS[self.metric].unit in SHARES

    @property
    def are_binary(self) -> bool:
        """Whether each arm has one outcome per seed that is 0 or 1."""
        return METRICS[self.metric].unit == RATE and self.treatment.shape[1] == 1

    @property
    def testable(self) -> bool:
        """Whether any seed has a finite difference to show."""
        return bool(self.seeds) and bool(np.isfinite(self.differences).all())


def pair(claim: Claim, confirm: pd.DataFrame, sweeps: Sequence[str]) -> Pairs:
    """Both arms of a claim by seed and cell; see rules 1 and 2 of `harness.inference.verdicts`.

    Args:
        claim: names the arms.
        confirm: runs of the confirm phase.
        sweeps: factor paths that are swept.
    """
    arms = [confirm[at(confirm, levels)] for levels in (claim.treatment, claim.baseline)]
    arms = [arm[arm["status"] != "failed"] for arm in arms]
    worst, ranks = _worst(claim, pd.concat(arms)), METRICS[claim.metric].group == "generalization"
    others = [path for path in sweeps if path not in claim.treatment]
    tables, n_imputed = [], []
    for arm in arms:
        value = arm[claim.metric].astype(float)
        diverged, better = arm["status"] == "diverged", value < worst if claim.better == "lower" else value > worst
        lost = np.isinf(value) | (diverged & (value.isna() | (ranks & better)))
        cell = pd.Series([" · ".join(map(repr, row)) for row in arm[others].itertuples(index=False)], index=arm.index)
        keyed = pd.DataFrame({"value": value.mask(lost, worst), "cell": cell.astype(object), "seed": arm["seed"]})
        tables.append(keyed.groupby(["seed", "cell"])["value"].mean().unstack("cell"))
        n_imputed.append(int(lost.sum()))
    treatment, baseline = (table.dropna(axis="columns", how="all") for table in tables)
    cells = sorted(set(treatment.columns) & set(baseline.columns))
    treatment, baseline = treatment[cells].dropna(), baseline[cells].dropna()
    complete = sorted(set(treatment.index) & set(baseline.index)) if cells else []
    chosen = confirm[at(confirm, claim.treatment) | at(confirm, claim.baseline)]
    copied = copies(chosen[chosen["seed"].isin(complete)])
    seeds = [seed for seed in complete if seed not in copied]
    return Pairs(
        metric=claim.metric,
        seeds=[int(seed) for seed in seeds],
        treatment=treatment.loc[seeds].to_numpy(float),
        baseline=baseline.loc[seeds].to_numpy(float),
        sign=1.0 if claim.better == "higher" else -1.0,
        n_diverged=(int((arms[0]["status"] == "diverged").sum()), int((arms[1]["status"] == "diverged").sum())),
        n_imputed=(n_imputed[0], n_imputed[1]),
        worst=worst,
        n_dropped=int(chosen["seed"].nunique()) - len(complete),
        n_copies=len(copied),
        n_cells_left_out=max(len(set(tables[0].columns) | set(tables[1].columns)) - len(cells), 0),
        clipped=(_clipped(arms[0]), _clipped(arms[1])),
    )


def _worst(claim: Claim, runs: pd.DataFrame) -> float:
    """The worst finite value of a claim's runs, of those that did not diverge where there are such; NaN without any."""
    for chosen in (runs[runs["status"] != "diverged"], runs):
        values = chosen[claim.metric].to_numpy(float)
        finite = values[np.isfinite(values)]
        if len(finite):
            return float(finite.max() if claim.better == "lower" else finite.min())
    return float("nan")


def copies(runs: pd.DataFrame) -> set[int]:
    """The seeds all of whose runs are, in every metric that is not a share, those of an earlier seed: they are no replicates.

    So it is where neither initial weights nor data nor anything else that counts depends on the seed.
    """
    measured = [name for name, metric in METRICS.items() if name in runs and metric.unit not in SHARES]
    first: dict[bytes, int] = {}
    found = set()
    for seed, rows in runs.sort_values("trial", kind="stable").groupby("seed"):
        numbers = rows[measured].to_numpy(float)
        if np.isfinite(numbers).any() and first.setdefault(numbers.tobytes(), int(str(seed))) != seed:
            found.add(int(str(seed)))
    return found


def _clipped(arm: pd.DataFrame) -> Array:
    fraction = arm["clip_fraction"].dropna() if "clip_fraction" in arm else arm["seed"].iloc[:0]
    return np.asarray(fraction.to_numpy(float))
