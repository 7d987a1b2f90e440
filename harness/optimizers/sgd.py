"""Stochastic gradient descent."""

from torch import Tensor

from harness.optimizers.optimizer import Columns, Optimizer
from harness.settings import Fraction, NonNegative, Positive


class SGD(Optimizer):
    """Stochastic gradient descent with heavy-ball momentum, as `torch.optim.SGD`.

    Args:
        lr: learning rate.
        momentum: weight of the previous update.
        weight_decay: L2 penalty, added to the gradient.
    """

    lr: Positive = 0.1
    momentum: Fraction = 0.0
    weight_decay: NonNegative = 0.0
    state_names = ("velocity",)

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, momentum: Tensor | None, weight_decay: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        return {"minus_lr": -lr, "momentum": momentum, "weight_decay": weight_decay}

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, velocity: Tensor,
        *, minus_lr: Tensor, momentum: Tensor | None, weight_decay: Tensor | None,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        if weight_decay is not None:
            gradient.addcmul_(parameters, weight_decay)
        if momentum is not None:
            gradient = velocity.mul_(momentum).add_(gradient)
        parameters.addcmul_(gradient, minus_lr)
