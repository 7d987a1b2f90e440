"""Cross-entropy that keeps what its gradient needs: fewer passes over the logits than torch's, and no zeroed buffer."""

from typing import Any

import torch
from torch import Tensor


class CrossEntropy(torch.autograd.Function):
    """−log softmax(logits)[y] of each row; its gradient is softmax(logits) − onehot(y)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (row, class) and classes (row,) to losses (row,) and probabilities (row, class).

        The largest probability is at least 1/classes, so its logarithm loses nothing, however unlikely class y is.
        """
        p = logits.softmax(-1)
        log_sum = logits.amax(-1) - p.amax(-1).log()
        return log_sum - logits.gather(-1, y.unsqueeze(-1)).squeeze(-1), p

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Keep the probabilities and the classes."""
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], inputs[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Gradient of the losses, (row,), to that of the logits."""
        p, y = ctx.saved_tensors
        gradient = gradients[0].unsqueeze(-1)
        return (p * gradient).scatter_add_(-1, y.unsqueeze(-1), -gradient), None


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Loss of each row in nats, (row,), from logits (row, class) and classes (row,)."""
    losses: Tensor = CrossEntropy.apply(logits, y)[0]  # type: ignore[no-untyped-call]
    return losses
