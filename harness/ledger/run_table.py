"""The table of a study's runs as it is now, from what was recorded of them.

What a record holds does not depend on the study that reads it: levels may have become a sweep meanwhile, seeds and measures
may have joined. So settings are those of the study's own trials, what compares seeds is compared over all that there are, and
what follows from curves is derived from these.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.engine.content import seed_key
from harness.engine.diagnostics.churn import with_churn
from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.engine.own_measures import with_curve_measures
from harness.ledger.trial_runs import factor_values, runs_of
from harness.ledger.trials import Trial
from harness.study import Study

OUTCOME = ("status", "steps_done")
"""How a run ended; recorded with its metrics."""


def run_table(study: Study, trials: Iterable[Trial], runs: pd.DataFrame, curves: Path) -> pd.DataFrame:
    """One row per run: `trial`, `seed`, `phase`, `key`, a column per setting, `status`, `steps_done`, a column per metric.

    Where one of them has it, also their `PROFILE`, which the report's figure shows and `runs.parquet` leaves out.

    Args:
        study: as it is now.
        trials: of the study.
        runs: as they were recorded, sorted by trial and seed, with the number of the trial now.
        curves: their file.
    """
    known = {trial.number: trial for trial in trials}
    numbers = runs["trial"].tolist()
    settings = pd.DataFrame([factor_values(study, trial) for trial in known.values()], index=list(known))
    keys = {number: trial.key(study) for number, trial in known.items()}
    identity = pd.DataFrame(
        {
            "trial": runs["trial"],
            "seed": runs["seed"],
            "phase": ["confirm" if known[number].confirm else "tune" for number in numbers],
            "key": [seed_key(keys[number], seed) for number, seed in zip(numbers, runs["seed"], strict=True)],
        }
    )
    measured = _measured(study, known, runs, curves)
    return pd.concat([identity, settings.loc[numbers].reset_index(drop=True), measured], axis=1)


def _measured(study: Study, known: Mapping[int, Trial], runs: pd.DataFrame, curves: Path) -> pd.DataFrame:
    """Status and metrics, those that the study asks for, in their order."""
    metrics = study.metrics.metrics()
    across = [name for name, metric in metrics.items() if metric.across_runs]
    if across:
        # Of all seeds that there are now, not of those that were asked for together; a non-finite run stays the worst.
        runs = runs.assign(**{name: runs[name].where(np.isinf(runs[name])) for name in across})
        of_trials = (with_churn(of_trial) for _, of_trial in runs.groupby("trial", sort=False))
        runs = pd.concat(list(of_trials)).loc[runs.index]
    measures = [measure for measure in study.metrics.measures if measure.of_curves]
    if measures:  # of all runs, as their functions are now: no key knows them
        worst = {each.name: np.where(runs["nonfinite"] == 1, metrics[each.name].worst, np.nan) for each in measures}
        own = study.metrics.replace(measures=measures)
        pairs = zip(runs["trial"].tolist(), runs["seed"].tolist(), strict=True)
        members = (run for number, seed in pairs for run in runs_of(study, known[number], [seed]))
        curves_alone = _curves(curves, list(study.sweeps()))
        runs = with_curve_measures(runs.assign(**worst), curves_alone, own, members)
    profile = [PROFILE] if PROFILE in runs and "gradient_flow" in metrics else []
    return runs.reindex(columns=[*OUTCOME, *metrics, *profile])


def _curves(path: Path, levels: Collection[str]) -> pd.DataFrame:
    """The curves as they were logged, which is what a user's metric is a function of: without the columns of levels."""
    names = pq.read_schema(path).names
    return pd.read_parquet(path, columns=[name for name in names if name not in levels])
