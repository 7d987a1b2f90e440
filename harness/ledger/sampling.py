"""The values that are tried of what is tuned, from Optuna's samplers, and the best of those that were tried."""

import hashlib
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from scipy import stats  # type: ignore[import-untyped]

from harness.settings import Tune, show
from harness.study import Levels, Study


def sampled(study: Study, first: int, last: int, cell: int | None, told: list[FrozenTrial]) -> list[Levels]:
    """Tuned values number `first` to `last` of one cell, or of all where `cell` is None.

    Args:
        study: what is tuned, and by which sampler.
        first: of a round.
        last: of a round, and no more of it.
        cell: whose values; a sampler that adapts sees the results of this cell alone.
        told: the trials with results.
    """
    space = {path: distribution(tune) for path, tune in study.tunes().items()}
    # Not of the study's name: one that is renamed tries the same points, and its verdicts stay.
    seed = int.from_bytes(hashlib.sha256(f"{first} {cell}".encode()).digest()[:4], "big")
    n_objectives = len(study.objectives())
    scratch = optuna.create_study(directions=["minimize"] * n_objectives, sampler=_sampler(study, seed))
    if cell is None:
        # A quasi-random sampler learns the space from a finished trial.
        lowest = {path: tune.low for path, tune in study.tunes().items()}
        scratch.add_trial(optuna.create_trial(params=lowest, distributions=space, values=[0.0] * n_objectives))
    else:
        for frozen in told:
            if frozen.user_attrs["cell"] == cell:
                params = {path: frozen.params[path] for path in space}
                scratch.add_trial(optuna.create_trial(params=params, distributions=space, values=frozen.values))
    return [scratch.ask(space).params for _ in range(last - first)]


def _sampler(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    match study.sampler:
        case "qmc":
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                return optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(2, study.tune_trials // 2)))
        case _:
            return optuna.samplers.RandomSampler(seed)


def best(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that are best over their seeds: one by one objective, a Pareto front by several.

    By one objective, that of the least median of its ranks among the trials under each seed, ties by the mean rank and then the
    first: no seed of extreme losses decides. By several, the medians over seeds are compared; a diverged run is worst in
    all, so that a trial most of whose runs diverged is on the front only where all are such.
    """
    if len(trials[0].values) == 1:
        outcomes = np.array([t.user_attrs["outcomes"] for t in trials])[:, :, 0]  # (trial, seed)
        ranks = stats.rankdata(outcomes, axis=0)
        order = zip(np.median(ranks, axis=1), ranks.mean(axis=1), (t.number for t in trials), strict=True)
        return [trials[min(enumerate(order), key=lambda pair: pair[1])[0]]]
    front: list[FrozenTrial] = []
    for t in trials:
        dominated = any(
            all(a <= b for a, b in zip(u.values, t.values, strict=True)) and u.values != t.values for u in trials
        )
        if not dominated and t.values not in [u.values for u in front]:
            front.append(t)
    return front


def plain(level: Any) -> Any:
    """A level as Optuna keeps it."""
    return level if level is None or isinstance(level, bool | int | float | str) else show(level)


def categories(levels: tuple[Any, ...]) -> BaseDistribution:
    """What Optuna takes for a swept factor."""
    return CategoricalDistribution([plain(level) for level in levels])


def distribution(tune: Tune) -> BaseDistribution:
    """What Optuna takes for a tuned factor."""
    if isinstance(tune.low, int) and isinstance(tune.high, int):
        return IntDistribution(tune.low, tune.high, log=tune.log)
    return FloatDistribution(tune.low, tune.high, log=tune.log)
