"""Studies: what a user writes, checked as a whole before anything trains."""

from harness.study.claims import Claim, Exact, Levels
from harness.study.study import Study

__all__ = ["Claim", "Exact", "Levels", "Study"]
