"""Clipping rules: what happens to each member's gradient between the backward pass and the optimizer.

A rule is a component whose fields are factors. It acts on flat gradients (member, parameters), each row on its own,
never over the stack.
"""

from math import inf

from torch import Tensor

from harness.settings import Bound, Component


class ClippingRule(Component):
    """Base of all rules. Fields that are numbers are per-member: `clip` gets them as columns (member, 1)."""

    def clip(self, gradient: Tensor, norm: Tensor, **settings: Tensor | None) -> tuple[Tensor, Tensor]:
        """Clip each member's gradient.

        Args:
            gradient: (member, parameters).
            norm: (member, 1), its Euclidean norm.
            **settings: the rule's fields as columns (member, 1).

        Returns:
            The clipped gradient (may be `gradient` itself, changed in place) and whether each member was clipped, (member, 1).
        """
        raise NotImplementedError


class GlobalNorm(ClippingRule):
    """Rescale the whole gradient to norm `max_norm` where it is longer: g·min(1, c / (‖g‖ + 1e-6)).

    As `torch.nn.utils.clip_grad_norm_` (Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1).

    Args:
        max_norm: the bound c; `inf` changes nothing.
    """

    max_norm: Bound = inf

    def clip(self, gradient: Tensor, norm: Tensor, *, max_norm: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `ClippingRule.clip`.

        >>> import torch
        >>> one, two = torch.tensor([[3.0, 4.0]]), torch.tensor([[5.0]])
        >>> GlobalNorm().clip(one, two, max_norm=torch.tensor([[1.0]]))
        (tensor([[0.6000, 0.8000]]), tensor([[True]]))
        """
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0).masked_fill(max_norm == inf, 1.0)
        return gradient.mul_(factor), norm > max_norm


class Value(ClippingRule):
    """Clamp every entry to [−max_value, max_value]; changes the direction (`torch.nn.utils.clip_grad_value_`).

    Args:
        max_value: the bound v; `inf` changes nothing.
    """

    max_value: Bound = inf

    def clip(self, gradient: Tensor, norm: Tensor, *, max_value: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """See `ClippingRule.clip`.

        >>> import torch
        >>> Value().clip(torch.tensor([[3.0, -0.5]]), torch.tensor([[3.04]]), max_value=torch.tensor([[1.0]]))
        (tensor([[ 1.0000, -0.5000]]), tensor([[True]]))
        """
        clipped = (gradient.abs() > max_value).any(1, keepdim=True)
        return gradient.clamp_(-max_value, max_value), clipped
