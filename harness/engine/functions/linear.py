"""A linear layer as one batched product for all members, whatever the number of leading axes of its input.

`vmap` of torch's repeats the weights for every leading axis but the last, which costs several times the product.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.engine.functions.member_function import MemberFunction
from harness.engine.functions.postponed import later
from harness.engine.functions.transforms import is_per_member, only_vmap


class Product(MemberFunction):
    """x (M, R, I), weight (M, O, I) and bias (M, O) or None to x·weightᵀ + bias (M, R, O)."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """One product for all members."""
        product = torch.bmm(x, weight.transpose(1, 2))
        return product if bias is None else product.add_(bias.unsqueeze(1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        """Save input and weight."""
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)
        ctx.later = later(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what needs one."""
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        d_weight = None
        if ctx.needs_input_grad[1] and ctx.later is not None:
            ctx.later.add(weight, gradient, x.conj())
        elif ctx.needs_input_grad[1]:
            d_weight = torch.bmm(gradient.transpose(1, 2), x.conj())
        return (
            torch.bmm(gradient, weight.conj()) if ctx.needs_input_grad[0] else None,
            d_weight,
            gradient.sum(1) if ctx.needs_input_grad[2] else None,
        )


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `F.linear`, of a member whose weight is its own."""
    plain = weight.dim() == 2 and input.dtype == weight.dtype and not torch.is_autocast_enabled(input.device.type)
    if not (plain and is_per_member(weight) and only_vmap() is not None):
        return F.linear(input, weight, bias)
    product: Tensor = Product.of_member(input.reshape(-1, weight.shape[1]), weight, bias)
    return product.view(*input.shape[:-1], len(weight))
