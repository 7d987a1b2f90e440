"""`Verdict`: what the runs say about one claim, how it is read from an interval, and how it is kept as JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.inference.resampling import Estimated
from harness.settings.levels import stored

Word = Literal["supported", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """What the runs say about one claim.

    Attributes:
        title: the claim in words.
        metric: name of the metric.
        verdict: supported, refuted or inconclusive.
        label: of a refuted claim: "reversed", "no relevant effect" or ""; "exact" for an `Exact` one.
        sentence: the reason, in plain English.
        better: direction that favours the claim.
        treatment: levels of the arm said to be better.
        baseline: levels of the other arm.
        smallest_effect: δ.
        estimate: mean Δ, positive favours the claim; None without data.
        low: lower bound at `level`; None where there is none.
        high: upper bound.
        level: confidence level after Holm.
        p_value: of no difference at all: sign flips, or McNemar's exact test for a binary metric.
        p_smallest_effect: two-sided, of Δ = δ; what Holm orders claims by.
        method: of the interval.
        n: seeds, for an exact claim runs.
        per_seed: seed → Δ.
        further_seeds: about how many more would decide, as verdicts of before said; None.
        n_diverged_treatment: diverged runs in the treatment arm.
        n_diverged_baseline: diverged runs in the baseline arm.
        n_imputed: runs that diverged or are infinite, counted as the worst of the others.
        n_dropped: seeds left out because a run failed, or because their runs are copies of another seed's.
        interquartile_mean: of Δ, bootstrap interval; from 20 seeds on.
        probability_of_improvement: share of seeds with Δ > 0, ties half, exact interval; from 20 seeds on.
        registered: whether the claim stood so before its data came, see `harness.study.registration`; None: not known.
        registration: how it stands to the record of claims, in plain English.
        registered_at: when it was registered, in UTC; None if it was not.
        planned_seeds: how many were planned then; None: not recorded.
        withdrawn: whether the study makes the claim no more.
        was: the verdict on the form that stood when its data came, where the present one is another.
    """

    title: str
    metric: str
    verdict: Word
    label: str
    sentence: str
    better: str = ""
    treatment: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    smallest_effect: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    p_smallest_effect: float | None = None
    method: str = ""
    n: int = 0
    per_seed: Mapping[int, float] = field(default_factory=dict)
    further_seeds: int | None = None
    n_diverged_treatment: int = 0
    n_diverged_baseline: int = 0
    n_imputed: int = 0
    n_dropped: int = 0
    interquartile_mean: Estimated | None = None
    probability_of_improvement: Estimated | None = None
    registered: bool | None = None
    registration: str = ""
    registered_at: str | None = None
    planned_seeds: int | None = None
    withdrawn: bool = False
    was: "Verdict | None" = None


OF_REGISTRATION = ("registered", "registration", "registered_at", "planned_seeds", "withdrawn", "was")
"""Fields that verdicts of before claims were registered lack."""


def read(low: float, high: float, smallest_effect: float) -> tuple[Word, str]:
    """The verdict and its label that an interval gives.

    >>> read(0.2, 0.4, 0.1), read(-0.4, -0.2, 0.1), read(-0.05, 0.05, 0.1), read(0.0, 0.2, 0.1)
    (('supported', ''), ('refuted', 'reversed'), ('refuted', 'no relevant effect'), ('inconclusive', ''))
    """
    if low > smallest_effect:
        return "supported", ""
    if high >= smallest_effect:
        return "inconclusive", ""
    if high < 0:
        return "refuted", "reversed"
    return "refuted", "no relevant effect" if low > -smallest_effect else ""


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain JSON values; numbers that are not finite become strings ("inf") or null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Estimated):
            return {"value": plain(value.value), "low": plain(value.low), "high": plain(value.high)}
        if isinstance(value, Verdict):
            return as_json(value)
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items()}
        if value is None or isinstance(value, bool):
            return value
        value = stored(value)
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return value

    return {name: plain(value) for name, value in vars(verdict).items()}
