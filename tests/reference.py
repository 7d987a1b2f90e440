"""The oracle: the textbook loop, one model at a time, with plain `nn.Module`, `torch.optim` and `torch.nn.utils`.

Shares no code with the population engine. Fed the same initial state, batches and dropout noise, it must give the same
curve. Slow and obvious on purpose.
"""

from collections.abc import Callable

import torch
import torch.nn as nn
from torch import Tensor


class GivenDropout(nn.Module):
    """`nn.Dropout` whose uniform noise is handed in, one tensor for each call: mask U ≥ p, scaled by 1/(1 − p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (self.noise.pop(0) >= self.p).to(x.dtype) / (1 - self.p)


def train_plain(
    model: nn.Module,
    batches: list[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    clip: Callable[[nn.Module], bool] = lambda model: True,
    before_step: Callable[[int], None] = lambda step: None,
) -> tuple[list[float], list[float]]:
    """Train one model; returns its losses and its gradient norms before clipping, a number for each batch.

    `clip` changes the gradients and says whether the step is to be taken.
    """
    losses, norms = [], []
    model.train()
    for step, (x, y) in enumerate(batches):
        before_step(step)
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm()))
        if clip(model):
            optimizer.step()
        losses.append(float(value.detach()))
    return losses, norms
