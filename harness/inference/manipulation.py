"""The manipulation check: whether the arms of a claim differed in what it is about, so that their runs can speak to it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.inference.intervals import Array
from harness.inference.pairing import Pairs
from harness.settings import Component
from harness.study import Claim

CLIPPED_STEPS, CLIPPED_RUNS = 0.01, 0.5
"""A clipping arm was put to the test if at least this share of steps was clipped in more than this share of its runs.

A bound may act at spikes alone: clipping 4 % of the steps decides whether an RNN on text at lr 1 trains or diverges.
"""

CLIPPING_CHECK = (
    f"A clipping arm counts as put to the test where at least {100 * CLIPPED_STEPS:.0f} % of the steps were clipped in more than "
    f"{100 * CLIPPED_RUNS:.0f} % of its runs."
)


def manipulation_failure(claim: Claim, pairs: Pairs) -> str:
    """Why the runs cannot speak to the claim, or "" if they can.

    Args:
        claim: what is claimed.
        pairs: its runs, at least one seed.
    """
    both = np.concatenate([pairs.treatment.ravel(), pairs.baseline.ravel()])
    if pairs.are_shares and (both == 0).all():
        return f"{claim.metric} is 0 in every run of both arms, so there was nothing to improve (floor)"
    if pairs.are_shares and (both == 1).all():
        return f"{claim.metric} is 1 in every run of both arms, so nothing could help (ceiling)"
    if any(path.startswith("clipping") for path in claim.treatment):
        treated, control = (_hardly_clipped(fractions) for fractions in pairs.clipped)
        if treated and _bounded(claim.treatment):
            return f"the treatment arm {treated}"
        if treated and control:
            return f"neither arm clipped often enough: the treatment {treated}, the baseline {control}"
    if not pairs.are_binary and (pairs.treatment == pairs.baseline).all():
        return "the two arms gave identical results in every pair of runs: what they differ in had no effect"
    return ""


def _hardly_clipped(fractions: Array) -> str:
    """How few of an arm's runs clipped enough of their steps, "" where they did or it is not known.

    Args:
        fractions: (run,) share of clipped steps.
    """
    enough = int((fractions >= CLIPPED_STEPS).sum())
    if not len(fractions) or enough > CLIPPED_RUNS * len(fractions):
        return ""
    return f"clipped {100 * CLIPPED_STEPS:.0f} % of the steps or more in {enough} of {len(fractions)} runs only"


def _bounded(levels: Mapping[str, Any]) -> bool:
    """Whether an arm's clipping level is a finite bound: a number, or a rule all of whose numbers are finite."""
    for path, level in levels.items():
        if path.startswith("clipping"):
            numbers = list(level.values().values()) if isinstance(level, Component) else [level]
            numbers = [number for number in numbers if isinstance(number, int | float)]
            return bool(numbers) and all(math.isfinite(number) for number in numbers)
    return False
