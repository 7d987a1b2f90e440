"""The random numbers of a population's forward pass: every dropout mask of every member, and the probabilities behind them."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.layers.dropout import dropouts
from harness.engine.layers.masks import Mask, Probabilities


class Noise:
    """The dropout of a population.

    Args:
        modules: of the members; each one's dropout layers say its p.
        steps: of the whole training.
        device: where masks live.
        dtype: of masks.
    """

    def __init__(self, modules: Sequence[nn.Module], *, steps: int, device: torch.device, dtype: torch.dtype) -> None:
        layers = [dropouts(module) for module in modules]
        self._levels = {
            name: Probabilities([member[name].level for member in layers], steps=steps, device=device, dtype=dtype)
            for name in layers[0]
        }
        self._read = {f"{name}.p": self._levels[name] for name, layer in layers[0].items() if layer.reads_p}
        self._masks: list[Mask] = []

    def ready(self, module: nn.Module) -> None:
        """Prepare a member's module for the forward pass that measures the shapes of its masks."""
        for name, layer in dropouts(module).items():
            layer.measure()
            layer.active = self._levels[name].acts

    def measured(self, module: nn.Module, rows: Mapping[int, slice]) -> None:
        """Make masks of the shapes that a forward pass of `module` has measured.

        Args:
            module: one for which `ready` was called.
            rows: seed → its members, which lie next to each other.
        """
        self._masks = [
            layer.mask_of(f"{name}.mask_{i}", shape, self._levels[name], rows)
            for name, layer in dropouts(module).items()
            for i, shape in enumerate(layer.shapes)
        ]

    def draw(self) -> None:
        """New masks for every member, from its seed's streams, at its p of the next step."""
        for levels in self._levels.values():
            levels.advance()
        for mask in self._masks:
            mask.draw()

    def compact(self, survivors: Tensor, rows: Mapping[int, slice]) -> None:
        """Go on with the members at these indices only; `rows` are where they lie from now on."""
        for levels in self._levels.values():
            levels.compact(survivors)
        for mask in self._masks:
            mask.compact(rows)

    def generators(self) -> list[torch.Generator]:
        """Where the masks come from."""
        return [generator for mask in self._masks for generator in mask.streams.values()]

    def probabilities(self) -> dict[str, Tensor]:
        """The p of layers that read it, by the names of their buffers, (member,)."""
        return {name: levels.p for name, levels in self._read.items()}

    def masks(self) -> dict[str, Tensor]:
        """The masks of the last `draw` by the names of the buffers they stand for, (member, …)."""
        return {mask.name: mask.values for mask in self._masks}
