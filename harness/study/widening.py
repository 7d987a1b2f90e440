"""Widening: which values are tried beyond the range of what is tuned, where the best of a cell lies at an end of it.

The points of the range stay as they are. One more is added at a time, beyond each end at which a best value lies
(`harness.inference.range_ends` says where that is), as far from the last one as the range's points are from one another on
average: for n points the ratio (high / low)^(1/n) on a log scale, the difference (high − low) / n on a linear one. All cells and
seeds get it, and by validation data alone, so that arms which are equal in law stay so. It ends when no best value lies at an end, after `MOST` values beyond an end, or where the setting takes no such value.
"""

import math
from collections.abc import Iterable
from typing import Literal

from harness.settings import Problem, Tune
from harness.settings.problems import refusals
from harness.settings.roles import LARGEST
from harness.study.experiment import Experiment
from harness.study.trial_run import problems_at

MOST = 3
"""Values that are tried beyond each end, at most."""

DIGITS = 12
"""Of these values: the last bits of a power differ between machines, and would make another run."""

End = Literal["lower", "upper"]
ENDS: tuple[End, End] = ("lower", "upper")


def widening_problems(study: Experiment) -> list[Problem]:
    """Why there is no going beyond the range of what a study tunes; its other settings are sound."""
    tunes, objectives = study.tunes(), study.objectives()
    found = []
    if len(tunes) != 1:
        found.append(
            f"goes beyond the range of one Tune, and {' and '.join(tunes) or 'nothing'} {'are' if len(tunes) > 1 else 'is'} tuned"
        )
    for path, tune in tunes.items():
        if isinstance(tune.low, int) and isinstance(tune.high, int):
            found.append(f"goes on with real numbers, and {path} is tuned in whole ones")
    if study.tune_trials == 1:
        found.append("needs two values tried or more: a single one lies at no end, and nothing would be tried beyond")
    if study.sampler == "tpe":
        found.append("needs values that all cells share, and sampler tpe adapts to each")
    if len(objectives) > 1:
        found.append(f"needs one best value, and there are several objectives: {', '.join(objectives)}")
    own = {measure.name for measure in study.metrics.measures if measure.of_curves}
    if study.tunes_within() and own & set(objectives):
        found.append(f"goes by what is kept of each run, and {objectives[0]} follows from its curves")
    return [Problem("widen", message, "True") for message in found]


def tuned(study: Experiment) -> tuple[str, Tune]:
    """Path and range of what is tuned in a study that may be widened."""
    ((path, tune),) = study.tunes().items()
    return path, tune


def beyond(study: Experiment, end: End, number: int) -> float:
    """The value number 1, 2, … beyond an end."""
    _, tune = tuned(study)
    part = number / study.tune_trials
    try:
        factor = math.pow(tune.high / tune.low, part) if tune.log else 1.0
    except OverflowError:
        factor = math.inf
    difference = 0.0 if tune.log else (tune.high - tune.low) * part
    value = tune.high * factor + difference if end == "upper" else tune.low / factor - difference
    return float(f"{value:.{DIGITS}g}")


def are_beyond(study: Experiment, end: End, values: Iterable[float]) -> list[float]:
    """The different ones of these values that lie beyond an end, the nearest first."""
    _, tune = tuned(study)
    if end == "upper":
        return sorted({value for value in values if value > tune.high})
    return sorted({value for value in values if value < tune.low}, reverse=True)


def refusal(study: Experiment, end: End, number: int) -> str:
    """Why a value beyond an end cannot be tried, as it could not be the end of a `Tune`; "" if it can."""
    known: dict[tuple[End, int], str] = study.__dict__.setdefault("_refused", {})
    if (end, number) not in known:
        (path, tune), value = tuned(study), beyond(study, end, number)
        too_far = abs(value) > LARGEST or (tune.log and value <= 0)
        known[end, number] = f"{path} would be {value:g}" if too_far else ""
        if not known[end, number]:
            found = map(str, refusals(problems_at(study, [{path: value}])))
            known[end, number] = next(found, "")
    return known[end, number]
