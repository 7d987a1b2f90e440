"""Adam and its variant with decoupled weight decay."""

import torch
from torch import Tensor

from harness.optimizers.optimizer import Columns, Decay, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative, Positive


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
        """See `Optimizer.coefficients`."""
        zero = lr.new_zeros(())
        one, two = zero if beta1 is None else beta1, zero if beta2 is None else beta2
        return {
            "new_mean": (1 - one).expand_as(lr), "new_root": (1 - two).sqrt().expand_as(lr), "old_square": two.expand_as(lr),
            "correction": 1 / (1 - two**step).sqrt(), "eps": zero if eps is None else eps, "minus_step": -lr / (1 - one**step),
        }  # fmt: skip

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor
    ) -> None:
        """See `Optimizer.update`. Nothing on the way is larger than in torch's: g² alone would be infinite from 2e19 on."""
        mean, square = state
        mean.lerp_(gradient, coefficients["new_mean"])
        gradient.mul_(coefficients["new_root"])
        square.mul_(coefficients["old_square"]).addcmul_(gradient, gradient)
        denominator = torch.sqrt(square, out=gradient).mul_(coefficients["correction"]).add_(coefficients["eps"])
        parameters.addcmul_(torch.div(mean, denominator, out=gradient), coefficients["minus_step"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW`."""

    weight_decay: NonNegative = 0.01
    decoupled = True
