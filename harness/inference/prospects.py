"""What a study can decide of each claim with its planned seeds, said before it trains: a verdict that no outcome gives is not promised."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

from harness.inference.best_outcome import largest, may_be
from harness.inference.intervals.group_sequential import nominal_levels
from harness.inference.intervals.median import decisive_count
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.plan import Plan
from harness.inference.power import (
    EFFECTS,
    POWER,
    decisive_pairs,
    fewest_seeds,
    rate_difference_found,
    seeds_to_find,
)
from harness.settings.show import counted, digits, level_text
from harness.study import AnyClaim, Equivalence, Estimated, Interaction, Threshold, Trend
from harness.study.claims import ALPHA

KINDS = {Equivalence: "an equivalence", Interaction: "an interaction", Trend: "a trend"}
"""Claims whose intervals of rates have no power in closed form."""

MOST_RECKONED = 100
"""Seeds up to which it is reckoned how many rates need."""

LARGE = 1.0
"""Standard deviations between seeds: an effect that a study should find."""


def prospects(claims: Sequence[AnyClaim], plan: Plan, *, others: int = 0) -> list[str]:
    """A sentence for each claim that statistics decide, "" for the others.

    Args:
        claims: of one family: each may have to pass at α / number of them.
        plan: of the study.
        others: further claims of the family.
    """
    tested = [claim for claim in claims if isinstance(claim, Estimated)]
    count = len(tested) + others

    def alpha(decided: int) -> float:
        return nominal_levels(plan.looks, ALPHA / max(count - decided, 1))[-1]

    first, last = alpha(0), alpha(_decidable(tested, plan, alpha))
    return [_prospect(claim, plan, first, last) if isinstance(claim, Estimated) else "" for claim in claims]


def _decidable(claims: Sequence[Estimated], plan: Plan, alpha: Callable[[int], float]) -> int:
    """How many claims Holm's procedure can decide before it comes to the last of these: each makes it easier for the others."""
    decided = 0
    while (found := sum(_may_be_decided(claim, plan, alpha(decided)) for claim in claims)) > decided:
        decided = found
    return min(decided, max(len(claims) - 1, 0))


def _may_be_decided(claim: Estimated, plan: Plan, alpha: float) -> bool:
    """Whether any outcome of the planned seeds supports or refutes it at level 1 − α."""
    n = plan.looks[-1]
    if not claim.counts_runs():
        return math.isfinite(_effect(claim.estimated(), n, alpha))
    cells = _averaged(claim, plan)
    return any(may_be(word, claim, plan.sweeps, cells, n, alpha) for word in ("supported", "refuted"))


def _prospect(claim: Estimated, plan: Plan, first: float, last: float) -> str:
    """What the planned seeds can say of a claim at level 1 − `first`, its least favourable one, else at 1 − `last`, once others are decided."""
    if why := _impossible(claim, plan, first):
        later = last > first and not _impossible(claim, plan, last)
        return f"{why}{f', or once others are decided, at level {level_text(1 - last)}% at best' if later else ''}"
    n = plan.looks[-1]
    if claim.counts_runs():
        return _of_rates(claim, plan, n, first)
    where, kind, tests = _in_each(claim, plan), claim.estimated(), _tests(claim, plan)
    if isinstance(claim, Equivalence):
        return _of_equivalence(kind, n, first, tests, where)
    effect = _effect(kind, n, first, tests)
    count = decisive_count(n, first) if kind == "median" else None
    needs = (
        f"needs {count} of {n} seeds beyond δ{where} at level {level_text(1 - first)}%; "
        if count
        else f"at level {level_text(1 - first)}% "
    )
    more = seeds_to_find(kind, LARGE, first, _power(tests)) if effect > 1.05 * LARGE else None
    return (
        f"{needs}finds {effect:.1f} standard deviations (of Δ between seeds, beyond δ){where} with 80 % power"
        f"{'' if more is None else f'; plan {more} seeds to find {LARGE:g}'}"
    )


def _steps_and_cells(claim: Estimated, plan: Plan) -> tuple[int, int]:
    """Each step of a trend, in each cell, must bear it out: how many these are."""
    return len(claim.contrasts(plan.sweeps)), _cells(claim, plan) if claim.across == "each" else 1


def _tests(claim: Estimated, plan: Plan) -> int:
    """How many intervals must bear it out."""
    return math.prod(_steps_and_cells(claim, plan))


def _in_each(claim: Estimated, plan: Plan) -> str:
    """Where each must, in words; "" where it is one interval."""
    named = zip(_steps_and_cells(claim, plan), ("steps", "cells"), strict=True)
    return "".join(f" in each of {count} {what}" for count, what in named if count > 1)


