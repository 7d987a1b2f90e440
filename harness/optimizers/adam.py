"""Adam and its variant with decoupled weight decay."""

import torch
from torch import Tensor

from harness.optimizers.optimizer import Columns, Optimizer
from harness.settings import Fraction, NonNegative, Positive


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), as `torch.optim.Adam`.

    Args:
        lr: learning rate.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
    """

    lr: Positive = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    state_names = ("mean", "square")

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, beta1: Tensor | None, beta2: Tensor | None, eps: Tensor | None,
        weight_decay: Tensor | None,
    ) -> Columns:  # fmt: skip
        """See `Optimizer.coefficients`. The denominator √v/√(1 − β₂ᵗ) + ε is divided by minus the step size."""
        zero = lr.new_zeros(())
        one, two = zero if beta1 is None else beta1, zero if beta2 is None else beta2
        step_size, correction = lr / (1 - one**step), (1 - two**step).sqrt()
        return {
            "new_mean": (1 - one).expand_as(lr), "new_square": (1 - two).expand_as(lr), "weight_decay": weight_decay,
            "slope": -1 / (correction * step_size), "offset": -(zero if eps is None else eps) / step_size,
        }  # fmt: skip

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, weight_decay: Tensor | None, **coefficients: Tensor
    ) -> None:
        """See `Optimizer.update`."""
        mean, square = state
        if weight_decay is not None:
            gradient.addcmul_(parameters, weight_decay)
        mean.lerp_(gradient, coefficients["new_mean"])
        square.lerp_(gradient.mul_(gradient), coefficients["new_square"])
        denominator = torch.sqrt(square, out=gradient).mul_(coefficients["slope"]).add_(coefficients["offset"])
        parameters.addcdiv_(mean, denominator)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW`."""

    weight_decay: NonNegative = 0.01

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, weight_decay: Tensor | None, **others: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        decay = None if weight_decay is None else 1 - lr * weight_decay
        return super().coefficients(step, lr=lr, weight_decay=None, **others) | {"decay": decay}

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, decay: Tensor | None, **coefficients: Tensor
    ) -> None:
        """See `Optimizer.update`."""
        if decay is not None:
            parameters.mul_(decay)
        super().update(parameters, gradient, *state, **coefficients)
