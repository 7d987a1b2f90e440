"""Studies: what a user writes, checked as a whole before anything trains."""

from harness.study.claims import Claim, Exact, Levels
from harness.study.study import MOST_SEEDS, Study

__all__ = ["MOST_SEEDS", "Claim", "Exact", "Levels", "Study"]
