"""`Statement` and `Estimated`: what all claims have in common."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from harness.settings import Component, Problem, Sweep, show
from harness.settings.levels import stored
from harness.settings.metrics import METRICS, Kind
from harness.study.contrasts import Contrast, Levels

Better = Literal["lower", "higher"]
Estimand = Literal["median", "hodges_lehmann", "mean", "rate"]
Across = Literal["average", "each"]
Share = Annotated[float, Field(ge=0, le=1)]

ESTIMANDS: dict[Kind, tuple[Estimand, ...]] = {
    "loss": ("median", "hodges_lehmann"), "bounded": ("median", "mean", "hodges_lehmann"), "rate": ("rate",),
    "share": ("median", "hodges_lehmann"),
}  # fmt: skip
"""What can be claimed of each kind of metric, the default first."""

CLIPPED_STEPS = 0.01


class Statement(Component):
    """What can be claimed of a metric; the base of all claims."""

    title: str
    metric: str

    def measured(self) -> dict[str, str]:
        """The metrics it names, by field."""
        return {"metric": self.metric}

    def arms(self) -> list[tuple[str, Levels]]:
        """The field names and levels that must exist in the study."""
        return []

    def named(self) -> set[str]:
        """The factors over which it does not average."""
        return {path for _, levels in self.arms() for path in levels}

    def with_levels_of(self, sweeps: Mapping[str, Sweep]) -> "Statement":
        """The same claim, its sequences of the kind, list or tuple, that the levels of the sweeps are."""
        arms = {field: _matched(levels, sweeps) for field, levels in self.arms()}
        return self.replace(**arms) if arms else self


class Estimated(Statement):
    """The base of claims that statistics decide.

    Their common settings:

    - `metric`: name of a per-run metric (`harness.settings.metrics.METRICS`, or one of the study's own measures);
    - `better`: whether a `lower` or `higher` value favours the claim;
    - `smallest_effect`: δ, the smallest effect worth having, in the unit of the metric, or of rates where these are compared;
    - `estimand`: what of the numbers of all seeds is claimed: the `median`, the `hodges_lehmann` estimate, the `mean` (of metrics
      between two ends alone, over seeds all of whose runs trained) or the `rate`; by default what holds in every world that
      `harness calibrate` tries;
    - `above`: makes a rate of any metric: a run counts if its value is above this;
    - `across`: whether factors that are not named are averaged over (`average`), or it must hold in `each` of their cells;
    - `least_clipped`: the share of clipped steps from which on a run of a clipping arm was clipped at all.
    """

    if TYPE_CHECKING:  # each class has them as fields, in the order in which they are written

        @property
        def smallest_effect(self) -> float: ...  # noqa: D102
        @property
        def estimand(self) -> Estimand | None: ...  # noqa: D102
        @property
        def above(self) -> float | None: ...  # noqa: D102
        @property
        def across(self) -> Across: ...  # noqa: D102
        @property
        def least_clipped(self) -> float: ...  # noqa: D102

    decides_by: ClassVar[Literal["side", "inside"]] = "side"
    """Whether it holds if its number is above δ, or if it lies within ±δ."""

    def estimand_problems(self) -> list[Problem]:
        """What the metric does not allow; a study asks, which knows all metrics."""
        kind = METRICS[self.metric].kind
        if self.above is not None and kind == "rate":
            return [Problem("above", f"has no meaning: {self.metric} is 0 or 1 of each run already", show(self.above))]
        if kind == "share" and self.above is None and self.estimand is None:
            message = (
                f"is needed: {self.metric} is 0 in many runs, and no interval of its mean holds then. Say from where on a run counts, "
                'such as above=0.01, and δ is a difference of rates; or claim estimand="median"'
            )
            return [Problem("above", message)]
        if self.estimand not in (None, *self._allowed()):
            message = f"of {self.metric} is {' or '.join(self._allowed())}{_why(kind, self.estimand)}"
            return [Problem("estimand", message, show(self.estimand))]
        return []

    def _allowed(self) -> tuple[Estimand, ...]:
        return ("rate",) if self.above is not None else ESTIMANDS[METRICS[self.metric].kind]

    def estimated(self) -> Estimand:
        """The estimand, that which follows from the metric where none was chosen."""
        return self.estimand or self._allowed()[0]

    def counts_runs(self) -> bool:
        """Whether each run is 0 or 1."""
        return self.estimated() == "rate"

    def takes_logarithms(self) -> bool:
        """Whether it compares the logarithms of a metric, which makes ratios of differences."""
        return False

    def differing(self) -> list[str]:
        """The factors between whose levels it compares."""
        raise NotImplementedError

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """What it says something of: of one number per seed, or of several, all of which must bear it out."""
        raise NotImplementedError

    def in_full(self, sweeps: Mapping[str, Sweep]) -> Self:
        """The same claim, levels said that it leaves to the sweeps."""
        return self

    def in_words(self) -> str:
        """What is claimed of its `subject`."""
        raise NotImplementedError

    def between(self) -> str:
        """Between what its subject would differ, where that does not go without saying: " between … and …", or ""."""
        return ""

    def subject(self, what: str) -> str:
        """What it speaks of, in words: its metric, or the rate that is made of it, or a change of these.

        Args:
            what: the metric or the rate.
        """
        return what

    def compared(self) -> str:
        """What is compared, whatever the metric."""
        return self.in_words()

    def opposite(self) -> "Estimated":
        """The same claim of the other direction."""
        return self.replace(better="higher" if self.values()["better"] == "lower" else "lower")


def _why(kind: Kind, estimand: Estimand | None) -> str:
    if estimand == "mean" and kind in ("loss", "share"):
        return ": there is no valid interval of the mean of what is unbounded or mostly zero (Bahadur & Savage 1956)"
    return "; above= makes a rate of it" if estimand == "rate" else ""


def sign_of(better: Better) -> float:
    """+1 where higher is better."""
    return 1.0 if better == "higher" else -1.0


def same_arms(treatment: Levels, baseline: Levels, field: str = "treatment", other: str = "baseline") -> list[Problem]:
    """That two arms are one."""
    same = set(treatment) == set(baseline)
    if same and all(stored(level) == stored(baseline[path]) for path, level in treatment.items()):
        return [Problem(field, f"must differ from {other}", show(treatment))]
    return []


def differing_paths(arm: Levels, other: Levels) -> list[str]:
    """The factors in which two arms differ."""
    return [path for path, level in arm.items() if stored(level) != stored(other.get(path))]


def _matched(levels: Levels, sweeps: Mapping[str, Sweep]) -> Levels:
    found = dict(levels)
    for path in found.keys() & sweeps.keys():
        alike = [own for own in sweeps[path].levels if show(_as_tuples(own)) == show(_as_tuples(found[path]))]
        found[path] = alike[0] if alike and isinstance(found[path], list | tuple) else found[path]
    return found


def _as_tuples(level: Any) -> Any:
    return tuple(map(_as_tuples, level)) if isinstance(level, list | tuple) else level
