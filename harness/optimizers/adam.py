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
        """See `Optimizer.coefficients`."""
        zero = lr.new_zeros(())
        one, two = zero if beta1 is None else beta1, zero if beta2 is None else beta2
        return {
            "new_mean": (1 - one).expand_as(lr), "new_root": (1 - two).sqrt().expand_as(lr), "old_square": two.expand_as(lr),
            "weight_decay": weight_decay, "correction": 1 / (1 - two**step).sqrt(),
            "eps": zero if eps is None else eps, "minus_step": -lr / (1 - one**step),
        }  # fmt: skip

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, *state: Tensor, weight_decay: Tensor | None, **coefficients: Tensor
    ) -> None:
        """See `Optimizer.update`. Nothing on the way is larger than in torch's: g² alone would be infinite from 2e19 on."""
        mean, square = state
        if weight_decay is not None:
            gradient.addcmul_(parameters, weight_decay)
        mean.lerp_(gradient, coefficients["new_mean"])
        gradient.mul_(coefficients["new_root"])
        square.mul_(coefficients["old_square"]).addcmul_(gradient, gradient)
        denominator = torch.sqrt(square, out=gradient).mul_(coefficients["correction"]).add_(coefficients["eps"])
        parameters.addcmul_(torch.div(mean, denominator, out=gradient), coefficients["minus_step"])


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
