"""Rules with a bound that stays the same over training."""

from math import inf

import torch
from torch import Tensor

from harness.clipping.rule import ClippingRule, Gradient, shrinkage
from harness.settings import Bound, Positive


class GlobalNorm(ClippingRule):
    """Rescale the whole gradient to norm `max_norm` where it is longer: g·min(1, c / (‖g‖ + 1e-6)).

    As `torch.nn.utils.clip_grad_norm_` (Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1).

    Args:
        max_norm: the bound c; `inf` changes nothing.
    """

    max_norm: Bound = inf

    def clip(self, gradient: Gradient, *, max_norm: Tensor) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`."""
        gradient.scale(shrinkage(gradient.norm, max_norm))
        return gradient.norm > max_norm


class PerTensorNorm(ClippingRule):
    """Rescale the gradient of each parameter tensor to norm `max_norm` where it is longer; changes the direction.

    As `torch.nn.utils.clip_grad_norm_` called for one parameter after the other.

    Args:
        max_norm: the bound of every tensor; `inf` changes nothing.
    """

    max_norm: Bound = inf

    def clip(self, gradient: Gradient, *, max_norm: Tensor) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`. The units are tensors."""
        norms = []
        for tensor in gradient.views(gradient.flat).values():
            entries = tensor.view(len(tensor), -1)
            norms.append(torch.linalg.vector_norm(entries, dim=1, keepdim=True))
            entries.mul_(shrinkage(norms[-1], max_norm))
        return (torch.cat(norms, 1) > max_norm).to(gradient.norm.dtype).mean(1, keepdim=True)


class Value(ClippingRule):
    """Clamp every entry to [−max_value, max_value]; changes the direction (`torch.nn.utils.clip_grad_value_`).

    Args:
        max_value: the bound v; `inf` changes nothing.
    """

    max_value: Bound = inf

    def clip(self, gradient: Gradient, *, max_value: Tensor) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`. The units are entries."""
        entries = sum(tensor[0].numel() for tensor in gradient.views(gradient.flat).values())
        clipped = (gradient.flat.abs() > max_value).sum(1, keepdim=True)
        gradient.flat.clamp_(-max_value, max_value)
        return clipped / entries


class Normalized(ClippingRule):
    """Give every gradient the same norm: c·g / max(‖g‖, 1e-12), as `torch.nn.functional.normalize`.

    Normalized gradient descent (Hazan et al. 2015, arXiv:1507.02030, Algorithm 1): short gradients become longer.

    Args:
        norm: the norm c of every step.
    """

    norm: Positive = 1.0

    def clip(self, gradient: Gradient, *, norm: Tensor) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`. Every gradient but 0 counts as clipped: the rule left none as it was."""
        gradient.scale(norm / gradient.norm.clamp(min=1e-12))
        return gradient.norm > 0
