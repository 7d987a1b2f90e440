"""`Claim`, `Equivalence`, `Trend`, `Interaction`, `Threshold` and `Exact`: the statements that a study puts to the test.

All but `Exact` are about one number per seed (`contrasts`): a difference between arms, averaged over the cells that the claim
does not name, or one in each of them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.settings import Component, NonNegative, Positive, Problem, Sweep, show
from harness.settings.levels import in_words, label, stored
from harness.settings.metrics import METRICS, Kind
from harness.study.contrasts import Contrast, Difference, Levels, trend

Better = Literal["lower", "higher"]
Estimand = Literal["median", "hodges_lehmann", "mean", "rate"]
Across = Literal["average", "each"]
Share = Annotated[float, Field(ge=0, le=1)]

ESTIMANDS: dict[Kind, tuple[Estimand, ...]] = {
    "loss": ("median", "hodges_lehmann"), "bounded": ("mean", "median", "hodges_lehmann"), "rate": ("rate",),
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
      between two ends alone, over seeds all of whose runs trained) or the `rate`; by default what the kind of metric allows best;
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

    def differing(self) -> list[str]:
        """The factors between whose levels it compares."""
        raise NotImplementedError

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """What it says something of: of one number per seed, or of several, all of which must bear it out."""
        raise NotImplementedError

    def in_words(self) -> str:
        """What is compared."""
        raise NotImplementedError


def _why(kind: Kind, estimand: Estimand | None) -> str:
    if estimand == "mean" and kind in ("loss", "share"):
        return ": there is no valid interval of the mean of what is unbounded or mostly zero (Bahadur & Savage 1956)"
    return "; above= makes a rate of it" if estimand == "rate" else ""


def sign_of(better: Better) -> float:
    """+1 where higher is better."""
    return 1.0 if better == "higher" else -1.0


class Claim(Estimated):
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

    def check(self) -> list[Problem]:
        """The arms differ; whether both name the same factors, and a metric, a study says, which knows them."""
        return _same_arms(self.treatment, self.baseline)

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return _differing(self.treatment, self.baseline)

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("treatment", self.treatment), ("baseline", self.baseline)]

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`."""
        return [Contrast("", [Difference(sign_of(self.better), self.treatment, self.baseline)])]

    def in_words(self) -> str:
        """See `Estimated`."""
        return f"{self.better} with {in_words(self.treatment)} than with {in_words(self.baseline)}"


class Equivalence(Estimated):
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

    def check(self) -> list[Problem]:
        """See `Claim`."""
        return _same_arms(self.treatment, self.baseline)

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return _differing(self.treatment, self.baseline)

    def arms(self) -> list[tuple[str, Levels]]:
        """See `Statement`."""
        return [("treatment", self.treatment), ("baseline", self.baseline)]

    def contrasts(self, sweeps: Mapping[str, Sweep]) -> list[Contrast]:
        """See `Estimated`; positive where the treatment has the higher values."""
        return [Contrast("", [Difference(1.0, self.treatment, self.baseline)])]

    def in_words(self) -> str:
        """See `Estimated`."""
        return f"the same with {in_words(self.treatment)} and with {in_words(self.baseline)}"


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
    at: Levels = {}  # noqa: RUF012 - never changed: components are frozen
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
            for a, b in zip(arms, arms[1:], strict=False)
        ]
        return [
            Contrast(name, [Difference(sign, after, before)])
            for name, before, after in zip(names, arms, arms[1:], strict=False)
        ]

    def in_words(self) -> str:
        """See `Estimated`."""
        held = f" at {in_words(self.at)}" if self.at else ""
        return f"{self.better} along {self.factor}{held}"


class Interaction(Estimated):
    """A statement that the effect of a treatment is larger in one place than in another.

    The number of a seed is (treatment − baseline) where `here` holds, less the same where `there` holds; positive where
    the treatment helps more `here`.

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
        if found := _same_arms(self.treatment, self.baseline) or _same_arms(self.here, self.there, "here", "there"):
            return found
        if both := sorted(set(self.treatment) & set(self.here)):
            return [Problem("here", f"names {', '.join(both)}, which the treatment names", show(self.here))]
        return []

    def estimand_problems(self) -> list[Problem]:
        """See `Estimated`; ratios are of what is above 0 and unbounded."""
        if self.scale == "ratio" and (self.above is not None or METRICS[self.metric].kind != "loss"):
            message = f"of {self.metric} must be difference: ratios are for losses, norms and the like"
            return [Problem("scale", message, show(self.scale))]
        return super().estimand_problems()

    def differing(self) -> list[str]:
        """See `Estimated`."""
        return [*_differing(self.treatment, self.baseline), *_differing(self.here, self.there)]

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
        return f"made {self.better} by {in_words(self.treatment)} against {in_words(self.baseline)} more with {in_words(self.here)} than with {in_words(self.there)}"


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
    arm: Levels = {}  # noqa: RUF012 - never changed: components are frozen
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
        """See `Estimated`."""
        return f"{self.better} than {self.value:g} with {in_words(self.arm)}"


class Exact(Statement):
    """A statement that needs no statistics: in every run of the confirm phase, `metric` equals a number.

    Runs that diverged or collapsed count like all others. A run that failed, or has no value, is an exclusion, which is listed;
    where there are more than one in ten nothing is said.

    Args:
        title: the statement in words.
        metric: name of a per-run metric.
        equals: its value, exactly.
        unless: a metric that must not be zero somewhere, or the claim was never put to the test (manipulation check).
    """

    title: str
    metric: str
    equals: float = 0.0
    unless: str | None = None

    def measured(self) -> dict[str, str]:
        """See `Statement`."""
        return {"metric": self.metric} | ({"unless": self.unless} if self.unless is not None else {})


AnyClaim = Claim | Equivalence | Trend | Interaction | Threshold | Exact

KINDS: dict[str, type[Statement]] = {
    kind.__name__: kind for kind in (Claim, Equivalence, Trend, Interaction, Threshold, Exact)
}


def _same_arms(treatment: Levels, baseline: Levels, field: str = "treatment", other: str = "baseline") -> list[Problem]:
    same = set(treatment) == set(baseline)
    if same and all(stored(level) == stored(baseline[path]) for path, level in treatment.items()):
        return [Problem(field, f"must differ from {other}", show(treatment))]
    return []


def _differing(arm: Levels, other: Levels) -> list[str]:
    return [path for path, level in arm.items() if stored(level) != stored(other.get(path))]


def _matched(levels: Levels, sweeps: Mapping[str, Sweep]) -> Levels:
    found = dict(levels)
    for path in found.keys() & sweeps.keys():
        alike = [own for own in sweeps[path].levels if show(_as_tuples(own)) == show(_as_tuples(found[path]))]
        found[path] = alike[0] if alike and isinstance(found[path], list | tuple) else found[path]
    return found


def _as_tuples(level: Any) -> Any:
    return tuple(map(_as_tuples, level)) if isinstance(level, list | tuple) else level
