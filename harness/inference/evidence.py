"""`Evidence`: all that some runs say of a claim at any level."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from harness.inference.estimates import Estimate, estimate
from harness.inference.intervals.inversion import p_against, p_value
from harness.inference.manipulation import manipulation_failure
from harness.inference.plan import Plan
from harness.inference.reading import Word, read_all
from harness.inference.resolution import hidden_between_rates
from harness.inference.samples import Arm, Sample, sample
from harness.settings.levels import at
from harness.settings.metrics import why_missing
from harness.settings.show import counted
from harness.study import Estimated

MOST_MISSING = 0.1
"""Share of seeds without a number above which no verdict is given."""


@dataclass(frozen=True)
class Evidence:
    """All a verdict needs but the level.

    Attributes:
        claim: what is claimed.
        samples: one number per seed of each of its contrasts, averaged over cells.
        tests: what must bear it out: the same, or one for each cell.
        estimates: of `tests`.
        failure: why no verdict can be given, a sentence, or "".
        hidden: how large a difference the metric cannot show, see `hidden_between_rates`.
    """

    claim: Estimated
    samples: Sequence[Sample]
    tests: Sequence[Sample]
    estimates: Sequence[Estimate]
    failure: str
    hidden: float

    @classmethod
    def of(cls, claim: Estimated, runs: pd.DataFrame, plan: Plan) -> "Evidence":
        """What runs say of a claim.

        Args:
            claim: one of the study's, or as it was before.
            runs: of the study, those that tuning chose from included.
            plan: says what is swept and tuned.
        """
        claim = claim.in_full(plan.sweeps)
        confirm = runs[runs["phase"] == "confirm"]
        samples = [sample(claim, contrast, confirm, plan.sweeps) for contrast in claim.contrasts(plan.sweeps)]
        tests = tests_of(claim, samples)
        failure = _no_verdict(claim, samples, confirm) or plan.too_early(runs)
        if not failure and (failed := manipulation_failure(claim, samples, runs, plan)):
            failure = f"Not tested: {failed}."
        hidden = hidden_between_rates(claim, samples, runs, plan.rates)
        return cls(claim, samples, tests, [estimate(claim, each) for each in tests], failure, hidden)

    def word(self, alpha: float) -> Word:
        """The verdict at level 1 − α; none where something is in the way."""
        if self.failure:
            return "inconclusive"
        found = self._by_intervals(alpha)
        return "inconclusive" if found in self.barred or self.rests_on_what_is_hidden(alpha) else found

    def _by_intervals(self, alpha: float) -> Word:
        bounds = [each.bounds for each in self.estimates]
        return read_all(bounds, self.claim.smallest_effect, self.claim.decides_by, alpha)

    def rests_on_what_is_hidden(self, alpha: float) -> bool:
        """Whether intervals would say that there is no relevant difference, and none could have been seen."""
        if self.hidden <= self.claim.smallest_effect:
            return False
        found = self._by_intervals(alpha)
        if self.claim.decides_by == "inside":
            return found == "supported"
        return found == "refuted" and any(each.bounds(alpha)[1] >= 0 for each in self.estimates)

    @cached_property
    def p(self) -> float:
        """The least α at which there is a verdict; 1 where there is none."""
        return 1.0 if self.failure else p_value(lambda alpha: self.word(alpha) != "inconclusive")

    @cached_property
    def p_zero(self) -> float | None:
        """Two-sided p-value of no difference at all, by the method of the interval; None where there are several or no data."""
        if len(self.estimates) != 1 or not self.estimates[0].n:
            return None
        return p_against(self.estimates[0].bounds, 0.0)

    @cached_property
    def arms(self) -> list[Arm]:
        """Every arm once, in order."""
        found: list[Arm] = []
        for arm in (arm for each in self.samples for arm in each.arms):
            if all(arm.levels != other.levels for other in found):
                found.append(arm)
        return found

    @property
    def n(self) -> int:
        """Seeds that the estimate rests on, of several the least."""
        return min((each.n for each in self.estimates), default=0)

    @cached_property
    def barred(self) -> dict[Word, str]:
        """Verdicts that a mean over runs that trained cannot bear, and why: some that it left out say otherwise."""
        if self.claim.estimated() != "mean" or not any(each.bad.any() for each in self.samples):
            return {}
        if (
            len(self.samples) > 1
            or len(self.samples[0].parts) > 1
            or len(self.samples[0].arms) < 2
            or self.claim.decides_by == "inside"
        ):
            why = "runs that diverged or collapsed have no part in the mean, and could change it"
            return dict.fromkeys(("supported", "refuted"), why)
        (sample,) = self.samples
        treated, control = (arm.bad == 1 for arm in sample.arms)
        worse: dict[Word, bool] = {
            "supported": bool((treated & ~control).any()), "refuted": bool((control & ~treated).any())
        }  # fmt: skip
        first, second = (arm.n_bad for arm in sample.arms)
        who = f"{counted(first, 'run')} of the treatment and {second} of the baseline diverged or collapsed"
        return {word: f"{who}, which the mean leaves out" for word, against in worse.items() if against}


def tests_of(claim: Estimated, samples: Sequence[Sample]) -> Sequence[Sample]:
    """What must bear a claim out: its samples, or each cell of them."""
    if claim.across == "average":
        return samples
    return [each.at_cell(i) for each in samples for i in range(len(each.cells))] or samples


def at_worst(claim: Estimated, values: Sequence[float]) -> float:
    """What is told of several estimates, all of which must bear a claim out: the least, or that farthest from 0 where all must lie inside."""
    return max(values, key=abs) if claim.decides_by == "inside" else min(values)


def _no_verdict(claim: Estimated, samples: Sequence[Sample], confirm: pd.DataFrame) -> str:
    """Why there are too few numbers for any verdict, a sentence, or ""."""
    if claim.takes_logarithms() and (below := _below_zero(claim, samples, confirm)):
        return f"No verdict: {claim.metric} is below 0 in {counted(below, 'run')}, and such numbers have no ratio."
    for each in samples:
        missing = each.n_missing
        if not each.seeds and not all(len(arm.values) for arm in each.arms):
            values = confirm[claim.metric].astype(float) if claim.metric in confirm else pd.Series(dtype=float)
            why = none_measured(claim.metric, confirm)
            if np.isfinite(values).any():
                why = f"no seed has a run in every arm that has measured {claim.metric}"
            return f"Not tested: {why}."
        if missing > MOST_MISSING * each.n_all:
            of = counted(each.n_all, "seed")
            return f"No verdict: {missing} of {of} {'lacks' if missing == 1 else 'lack'} a run or its value, more than one in ten, and nobody knows what these would say."
        if claim.across == "each" and each.n_cells_left_out:
            return f"No verdict: {counted(each.n_cells_left_out, 'cell')} of those in each of which it is claimed never ran."
        bad = int(each.bad.sum())
        if claim.estimated() == "mean" and bad > MOST_MISSING * len(each.seeds):
            return (
                f"No verdict by the mean: in {bad} of {counted(len(each.seeds), 'seed')} a run diverged or collapsed, more than one in "
                'ten, and has no part in it; estimand="median" counts them.'
            )
    return ""


def none_measured(metric: str, confirm: pd.DataFrame) -> str:
    """That no run has a metric, or none that trained, and why where that is known.

    Args:
        metric: of which no run has a finite number.
        confirm: runs of the confirm phase.
    """
    there = metric in confirm
    if there and confirm[metric].notna().any():
        return f"no run that trained has measured {metric}"
    why = why_missing(metric) if there and (confirm["status"] == "finished").any() else ""
    return f"no run has measured {metric}{f': {why}' if why else ''}"


def _below_zero(claim: Estimated, samples: Sequence[Sample], confirm: pd.DataFrame) -> int:
    """How many runs of the arms have a negative number."""
    inside = np.any([at(confirm, arm.levels).to_numpy() for each in samples for arm in each.arms], axis=0)
    return int((confirm.loc[inside & (confirm["status"] != "failed").to_numpy(), claim.metric] < 0).sum())
