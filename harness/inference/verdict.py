"""`Verdict`: what the runs say about one claim, and how it is kept as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.inference.catastrophes import Catastrophes
from harness.inference.intervals.interval import EVERYTHING
from harness.inference.intervals.resampling import Estimated
from harness.inference.reading import Word
from harness.settings.levels import stored


@dataclass(frozen=True)
class CellEstimate:
    """What one cell or step says by itself; the interval is that of the claim's level, as if it stood alone.

    `per_seed`, `incomparable` and `left_out` as in `Verdict`.
    """

    name: str
    estimate: float
    low: float
    high: float
    per_seed: Mapping[int, float] = field(default_factory=dict)
    incomparable: Sequence[int] = ()
    left_out: Sequence[int] = ()


@dataclass(frozen=True)
class Verdict:
    """What the runs say about one claim.

    Attributes:
        title: the claim in words.
        metric: name of the metric.
        verdict: supported, refuted or inconclusive.
        label: of a refuted claim: "reversed", "no relevant effect" or ""; "exact" for an `Exact` one.
        sentence: the reason, in plain English.
        kind: class of the claim.
        better: direction that favours the claim.
        compared: what is compared, in words.
        treatment: levels of the arm said to be better, where there is one.
        baseline: levels of the other arm.
        smallest_effect: δ.
        above: from where on a run counts, where a rate is made of the metric.
        estimand: what is estimated: median, hodges_lehmann, mean or rate.
        estimate: of Δ, positive favours the claim; of several cells or steps, all of which must bear the claim out, the least, of
            an equivalence the one farthest from 0; None without data.
        low: lower bound of the same at `level`; None where there is none, infinite where even it is, since most runs diverged.
        high: upper bound, likewise.
        level: confidence level of the interval that is shown: those of a family cover together.
        p_value: of no difference at all, by the method of the interval.
        p_smallest_effect: two-sided, of what the verdict turns on (Δ = δ), what Holm orders claims by; None where no verdict can be
            given.
        method: of the interval.
        n: seeds, for an exact claim runs.
        looks: planned numbers of seeds at which it is judged.
        look: number of seeds at the look that decided it; None while it is open.
        power: what the planned seeds can decide, see `harness.inference.prospects`.
        per_seed: seed → Δ; infinite where just one run of two diverged.
        incomparable: seeds whose Δ may be anything, since runs diverged on both sides, and stands as a tie of 0.
        left_out: seeds that have no part in a mean, since a run of theirs diverged or collapsed.
        cells: its own Δ of each cell that is averaged over, or of each that must bear the claim out.
        catastrophes: runs that diverged or collapsed, by arm; None where the claim is about just these.
        n_diverged_treatment: diverged runs in the first arm.
        n_diverged_baseline: diverged runs in all others.
        n_missing: seeds without a number, since a run failed or has no value.
        n_copies: seeds left out because their runs are those of another seed.
        mean: of Δ, t interval at 95 %; None where it is the estimate; description, like the next two, of the seeds that this rests on.
        interquartile_mean: of Δ, bootstrap interval; from 20 seeds on.
        probability_of_improvement: P(Δ > 0) + P(Δ = 0) / 2, exact interval.
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
    kind: str = ""
    better: str = ""
    compared: str = ""
    treatment: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    smallest_effect: float | None = None
    above: float | None = None
    estimand: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    p_smallest_effect: float | None = None
    method: str = ""
    n: int = 0
    looks: Sequence[int] = ()
    look: int | None = None
    power: str = ""
    per_seed: Mapping[int, float] = field(default_factory=dict)
    incomparable: Sequence[int] = ()
    left_out: Sequence[int] = ()
    cells: Sequence[CellEstimate] = ()
    catastrophes: Catastrophes | None = None
    n_diverged_treatment: int = 0
    n_diverged_baseline: int = 0
    n_missing: int = 0
    n_copies: int = 0
    mean: Estimated | None = None
    interquartile_mean: Estimated | None = None
    probability_of_improvement: Estimated | None = None
    registered: bool | None = None
    registration: str = ""
    registered_at: str | None = None
    planned_seeds: int | None = None
    withdrawn: bool = False
    was: "Verdict | None" = None

    @property
    def is_open(self) -> bool:
        """Whether a later look may decide it."""
        return self.kind != "Exact" and self.look is None and not self.withdrawn

    @property
    def at_worst(self) -> CellEstimate | None:
        """Of several cells or steps, all of which must bear the claim out, the one that `estimate` is of; else None."""
        if self.per_seed or len(self.cells) < 2:
            return None
        return next((cell for cell in self.cells if cell.estimate == self.estimate), None)

    @property
    def stands_alone(self) -> bool:
        """Whether seeds are too few for an interval of several cells or steps together, while each has one by itself."""
        own = [(cell.low, cell.high) != EVERYTHING for cell in self.cells]
        return self.at_worst is not None and self.low is None and self.high is None and all(own)


OF_REGISTRATION = ("registered", "registration", "registered_at", "planned_seeds", "withdrawn", "was")
"""Fields that verdicts of before claims were registered lack."""

OF_ESTIMANDS = (
    "kind", "compared", "above", "estimand", "looks", "look", "power", "cells", "catastrophes", "n_missing", "n_copies", "mean",
    "incomparable", "left_out",
)  # fmt: skip
"""Fields that verdicts of before claims had estimands lack."""


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain JSON values; numbers that are not finite become strings ("inf") or null, and levels what they are known by."""
    arms = {"treatment": verdict.treatment, "baseline": verdict.baseline}
    known = {name: {path: _known(level) for path, level in arm.items()} for name, arm in arms.items()}
    return {name: _plain(value) for name, value in (vars(verdict) | known).items()}


def _known(level: Any) -> Any:
    """What a level is known by; of several values each."""
    return [_known(part) for part in level] if isinstance(level, list | tuple) else stored(level)


def _plain(value: Any) -> Any:
    if isinstance(value, Verdict):
        return as_json(value)
    if isinstance(value, Estimated | CellEstimate | Catastrophes):
        return {name: _plain(inner) for name, inner in vars(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(float(value))
    return value.item() if isinstance(value, np.generic) else value
