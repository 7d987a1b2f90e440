"""Studies: what a user writes, checked as a whole before anything trains."""

from harness.study.claims import AnyClaim, Exact
from harness.study.claims_of_arms import Claim, Equivalence, Threshold
from harness.study.claims_of_factors import Interaction, Trend
from harness.study.contrasts import Levels
from harness.study.published import Published
from harness.study.statement import Estimated, Statement
from harness.study.study import Study

__all__ = [
    "AnyClaim",
    "Claim",
    "Equivalence",
    "Estimated",
    "Exact",
    "Interaction",
    "Levels",
    "Published",
    "Statement",
    "Study",
    "Threshold",
    "Trend",
]
