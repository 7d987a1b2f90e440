"""`Trend` and `Interaction`: what is claimed of the levels of a factor in order, or of an effect in two places."""

import itertools
from collections.abc import Mapping
from typing import Any, Literal, Self

from harness.settings import Positive, Problem, Sweep, show
from harness.settings.levels import in_words, label
from harness.settings.metrics import METRICS, SIGNED
from harness.study.contrasts import Contrast, Difference, Levels, trend
from harness.study.statement import (
    CLIPPED_STEPS,
    Across,
    Better,
    Estimand,
    Estimated,
    Share,
    differing_paths,
    same_arms,
    sign_of,
)


class Trend(Estimated):
    """A statement that a metric gets lower, or higher, along the levels of a factor.

    Args:
        better: which way it goes.
        smallest_effect: δ, of the change from the first level to the last one along the line that fits best (levels count as
            equally spaced); of a `monotone` trend that of every step.
        factor: path of a swept factor.
        levels: of it, in order; all of its sweep where none are given.
        at: levels of other factors at which it is claimed.
        shape: `linear`, or `monotone`: every level is better than the one before it by more than δ.
        title, metric, estimand, above, across, least_clipped: see `Claim`.
    """

    title: str
    metric: str
    better: Better
    smallest_effect: Positive
    factor: str
    levels: list[Any] | tuple[Any, ...] = ()
    at: Levels = {}
    shape: Literal["linear", "monotone"] = "linear"
    estimand: Estimand | None = None
    above: float | None = None
    across: Across = "average"
    least_clipped: Share = CLIPPED_STEPS

    def check(self) -> list[Problem]:
        """It has two levels or more, all different, and its factor is not fixed beside."""
        if len(self.levels) == 1:
            return [Problem("levels", "of a trend are two or more, in order", show(self.levels))]
        if len(set(map(show, self.levels))) < len(self.levels):
            return [Problem("levels", "must differ", show(self.levels))]
        if self.factor in self.at:
            return [Problem("at", f"holds {self.factor}, along which the trend goes", show(self.at))]
        return []

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return [self.factor]

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`; the levels along the factor are checked beside."""
        return [("at", self.at)] if self.at else []

    def named(self) -> set[str]:
        """See `Statement`."""
        return {self.factor, *self.at}

    def along(self, sweeps: Mapping[str, Sweep]) -> list[Any]:
        """Its levels in order."""
        return list(self.levels) or (list(sweeps[self.factor].levels) if self.factor in sweeps else [])

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`; of a monotone trend one for each step."""
        arms: list[Levels] = [{self.factor: level, **self.at} for level in self.along(sweeps)]
        sign = sign_of(self.better)
        if self.shape == "linear":
            return [trend(arms, sign)]
        names = [
            f"{label(self.factor, a[self.factor])} → {label(self.factor, b[self.factor])}"
            for a, b in itertools.pairwise(arms)
        ]
        return [
            Contrast(name, [Difference(sign, after, before)])
            for name, before, after in zip(names, arms, arms[1:], strict=False)
        ]

    def in_full(self, sweeps: Mapping[str, Sweep]) -> Self:
        """See `Estimated`."""
        return self.replace(levels=self.along(sweeps))

    def in_words(self) -> str:
        """See `Estimated`; which way it goes along the factor is said where its levels are known."""
        ends = [label(self.factor, level) for level in (*self.levels[:1], *self.levels[-1:])]
        way = f", from {' to '.join(ends)}" if ends else ""
        held = f" at {in_words(self.at)}" if self.at else ""
        return f"{self.better} along {self.factor}{held}{way}"


class Interaction(Estimated):
    """A statement that the effect of a treatment is more favourable in one place than in another.

    The number of a seed is (treatment − baseline) where `here` holds, less the same where `there` holds; positive where
    the treatment helps more, or harms less, `here`.

    Args:
        treatment, baseline: levels of the factors whose effect is compared.
        here, there: levels of another factor, such as two tasks, or an MLP and an RNN.
        scale: `difference`, or `ratio`: differences of logarithms, where the metric is of another size in both places; δ is then
            one, and 0.1 is about a tenth.
        title, metric, better, smallest_effect, estimand, above, across, least_clipped: see `Claim`.
    """

    title: str
    metric: str
    better: Better
    smallest_effect: Positive
    treatment: Levels
    baseline: Levels
    here: Levels
    there: Levels
    scale: Literal["difference", "ratio"] = "difference"
    estimand: Estimand | None = None
    above: float | None = None
    across: Across = "average"
    least_clipped: Share = CLIPPED_STEPS

    def check(self) -> list[Problem]:
        """Arms and places differ, and have no factor in common."""
        if found := same_arms(self.treatment, self.baseline) or same_arms(self.here, self.there, "here", "there"):
            return found
        if both := sorted(set(self.treatment) & set(self.here)):
            return [Problem("here", f"names {', '.join(both)}, which the treatment names", show(self.here))]
        return []

    def estimand_problems(self) -> list[Problem]:
        """See `Estimated`; ratios are of what is above 0 and unbounded."""
        if self.scale == "ratio" and (self.above is not None or METRICS[self.metric].kind != "loss"):
            message = f"of {self.metric} must be difference: ratios are for losses, norms and the like"
            return [Problem("scale", message, show(self.scale))]
        if self.scale == "ratio" and self.metric in SIGNED:
            message = f"of {self.metric} must be difference: it may be negative, and no ratio of such numbers says by how much one is larger"
            return [Problem("scale", message, show(self.scale))]
        return super().estimand_problems()

    def takes_logarithms(self) -> bool:
        """See `Estimated`."""
        return self.scale == "ratio"

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return [*differing_paths(self.treatment, self.baseline), *differing_paths(self.here, self.there)]

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("treatment", self.treatment), ("baseline", self.baseline), ("here", self.here), ("there", self.there)]

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`."""
        sign = sign_of(self.better)
        parts = [
            Difference(weight, {**self.treatment, **place}, {**self.baseline, **place})
            for weight, place in ((sign, self.here), (-sign, self.there))
        ]
        return [Contrast("", parts)]

    def in_words(self) -> str:
        """See `Estimated`."""
        return f"{self.better} with {in_words(self.here)} than with {in_words(self.there)}"

    def subject(self, what: str) -> str:
        """See `Estimated`: the effect with its sign, since a treatment may do good, or harm, in both places."""
        treatment, baseline = in_words(self.treatment), in_words(self.baseline)
        if self.scale == "ratio":
            return f"the ratio of {what} with {treatment} to that with {baseline}"
        return f"the change of {what} from {baseline} to {treatment}"

    def between(self) -> str:
        """See `Estimated`."""
        return f" between {in_words(self.here)} and {in_words(self.there)}"

    def compared(self) -> str:
        """See `Estimated`."""
        return f"{self.subject('the metric')}, {self.in_words()}"
