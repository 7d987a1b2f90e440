"""Dropout whose mask comes from outside, so that each member of a population has its own p and its seed's own noise.

The mask is U ≥ p for a uniform U that all runs of a seed share, whatever their p: masks are nested in p.
"""

import torch
import torch.nn as nn
from torch import Tensor

SWAPPED = {nn.Dropout: None, nn.Dropout1d: 2, nn.Dropout2d: 2, nn.Dropout3d: 2}
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
