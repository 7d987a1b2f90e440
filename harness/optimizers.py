"""Optimizers: one update of every member's parameters, with per-member settings.

An optimizer is a component whose fields are factors. Parameters, gradients and state are flat, (member, parameters);
settings are float64 columns (member, 1), so that quantities such as 1 − β₂ᵗ keep their precision until they are cast.
The formulas are those of `torch.optim`, the oracle of the tests.
"""

from typing import ClassVar

from torch import Tensor

from harness.settings import Component, Fraction, NonNegative, Positive


class Optimizer(Component):
    """Base of all optimizers."""

    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the state tensors, each (member, parameters) and zero at the start."""

    def update(self, parameters: Tensor, gradient: Tensor, step: Tensor, *state: Tensor, **settings: Tensor) -> None:
        """Change `parameters` and `state` in place.

        Args:
            parameters: (member, parameters).
            gradient: (member, parameters), clipped.
            step: number of this update, a scalar tensor that starts at 1.
            *state: tensors in the order of `state_names`.
            **settings: the optimizer's fields as float64 columns (member, 1).
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

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, step: Tensor, velocity: Tensor,
        *, lr: Tensor, momentum: Tensor, weight_decay: Tensor,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        dtype = parameters.dtype
        velocity.mul_(momentum.to(dtype)).add_(gradient + weight_decay.to(dtype) * parameters)
        parameters.sub_(lr.to(dtype) * velocity)


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
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    state_names = ("mean", "square")

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, step: Tensor, mean: Tensor, square: Tensor,
        *, lr: Tensor, beta1: Tensor, beta2: Tensor, eps: Tensor, weight_decay: Tensor,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        dtype = parameters.dtype
        gradient = gradient + weight_decay.to(dtype) * parameters
        mean.add_((gradient - mean) * (1 - beta1).to(dtype))
        square.mul_(beta2.to(dtype)).add_((1 - beta2).to(dtype) * gradient * gradient)
        step_size, correction = lr / (1 - beta1**step), (1 - beta2**step).sqrt()
        parameters.sub_(step_size.to(dtype) * mean / (square.sqrt() / correction.to(dtype) + eps.to(dtype)))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), as `torch.optim.AdamW`."""

    weight_decay: NonNegative = 0.01

    def update(  # type: ignore[override]
        self, parameters: Tensor, gradient: Tensor, step: Tensor, mean: Tensor, square: Tensor,
        *, lr: Tensor, beta1: Tensor, beta2: Tensor, eps: Tensor, weight_decay: Tensor,
    ) -> None:  # fmt: skip
        """See `Optimizer.update`."""
        parameters.mul_((1 - lr * weight_decay).to(parameters.dtype))
        none = weight_decay.new_zeros(())
        super().update(parameters, gradient, step, mean, square,
                       lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=none)  # fmt: skip
