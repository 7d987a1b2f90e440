"""Which claims of a family are decided, and after which of its planned looks.

Each claim that is open spends γ·t² of its share γ of α by look t = n / n_max, two-sided (Kim & DeMets 1987, Biometrika 74:149–154), so
that judging after 10, 20 and 40 seeds errs no more often than judging once. Holm's procedure shares α (Holm 1979; within looks as
in Maurer & Bretz 2013, Stat. Biopharm. Res. 5:311–320): γ = α / number of open claims, at every look by rising p-value; one that
is decided stays so, and leaves its share to the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.inference.evidence import Evidence
from harness.inference.intervals.group_sequential import nominal_levels
from harness.study.claims import ALPHA


@dataclass(frozen=True)
class Decision:
    """When a claim was decided.

    Attributes:
        look: index of the look.
        alpha: at which level.
    """

    look: int
    alpha: float


def decide(evidence: Sequence[Sequence[Evidence]], looks: Sequence[int], *, others: int = 0) -> list[Decision | None]:
    """The decision on each claim, None on those that are open.

    Args:
        evidence: (look, claim) after the looks that were reached, each on all seeds up to it.
        looks: planned numbers of seeds.
        others: claims of the family that nothing can decide.
    """
    decided: dict[int, Decision] = {}
    claims = len(evidence[0]) if evidence else 0
    for k, after in enumerate(evidence):
        while len(decided) < claims:
            undecided = [i for i in range(claims) if i not in decided]
            alpha = nominal_levels(looks, ALPHA / (len(undecided) + others))[k]
            best = min(undecided, key=lambda i: after[i].p)
            if not after[best].p < alpha:
                break
            decided[best] = Decision(k, alpha)
    return [decided.get(i) for i in range(claims)]


def shown_alpha(looks: Sequence[int], look: int, family: int) -> float:
    """The level at which intervals are shown after a look: together, those of a family cover with 1 − α."""
    return nominal_levels(looks, ALPHA / max(family, 1))[look]
