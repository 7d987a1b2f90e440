"""`Diagnostics`: how much a study measures."""

from typing import Literal

from harness.settings import Component
from harness.settings.metrics import DETAIL, METRICS, Metric


class Diagnostics(Component):
    """Which metrics the runs of the confirm phase have. Training is the same at every level.

    Args:
        level: `light` costs next to nothing. `standard` adds what takes a few passes over the test split at the end: calibration,
            robustness to noise, recurrent matrices. `full` adds what takes gradients:
            sharpness, the gradient noise scale, the rank of weights.
    """

    level: Literal["light", "standard", "full"] = "light"

    def metrics(self) -> dict[str, Metric]:
        """The metrics of this level and of those below it."""
        most = DETAIL.index(self.level)
        return {name: metric for name, metric in METRICS.items() if DETAIL.index(metric.level) <= most}
