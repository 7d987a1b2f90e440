"""The tables that a population's training ends in: one row per run, and one per run and logged step."""

from typing import Any

import numpy as np
import pandas as pd

from harness.engine.diagnostics.churn import PREDICTIONS
from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.engine.history import History
from harness.engine.runs import Run
from harness.engine.stability import Array, ending, solving, stability
from harness.engine.training import Training

CURVE_VALUES = ("loss", "grad_norm", "clipped", "update_ratio", "validation_loss")
"""Values of a curve."""

CURVE_COLUMNS = ("trial", "seed", "step", *CURVE_VALUES)
"""Columns of the table of curves: three whole numbers, then the values."""


def run_table(runs: list[Run], training: Training, final: dict[str, Any]) -> pd.DataFrame:
    """One row per run, ordered by trial and seed.

    Its columns are trial, seed, status, steps_done and every metric of the study's level, in the order of
    `metrics.METRICS`; where runs are compared across seeds, also their `PREDICTIONS`, which the leader takes out, and where gradients
    were followed through time their `PROFILE`.

    Args:
        runs: of the population as it began, in its order.
        training: of them.
        final: what was measured of those that stayed finite, (run,) each.
    """
    history, columns = training.history, _metrics(runs, training, final)
    identity = {
        "trial": [run.trial for run in runs],
        "seed": [run.seed for run in runs],
        "status": np.select(
            [columns["diverged"] == 1, columns["collapsed"] == 1], ["diverged", "collapsed"], "finished"
        ),
        "steps_done": np.where(history.nonfinite_at > 0, history.nonfinite_at, history.steps_done),
    }
    table = pd.DataFrame(identity | {name: columns[name] for name in runs[0].setup.metrics.metrics()})
    finished = history.finite()
    if PREDICTIONS in final:
        table.loc[finished, PREDICTIONS] = pd.Series(final[PREDICTIONS], finished, dtype=object)
    if PROFILE in final:
        table.loc[finished, PROFILE] = pd.Series([norms.tobytes() for norms in final[PROFILE]], finished, dtype=object)
    return _ordered(table)


def _metrics(runs: list[Run], training: Training, final: dict[str, Any]) -> dict[str, Array]:
    """Every metric of every run, (run,): NaN where it was not measured, of a non-finite run infinite where it ranks runs."""
    history, metrics, finite = training.history, runs[0].setup.metrics.metrics(), training.history.finite()
    loss, error = history.measured()
    columns = {name: np.full(len(runs), np.nan) for name in metrics}
    for name, measured in (final | {"validation_loss": loss[finite], "validation_error": error[finite]}).items():
        if name in metrics:
            columns[name][finite] = measured
    losses = np.vstack([history.at_start, history.validation[:, 0], loss])
    parts = [stability(history.columns(part), history.steps_done[part]) for part in history.blocks()]
    columns |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["guess_loss"] = training.guess_loss
    columns |= ending(columns["train_loss"], training.guess_loss, losses, history.nonfinite_at > 0)
    target = np.array([run.setup.task.target_error for run in runs])
    columns |= solving(history.validation[:, 1], history.when.evaluated(), target, columns["diverged"] == 1)
    for name, metric in metrics.items():
        if (metric.own or metric.group == "generalization") and (metric.tunable or runs[0].confirm):
            columns[name][columns["nonfinite"] == 1] = metric.worst if metric.own else np.inf
    return columns


def curve_table(runs: list[Run], history: History) -> pd.DataFrame:
    """One row per run and logged step, ordered by trial, seed and step; columns are `CURVE_COLUMNS`."""
    logged, values = history.when.logged(), history.curves()
    columns = {name: values[name].T.ravel() for name in CURVE_VALUES}
    identity = {
        "trial": np.repeat([run.trial for run in runs], len(logged)),
        "seed": np.repeat([run.seed for run in runs], len(logged)),
        "step": np.tile(logged, len(runs)),
    }
    return _ordered(pd.DataFrame(identity | columns))


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["trial", "seed"], kind="stable", ignore_index=True)
