"""What a run is worth by a metric: its number, or the worst rank where it diverged. Nothing is ever imputed."""

from typing import Literal

import numpy as np
import pandas as pd

from harness.inference.intervals.interval import Array
from harness.settings.metrics import METRICS, SHARES, Metric

Direction = Literal["lower", "higher", None]

DIVERGED = (
    "A run that diverged ranks worst where a direction is good, in shares of steps and units as 1; metrics that say what became of it, "
    "such as rates, are as measured where it has them."
)
"""What `as_ranked` does, for a reader."""

ROUNDING = 1e-6
"""Of what is compared, the part that is no difference: runs are trained in single precision. Errors lie on a grid, and so do their
differences but for rounding: one that equals what it is compared with is a tie, and no proof of either side."""


def ranked(
    metric: str, better: Direction, runs: pd.DataFrame, *, above: float | None = None, known: Metric | None = None
) -> "pd.Series[float]":
    """The metric of each run.

    A run that diverged is worse than any that did not, whatever its number: an infinity, of a share of steps, units or runs 1 or 0. What says of such a run, too,
    what became of it, a rate above all (`Metric.worst_if_diverged`), is what was measured, and the worst where it lacks that. A run
    that failed has no value; nor has one that lacks the metric.

    Args:
        metric: a column of `runs`.
        better: its good direction; without one nothing is worse than anything.
        runs: with `status` and the metric.
        above: makes 1 of what is above this, 0 of the rest.
        known: what the metric means, where no study of this process says so.
    """
    status = runs["status"].to_numpy(object)
    values = np.where(status == "failed", np.nan, runs[metric].to_numpy(float))
    known = known or METRICS.get(metric)
    share = above is not None or (known is not None and known.kind in ("rate", "share"))
    if above is not None:
        values = np.where(np.isnan(values), np.nan, values > above)
    if better is not None:
        always = known is not None and known.worst_if_diverged
        lost = (status == "diverged") & (np.isnan(values) | always)
        values = np.where(
            lost, {"lower": 1.0 if share else np.inf, "higher": 0.0 if share else -np.inf}[better], values
        )
    return pd.Series(values, index=runs.index, name=metric)


def as_ranked(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with what each is worth by every metric that some of them have, so that tables and figures say what claims say.

    It is `ranked` by the metric's own direction.

    Args:
        runs: one row per run, those of other phases and of other cells included; left as it is.
    """
    measured = [name for name in METRICS if name in runs and runs[name].notna().any()]
    return runs.assign(**{name: ranked(name, METRICS[name].better, runs) for name in measured})


def subtracted(first: Array, second: Array | float) -> Array:
    """First − second; two that are equally bad tie, infinite ones too."""
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def copies(runs: pd.DataFrame) -> set[int]:
    """The seeds all of whose runs are, in every metric that is not a share, those of an earlier seed: they are no replicates.

    So it is where neither initial weights nor data nor anything else that counts depends on the seed.
    """
    measured = [name for name, metric in METRICS.items() if name in runs and metric.unit not in SHARES]
    if runs.empty or not measured:
        return set()
    order = np.lexsort((runs["trial"].to_numpy(), runs["seed"].to_numpy()))
    numbers = np.array([runs[name].to_numpy(float) for name in measured]).reshape(len(measured), len(order)).T[order]
    first: dict[bytes, int] = {}
    found = set()
    seeds, starts = np.unique(runs["seed"].to_numpy()[order], return_index=True)
    for seed, own in zip(map(int, seeds), np.split(numbers, starts)[1:], strict=True):
        if first.setdefault(own.tobytes(), seed) != seed and np.isfinite(own).any():
            found.add(seed)
    return found
