"""Stochastic gradient descent."""

from torch import Tensor

from harness.optimizers.optimizer import Columns, Decay, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative, Problem


class SGD(Optimizer):
    """Stochastic gradient descent with heavy-ball or Nesterov momentum, as `torch.optim.SGD`.

    A step at which a schedule of the momentum is exactly 0 is remembered by the steps after it; torch passes over such a step.

    Args:
        lr: learning rate.
        momentum: weight of the previous update.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: look ahead along the momentum (Sutskever et al. 2013).
        decay: what weight decay acts on, `all` parameters or `weights`, those with two axes or more.
    """

    lr: LearningRate = 0.1
    momentum: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    nesterov: bool = False
    decay: Decay = "all"
    state_names = ("velocity",)
    decoupled = False

    def check(self) -> list[Problem]:
        """See `Component.check`."""
        wrong = self.nesterov and self.momentum == 0
        return [Problem("nesterov", "needs momentum above 0", "True with momentum 0")] if wrong else []

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, momentum: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        return {"minus_lr": -lr, "momentum": momentum}

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, velocity: Tensor, *, minus_lr: Tensor, momentum: Tensor | None
    ) -> None:
        """See `Optimizer.update`."""
        if momentum is not None:
            velocity.mul_(momentum).add_(gradient)
            gradient = gradient.addcmul_(velocity, momentum) if self.nesterov else velocity
        parameters.addcmul_(gradient, minus_lr)
