"""What a study can decide of each claim with its planned seeds, said before it trains: a verdict that no outcome gives is not promised."""

import math
from collections.abc import Sequence

from harness.inference.intervals.group_sequential import nominal_levels
from harness.inference.intervals.median import decisive_count
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.plan import Plan
from harness.inference.power import (
    EFFECTS,
    decisive_pairs,
    fewest_pairs,
    fewest_seeds,
    rate_difference_found,
    seeds_to_find,
)
from harness.settings.show import counted
from harness.study import AnyClaim, Equivalence, Estimated, Interaction, Threshold, Trend
from harness.study.claims import ALPHA

KINDS = {Equivalence: "an equivalence", Interaction: "an interaction", Trend: "a trend"}
"""Claims whose intervals of rates have no power in closed form."""

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
    alpha = nominal_levels(plan.looks, ALPHA / max(len(tested) + others, 1))[-1]
    return [prospect(claim, plan, alpha) if isinstance(claim, Estimated) else "" for claim in claims]


def prospect(claim: Estimated, plan: Plan, alpha: float) -> str:
    """What the planned seeds can say of a claim at level 1 − α, its least favourable one."""
    n = plan.looks[-1]
    if claim.counts_runs():
        return _of_rates(claim, plan, n, alpha)
    kind = claim.estimated()
    effect = EFFECTS[kind](n, alpha)
    if not math.isfinite(effect):
        return f"no verdict is possible with {counted(n, 'seed')} at level {1 - alpha:.1%}: {fewest_seeds(kind, alpha)} at least"
    if isinstance(claim, Equivalence):
        return _of_equivalence(claim, n, alpha)
    count = decisive_count(n, alpha) if kind == "median" else None
    needs = f"needs {count} of {n} seeds beyond δ at level {1 - alpha:.1%}; " if count else f"at level {1 - alpha:.1%} "
    return f"{needs}finds {effect:.1f} standard deviations (of Δ between seeds, beyond δ) with 80 % power{_more(kind, effect, alpha)}"


def _more(kind: str, effect: float, alpha: float) -> str:
    needed = seeds_to_find(kind, LARGE, alpha) if effect > 1.05 * LARGE else None
    return "" if needed is None else f"; plan {needed} seeds to find {LARGE:g}"


def _of_equivalence(claim: Equivalence, n: int, alpha: float) -> str:
    if claim.estimated() == "median":
        count = decisive_count(n, alpha) or n
        return f"needs {count} of {n} seeds above −δ and as many below δ at level {1 - alpha:.1%}"
    within = 1 / EFFECTS["mean"](n, alpha)
    return f"needs a standard deviation of Δ between seeds below about {within:.2g} δ at level {1 - alpha:.1%}"


def _of_rates(claim: Estimated, plan: Plan, n: int, alpha: float) -> str:
    delta = claim.smallest_effect
    if isinstance(claim, Threshold):
        return _of_one_rate(claim, plan, n, alpha)
    if isinstance(claim, Equivalence | Interaction | Trend):
        return f"what {counted(n, 'seed')} can find of rates in {KINDS[type(claim)]} is not reckoned beforehand"
    count = decisive_pairs(n, delta, alpha)
    if count is None:
        least = fewest_pairs(delta, alpha)
        more = f": {least} at least" if least else ""
        return f"no verdict “supported” is possible with {counted(n, 'seed')} at level {1 - alpha:.1%}{more}"
    found = rate_difference_found(n, delta, alpha)
    cell = " in each cell" if claim.across == "each" or _cells(claim, plan) > 1 else ""
    return (
        f"needs {count} of {n} pairs{cell} in which one arm alone has what it is about at level {1 - alpha:.1%}; finds a difference of rates "
        f"of {found:.2f} with 80 % power"
    )


def _of_one_rate(claim: Threshold, plan: Plan, n: int, alpha: float) -> str:
    """How many of the runs it needs, or that not even all of them could decide."""
    higher = claim.better == "higher"
    best = clopper_pearson_bounds(n if higher else 0, n)(alpha)

    def reached(count: int) -> bool:
        low, high = clopper_pearson_bounds(count if higher else n - count, n)(alpha)
        return (low - claim.value if higher else claim.value - high) > claim.smallest_effect

    if not reached(n):
        return f"no verdict “supported” is possible with {counted(n, 'seed')} at level {1 - alpha:.1%}: even {n} of {n} leave [{best[0]:.2f}, {best[1]:.2f}]"
    if claim.across == "average" and _cells(claim, plan) > 1:
        return f"what {counted(n, 'seed')} can find of a rate over several cells is not reckoned beforehand"
    least = next(count for count in range(n + 1) if reached(count))
    return f"needs {least} of {counted(n, 'run')} {'with' if higher else 'without'} what it is about{' in each cell' if claim.across == 'each' else ''} at level {1 - alpha:.1%}"


def _cells(claim: Estimated, plan: Plan) -> int:
    return math.prod(len(sweep.levels) for path, sweep in plan.sweeps.items() if path not in claim.named())
