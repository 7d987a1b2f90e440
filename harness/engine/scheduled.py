"""Numbers that are each member's own and may change over training: p of dropout, settings of optimizer and clipping rule.

All values of a schedule lie on the device before training begins, (step, schedule). Where training has come to is known
there too, so that a step repeated from a graph reads the values of its own step.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.settings import Component, show
from harness.settings.schedules import Schedule

Level = float | Schedule
"""A number, or a schedule of it."""


class Clock:
    """The step that each member has come to.

    Args:
        steps: of the whole training.
        members: whose steps they are.
        device: where it is read.

    Attributes:
        rows: int64 (member,), the step less 1; 0 before the first one, too.
    """

    def __init__(self, steps: int, members: int, device: torch.device) -> None:
        self.steps, self.device = steps, device
        self.rows = torch.zeros(members, device=device, dtype=torch.int64)
        self._begun = torch.zeros((), device=device, dtype=torch.int64)

    def advance(self) -> None:
        """Go on to the next step, if there is one."""
        self.rows.add_(self._begun).clamp_(max=self.steps - 1)
        self._begun.fill_(1)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self.rows = self.rows[survivors]

    def state_dict(self) -> dict[str, Tensor]:
        """The step, see `checkpoint`."""
        return {"rows": self.rows, "begun": self._begun}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self.rows.copy_(state["rows"])
        self._begun.copy_(state["begun"])

    def set(self, steps: Tensor) -> None:
        """Have a member for each of these steps, (member,), and at it."""
        self.rows = steps - 1


class Scheduled:
    """A number of every member at the step that it has come to.

    Args:
        levels: a number or a schedule for each member.
        clock: of their training.

    Attributes:
        acts: whether any member's number is ever another than 0.
        varies: whether any member's number changes with the step.
    """

    def __init__(self, levels: Sequence[Level], clock: Clock) -> None:
        steps = clock.steps if any(isinstance(level, Schedule) for level in levels) else 1
        columns = {
            level: level.sequence(steps) if isinstance(level, Schedule) else np.full(steps, float(level))
            for level in dict.fromkeys(levels)
        }
        table = np.stack(list(columns.values()), 1)
        self.acts, self.varies = bool((table != 0).any()), bool((table != table[:1]).any())
        self._clock = clock
        self._table = torch.from_numpy(table if self.varies else table[:1].copy()).to(clock.device)
        places = {level: i for i, level in enumerate(columns)}
        self._places = torch.tensor([places[level] for level in levels], device=clock.device)
        self._fixed = None if self.varies else self._table[0, self._places]

    def now(self, axes: int = 1) -> Tensor:
        """The numbers, float64 (member, 1, …) with so many axes of size 1."""
        values = self._table[self._clock.rows, self._places] if self._fixed is None else self._fixed
        return values.view(-1, *[1] * axes)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the clock's own `compact`."""
        self._places = self._places[survivors]
        self._fixed = None if self._fixed is None else self._fixed[survivors]


def per_member(component: Component) -> dict[str, Level]:
    """The numeric settings of a clipping rule or optimizer, which members of one population may differ in."""
    values = component.values().items()
    return {n: v for n, v in values if isinstance(v, int | float | Schedule) and not isinstance(v, bool)}


def kind_of(component: Component, free: Collection[str] | None = None) -> str:
    """What components agree in that serve members of one population together: their class, and all but the numbers.

    Args:
        component: a clipping rule, optimizer or task.
        free: the settings that each member may have its own of, if these are others than the numbers.
    """
    free = per_member(component) if free is None else free
    fixed = {name: show(value) for name, value in component.values().items() if name not in free}
    return f"{type(component).__qualname__} {fixed}"


def settings_of(components: Sequence[Component], clock: Clock) -> dict[str, Scheduled]:
    """The numeric settings of each member's clipping rule or optimizer, by name."""
    levels = [per_member(component) for component in components]
    return {name: Scheduled([own[name] for own in levels], clock) for name in levels[0]}
