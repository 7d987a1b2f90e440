"""Which tuned factor mattered to a search, by Optuna's evaluators, from the table of runs alone."""

import math

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, FloatDistribution

from harness.inference.selection import cell_and_seed, rivals, tried
from harness.ledger.sampling import distribution
from harness.study import Study

BEST = 0.25
"""Share of trials that PED-ANOVA sets apart as the good ones."""

LEAST_POINTS = 20
"""Different values tried: fewer leave less than five good ones, which PED-ANOVA's authors want at least."""

COLUMNS = ["objective", "factor", "ped_anova", "fanova", "n_points", "n_trials", "why"]


def tuned_importances(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """How much each tuned factor matters to each objective, over the trials that tuning chose from.

    What is explained is a trial's *rank* among those of its cell (median over seeds of the rank under each, diverged ones last, as
    a share), so that cells can be pooled and no extreme loss decides. A factor that is searched by its logarithm is taken by it.

    Args:
        study: what is tuned and by which objectives.
        runs: one row per run.

    Returns:
        One row per objective and factor: `ped_anova` (Watanabe et al. 2023, arXiv:2304.10255), how far the values of the best
        quarter of the trials lie from those of all; `fanova` (Hutter et al. 2014), the share of a random forest's variance that
        the factor explains by itself; either adds up to one over the factors, whether or not any of them matters. `n_points`
        different values in `n_trials` trials. An objective of which nothing can be said has one row without a factor, `why`.
    """
    rows = []
    for objective in study.objectives() if study.tunes() else ():
        trials = _ranked_trials(study, tried(study, runs), objective)
        n_points = len(trials[list(study.tunes())].drop_duplicates())
        counted = {"objective": objective, "n_points": n_points, "n_trials": len(trials)}
        if why := _why_not(study, trials, n_points):
            rows.append(counted | {"why": why})
        else:
            rows += [counted | row | {"why": ""} for row in _evaluated(study, trials)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _ranked_trials(study: Study, runs: pd.DataFrame, objective: str) -> pd.DataFrame:
    """One row per trial: its tuned values and `rank` in (0, 1)."""
    of_seed = rivals(runs, objective).groupby(cell_and_seed(study, runs))
    ranks = (of_seed.rank() - 0.5) / of_seed.transform("size")
    return runs.assign(rank=ranks).groupby("trial").agg(dict.fromkeys(study.tunes(), "first") | {"rank": "median"})


def _why_not(study: Study, trials: pd.DataFrame, n_points: int) -> str:
    """Why nothing can be said of trials; "" if it can."""
    if len(study.tunes()) < 2:
        return "one factor alone is tuned"
    if n_points < LEAST_POINTS:
        return f"{n_points} points were tried, of the {LEAST_POINTS} that it takes"
    return "" if trials["rank"].nunique() > 1 else "all trials came out the same"


def _evaluated(study: Study, trials: pd.DataFrame) -> list[dict[str, object]]:
    spaces: dict[str, BaseDistribution] = {path: distribution(tune) for path, tune in study.tunes().items()}
    columns = {path: trials[path] for path in spaces}
    for path, tune in study.tunes().items():
        if tune.log:
            spaces[path] = FloatDistribution(math.log(tune.low), math.log(tune.high))
            columns[path] = trials[path].map(math.log).clip(math.log(tune.low), math.log(tune.high))
    from optuna import importance  # imports scikit-learn, which takes a second or two

    scratch = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for *values, rank in zip(*columns.values(), trials["rank"], strict=True):
        params = dict(zip(columns, values, strict=True))
        scratch.add_trial(optuna.create_trial(params=params, distributions=spaces, value=rank))
    evaluators = {
        "ped_anova": importance.PedAnovaImportanceEvaluator(target_quantile=BEST),
        "fanova": importance.FanovaImportanceEvaluator(seed=0),
    }
    found = {name: importance.get_param_importances(scratch, evaluator=each) for name, each in evaluators.items()}
    return [{"factor": path} | {name: shares[path] for name, shares in found.items()} for path in spaces]