def _power(tests: int) -> float:
    """Of each of several tests, such that all of them are passed with 80 % power however they depend on each other (Bonferroni)."""
    return 1 - (1 - POWER) / tests


def _effect(kind: str, n: int, alpha: float, tests: int = 1) -> float:
    return EFFECTS[kind](n, alpha, _power(tests))


def _impossible(claim: Estimated, plan: Plan, alpha: float) -> str:
    """That no outcome of the planned seeds gives a verdict, or that it is supported, at level 1 − α, and how many would; or ""."""
    n, most = plan.looks[-1], largest(claim, plan.sweeps)
    if claim.decides_by == "side" and most <= claim.smallest_effect:
        return f"no verdict “supported” is possible with any number of seeds: Δ cannot exceed {digits(most)}"
    seeds = f"is possible with {counted(n, 'seed')} at level {level_text(1 - alpha)}%"
    if not claim.counts_runs():
        kind = claim.estimated()
        return (
            ""
            if math.isfinite(_effect(kind, n, alpha))
            else f"no verdict {seeds}: {fewest_seeds(kind, alpha)} at least"
        )

    cells = _averaged(claim, plan)

    def enough(n: int) -> bool:
        return may_be("supported", claim, plan.sweeps, cells, n, alpha)

    return "" if enough(n) else f"no verdict “supported” {seeds}: {_fewest(enough, n)}"


def _fewest(enough: Callable[[int], bool], n: int) -> str:
    """How many seeds are enough, in words, where n are not."""
    if n >= MOST_RECKONED or not enough(MOST_RECKONED):
        return f"{max(n, MOST_RECKONED)} are too few"
    return f"{bisect_left(range(MOST_RECKONED), True, lo=n, key=enough)} at least"


def _of_equivalence(kind: str, n: int, alpha: float, tests: int, where: str) -> str:
    """What each of its tests needs, of both ends of an interval."""
    if kind == "median":
        count = decisive_count(n, alpha) or n
        return f"needs {count} of {n} seeds above −δ and as many below δ{where} at level {level_text(1 - alpha)}%"
    within = 1 / _effect(kind, n, alpha, 2 * tests)
    return (
        f"at level {level_text(1 - alpha)}% finds arms that are alike to be so{where} with 80 % power, if the standard deviation of Δ "
        f"between seeds is below {digits(within)} δ"
    )


def _of_rates(claim: Estimated, plan: Plan, n: int, alpha: float) -> str:
    if isinstance(claim, Threshold):
        return _of_one_rate(claim, plan, n, alpha)
    if isinstance(claim, Equivalence | Interaction | Trend):
        return f"what {counted(n, 'seed')} can find of rates in {KINDS[type(claim)]} is not reckoned beforehand"
    tests, several = _tests(claim, plan), _cells(claim, plan) > 1
    count = decisive_pairs(n, claim.smallest_effect, alpha)
    pairs = f"{count} of {n} pairs in which one arm alone has what it is about"
    if several and tests == 1:
        return f"{pairs} in each cell, and none in which the other has, are enough at level {level_text(1 - alpha)}%"
    found = rate_difference_found(n, claim.smallest_effect, alpha, _power(tests))
    cell = " in each cell" if several else ""
    return (
        f"needs {pairs}{cell} at level {level_text(1 - alpha)}%; finds a difference of rates of {found:.2f}{cell} with 80 % power, "
        "where the other arm never has it alone"
    )


def _of_one_rate(claim: Threshold, plan: Plan, n: int, alpha: float) -> str:
    """How many of the runs it needs."""
    higher = claim.better == "higher"

    def reached(count: int) -> bool:
        low, high = clopper_pearson_bounds(count if higher else n - count, n)(alpha)
        return (low - claim.value if higher else claim.value - high) > claim.smallest_effect

    if claim.across == "average" and _cells(claim, plan) > 1:
        return f"what {counted(n, 'seed')} can find of a rate over several cells is not reckoned beforehand"
    least = next(count for count in range(n + 1) if reached(count))
    return f"needs {least} of {counted(n, 'run')} {'with' if higher else 'without'} what it is about{' in each cell' if claim.across == 'each' else ''} at level {level_text(1 - alpha)}%"


def _averaged(claim: Estimated, plan: Plan) -> int:
    """Over how many cells a number of a seed is averaged."""
    return _cells(claim, plan) if claim.across == "average" else 1


def _cells(claim: Estimated, plan: Plan) -> int:
    return math.prod(len(sweep.levels) for path, sweep in plan.sweeps.items() if path not in claim.named())
