"""The manipulation check: whether the arms of a claim differed in what it is about, so that their runs can speak to it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.plan import Plan
from harness.inference.range_ends import best_values, end_reached, ends_of
from harness.inference.resolution import is_of_rates_tried
from harness.inference.samples import Arm, Sample
from harness.settings import Component
from harness.settings.levels import at, in_words, label
from harness.settings.metrics import ERROR, METRICS, RATE, is_dropout, not_comparable
from harness.settings.schedules import Schedule
from harness.settings.show import counted, given
from harness.study import Claim, Equivalence, Estimated, Threshold, Trend

ENOUGH = 0.5
"""Share of an arm's runs: more must have been clipped, must train, must have their best learning rate inside its range."""

FEWEST_TRIED = 3
"""Values of a learning rate: of two each is an end."""

DID = {"diverged": "diverged", "collapsed": "collapsed", "nonfinite": "became non-finite"}
"""What a run did of which a rate counts."""

CHECKS = (
    "A claim counts as put to the test where a clipping arm clipped 1 % of the steps or more (its `least_clipped`) in more than half of "
    "its runs, dropout changed an output, the baseline of a loss or an error trained in more than half of its runs (neither diverged nor "
    "no better than guessing), and the best learning rate lay inside the range tried, not at its end, in more than half of them."
)


def manipulation_failure(claim: Estimated, samples: Sequence[Sample], runs: pd.DataFrame, plan: Plan) -> str:
    """Why the runs cannot speak to the claim, or "" if they can.

    Args:
        claim: what is claimed.
        samples: of each of its contrasts, at least one seed each.
        runs: all runs of the study, those that tuning chose from included.
        plan: of the study.
    """
    checks = (
        _floor_or_ceiling(claim, samples, runs),
        _baseline(claim, samples),
        _lost(samples),
        _identical(claim, samples),
        _clipping(claim, samples),
        _dropout(claim, samples),
        *(_at_an_end(claim, samples, runs, path, plan) for path in plan.rates),
    )
    return next((found for found in checks if found), "")


def _floor_or_ceiling(claim: Estimated, samples: Sequence[Sample], runs: pd.DataFrame) -> str:
    kind = METRICS[claim.metric].kind
    values = np.concatenate([arm.values for sample in samples for arm in sample.arms])
    if isinstance(claim, Equivalence | Threshold) or not len(values) or (kind == "loss" and claim.above is None):
        return ""
    shares = kind in ("rate", "share") or claim.above is not None or METRICS[claim.metric].unit == ERROR
    what = claim.metric if claim.above is None else f"{claim.metric} above {given(claim.above)}"
    if shares and (values == 0).all():
        return _none(claim, what) + _left_to_tuning(claim, runs)
    if shares and (values == 1).all():
        if claim.above is None and METRICS[claim.metric].unit != RATE:
            return f"{what} is 1{', or the run diverged,' if kind == 'share' else ''} in every run"
        return (
            f"every run {DID[claim.metric]}" if claim.metric in DID and claim.above is None else f"every run has {what}"
        )
    return ""


def _none(claim: Estimated, what: str) -> str:
    """That no run has what a claim is about, so that there was nothing to improve."""
    if claim.above is None and METRICS[claim.metric].unit != RATE:
        return f"{what} is 0 in every run"
    return f"no run {DID[claim.metric]}" if claim.metric in DID and claim.above is None else f"no run has {what}"


def _left_to_tuning(claim: Estimated, runs: pd.DataFrame) -> str:
    """That runs of tuning did it."""
    if claim.above is not None or claim.metric not in DID:
        return ""
    tuning = runs[(runs["phase"] == "tune") & (runs["status"] != "failed")]
    n = int((tuning[claim.metric] == 1).sum())
    return f"; {n:,} of {counted(len(tuning), 'run')} of tuning did" if n else ""


def _lost(samples: Sequence[Sample]) -> str:
    """Whether of something that a claim compares beside other things, such as the effect at one of two places, nothing is known."""
    if not any(len(sample.parts) > 1 and sample.lost.all() for sample in samples):
        return ""
    return "of one of the differences that it is about all runs of both arms diverged: it compares no numbers"


def _identical(claim: Estimated, samples: Sequence[Sample]) -> str:
    compared = [np.abs(sample.terms) for sample in samples if not isinstance(claim, Threshold)]
    one_of_few_values = claim.counts_runs() or is_of_rates_tried(claim)
    if one_of_few_values or not compared or any((terms > 0).any() for terms in compared):
        return ""
    return f"the arms have the same {claim.metric} in every pair of runs: what they differ in may have no effect"


