"""Optimizers: one update of every member's parameters, with per-member settings.

An optimizer is a component whose fields are factors. Parameters, gradients and state are flat, (member, parameters).
Each step has two halves: `coefficients`, a few float64 numbers for each member, so that quantities such as 1 − β₂ᵗ keep
their precision; and `update`, as few passes over the parameters as there can be. The formulas are those of
`torch.optim`, the oracle of the tests.
"""

import typing
from typing import ClassVar, Literal

from torch import Tensor

from harness.settings import Component, Problem, Sweep, show
from harness.settings.fields import argument_problems
from harness.settings.schedules import Schedule
from harness.settings.show import counted

Columns = dict[str, Tensor | None]
"""Per-member numbers by name, (member, 1). An optimizer of ours is given None for a setting that is 0 for every member, which spares it
work; one of your own columns alone, since what its companions have is nothing to a member."""

Decay = Literal["all", "weights"]
"""What weight decay acts on: all parameters, as in `torch.optim`; or those with two axes or more, not biases and gains with one."""


class Optimizer(Component):
    """Base of all optimizers. Fields that are numbers are per-member, and may be schedules."""

    stand_ins = (Schedule,)
    _elsewhere = "what an optimizer remembers from step to step is its state, see `state_names`"

    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the state tensors, each (member, parameters) and zero at the start."""

    decoupled: ClassVar[bool | None] = None
    """How `weight_decay` λ and `decay` act, in front of `update`: λθ is added to the gradient (False), or θ is multiplied
    by 1 − lr·λ (True). None: there is no weight decay, or the optimizer's formula has its own."""

    def problems(self) -> list[Problem]:
        """See `Component.problems`: what the class says of itself, too."""
        found = [*super().problems(), *argument_problems(type(self), type(self).coefficients)]
        if isinstance(self.state_names, str):
            message = f"must be a tuple of names: ({self.state_names!r},) for a single one"
            found.append(Problem("state_names", message, repr(self.state_names)))
        if self.decoupled is None:
            return found
        absent = [name for name in ("lr", "weight_decay") if name not in self.kinds()]
        found += [
            Problem(name, f"is required where `decoupled` is {self.decoupled}, as a field of the class")
            for name in absent
        ]
        decay = self.values().get("decay", "all")
        levels = decay.levels if isinstance(decay, Sweep) else [decay]
        unknown = [level for level in levels if level not in typing.get_args(Decay)]
        if unknown and not any(problem.path == "decay" for problem in found):
            message = "must be 'all' or 'weights' where `decoupled` is not None; annotate it as `Decay`"
            found.append(Problem("decay", message, show(unknown[0])))
        return found

    def coefficients(self, step: Tensor, **settings: Tensor | None) -> Columns:
        """What this step's `update` multiplies with.

        Args:
            step: number of this update of each member, float64 (member, 1), from 1.
            **settings: the optimizer's fields at this step, float64 (member, 1); to one of ours None for what is 0 throughout. Without
                `weight_decay` where it is `decoupled` or not.
        """
        raise self._lacks("coefficients")

    def update(self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor | None) -> None:
        """Change `parameters` and `state` in place; may overwrite `gradient`.

        Args:
            parameters: (member, parameters); an optimizer of your own is given these and nothing else, ours zeros between them, too.
            gradient: (member, parameters), clipped.
            *state: tensors in the order of `state_names`.
            **coefficients: of this step, in the type of the parameters.
        """
        raise self._lacks("update")


def coefficients_of(optimizer: Optimizer, step: Tensor, settings: Columns) -> Columns:
    """See `Optimizer.coefficients`.

    Raises:
        ValueError: the method returns anything else.
    """
    given: object = optimizer.coefficients(step, **settings)
    if not isinstance(given, dict):
        raise _no_coefficients(optimizer, f"a {type(given).__name__}")
    for name, column in given.items():
        if column is not None and not isinstance(column, Tensor):
            what = f"a {type(column).__name__}; what is the same for all is written in `update`"
            raise _no_coefficients(optimizer, f"`{name}` is {what}")
        if column is not None and (column.dim() != 2 or len(column) != len(step)):
            raise _no_coefficients(
                optimizer, f"`{name}` has shape {tuple(column.shape)} for {counted(len(step), 'member')}"
            )
    return given


def _no_coefficients(optimizer: Optimizer, here: str) -> ValueError:
    must = "must return a dictionary of tensors (member, 1) by name, or None for one"
    return ValueError(f"`coefficients` of {type(optimizer).__name__} {must}, here {here}")
