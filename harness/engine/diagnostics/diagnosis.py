"""`Diagnosis`: what a population's training hands over to diagnostics, while it trains and when it is done."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.engine.diagnostics.churn import predictions
from harness.engine.diagnostics.gradient_flow import PROFILE, GradientFlow
from harness.engine.diagnostics.noise_scale import NoiseScale
from harness.engine.diagnostics.predictions import calibration, memorization, noise_error
from harness.engine.diagnostics.sharpness import sharpness
from harness.engine.diagnostics.weights import matrices, recurrent_matrices, weight_rank
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array


class Diagnosis:
    """Measures what the study's `Diagnostics` ask for; nothing in the tune phase.

    Args:
        population: its members train on.
        feed: their examples.
    """

    def __init__(self, population: Members, feed: Feed) -> None:
        self._population, self._feed = population, feed
        run = population.runs[0]
        self._level = run.setup.metrics.level if run.confirm else "light"
        self._noise_scale = NoiseScale(population) if self._level == "full" else None
        self._flow = GradientFlow(population) if self._level == "full" else None
        self._alive, self._over_training = np.arange(len(population)), dict[str, Array]()

    def evaluate(self) -> None:
        """See the weights after some step."""
        if self._noise_scale is not None:
            self._noise_scale.see(self._feed)
        if self._flow is not None:
            self._flow.see(self._feed)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the population's own `compact`."""
        self._keep()
        self._alive = self._alive[survivors.cpu().numpy()]
        for part in (self._noise_scale, self._flow):
            if part is not None:
                part.compact(survivors)

    def _keep(self) -> None:
        """Take note of what is known of the present members from their training so far."""
        known: dict[str, Array | None] = {}
        if self._flow is not None:
            known |= {"gradient_flow": self._flow.value(), PROFILE: self._flow.profile()}
        if self._noise_scale is not None:
            known["gradient_noise_scale"] = self._noise_scale.value()
        for name, found in known.items():
            if found is not None:
                self._over_training.setdefault(name, np.full_like(found, np.nan))[self._alive] = found

    def final(self, members: list[int]) -> dict[str, Any]:
        """Metrics of the members of the population, and their predictions (see `churn`), (member,) each.

        Args:
            members: who they are, by their places in the beginning.
        """
        self._keep()
        found: dict[str, Any] = {}
        if self._level == "light":
            return found
        with torch.no_grad():
            weights = matrices(self._population, self._feed)
            found |= recurrent_matrices(weights, len(members)) | calibration(self._population, self._feed)
            found |= predictions(self._population, self._feed)
            found["memorization"] = memorization(self._population, self._feed)
            found["noise_error"] = noise_error(self._population, self._feed)
        found |= {name: values[members] for name, values in self._over_training.items()}
        if self._level == "full":
            found["sharpness"] = sharpness(self._population, self._feed)
            found["weight_rank"] = weight_rank(weights, len(members))
        return found

    def state_dict(self) -> dict[str, Any]:
        """What was measured over training so far, see `checkpoint`."""
        parts = {"noise_scale": self._noise_scale, "flow": self._flow}
        own = {name: part.state_dict() for name, part in parts.items() if part is not None}
        return own | {"alive": self._alive, "over_training": self._over_training}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._alive, self._over_training = state["alive"], state["over_training"]
        if self._noise_scale is not None:
            self._noise_scale.load_state_dict(state["noise_scale"])
        if self._flow is not None:
            self._flow.load_state_dict(state["flow"])