def _clipping(claim: Estimated, samples: Sequence[Sample]) -> str:
    """Whether what clips has clipped: the arm said to be different, of a trend any arm."""
    if not any(path.startswith("clipping") for path in claim.differing()):
        return ""
    arms = [arm for sample in samples for arm in sample.arms]
    if isinstance(claim, Trend):
        hardly = [_hardly_clipped(claim, arm) for arm in arms if _bounded(arm.levels)]
        return (
            ""
            if not all(hardly) or not hardly
            else f"no arm clipped often enough: {in_words(arms[0].levels)} {hardly[0]}"
        )
    first, others = arms[0], arms[1:]
    treated = _hardly_clipped(claim, first)
    if treated and _bounded(first.levels):
        return (
            f"the treatment arm {treated}"
            if isinstance(claim, Claim | Equivalence)
            else f"{in_words(first.levels)} {treated}"
        )
    control = [_hardly_clipped(claim, arm) for arm in others]
    if treated and control and all(control):
        return f"neither arm clipped often enough: the treatment {treated}, the baseline {control[0]}"
    return ""


def _hardly_clipped(claim: Estimated, arm: Arm) -> str:
    """How few of an arm's runs clipped enough of their steps, "" where they did or it is not known."""
    enough = int((arm.clipped >= claim.least_clipped).sum())
    if not len(arm.clipped) or enough > ENOUGH * len(arm.clipped):
        return ""
    return f"clipped {100 * claim.least_clipped:g} % of the steps or more in {enough} of {len(arm.clipped)} runs only"


def _bounded(levels: Mapping[str, Any]) -> bool:
    """Whether an arm's clipping level is a finite bound: a number, or a rule all of whose numbers are finite."""
    for path, level in levels.items():
        if path.startswith("clipping"):
            numbers = list(level.values().values()) if isinstance(level, Component) else [level]
            numbers = [number for number in numbers if isinstance(number, int | float)]
            return bool(numbers) and all(math.isfinite(number) for number in numbers)
    return False


def _dropout(claim: Estimated, samples: Sequence[Sample]) -> str:
    """Whether dropout made noise in training anywhere, where it is what arms differ in.

    The noise is that at the end of training, which tells nothing of an arm whose p changes on the way, such as early dropout.
    """
    if not any(map(is_dropout, claim.differing())):
        return ""
    arms = [arm for sample in samples for arm in sample.arms]
    return (
        "no output changed with the noise of dropout in any run: it never acted"
        if arms and all(len(arm.noise) and (arm.noise == 0).all() and not _scheduled(arm.levels) for arm in arms)
        else ""
    )


def _scheduled(levels: Mapping[str, Any]) -> bool:
    """Whether a level of an arm, or one of the numbers in it, changes over training."""
    each = (part for level in levels.values() for part in (level if isinstance(level, list | tuple) else (level,)))
    return any(isinstance(part, Schedule) for part in each)


def _baseline(claim: Estimated, samples: Sequence[Sample]) -> str:
    """Whether what a loss or an error is compared with has trained at all."""
    known = METRICS[claim.metric]
    if claim.above is not None or known.kind not in ("loss", "bounded") or known.group != "generalization":
        return ""
    baselines = [
        arm for sample in samples for arm in sample.arms if any(arm.levels == part.other for part in sample.parts)
    ]
    if isinstance(claim, Trend):  # one that nobody can train is a result, none at all are not
        baselines = [min(baselines, key=lambda arm: arm.n_bad / max(arm.n, 1))] if baselines else []
    for arm in baselines:
        if arm.n and arm.n_bad >= ENOUGH * arm.n:
            who = "the baseline" if isinstance(claim, Claim | Equivalence) else in_words(arm.levels)
            so = (
                "to be like runs that do not train says nothing"
                if isinstance(claim, Equivalence)
                else "whatever trains is better"
            )
            return f"{who} diverged or ended no better than guessing in {arm.n_bad} of {counted(arm.n, 'run')}: {so}"
    return ""


def _at_an_end(
    claim: Estimated, samples: Sequence[Sample], runs: pd.DataFrame, path: str, plan: Plan
) -> str:  # fmt: skip
    """Whether the best learning rate of an arm lies at an end of what was tried."""
    tried = runs.loc[runs["status"] != "failed", path].tolist()
    if len(set(tried)) < FEWEST_TRIED:
        return ""
    confirm = runs[runs["phase"] == "confirm"]
    for arm in (arm for sample in samples for arm in sample.arms):
        chosen = best_values(confirm[at(confirm, arm.levels)], path)
        if (end := end_reached(chosen, tried)) is not None:
            ends = ends_of(tried)
            others = sum(chosen.count(value) for other, value in ends.items() if other != end)
            why = plan.no_wider(end, tried)
            return (
                f"the best {path} of {in_words(arm.levels)} lies at the {end} end of what was tried, {label(path, ends[end])}, in "
                f"{chosen.count(ends[end])} of {counted(len(chosen), 'run')}{f' and at the other end in {others:,}' if others else ''}: "
                f"nobody knows what the arm can reach{f'; {why}' if why else ''}"
            )
    return ""


def unlike(claim: Estimated) -> str:
    """That its metric cannot be compared between its arms, "" where it can."""
    said = not_comparable(claim.metric, claim.differing())
    return f" {claim.metric} is {said}." if said else ""
