"""Optimizers: one update of every member's parameters, with per-member settings.

An optimizer is a component whose fields are factors. Parameters, gradients and state are flat, (member, parameters).
Each step has two halves: `coefficients`, a few float64 numbers for each member, so that quantities such as 1 − β₂ᵗ keep
their precision; and `update`, as few passes over the parameters as there can be. The formulas are those of
`torch.optim`, the oracle of the tests.
"""

from typing import ClassVar

from torch import Tensor

from harness.settings import Component

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
