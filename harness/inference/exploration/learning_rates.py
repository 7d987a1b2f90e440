"""What a grid of learning rates shows of stability: the largest rate that trains, and how much the rate matters.

Every seed of every cell trains at the same rates where the learning rate is all that is tuned, and within each seed.
"""

import numpy as np
import pandas as pd

from harness.inference.selection import cell_and_seed
from harness.settings.metrics import OF_TUNED_RATES
from harness.study import Study
from harness.study.experiment import RATE


def with_rates(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with `OF_TUNED_RATES` in the rows chosen for each cell and seed, where it `sweeps_rates`; else as they are.

    `largest_lr` is the largest rate tried at which the run ends better than guessing, 0 where there is none.
    `lr_sensitivity` is the mean over rates of min(loss, loss of guessing) − the least loss, on validation data: Wortsman et al.
    2023 (arXiv:2309.14322, section 2), with the loss of guessing for that at initialization; missing where no rate does better, since
    all are alike there. Both are missing where a run of the grid failed.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`; left as it is.
    """
    if not study.sweeps_rates():
        return runs
    runs = runs.assign(**dict.fromkeys(OF_TUNED_RATES, np.nan))
    for _, grid in runs.groupby(cell_and_seed(study, runs), sort=False):
        chosen = grid.index[grid["phase"] == "confirm"]
        if (grid["status"] == "failed").any():
            continue
        trains = grid["status"] == "finished"
        runs.loc[chosen, "largest_lr"] = float(grid.loc[trains, RATE].max()) if trains.any() else 0.0
        runs.loc[chosen, "lr_sensitivity"] = _sensitivity(grid) if trains.any() else np.nan
    return runs


def bounded_losses(runs: pd.DataFrame) -> "pd.Series[float]":
    """min(validation loss, loss of guessing) of each run, the latter where it diverged; missing where neither is known."""
    losses = runs["validation_loss"].astype(float).where(runs["status"] != "diverged", np.inf)
    return pd.Series(np.fmin(losses, runs["guess_loss"].astype(float)))


def _sensitivity(grid: pd.DataFrame) -> float:
    bounded = bounded_losses(grid)
    return float((bounded - bounded.min()).mean(skipna=False))
