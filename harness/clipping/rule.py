"""What all clipping rules share: the gradient as they see it, the base class and how a norm is bounded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

import torch
from torch import Tensor

from harness.settings import Component, Problem
from harness.settings.fields import argument_problems
from harness.settings.schedules import Schedule


@dataclass
class Gradient:
    """The gradient of some members at one step, with what a rule may want to know.

    Attributes:
        flat: (member, parameters), the gradient. A rule of your own is given all parameters and nothing else; rules of ours padding
            between them, too, which is zero.
        norm: (member, 1), its Euclidean norm.
        parameters: (member, parameters), what it is the gradient of.
        views: the rows of a (member, parameters) tensor as the module's parameters by name, (member, …) each.
        only_scaled: whether a rule that calls `scale` does nothing else to it; what one of a user's own does nobody knows.
    """

    flat: Tensor
    norm: Tensor
    parameters: Tensor
    views: Callable[[Tensor], dict[str, Tensor]]
    only_scaled: bool = False
    _factor: Tensor | None = field(default=None, init=False)

    def scale(self, factor: Tensor) -> None:
        """Multiply each member's whole gradient by its factor, (member, 1)."""
        self.flat.mul_(factor)
        self._factor = factor if self._factor is None else self._factor * factor

    def clipped_norm(self) -> Tensor:
        """The norm once the rule has acted, (member, 1): measured unless all that it did is known to be `scale`, since that reads all entries."""
        if self.only_scaled and self._factor is not None:
            return self.norm * self._factor
        measured: Tensor = torch.linalg.vector_norm(self.flat, dim=1, keepdim=True)
        return measured


class ClippingRule(Component):
    """Base of all rules. Fields that are numbers are per-member, and may be schedules: `clip` gets columns (member, 1)."""

    stand_ins = (Schedule,)
    _elsewhere = "what a rule remembers from step to step is its state, see `initial_state`"

    skips: ClassVar[bool] = False
    """Whether a member that the rule acted on takes no step: its parameters and the optimizer's state stay as they are."""

    def problems(self) -> list[Problem]:
        """See `Component.problems`: `clip` can be given the settings, too."""
        return [*super().problems(), *argument_problems(type(self), type(self).clip)]

    def idle(self, names: Sequence[str], unused: Sequence[str]) -> str:
        """Why it does not do to a net what it is for, whatever its numbers, "" where it may: such a study is refused.

        Args:
            names: of the parameters, in their order.
            unused: those that have no part in the output.
        """
        return ""

    def unreached(self, steps: int) -> str:
        """What of it a training of so many steps ends before, in words as `Schedule.unreached`; "" for nothing."""
        return ""

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        """What the rule remembers of each member, before the first step: (member, …) each. Nothing by default.

        Args:
            zeros: (member, 1), of the type of the gradients and where they live.
            steps: how many steps will be taken.
        """
        return []

    def clip(self, gradient: Gradient, *state: Tensor, **settings: Tensor) -> Tensor:
        """Clip each member's gradient: `gradient.scale` it, change `gradient.flat` or set another one, and change the state in place.

        Args:
            gradient: of some members.
            *state: theirs, in the order of `initial_state`.
            **settings: the rule's fields at this step as columns (member, 1), in the type of the gradients.

        Returns:
            The share of its units that the rule changed, (member, 1), or whether it changed the gradient of each member:
            where it is not 0, the step counts as clipped.
        """
        raise self._lacks("clip")


def shrinkage(norm: Tensor, bound: Tensor) -> Tensor:
    """What to multiply a gradient with so that its norm stays within a bound: min(1, c / (‖g‖ + 1e-6)), 1 for c = ∞.

    As `torch.nn.utils.clip_grad_norm_`.
    """
    return (bound / (norm + 1e-6)).clamp(max=1.0).masked_fill(bound == inf, 1.0)
