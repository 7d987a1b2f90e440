"""Optimizers: one update of every member's parameters, with per-member settings.

An optimizer is a component whose fields are factors. Parameters, gradients and state are flat, (member, parameters).
Each step has two halves: `coefficients`, a few float64 numbers for each member, so that quantities such as 1 − β₂ᵗ keep
their precision; and `update`, as few passes over the parameters as there can be. The formulas are those of
`torch.optim`, the oracle of the tests.
"""

from typing import ClassVar

import torch
from torch import Tensor

from harness.settings import Component, Fraction, NonNegative, Positive

Columns = dict[str, Tensor | None]
"""Per-member numbers by name, (member, 1); None stands for a setting that is 0 for every member."""


class Optimizer(Component):
    """Base of all optimizers."""

    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the state tensors, each (member, parameters) and zero at the start."""

    def coefficients(self, step: Tensor, **settings: Tensor | None) -> Columns:
        """What this step's `update` multiplies with.

        Args:
            step: number of this update of each member, float64 (member, 1), from 1.
            **settings: the optimizer's fields, float64.
        """
        raise NotImplementedError

    def update(self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor | None) -> None:
        """Change `parameters` and `state` in place; may overwrite `gradient`.

        Args:
            parameters: (member, parameters).
            gradient: (member, parameters), clipped.
            *state: tensors in the order of `state_names`.
            **coefficients: of this step, in the type of the parameters.
        """
        raise NotImplementedError


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
        self, parameters: Tensor, gradient: Tensor, mean: Tensor, square: Tensor,
        *, new_mean: Tensor, new_square: Tensor, slope: Tensor, offset: Tensor, weight_decay: Tensor | None,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        if weight_decay is not None:
            gradient.addcmul_(parameters, weight_decay)
        mean.lerp_(gradient, new_mean)
        square.lerp_(gradient.mul_(gradient), new_square)
        parameters.addcdiv_(mean, torch.sqrt(square, out=gradient).mul_(slope).add_(offset))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW`."""

    weight_decay: NonNegative = 0.01

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, weight_decay: Tensor | None, **others: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        kept = None if weight_decay is None else 1 - lr * weight_decay
        return super().coefficients(step, lr=lr, weight_decay=None, **others) | {"kept": kept}

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, mean: Tensor, square: Tensor,
        *, kept: Tensor | None, **coefficients: Tensor | None,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        if kept is not None:
            parameters.mul_(kept)
        super().update(parameters, gradient, mean, square, **coefficients)  # type: ignore[arg-type]
