"""What is counted of simulated studies: verdicts that are false, and intervals that cover."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from harness.audit.calibration.world import World
from harness.inference.intervals.interval import Interval
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.verdict import Verdict
from harness.inference.verdicts import judge

MOST_FALSE, LEAST_COVERAGE = 0.05, 0.935
NOISE = 0.01
"""1 − the level of the exact interval that a rate is judged by: the simulation has its own luck."""
SHARE_FOR_POWER = 4
"""One study in so many is judged by the easier claims, too."""


@dataclass(frozen=True)
class Counts:
    """Of how many studies something is so; of a family, of any of its claims.

    Attributes:
        studies: all.
        false: whose verdict, or label, is false: those of the next four lines.
        supported: false "supported".
        refuted: false "refuted".
        reversed: false "reversed".
        irrelevant: false "no relevant effect".
        covered: whose intervals hold the truth, all of them.
        powered: judged by the easier claims.
        found: the share of these claims that are supported, summed.
    """

    studies: int = 0
    false: int = 0
    supported: int = 0
    refuted: int = 0
    reversed: int = 0
    irrelevant: int = 0
    covered: int = 0
    powered: int = 0
    found: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True)
class Row:
    """What was counted at one number of seeds.

    Attributes:
        world: name.
        says: what that is like.
        n: seeds.
        counts: of its studies.
        exempt: why nothing is required of it, "" where it is.
    """

    world: str
    says: str
    n: int
    counts: Counts
    exempt: str = ""

    @property
    def false(self) -> Interval:
        """Exact interval of the rate of studies with a false verdict."""
        return clopper_pearson_bounds(self.counts.false, self.counts.studies)(NOISE)

    @property
    def coverage(self) -> Interval:
        """Exact interval of the coverage."""
        return clopper_pearson_bounds(self.counts.covered, self.counts.studies)(NOISE)

    @property
    def within_limits(self) -> bool:
        """Whether no more verdicts are false and no fewer intervals cover than is allowed, as far as its studies can tell."""
        return self.false[0] <= MOST_FALSE and self.coverage[1] >= LEAST_COVERAGE

    @property
    def holds(self) -> bool:
        """Whether it does what is required of it."""
        return bool(self.exempt) or self.within_limits


def false_words(verdict: Verdict, truth: float) -> set[str]:
    """What of a verdict is false where Δ is `truth`: names of `Counts`. At Δ = δ neither "supported" nor "refuted" is true."""
    delta = verdict.smallest_effect or 0.0
    above, below = (
        (abs(truth) < delta, abs(truth) > delta) if verdict.kind == "Equivalence" else (truth > delta, truth < delta)
    )
    wrong = {
        "supported": verdict.verdict == "supported" and not above,
        "refuted": verdict.verdict == "refuted" and not below,
        "reversed": verdict.label == "reversed" and truth >= 0,
        "irrelevant": verdict.label == "no relevant effect" and abs(truth) >= delta,
    }
    return {name for name, is_wrong in wrong.items() if is_wrong}


def covers(verdict: Verdict, truth: float) -> bool:
    """Whether the interval that is shown holds the truth; one without ends does."""
    low = -np.inf if verdict.low is None else verdict.low
    high = np.inf if verdict.high is None else verdict.high
    return bool(low <= truth <= high)


def counted(verdicts: Sequence[Verdict], truths: Sequence[float]) -> Counts:
    """What one study's verdicts count as."""
    wrong = set().union(*map(false_words, verdicts, truths))
    covered = all(map(covers, verdicts, truths))
    return Counts(1, int(bool(wrong)), covered=int(covered), **dict.fromkeys(wrong, 1))


def study_of(world: World, n: int, seed: Sequence[int], *, power: bool) -> Counts:
    """One study, simulated and judged as it would be: after each planned look until all is decided.

    Args:
        world: the law.
        n: seeds.
        seed: of its generator.
        power: whether the easier claims are judged, too.
    """
    simulated, plan = world.draw(np.random.default_rng(seed), n), world.plan(n)
    verdicts: list[Verdict] = []
    for look in range(len(plan.looks)):
        verdicts = judge(world.claims, plan.until(simulated.runs, look), plan)
        if all(verdict.verdict != "inconclusive" for verdict in verdicts):
            break
    found = counted(verdicts, simulated.truths or world.truths)
    if not power or not world.easier:
        return found
    supported = [verdict.verdict == "supported" for verdict in judge(world.easier, simulated.runs, plan)]
    return found + Counts(powered=1, found=float(np.mean(supported)))
