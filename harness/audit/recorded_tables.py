"""The Parquet files of a results folder, as somebody hands it on: read, and their columns checked."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from harness.engine.run_tables import CURVE_COLUMNS
from harness.ledger.records.finished import RUNS_FILE
from harness.settings import InvalidStudy, Problem
from harness.settings.levels import spelled, stored
from harness.settings.metrics import METRICS
from harness.study import Study


def read_table(path: Path, needed: Iterable[str], whole: Iterable[str]) -> pd.DataFrame:
    """A Parquet file that has the columns `needed`; those named in `whole` hold whole numbers, metrics any numbers."""
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # of many kinds: cut short, not Parquet at all, damaged inside
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InvalidStudy([Problem(str(path), f"cannot be read: {reason}")]) from None
    if lacking := [name for name in needed if name not in table]:
        raise InvalidStudy([Problem(str(path), f"lacks the column {name}") for name in lacking])
    numbers = [name for name in table if name in METRICS or name in CURVE_COLUMNS[3:]]
    try:
        return table.astype(dict.fromkeys(whole, "int64") | dict.fromkeys(numbers, "float64"))
    except (ValueError, TypeError) as error:
        raise InvalidStudy([Problem(str(path), f"holds what is no number: {error}")]) from None


def read_curves(path: Path, columns: Sequence[str], runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row per run and step, indexed as `runs` by trial and seed, steps in order, without the levels of what is swept.

    Args:
        path: of the curves, or of the traces.
        columns: that it must have; the first three are trial, seed and step.
        runs: one row per run.
        study: of the runs.
    """
    curves = read_table(path, columns, columns[:3]).sort_values("step", kind="stable")
    curves = curves.set_index(list(runs.index.names)).sort_index(kind="stable")
    if strangers := sorted(set(curves.index) - set(runs.index)):
        trial, seed = strangers[0]
        raise InvalidStudy([Problem(str(path), f"has a curve of trial {trial}, seed {seed}, which is no run")])
    return _without_levels(curves, runs, list(study.sweeps()), path)


def _without_levels(curves: pd.DataFrame, runs: pd.DataFrame, swept: list[str], path: Path) -> pd.DataFrame:
    """The curves as they were trained: their columns of levels, which files of older versions lack, say what `runs` says, and go."""
    there = [name for name in swept if name in curves]
    for name in there:
        levels = curves[name].groupby(level=["trial", "seed"]).agg(["first", "nunique"])
        for key, (level, count) in zip(levels.index, levels.itertuples(index=False), strict=True):
            if count != 1 or spelled(stored(level)) != spelled(stored(runs.loc[key, name])):
                message = (
                    f"must have {name} = {runs.loc[key, name]} in trial {key[0]}, seed {key[1]}, as in {RUNS_FILE}"
                )
                raise InvalidStudy([Problem(str(path), message, str(level))])
    return curves.drop(columns=there)
