"""A linear layer that is one batched product for all members, whatever the number of leading axes of its input.

`vmap` over `nn.Linear` repeats the weights for every leading axis but the last, which costs several times the product.
"""

from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.layers.members import MemberFunction
from harness.engine.layers.postponed import later


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
            ctx.later.add(weight, gradient, x)
        elif ctx.needs_input_grad[1]:
            d_weight = torch.bmm(gradient.transpose(1, 2), x)
        return (
            torch.bmm(gradient, weight) if ctx.needs_input_grad[0] else None,
            d_weight,
            gradient.sum(1) if ctx.needs_input_grad[2] else None,
        )


class MemberLinear(nn.Module):
    """Stands in for an `nn.Linear`, with the same parameters under the same names."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """`x` (…, in_features) to (…, out_features)."""
        product: Tensor = Product.of_member(x.reshape(-1, self.in_features), self.weight, self.bias)
        return product.view(*x.shape[:-1], self.out_features)
