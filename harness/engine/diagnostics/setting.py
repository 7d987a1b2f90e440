"""`Diagnostics`: what a study measures."""

from typing import Literal

from harness.settings import Component, Problem
from harness.settings.measures import Measure
from harness.settings.metrics import DETAIL, Metric, shipped


class Diagnostics(Component):
    """Which metrics the runs of the confirm phase have. Training is the same whatever is measured.

    Args:
        level: `light` costs next to nothing. `standard` adds what takes a few passes over the test split at the end: calibration,
            robustness to noise, recurrent matrices. `full` adds what takes gradients:
            sharpness, the gradient noise scale, gradient flow along time, the rank of weights.
        measures: metrics of the user's own.
    """

    level: Literal["light", "standard", "full"] = "light"
    measures: list[Measure] | tuple[Measure, ...] = ()

    def check(self) -> list[Problem]:
        """See `Component.check`: no metric is measured in two ways."""
        found, names = [], set[str]()
        for i, measure in enumerate(self.measures):
            if not measure.problems():
                if taken := names & measure.metrics().keys():
                    message = f"gives {min(taken)}, as another one does; rename its function"
                    found.append(Problem(f"measures[{i}]", message, measure.name))
                names |= measure.metrics().keys()
        return found

    def metrics(self) -> dict[str, Metric]:
        """The metrics of this level and of those below it, and the user's own."""
        most = DETAIL.index(self.level)
        found = {name: metric for name, metric in shipped().items() if DETAIL.index(metric.level) <= most}
        return found | self.own()

    def own(self) -> dict[str, Metric]:
        """The user's own."""
        return {name: metric for measure in self.measures for name, metric in measure.metrics().items()}

    def register(self) -> None:
        """Make the user's own metrics known as these measures have them, whatever another study has made of their names."""
        for measure in self.measures:
            measure.register()
