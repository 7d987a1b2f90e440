"""`Claim` and `Exact`: the statements that a study puts to the test."""

from collections.abc import Mapping
from typing import Any, Literal

from harness.settings import Component, Positive, Problem, Sweep, show
from harness.settings.levels import stored

Levels = dict[str, Any]
"""Factor path → one level of its sweep."""

ALPHA = 0.05
"""Probability of any wrong verdict in a family of claims, at most."""


class Claim(Component):
    """A statement that one arm is better than another, to be tested over the seeds of the confirm phase.

    Args:
        title: the statement in words.
        metric: name of a per-run metric (`harness.settings.metrics.METRICS`, or one of the study's own measures).
        better: whether a `lower` or `higher` value favours the claim.
        smallest_effect: δ > 0, the smallest difference worth having, in the unit of the metric.
        treatment: levels of swept factors that make the arm said to be better.
        baseline: levels of the same factors for the other arm. Factors not named are averaged over.
    """

    title: str
    metric: str
    better: Literal["lower", "higher"]
    smallest_effect: Positive
    treatment: Levels
    baseline: Levels

    def check(self) -> list[Problem]:
        """The arms differ; whether both name the same factors, and a metric, a study says, which knows them."""
        same = set(self.treatment) == set(self.baseline)
        if same and all(stored(level) == stored(self.baseline[path]) for path, level in self.treatment.items()):
            return [Problem("treatment", "must differ from baseline", show(self.treatment))]
        return []

    def with_levels_of(self, sweeps: Mapping[str, Sweep]) -> "Claim":
        """The same claim, its sequences of the kind, list or tuple, that the levels of the sweeps are."""
        arms = {field: _matched(levels, sweeps) for field, levels in self.arms() if isinstance(levels, dict)}
        return self.replace(**arms)

    def measured(self) -> dict[str, str]:
        """The metrics it names, by field."""
        return {"metric": self.metric}

    def differing(self) -> list[str]:
        """The factors between whose levels it compares."""
        return [path for path, level in self.treatment.items() if stored(level) != stored(self.baseline.get(path))]

    def arms(self) -> list[tuple[str, Levels]]:
        """The field names and levels that must exist in the study."""
        return [("treatment", self.treatment), ("baseline", self.baseline)]


def _matched(levels: Levels, sweeps: Mapping[str, Sweep]) -> Levels:
    found = dict(levels)
    for path in found.keys() & sweeps.keys():
        alike = [own for own in sweeps[path].levels if show(_as_tuples(own)) == show(_as_tuples(found[path]))]
        found[path] = alike[0] if alike and isinstance(found[path], list | tuple) else found[path]
    return found


def _as_tuples(level: Any) -> Any:
    return tuple(map(_as_tuples, level)) if isinstance(level, list | tuple) else level


class Exact(Component):
    """A statement that needs no statistics: in every finished run of the confirm phase, `metric` equals a number.

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
        """The metrics it names, by field."""
        return {"metric": self.metric} | ({"unless": self.unless} if self.unless is not None else {})

    def arms(self) -> list[tuple[str, Levels]]:
        """No levels: all cells."""
        return []
