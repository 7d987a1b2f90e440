"""Cross-entropy that saves what its gradient needs: fewer passes over the logits than torch's, and no buffer of its own."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.engine.functions.member_function import MemberFunction
from harness.tasks.task import Task


class CrossEntropy(MemberFunction):
    """−log softmax(logits)[y] of each row of M members, with its gradient softmax(logits) − onehot(y)."""

    @staticmethod
    def forward(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (M, row, class) and classes (M, row) to losses (M, row) and their gradient (M, row, class).

        By hand, since `torch.softmax` on a CPU takes six times as long for ten classes. With d = max − z_y and R the sum of
        e^(z − max) over the other classes, the loss is d + log(R + e^(−d)), and the gradient at y is −R / (R + e^(−d)): neither
        takes a number near 1 from another, which would leave no digit of a small loss.
        """
        y = y.unsqueeze(-1)
        largest = logits.amax(-1, keepdim=True)
        d = largest - logits.gather(-1, y)
        gradient = torch.sub(logits, largest).exp_().scatter_(-1, y, 0.0)
        others = gradient.sum(-1, keepdim=True)
        excess = torch.expm1(-d).add_(others)  # R + e^(−d) − 1
        total = 1 + excess
        gradient.div_(total).scatter_(-1, y, others.div_(total).neg_())
        return d.add_(excess.log1p_()).squeeze(-1), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Save the gradient."""
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Gradient of the losses, (M, row), to that of the logits, which takes the place of the saved one."""
        (of_losses,) = ctx.saved_tensors
        return of_losses.mul_(gradients[0].unsqueeze(-1)), None


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Loss of each row in nats, (row,), from logits (row, class) and classes (row,)."""
    losses: Tensor = CrossEntropy.of_member(logits, y)[0]
    return losses


def smoothed(output: Tensor, y: Tensor, smoothing: Tensor) -> Tensor:
    """What label smoothing ε adds to the mean cross-entropy: ε·(z_y − mean z), as in `torch.nn.functional.cross_entropy`.

    (1 − ε)·(−log p_y) + ε·mean(−log p) is −log p_y + ε·(z_y − mean z) for logits z.

    Args:
        output: (batch, …, class) logits of one member.
        y: (batch, …) classes.
        smoothing: ε, ().
    """
    chosen = output.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    return smoothing * (chosen - output.mean(-1)).mean()


def example_losses(task: Task, output: Tensor, y: Tensor) -> Tensor:
    """Loss of each example of one member, (batch,): `task.losses`; by `cross_entropy` where that is the usual one of classes.

    Args:
        task: what the output is for.
        output: (batch, …) of the member's module.
        y: (batch, …) targets.
    """
    if type(task).losses is not Task.losses or y.is_floating_point():
        return task.losses(output, y)
    return cross_entropy(output.flatten(0, -2), y.flatten()).reshape(len(y), -1).mean(1)
