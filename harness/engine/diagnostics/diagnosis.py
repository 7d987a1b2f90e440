"""`Diagnosis`: what a population's training hands over to diagnostics, while it trains and when it is done."""

from typing import Any

import torch
from torch import Tensor

from harness.engine.diagnostics.best import BestWeights
from harness.engine.diagnostics.churn import predictions
from harness.engine.diagnostics.curvature import NoiseScale, sharpness
from harness.engine.diagnostics.gradient_flow import GradientFlow
from harness.engine.diagnostics.predictions import calibration, memorization, noise_error
from harness.engine.diagnostics.weights import recurrent_matrices, weight_rank
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array


class Diagnosis:
    """Measures what the study's `Diagnostics` ask for, and the best weights at every level; nothing in the tune phase.

    Args:
        population: its members train on.
        feed: their examples.
    """

    def __init__(self, population: Members, feed: Feed) -> None:
        self._population, self._feed = population, feed
        run = population.runs[0]
        self._level = run.setup.metrics.level if run.confirm else "light"
        self._best = BestWeights(population) if run.confirm else None
        self._noise_scale = NoiseScale(population) if self._level == "full" else None
        self._flow = GradientFlow(population) if self._level == "full" else None

    def evaluate(self, step: int, validation_loss: Array) -> None:
        """See the weights after some step, with their validation loss (member,)."""
        if self._best is not None:
            self._best.see(step, validation_loss)
        if self._noise_scale is not None:
            self._noise_scale.see(self._feed)
        if self._flow is not None:
            self._flow.see(self._feed)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the population's own `compact`."""
        for part in (self._best, self._noise_scale, self._flow):
            if part is not None:
                part.compact(survivors)

    def final(self, present: dict[str, Array]) -> dict[str, Any]:
        """Metrics of the members that are left, and their predictions (see `churn`), (member,) each.

        Args:
            present: what was measured of their last weights, see `final_metrics`.
        """
        found: dict[str, Any] = {} if self._best is None else self._best.metrics(self._feed, present)
        if self._level == "light":
            return found
        with torch.no_grad():
            found |= recurrent_matrices(self._population) | calibration(self._population, self._feed)
            found |= predictions(self._population, self._feed)
            found["memorization"] = memorization(self._population, self._feed)
            found["noise_error"] = noise_error(self._population, self._feed)
        if self._flow is not None:
            found["gradient_flow"] = self._flow.value()
        if self._noise_scale is not None:
            found["gradient_noise_scale"] = self._noise_scale.value()
            found["sharpness"] = sharpness(self._population, self._feed)
            found["weight_rank"] = weight_rank(self._population)
        return found
