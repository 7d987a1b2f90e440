"""RMSprop: steps relative to the running size of the gradient."""

from torch import Tensor

from harness.optimizers.optimizer import Columns, Decay, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative, Positive


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e; centered: Graves 2013, arXiv:1308.0850), as `torch.optim.RMSprop`.

    A step at which a schedule of the momentum is exactly 0 is remembered by the steps after it; torch passes over such a step.

    Args:
        lr: learning rate.
        alpha: decay of the squared gradient's running mean.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
        momentum: weight of the previous update.
        centered: divide by the gradient's running deviation instead of its root mean square.
        decay: what weight decay acts on, `all` parameters or `weights`, those with two axes or more.
    """

    lr: LearningRate = 0.01
    alpha: Fraction = 0.99
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    momentum: Fraction = 0.0
    centered: bool = False
    decay: Decay = "all"
    state_names = ("square", "velocity", "mean")
    decoupled = False

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, alpha: Tensor | None, eps: Tensor, momentum: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        new = lr.new_ones(()).expand_as(lr) if alpha is None else 1 - alpha
        return {"minus_lr": -lr, "new": new, "eps": eps, "momentum": momentum}

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, minus_lr: Tensor, new: Tensor, eps: Tensor,
        momentum: Tensor | None,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        square, velocity, mean = state
        square.lerp_(gradient.square(), new)
        if self.centered:
            mean.lerp_(gradient, new)
        size = (square - mean.square() if self.centered else square).sqrt().add_(eps)
        step = gradient.div_(size)
        if momentum is not None:
            step = velocity.mul_(momentum).add_(step)
        parameters.addcmul_(step, minus_lr)
