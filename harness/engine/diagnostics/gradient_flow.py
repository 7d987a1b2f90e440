"""How gradients change on their way back through time: the slope of ln ‖∂L/∂h_t‖ over the time steps t.

Above 0, gradients shrink from step to step back (they vanish), below 0 they grow (they explode); Pascanu et al. 2013
(arXiv:1211.5063), section 2. h_t counts by all its effects: on the output, and on every later state.
"""

import warnings

import numpy as np
import torch
import torch.nn as nn

from harness.engine.diagnostics.curvature import sample
from harness.engine.feed import Feed
from harness.engine.layers.recurrent import MemberRecurrent
from harness.engine.population import Population
from harness.engine.stability import Array


class GradientFlow:
    """Measures the slope at every evaluation, on the first batch of training examples, dropout off.

    Args:
        population: whose recurrent layers are looked at, forward direction; without one, or where members train one by
            one, nothing is measured.
    """

    def __init__(self, population: Population) -> None:
        self._population = population
        self._slopes: list[Array] = []

    def see(self, feed: Feed) -> None:
        """Measure at the present weights."""
        population = self._population
        x, y = feed.gather(sample(feed, population.runs[0].setup.batch_size))
        layers = {} if population.why_one_by_one else recurrences(population.template, x[0])
        slopes = [np.full(len(population), np.nan)]
        for name, (layer, shape) in layers.items():
            with layer.probed(shape, like=x if x.is_floating_point() else population.parameters):
                zeros = population.parameters.new_zeros(len(population), *shape)
                gradient = population.sensitivity(f"{name}.probe", zeros, x, y)
            norms = gradient.double().square().sum((-2, -1)).sqrt().cpu().numpy()  # (member, layer, time)
            slopes += [slope(norms[:, layer]) for layer in range(norms.shape[1])]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            self._slopes.append(np.nanmean(slopes, axis=0))

    def compact(self, survivors: torch.Tensor) -> None:
        """Go on with the members at these indices only."""
        self._slopes = [slopes[survivors.cpu().numpy()] for slopes in self._slopes]

    def value(self) -> Array:
        """Mean over evaluations and recurrent layers, (member,); NaN without any."""
        return np.asarray(np.mean(self._slopes, axis=0))


def recurrences(module: nn.Module, x: torch.Tensor) -> dict[str, tuple[MemberRecurrent, tuple[int, ...]]]:
    """Recurrent layers that run once over a whole sequence: name → layer and its states' shape (layer, time, batch, units).

    Args:
        module: of one member.
        x: its input, (batch, …).
    """
    seen: dict[str, list[tuple[int, ...]]] = {}

    def hook(name: str, layer: MemberRecurrent) -> object:
        def record(_: nn.Module, inputs: tuple[object, ...], output: tuple[object, ...]) -> None:
            states = output[0]
            if isinstance(states, torch.Tensor):
                batch, steps = states.shape[:2] if layer.batch_first else states.shape[1::-1]
                seen.setdefault(name, []).append((layer.num_layers, steps, batch, layer.hidden_size))

        return layer.register_forward_hook(record)

    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, MemberRecurrent)}
    handles = [hook(name, layer) for name, layer in layers.items()]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        module.eval()(x)
    for handle in handles:
        handle.remove()  # type: ignore[attr-defined]
    return {name: (layers[name], shapes[0]) for name, shapes in seen.items() if len(shapes) == 1 and shapes[0][1] > 1}


def slope(norms: Array) -> Array:
    """Least-squares slope of ln ‖·‖ over time, (member,), of norms (member, time); vanished ones are left out."""
    found = np.full(len(norms), np.nan)
    for i, over_time in enumerate(norms):
        steps = np.flatnonzero((over_time > 0) & np.isfinite(over_time))
        if len(steps) > 1:
            found[i] = np.polyfit(steps, np.log(over_time[steps]), 1)[0]
    return found
