"""The statements that a study puts to the test, and `Exact`, which needs no statistics.

All others are about one number per seed (`contrasts`): a difference between arms, averaged over the cells that the claim does
not name, or one in each of them.
"""

from harness.study.claims_of_arms import Claim, Equivalence, Threshold
from harness.study.claims_of_factors import Interaction, Trend
from harness.study.statement import Statement

ALPHA = 0.05
"""Probability of any wrong verdict in a family of claims, at most."""


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
