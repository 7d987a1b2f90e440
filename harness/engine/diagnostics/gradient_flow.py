"""How gradients change on their way back through time: ‖∂L/∂h_t‖ at each time step t, and the slope of its logarithm.

Slope above 0, gradients shrink from step to step back (they vanish), below 0 they grow (they explode); Pascanu et al. 2013
(arXiv:1211.5063), section 2. h_t counts by all its effects: on the output, and on every later state.
"""

import warnings

import numpy as np
import torch

from harness.engine.diagnostics.noise_scale import sample
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.obstacles import NoKernel
from harness.engine.stability import Array

PROFILE = "gradient_profile"
"""A column of the engine's table of runs: ‖∂L/∂h_t‖ by time step as float64 bytes, none where a run has no such profile."""


class GradientFlow:
    """Measures norms and their slope at every evaluation, on the first batch of training examples, dropout off.

    Args:
        population: whose recurrent layers are looked at, forward direction; without one nothing is measured.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._slopes: list[Array] = []
        self._logarithms: list[Array] = []

    def see(self, feed: Feed) -> None:
        """Measure at the present weights."""
        population = self._population
        x, y = feed.gather(sample(feed, population.runs[0].setup.batch_size))
        slopes, logarithms = [np.full(len(population), np.nan)], list[Array]()
        try:
            gradients = population.state_gradients(x, y)
        except NoKernel:  # which was said before training
            gradients = []
        for gradient in gradients:
            norms = gradient.double().square().sum((-2, -1)).sqrt().cpu().numpy()  # (member, time)
            slopes.append(slope(norms))
            with np.errstate(divide="ignore"):  # vanished
                logarithms.append(np.log(norms))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            self._slopes.append(np.nanmean(slopes, axis=0))
        if len({each.shape for each in logarithms}) == 1:  # layers of one length
            self._logarithms.append(np.mean(logarithms, axis=0))

    def compact(self, survivors: torch.Tensor) -> None:
        """Go on with the members at these indices only."""
        kept = survivors.cpu().numpy()
        self._slopes = [slopes[kept] for slopes in self._slopes]
        self._logarithms = [logarithms[kept] for logarithms in self._logarithms]

    def state_dict(self) -> dict[str, list[Array]]:
        """What was found at all evaluations, see `checkpoint`."""
        return {"slopes": self._slopes, "logarithms": self._logarithms}

    def load_state_dict(self, state: dict[str, list[Array]]) -> None:
        """Go on from there."""
        self._slopes, self._logarithms = state["slopes"], state.get("logarithms", [])  # as older checkpoints are

    def value(self) -> Array:
        """Mean over evaluations and recurrent layers, (member,); NaN without any, or where no kernel computes one."""
        return np.asarray(np.mean(self._slopes, axis=0))

    def profile(self) -> Array | None:
        """‖∂L/∂h_t‖, (member, time), geometric means over evaluations and recurrent layers; None unless all had as many time steps."""
        if not self._logarithms or len(self._logarithms) < len(self._slopes):
            return None
        return np.asarray(np.exp(np.mean(self._logarithms, axis=0)))


def slope(norms: Array) -> Array:
    """Least-squares slope of ln ‖·‖ over time, (member,), of norms (member, time); vanished ones are left out."""
    found = np.full(len(norms), np.nan)
    for i, over_time in enumerate(norms):
        steps = np.flatnonzero((over_time > 0) & np.isfinite(over_time))
        if len(steps) > 1:
            found[i] = np.polyfit(steps, np.log(over_time[steps]), 1)[0]
    return found
