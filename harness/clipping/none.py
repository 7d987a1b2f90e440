"""Rules that leave every finite gradient as it is: the control arms."""

import torch
from torch import Tensor

from harness.clipping.rule import ClippingRule, Gradient


class NoClipping(ClippingRule):
    """Nothing is clipped, as with `GlobalNorm(inf)`: the level "none" of a sweep over rules."""

    def clip(self, gradient: Gradient) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`."""
        return torch.zeros_like(gradient.norm, dtype=torch.bool)


class SkipNonfinite(ClippingRule):
    """Skip the update where an entry of the gradient is infinite or NaN, and do nothing else.

    As `torch.amp.GradScaler`: momentum, moments, weight decay and the optimizer's count of steps stay as they are. A run
    whose loss is not finite has diverged all the same.
    """

    skips = True

    def clip(self, gradient: Gradient) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`."""
        return ~gradient.flat.isfinite().all(1, keepdim=True)
