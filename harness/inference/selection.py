"""Tuning within the replicate: of the runs of a seed in a cell, one for each value tried, the one that its own validation data prefer.

What luck in tuning does to a result is then part of its spread over seeds; a choice made once for all of them would pass for an
effect of the arms (tuned on one seed, 18 % of intervals of 50 seeds miss 0 though arms are equal in law).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from harness.settings.levels import at
from harness.study import Study

RANK = {"finished": 0, "collapsed": 0, "diverged": 1, "failed": 2}
"""Which runs are chosen from first, whatever their numbers."""


def tried(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that tuning chose from, failed ones left out."""
    phase = runs["phase"].isin(["tune", "confirm"] if study.tunes_within() else ["tune"])
    return runs[phase & (runs["status"] != "failed")]


def rivals(runs: pd.DataFrame, objective: str) -> "pd.Series[float]":
    """What each run counts as in tuning: its objective, infinite where it diverged or has none."""
    return runs[objective].astype(float).where(runs["status"] != "diverged").fillna(np.inf)


def cell_and_seed(study: Study, runs: pd.DataFrame) -> "list[pd.Series[Any]]":
    """What the runs that one is chosen from have in common: their levels, as text, and their seed."""
    return [*(runs[path].map(repr) for path in study.sweeps()), runs["seed"]]


def selected(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with phase `confirm` for the choice of each cell and seed, where seeds are tuned by themselves; else as they are.

    The least objective is chosen; a diverged run, or one without the objective, only where there is no other, and a failed one
    after these. Of equals it is the earliest trial.

    Args:
        study: says what is swept and by which metric seeds are tuned.
        runs: one row per run; left as it is.
    """
    if not study.tunes_within():
        return runs
    (objective,) = study.objectives()
    values = runs[objective].astype(float).replace(np.nan, np.inf)
    order = pd.DataFrame({"rank": runs["status"].map(RANK), "value": values, "trial": runs["trial"]})
    ranked = runs.loc[order.sort_values(["rank", "value", "trial"], kind="stable").index]
    chosen = ranked.index[~pd.concat(cell_and_seed(study, ranked), axis=1).duplicated()]
    return runs.assign(phase=np.where(runs.index.isin(chosen), "confirm", "tune"))


def most_combinations(study: Study, runs: pd.DataFrame) -> int:
    """How many combinations of tuned values a cell confirms for a seed, at most; 1 where nothing is confirmed."""
    confirm = runs[runs["phase"] == "confirm"]
    return max(confirm.groupby(cell_and_seed(study, confirm)).size(), default=1)


def cells(study: Study, runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The confirm runs of every cell that has some, with its levels; by trial where a cell confirms several for all seeds."""
    confirm = runs[runs["phase"] == "confirm"]
    for cell in study.cells():
        inside = confirm[at(confirm, cell)]
        if study.tunes_within() and len(inside):
            yield cell, inside
        elif not study.tunes_within():
            yield from ((cell, rows) for _, rows in inside.groupby("trial"))
