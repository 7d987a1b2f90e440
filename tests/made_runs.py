"""Runs written by hand, one number each, and the verdicts on them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.inference import verdicts
from harness.inference.plan import Plan
from harness.inference.verdict import Verdict
from harness.settings import Sweep
from harness.settings.levels import stored
from harness.settings.metrics import METRICS
from harness.study import AnyClaim, Claim

INF = math.inf
Cells = Sequence[tuple[Mapping[str, object], Sequence[float]]]

DROPPED = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}


def make_cells(cells: Cells, metric: str = "test_loss") -> pd.DataFrame:
    """One confirm run per cell and seed; inf means diverged, NaN that there is no value."""
    rows = []
    for trial, (levels, values) in enumerate(cells):
        for seed, value in enumerate(values):
            diverged = math.isinf(value) or (metric == "diverged" and value == 1)
            row = {"trial": trial, "seed": seed, "phase": "confirm", **levels} | dict.fromkeys(METRICS, 0.5)
            row |= {"train_loss": trial + seed / 100}  # runs of different seeds are no copies
            row |= {"status": "diverged" if diverged else "finished", "diverged": float(diverged), metric: value}
            rows.append(row)
    return pd.DataFrame(rows)


def make_runs(
    levels: Mapping[object, Sequence[float]], metric: str = "test_loss", path: str = "model.dropout"
) -> pd.DataFrame:
    """Likewise of one factor: level → a number per seed."""
    return make_cells([({path: level}, values) for level, values in levels.items()], metric)


def plan_for(runs: pd.DataFrame, looks: Sequence[int] = (), rates: Sequence[str] = ()) -> Plan:
    """The plan of a study that swept all factors of a table, and planned its seeds."""
    paths = [name for name in runs if name == "width" or ("." in name and name not in rates)]
    seeds = sorted(set(runs["seed"]))
    return Plan(
        {path: Sweep(*dict.fromkeys(runs[path])) for path in paths}, seeds, looks or [max(len(seeds), 1)], rates
    )


def claim(**changes: Any) -> Claim:
    """That the test loss is lower with dropout, by more than 0.1."""
    given = {"title": "better", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1}
    return Claim(**(given | DROPPED | changes))


def judged(runs: pd.DataFrame, *claims: AnyClaim, **planned: Any) -> list[Verdict]:
    """The verdicts on claims of one family."""
    return verdicts.judge(claims, runs, plan_for(runs, **planned))


def verdict(runs: pd.DataFrame, **changes: Any) -> Verdict:
    """That on `claim`."""
    return judged(runs, claim(**changes))[0]


def spelled(levels: Mapping[str, object]) -> dict[str, object]:
    """Levels as a run table holds them."""
    return {path: stored(level) for path, level in levels.items()}
