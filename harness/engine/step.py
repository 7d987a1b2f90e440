"""One training step of every member, as in the textbook: forward, backward, clip, update.

With gradient accumulation forward and backward are taken for several batches, whose mean gradient is clipped once.

Clipping and the update go over blocks of members whose parameters, gradient and state stay in the processor's caches:
together they read and write every array several times, which from main memory would cost more than the matrix products.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.engine.clip import Clip
from harness.engine.members import Members
from harness.engine.runs import Run
from harness.engine.update import each_by_itself, update_of

BLOCK_BYTES = 16 * 2**20
"""Parameters, gradient and state of a block of members, on a CPU."""


class StepRecord(NamedTuple):
    """What is known of one step of every member.

    Attributes:
        losses: mean training loss of the step's examples, (member,).
        norm: of the gradient, (member, 1).
        clipped_norm: of the gradient after clipping, (member, 1).
        clipped: whether the clipping rule changed the gradient, (member, 1).
        clipped_units: the share of its units that it changed, (member, 1).
    """

    losses: Tensor
    norm: Tensor
    clipped_norm: Tensor
    clipped: Tensor
    clipped_units: Tensor


class Stepper:
    """Takes training steps with a population.

    Args:
        runs: the members.
        population: their parameters, changed by every step.
    """

    def __init__(self, runs: list[Run], population: Members) -> None:
        setup = runs[0].setup
        self._population, self._batch_size = population, setup.batch_size
        self._clip = Clip(runs, population)
        self._update = update_of(runs, population)
        self._total = torch.zeros_like(population.parameters) if setup.accumulate > 1 else None

    def step(self, x: Tensor, y: Tensor, *, apart: bool = False) -> StepRecord:
        """Train on the examples of one step.

        Args:
            x: (member, example, …).
            y: (member, example, …).
            apart: clip and update each member by itself.
        """
        self._population.advance()
        if self._total is None:
            losses = self._population.losses(x, y)
            return StepRecord(losses, *self.clip_and_update(self._population.gradient, apart=apart))
        losses = self._accumulate(x, y, self._total)
        return StepRecord(losses, *self.clip_and_update(self._total.__getitem__, apart=apart))

    def _accumulate(self, x: Tensor, y: Tensor, total: Tensor) -> Tensor:
        """The mean loss of several batches, (member,), and in `total` its gradient, (member, parameters)."""
        batches = list(zip(torch.split(x, self._batch_size, 1), torch.split(y, self._batch_size, 1), strict=True))
        losses, unused = [], []
        total.zero_()
        for batch in batches:
            losses.append(self._population.losses(*batch))
            unused.append(self._population.unused)
            for rows in self._blocks():
                total[rows].add_(self._population.gradient(rows))
        total.div_(len(batches))
        self._population.unused = tuple(name for name in unused[0] if all(name in names for names in unused))
        return torch.stack(losses).mean(0)

    def clip_and_update(
        self, gradient_of: Callable[[slice], Tensor], *, apart: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The second half of a step: norms before and after clipping, who was clipped and how many units, (member, 1) each.

        Args:
            gradient_of: the gradient of some members, (member, parameters), to be overwritten.
            apart: each member by itself.
        """
        clip, update, blocks, skips = self._clip, self._update, [], list[Tensor]()
        clip.begin()
        update.begin(apart=apart)
        for rows in each_by_itself(len(self._population)) if apart else self._blocks():
            gradient = gradient_of(rows)
            norm, clipped_norm, units, skipped = clip(rows, gradient)
            update(rows, gradient, skipped)
            blocks.append((norm, clipped_norm, units != 0, units))
            skips += [] if skipped is None else [skipped]
        update.end(torch.cat(skips) if skips else None)
        norm, clipped_norm, clipped, units = map(torch.cat, zip(*blocks, strict=True))
        return norm, clipped_norm, clipped, units

    def _blocks(self) -> list[slice]:
        """Members that are clipped and updated together: all of them, or on a CPU as many as its caches hold."""
        size = count = len(self._population)
        if self._population.device.type == "cpu":
            size = max(1, BLOCK_BYTES // self._update.bytes_per_member)
        return [slice(start, start + size) for start in range(0, count, size)]

    def notes(self) -> list[str]:
        """What the user should know of it."""
        return [self._update.note] if self._update.note else []

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the population's own `compact`."""
        self._update.compact(survivors)
        self._clip.compact(survivors)
        self._total = None if self._total is None else self._total[survivors]

    def state_dict(self) -> dict[str, Any]:
        """What the clipping rules remember, and the optimizer, see `checkpoint`."""
        return {"memory": self._clip.state(), "update": self._update.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for own, saved in zip(self._clip.state(), state["memory"], strict=True):
            own.copy_(saved)
        self._update.load_state_dict(state["update"])
