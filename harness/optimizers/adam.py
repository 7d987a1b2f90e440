"""Adam and its variant with decoupled weight decay."""

import torch
from torch import Tensor

from harness.optimizers.optimizer import Columns, Decay, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative, Positive

SMALLEST_RATE = 1e-30
"""What a schedule's rate of 0 counts as: the step is divided by, and this one moves no parameter."""


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), as `torch.optim.Adam`.

    Args:
        lr: learning rate.
        beta1: decay of the gradient's running mean.
        beta2: decay of the squared gradient's running mean.
        eps: added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
        decay: what weight decay acts on, `all` parameters or `weights`, those with two axes or more.
    """

    lr: LearningRate = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0
    decay: Decay = "all"
    state_names = ("mean", "square")
    decoupled = False

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, beta1: Tensor | None, beta2: Tensor | None, eps: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`. The denominator √v/√(1 − β₂ᵗ) + ε is divided by minus the step size."""
        zero = lr.new_zeros(())
        one, two = zero if beta1 is None else beta1, zero if beta2 is None else beta2
        step_size, correction = lr.clamp(min=SMALLEST_RATE) / (1 - one**step), (1 - two**step).sqrt()
        return {
            "new_mean": (1 - one).expand_as(lr), "new_square": (1 - two).expand_as(lr),
            "slope": -1 / (correction * step_size), "offset": -(zero if eps is None else eps) / step_size,
        }  # fmt: skip

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor
    ) -> None:
        """See `Optimizer.update`."""
        mean, square = state
        mean.lerp_(gradient, coefficients["new_mean"])
        square.lerp_(gradient.mul_(gradient), coefficients["new_square"])
        denominator = torch.sqrt(square, out=gradient).mul_(coefficients["slope"]).add_(coefficients["offset"])
        parameters.addcdiv_(mean, denominator)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW`."""

    weight_decay: NonNegative = 0.01
    decoupled = True
