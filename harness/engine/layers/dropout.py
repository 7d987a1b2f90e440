"""Dropout whose mask comes from outside, so that each member of a population has its own p and its seed's own noise.

All runs of a seed share the noise, whatever their p: where U < p a unit is dropped, so masks are nested in p.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.layers.masks import BernoulliMask, GaussianMask, Mask, Probabilities
from harness.models.noise import GaussianDropout, Zoneout
from harness.settings.schedules import Schedule


class MemberDropout(nn.Module):
    """Stands in for a dropout layer: multiplies by a mask that is one of its buffers.

    A layer that is called several times in one forward pass has one mask for each call. Their shapes are found by
    a forward pass in measuring mode (`measure`). While `active` is false the layer passes everything on.

    Args:
        level: probability of dropping, below 1, or a schedule of it.
        noisy_axes: leading axes of the input over which the noise varies; None for all.
        unbatched: number of axes at which torch's layer takes its input for one example without a batch axis.
    """

    reads_p = False
    """Whether the layer needs p itself, in a buffer `p`, and not only masks."""

    def __init__(self, level: float | Schedule, noisy_axes: int | None = None, unbatched: int = 0) -> None:
        super().__init__()
        if not (isinstance(level, Schedule) or 0 <= level < 1):
            raise ValueError(f"dropout probability must lie in [0, 1), but got {level}")
        self.level, self.noisy_axes, self.unbatched = level, noisy_axes, unbatched
        self.shapes: list[tuple[int, ...]] = []
        self.calls: int | None = None
        self.active = True
        if self.reads_p:
            self.p: Tensor
            self.register_buffer("p", torch.zeros(()))

    def mask_of(self, name: str, shape: tuple[int, ...], levels: Probabilities, rows: Mapping[int, slice]) -> Mask:
        """What draws the masks of one call; arguments as of `Mask`."""
        return BernoulliMask(name, shape, levels, rows)

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
        mask = self.next_mask(x)
        return x if mask is None else x * mask

    def next_mask(self, x: Tensor) -> Tensor | None:
        """The mask of this call with `x`; None where there is nothing to drop, or its shape is only being measured."""
        if not self.training or not self.active:
            return None
        if self.calls is None:
            axes = x.dim() if self.noisy_axes is None else self.noisy_axes - (x.dim() == self.unbatched)
            self.shapes.append((*x.shape[:axes], *[1] * (x.dim() - axes)))
            self.register_buffer(f"mask_{len(self.shapes) - 1}", torch.ones(self.shapes[-1], dtype=x.dtype))
            return None
        self.calls += 1
        return self.get_buffer(f"mask_{self.calls - 1}")


class MemberAlphaDropout(MemberDropout):
    """Stands in for `nn.AlphaDropout`: what is dropped becomes −α, and mean and variance of a SELU's output stay.

    Of m = U ≥ p: (x·m − α·(1 − m))·a + α·a·p with a = 1/√((1 − p)(1 + α²·p)) (Klambauer et al. 2017, arXiv:1706.02515).
    """

    reads_p = True
    ALPHA = 1.7580993408473766
    """λ·α of the SELU, minus its value far below zero."""

    def mask_of(self, name: str, shape: tuple[int, ...], levels: Probabilities, rows: Mapping[int, slice]) -> Mask:
        """See `MemberDropout.mask_of`; what is not dropped is scaled by a."""
        return BernoulliMask(name, shape, levels, rows, self._scale)

    def _scale(self, p: Tensor) -> Tensor:
        return ((1 - p) * (1 + self.ALPHA**2 * p)).rsqrt()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        mask = self.next_mask(x)
        return x if mask is None else (x + self.ALPHA) * mask - self.ALPHA * (1 - self.p) * self._scale(self.p)


class MemberGaussianDropout(MemberDropout):
    """Stands in for a `GaussianDropout`."""

    def mask_of(self, name: str, shape: tuple[int, ...], levels: Probabilities, rows: Mapping[int, slice]) -> Mask:
        """See `MemberDropout.mask_of`."""
        return GaussianMask(name, shape, levels, rows)


class MemberZoneout(MemberDropout):
    """Stands in for a `Zoneout`: units hold on to their last value where U < p."""

    reads_p = True

    def forward(self, shape: Tensor) -> Tensor | None:  # type: ignore[override]
        """See `Zoneout.forward`."""
        if not self.active:
            return None
        if not self.training:
            return self.p.view([1] * shape.dim())
        mask = self.next_mask(shape)
        return None if mask is None else (mask == 0).to(mask.dtype)


STAND_INS: dict[type[nn.Module], Callable[[Any], MemberDropout]] = {
    nn.Dropout: lambda layer: MemberDropout(layer.p),
    nn.Dropout1d: lambda layer: MemberDropout(layer.p, noisy_axes=2, unbatched=2),
    nn.Dropout2d: lambda layer: MemberDropout(layer.p, noisy_axes=2),
    nn.Dropout3d: lambda layer: MemberDropout(layer.p, noisy_axes=2, unbatched=4),
    nn.AlphaDropout: lambda layer: MemberAlphaDropout(layer.p),
    nn.FeatureAlphaDropout: lambda layer: MemberAlphaDropout(layer.p, noisy_axes=2),
    GaussianDropout: lambda layer: MemberGaussianDropout(layer.p),
    Zoneout: lambda layer: MemberZoneout(layer.p),
}
"""By the layer that they stand in for."""


def dropouts(module: nn.Module) -> dict[str, MemberDropout]:
    """The member-aware dropout layers of a module by name."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, MemberDropout)}
