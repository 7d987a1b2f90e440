"""The manipulation check: whether the arms of a claim differed in what it is about, so that their runs can speak to it."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.inference.pairing import Pairs
from harness.settings import Component
from harness.study import Claim


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
        treated, control = pairs.clipped
        if treated is False and _bounded(claim.treatment):
            return "the treatment arm never clipped a gradient"
        if treated is False and control is False:
            return "no gradient was clipped in either arm"
    if not pairs.are_binary and (pairs.treatment == pairs.baseline).all():
        return "the two arms gave identical results in every pair of runs: what they differ in had no effect"
    return ""


def _bounded(levels: Mapping[str, Any]) -> bool:
    """Whether an arm's clipping level is a finite bound: a number, or a rule all of whose numbers are finite."""
    for path, level in levels.items():
        if path.startswith("clipping"):
            numbers = list(level.values().values()) if isinstance(level, Component) else [level]
            numbers = [number for number in numbers if isinstance(number, int | float)]
            return bool(numbers) and all(math.isfinite(number) for number in numbers)
    return False
