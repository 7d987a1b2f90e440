"""What a run is worth by a metric: its number, or the worst rank where it diverged. Nothing is ever imputed."""

from typing import Literal

import numpy as np
import pandas as pd

from harness.settings.metrics import METRICS, RATE, SHARES

Direction = Literal["lower", "higher", None]


def ranked(metric: str, better: Direction, runs: pd.DataFrame, *, above: float | None = None) -> "pd.Series[float]":
    """The metric of each run.

    A run that diverged is worse than any finite one in what measures generalization, whatever its number, and in what it lacks:
    an infinity, of a rate 1 or 0. A run that failed has no value; nor has one that lacks the metric.

    Args:
        metric: a column of `runs`.
        better: its good direction; without one nothing is worse than anything.
        runs: with `status` and the metric.
        above: makes 1 of what is above this, 0 of the rest.
    """
    values = runs[metric].astype(float).mask(runs["status"] == "failed")
    known = METRICS.get(metric)
    rate = above is not None or (known is not None and known.unit == RATE)
    if above is not None:
        values = (values > above).astype(float).mask(values.isna())
    if better is None:
        return values
    generalization = known is not None and known.group == "generalization"
    lost = (runs["status"] == "diverged") & (values.isna() | generalization)
    worst = {"lower": 1.0 if rate else np.inf, "higher": 0.0 if rate else -np.inf}[better]
    return values.mask(lost, worst)


def subtracted(first: pd.DataFrame, second: "pd.DataFrame | float") -> pd.DataFrame:
    """First − second; two that are equally bad tie, infinite ones too."""
    with np.errstate(invalid="ignore"):
        return (first - second).mask(first == second, 0.0)


def copies(runs: pd.DataFrame) -> set[int]:
    """The seeds all of whose runs are, in every metric that is not a share, those of an earlier seed: they are no replicates.

    So it is where neither initial weights nor data nor anything else that counts depends on the seed.
    """
    if runs.empty:
        return set()
    measured = [name for name, metric in METRICS.items() if name in runs and metric.unit not in SHARES]
    ordered = runs.sort_values(["seed", "trial"], kind="stable")
    numbers = ordered[measured].to_numpy(float)
    first: dict[bytes, int] = {}
    found = set()
    seeds, starts = np.unique(ordered["seed"].to_numpy(), return_index=True)
    for seed, own in zip(map(int, seeds), np.split(numbers, starts[1:]), strict=True):
        if np.isfinite(own).any() and first.setdefault(own.tobytes(), seed) != seed:
            found.add(seed)
    return found
