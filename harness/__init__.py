"""Ablations of dropout and gradient clipping that can be trusted, in about the time one run takes elsewhere."""

from harness.diagnostics import Diagnostics
from harness.models import Model
from harness.settings import InvalidStudy, Sweep, Tune
from harness.study import Claim, Exact, Study

__all__ = ["Claim", "Diagnostics", "Exact", "InvalidStudy", "Model", "Study", "Sweep", "Tune"]
