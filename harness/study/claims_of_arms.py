"""`Claim`, `Equivalence` and `Threshold`: what is claimed of one arm beside another, or beside a number."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.settings import NonNegative, Positive, Problem, Sweep
from harness.settings.levels import in_words
from harness.settings.show import given
from harness.study.contrasts import Contrast, Difference, Levels
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

OVER_SEEDS: dict[Estimand, str] = {
    "median": " in the median seed", "hodges_lehmann": " by the Hodges–Lehmann estimate over seeds", "mean": " in the mean over seeds",
    "rate": "",
}  # fmt: skip
"""What of the numbers of all seeds is beyond a number; a rate is one by itself."""


class OfTwoArms(Estimated):
    """The base of claims that compare a `treatment` with a `baseline`."""

    if TYPE_CHECKING:  # see `Estimated`

        @property
        def treatment(self) -> Levels: ...  # noqa: D102
        @property
        def baseline(self) -> Levels: ...  # noqa: D102

    def check(self) -> list[Problem]:
        """The arms differ; whether both name the same factors, and a metric, a study says, which knows them."""
        return same_arms(self.treatment, self.baseline)

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return differing_paths(self.treatment, self.baseline)

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("treatment", self.treatment), ("baseline", self.baseline)]


class Claim(OfTwoArms):
    """A statement that one arm is better than another by more than δ, to be tested over the seeds of the confirm phase.

    Args:
        title: the statement in words.
        treatment: levels of swept factors that make the arm said to be better.
        baseline: levels of the same factors for the other arm. Factors not named are averaged over.
        metric, better, smallest_effect, estimand, above, across, least_clipped: see `Estimated`.
    """

    title: str
    metric: str
    better: Better
    smallest_effect: Positive
    treatment: Levels
    baseline: Levels
    estimand: Estimand | None = None
    above: float | None = None
    across: Across = "average"
    least_clipped: Share = CLIPPED_STEPS

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`."""
        return [Contrast("", [Difference(sign_of(self.better), self.treatment, self.baseline)])]

    def in_words(self) -> str:
        """See `Estimated`."""
        return f"{self.better} with {in_words(self.treatment)} than with {in_words(self.baseline)}"


class Equivalence(OfTwoArms):
    """A statement that two arms differ by less than δ either way.

    Supported if the interval of the difference lies within ±δ, refuted if it lies wholly outside.

    Args:
        title, metric, smallest_effect, treatment, baseline, estimand, above, across, least_clipped: see `Claim`.
    """

    title: str
    metric: str
    smallest_effect: Positive
    treatment: Levels
    baseline: Levels
    estimand: Estimand | None = None
    above: float | None = None
    across: Across = "average"
    least_clipped: Share = CLIPPED_STEPS

    decides_by = "inside"

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`; positive where the treatment has the higher values."""
        return [Contrast("", [Difference(1.0, self.treatment, self.baseline)])]

    def in_words(self) -> str:
        """See `Estimated`."""
        return f"the same with {in_words(self.treatment)} and with {in_words(self.baseline)}"


class Threshold(Estimated):
    """A statement that an arm is better than a number, such as a published one.

    Args:
        value: the number.
        arm: levels of swept factors; all cells where none are given.
        smallest_effect: δ, by how much at least it is better.
        title, metric, better, estimand, above, across, least_clipped: see `Claim`.
    """

    title: str
    metric: str
    better: Better
    value: float
    arm: Levels = {}
    smallest_effect: NonNegative = 0.0
    estimand: Estimand | None = None
    above: float | None = None
    across: Across = "average"
    least_clipped: Share = CLIPPED_STEPS

    def differing(self) -> list[str]:
        """See `Estimated`: it compares no levels."""
        return []

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("arm", self.arm)] if self.arm else []

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`."""
        return [Contrast("", [Difference(sign_of(self.better), self.arm, self.value)])]

    def in_words(self) -> str:
        """See `Estimated`; single runs and cells may lie on the other side."""
        where = f" with {in_words(self.arm)}" if self.arm else ""
        cells = ", averaged over all cells" if self.across == "average" and not self.arm else ""
        return f"{self.better} than {given(self.value)}{OVER_SEEDS[self.estimated()]}{where}{cells}"
