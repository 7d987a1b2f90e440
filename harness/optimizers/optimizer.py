"""Optimizers: one update of every member's parameters, with per-member settings.

An optimizer is a component whose fields are factors. Parameters, gradients and state are flat, (member, parameters).
Each step has two halves: `coefficients`, a few float64 numbers for each member, so that quantities such as 1 − β₂ᵗ keep
their precision; and `update`, as few passes over the parameters as there can be. The formulas are those of
`torch.optim`, the oracle of the tests.
"""

from typing import ClassVar, Literal

from torch import Tensor

from harness.settings import Component
from harness.settings.schedules import Schedule

Columns = dict[str, Tensor | None]
"""Per-member numbers by name, (member, 1). An optimizer of ours is given None for a setting that is 0 for every member, which spares it
work; one of your own columns alone, since what its companions have is nothing to a member."""

Decay = Literal["all", "weights"]
"""What weight decay acts on: all parameters, as in `torch.optim`; or those with two axes or more, not biases and gains with one."""


class Optimizer(Component):
    """Base of all optimizers. Fields that are numbers are per-member, and may be schedules."""

    stand_ins = (Schedule,)

    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the state tensors, each (member, parameters) and zero at the start."""

    decoupled: ClassVar[bool | None] = None
    """How `weight_decay` λ and `decay` act, in front of `update`: λθ is added to the gradient (False), or θ is multiplied
    by 1 − lr·λ (True). None: there is no weight decay, or the optimizer's formula has its own."""

    def coefficients(self, step: Tensor, **settings: Tensor | None) -> Columns:
        """What this step's `update` multiplies with.

        Args:
            step: number of this update of each member, float64 (member, 1), from 1.
            **settings: the optimizer's fields at this step, float64 (member, 1); to one of ours None for what is 0 throughout. Without
                `weight_decay` where it is `decoupled` or not.
        """
        raise NotImplementedError

    def update(self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor | None) -> None:
        """Change `parameters` and `state` in place; may overwrite `gradient`.

        Args:
            parameters: (member, parameters); an optimizer of your own is given these and nothing else, ours zeros between them, too.
            gradient: (member, parameters), clipped.
            *state: tensors in the order of `state_names`.
            **coefficients: of this step, in the type of the parameters.
        """
        raise NotImplementedError
