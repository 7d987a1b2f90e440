"""Dropout whose mask comes from outside, so that each member of a population has its own p and its seed's own noise.

The mask is U ≥ p for a uniform U that all runs of a seed share, whatever their p: masks are nested in p. U is a multiple of
2^-16, four of which come from one 64-bit random number: drawing single floats took up to a seventh of a training step.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn as nn
from torch import Tensor

from harness.randomness import stream

NOISY_AXES: dict[type[nn.Module], int | None] = {nn.Dropout: None, nn.Dropout1d: 2, nn.Dropout2d: 2, nn.Dropout3d: 2}
"""Layers that `MemberDropout` stands in for, and how many leading axes of their input the noise varies over (None: all)."""


class MemberDropout(nn.Module):
    """Stands in for a dropout layer: multiplies by a mask, scaled by 1/(1 − p), that is one of its buffers.

    A layer that is called several times in one forward pass has one mask for each call. Their shapes are found by
    a forward pass in measuring mode (`measure`). While `active` is false the layer passes everything on.

    Args:
        p: probability of dropping, below 1.
        noisy_axes: leading axes of the input over which the noise varies; None for all.
    """

    def __init__(self, p: float, noisy_axes: int | None = None) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout probability must lie in [0, 1), but got {p}")
        self.p, self.noisy_axes = p, noisy_axes
        self.shapes: list[tuple[int, ...]] = []
        self.calls: int | None = None
        self.active = True

    def measure(self) -> None:
        """Forget the masks; until `rewind` every call adds a mask of ones and records its shape."""
        for i in range(len(self.shapes)):
            delattr(self, f"mask_{i}")
        self.shapes, self.calls, self.active = [], None, True

    def rewind(self) -> None:
        """Make the next call the first of a forward pass."""
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """`x` times this call's mask; `x` itself in eval mode."""
        if not self.training or not self.active:
            return x
        if self.calls is None:
            axes = x.dim() if self.noisy_axes is None else self.noisy_axes
            self.shapes.append((*x.shape[:axes], *[1] * (x.dim() - axes)))
            self.register_buffer(f"mask_{len(self.shapes) - 1}", torch.ones(self.shapes[-1], dtype=x.dtype))
            return x
        self.calls += 1
        return x * self.get_buffer(f"mask_{self.calls - 1}")


class Mask:
    """The masks of one call of one dropout layer for all members: (U ≥ p) / (1 − p), with U from each seed's own stream.

    Args:
        name: of the buffer it stands for; names the streams too.
        shape: of one member's mask.
        p: (member,) probabilities of dropping.
        rows: seed → its members, which lie next to each other.

    Attributes:
        values: (member, …) the masks of the last `draw`.
        streams: seed → where its noise comes from.
    """

    def __init__(self, name: str, shape: tuple[int, ...], *, p: Tensor, rows: Mapping[int, slice]) -> None:
        self.name, self._rows = name, rows
        self._p, size = p.view(-1, *[1] * len(shape)), math.prod(shape)
        self.streams = {seed: stream(seed, f"dropout {name}", p.device) for seed in rows}
        self._words = torch.empty(-(-size // 4), device=p.device, dtype=torch.int64)
        self._noise = self._words.view(torch.int16)[:size].view(shape)
        self._allocate()

    def _allocate(self) -> None:
        self._bound = ((self._p * 2**16).ceil() - 2**15).clamp(max=2**15 - 1).to(torch.int16)
        self._scale = 1 / (1 - self._p)
        self.values = self._scale.expand(-1, *self._noise.shape).contiguous()
        self._kept = torch.empty_like(self.values, dtype=torch.bool)

    def draw(self) -> None:
        """New masks, one seed after another: its noise is still in the caches when its members compare with it."""
        for seed, rows in self._rows.items():
            self._words.random_(-(2**63), None, generator=self.streams[seed])
            torch.ge(self._noise, self._bound[rows], out=self._kept[rows])
            torch.mul(self._kept[rows], self._scale[rows], out=self.values[rows])

    def keep(self, kept: Tensor, rows: Mapping[int, slice]) -> None:
        """Go on with some members only; `rows` are where they lie from now on."""
        self._p, self._rows = self._p[kept], rows
        self._allocate()
