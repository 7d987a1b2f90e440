"""Runs that diverged or collapsed, beside what is said of the others: how many of each arm, and by how much their rates differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.inference.intervals.bounded_mean import bounded_mean_bounds
from harness.inference.intervals.paired_rates import signed_bounds
from harness.inference.samples import Sample
from harness.settings.levels import in_words
from harness.study.contrasts import arms_of

ALPHA = 0.05


@dataclass(frozen=True)
class Catastrophes:
    """How many runs diverged or collapsed.

    Attributes:
        arms: arm in words → (of these, runs that did not fail).
        difference: rate of the first arm − rate of the second, over seeds of which no run failed; None but for two arms.
        low, high: its exact 95 % interval.
        pairs: how many seeds these are; None where they are all.
    """

    arms: Mapping[str, tuple[int, int]]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return any(count for count, _ in self.arms.values())


def catastrophes(samples: Sequence[Sample]) -> Catastrophes:
    """Those of every arm of a claim's samples; where these are two, they are paired by seed."""
    counts = {in_words(arm.levels): (arm.n_bad, arm.n) for sample in samples for arm in sample.arms}
    in_order = map(in_words, arms_of([part for sample in samples for part in sample.parts]))
    arms = {arm: counts[arm] for arm in in_order}
    sample = samples[0]
    if len(arms) != 2 or not len(sample.arms[0].bad):
        return Catastrophes(arms)
    first, second = (arm.bad for arm in sample.arms)
    differences = (first - second).mean(axis=1)
    if len(sample.cells) == 1 and np.isin(differences, (-1.0, 0.0, 1.0)).all():
        bounds = signed_bounds(differences)
    else:
        bounds = bounded_mean_bounds(differences, -1.0, 1.0)
    return Catastrophes(
        arms,
        float(differences.mean()),
        *bounds(ALPHA),
        pairs=len(differences) if len(differences) < sample.n_all else None,
    )
