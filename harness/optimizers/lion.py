"""Lion: steps of one length for every parameter, by the sign of a momentum."""

from torch import Tensor

from harness.optimizers.optimizer import Columns, Decay, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative


class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv:2302.06675, Algorithm 2).

    θ ← θ − lr·(sign(β₁m + (1 − β₁)g) + λθ), then m ← β₂m + (1 − β₂)g.

    Args:
        lr: learning rate, the length of every parameter's step.
        beta1: share of the momentum in the step.
        beta2: decay of the momentum.
        weight_decay: λ, decoupled.
        decay: what weight decay acts on, `all` parameters or `weights`, those with two axes or more.
    """

    lr: LearningRate = 1e-4
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99
    weight_decay: NonNegative = 0.0
    decay: Decay = "all"
    state_names = ("momentum",)
    decoupled = True

    def coefficients(  # type: ignore[override]
        self, step: Tensor, *, lr: Tensor, beta1: Tensor | None, beta2: Tensor | None
    ) -> Columns:
        """See `Optimizer.coefficients`."""
        zero = lr.new_zeros(()).expand_as(lr)
        one, two = zero if beta1 is None else beta1, zero if beta2 is None else beta2
        return {"minus_lr": -lr, "new_in_step": 1 - one, "new": 1 - two}

    def update(  # type: ignore[override]
        self,
        parameters: Tensor,
        gradient: Tensor,
        momentum: Tensor,
        *,
        minus_lr: Tensor,
        new_in_step: Tensor,
        new: Tensor,
    ) -> None:
        """See `Optimizer.update`."""
        parameters.addcmul_(momentum.lerp(gradient, new_in_step).sign_(), minus_lr)
        momentum.lerp_(gradient, new)
