"""The values that are tried of what is tuned, from Optuna's samplers, and the best of those that were tried."""

import hashlib
import statistics
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.ledger.records.finished import WORST
from harness.settings import Tune, show
from harness.study import Levels, Study

SCRAMBLE = "None"
"""Names the points of all studies; another value would be other points."""

STARTUP_TRIALS = 4
"""Of a cell, drawn at random before `tpe` begins to adapt; not so many as make a study that grows another one."""


def sampled(
    study: Study, first: int, last: int, seen: Sequence[tuple[Levels, Mapping[int, list[float]]]] = ()
) -> list[Levels]:
    """Tuned values number `first` to `last` of a cell: the same in all cells but for what a sampler has learned of each.

    Args:
        study: what is tuned, and by which sampler.
        first: of a round.
        last: of a round, and no more of it.
        seen: for a sampler that adapts, the trials of the cell in earlier rounds: their values, and each objective by seed.
    """
    space = {path: distribution(tune) for path, tune in study.tunes().items()}
    # Of the round alone: a study that is renamed or grows tries the same points, and its verdicts stay.
    seed = int.from_bytes(hashlib.sha256(f"{first} {SCRAMBLE}".encode()).digest()[:4], "big")
    n_objectives = len(study.objectives())
    scratch = optuna.create_study(directions=["minimize"] * n_objectives, sampler=_sampler(study, seed))
    if study.sampler == "qmc":  # learns the space from a finished trial
        lowest = {path: tune.low for path, tune in study.tunes().items()}
        scratch.add_trial(optuna.create_trial(params=lowest, distributions=space, values=[0.0] * n_objectives))
    for values, outcomes in seen:
        params = {path: values[path] for path in space}
        scratch.add_trial(optuna.create_trial(params=params, distributions=space, values=medians(outcomes)))
    return [scratch.ask(space).params for _ in range(last - first)]


def _sampler(study: Study, seed: int) -> optuna.samplers.BaseSampler:
    match study.sampler:
        case "qmc":
            with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                return optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
        case _:
            return optuna.samplers.RandomSampler(seed)


def medians(outcomes: Mapping[int, list[float]]) -> list[float]:
    """What Optuna is told of a trial: of each objective the median over seeds.

    >>> medians({0: [1.0, 5.0], 1: [2.0, 4.0], 2: [9.0, 3.0]})
    [2.0, 4.0]
    """
    return [statistics.median(values) for values in zip(*outcomes.values(), strict=True)]


def best(tried: Sequence[Mapping[int, list[float]]]) -> list[int]:
    """The places of those trials that are best over their seeds: one by one objective, a Pareto front by several.

    By one objective, that of the least median of its ranks among the trials under each seed, ties by the mean rank and then the
    first: no seed of extreme losses decides. By several, the medians over seeds are compared; a diverged run is worst in
    all, so that a trial most of whose runs diverged is on the front only where all are such.

    Args:
        tried: of each trial its objectives by seed, the same seeds in all.
    """
    values = [medians(outcomes) for outcomes in tried]
    if len(values[0]) == 1:
        from scipy import stats  # type: ignore[import-untyped]  # takes a second, which a start should not pay

        seeds = sorted(tried[0])
        ranks = stats.rankdata([[outcomes[seed][0] for seed in seeds] for outcomes in tried], axis=0)  # (trial, seed)
        order = zip(np.median(ranks, axis=1), ranks.mean(axis=1), range(len(tried)), strict=True)
        return [min(order)[2]]
    front: list[int] = []
    for i, own in enumerate(values):
        dominated = any(all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in values)
        if not dominated and own not in [values[j] for j in front]:
            front.append(i)
    return front


def chosen_within(tried: Sequence[Mapping[int, list[float]]]) -> list[int | None]:
    """For each seed the place of the trial that is best by its own outcome, the first of equals; None where none trained.

    Args:
        tried: of each trial its objective by seed, the same seeds in all.
    """
    found = []
    for seed in sorted(tried[0]):
        outcome, place = min((outcomes[seed][0], i) for i, outcomes in enumerate(tried))
        found.append(place if outcome < WORST else None)
    return found


def has_trained(outcomes: Mapping[int, list[float]]) -> bool:
    """Whether more than half of a trial's seeds have an objective, and did not diverge."""
    return sum(values[0] < WORST for values in outcomes.values()) > len(outcomes) / 2


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


def distribution_with(tune: Tune, value: float) -> BaseDistribution:
    """The same, as wide as to hold a value that may lie beyond the range; Optuna has them in one study."""
    if tune.low <= value <= tune.high:
        return distribution(tune)
    return FloatDistribution(min(tune.low, value), max(tune.high, value), log=tune.log)
