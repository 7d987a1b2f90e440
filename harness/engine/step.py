"""One training step of every member, as in the textbook: forward, backward, clip, update.

Clipping and the update go over blocks of members whose parameters, gradient and state stay in the processor's caches:
together they read and write every array several times, which from main memory would cost more than the matrix products.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from harness.clipping import Gradient
from harness.engine.members import Members
from harness.engine.runs import Run
from harness.engine.update import cast, columns, of_rows, update_of
from harness.optimizers import Columns

BLOCK_BYTES = 16 * 2**20
"""Parameters, gradient and state of a block of members, on a CPU."""


class StepRecord(NamedTuple):
    """What is known of one step of every member.

    Attributes:
        losses: mean loss of the batch, (member,).
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
        self._population, self._rule = population, setup.clipping
        bounds = columns([run.setup.clipping for run in runs], population.device)
        self._bounds: Columns = cast(bounds, population.dtype)
        self._memory = self._rule.initial_state(torch.zeros_like(population.parameters[:, :1]), setup.steps)
        self._update = update_of(runs, population)

    def step(self, x: Tensor, y: Tensor) -> StepRecord:
        """Train on one batch.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).
        """
        self._population.advance()
        losses = self._population.losses(x, y)
        return StepRecord(losses, *self.clip_and_update(self._population.gradient))

    def clip_and_update(self, gradient_of: Callable[[slice], Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The second half of a step: norms before and after clipping, who was clipped and how many units, (member, 1) each.

        Args:
            gradient_of: the gradient of some members, (member, parameters), to be overwritten.
        """
        update, blocks = self._update, []
        update.begin()
        for rows in self._blocks():
            gradient = gradient_of(rows)
            norm, clipped_norm, units = self._clip(rows, gradient)
            clipped = units != 0
            update(rows, gradient, clipped if self._rule.skips else None)
            blocks.append((norm, clipped_norm, clipped, units.to(norm.dtype)))
        norm, clipped_norm, clipped, units = map(torch.cat, zip(*blocks, strict=True))
        update.end(clipped if self._rule.skips else None)
        return norm, clipped_norm, clipped, units

    def _clip(self, rows: slice, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clip the gradient of some members, (member, parameters), in place; norms before and after, and what the rule returns."""
        norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        gradient = Gradient(flat, norm, self._population.parameters[rows], self._population.views)
        memory = [tensor[rows] for tensor in self._memory]
        units = self._rule.clip(gradient, *memory, **of_rows(self._bounds, rows))  # type: ignore[arg-type]
        return norm, gradient.clipped_norm(), units

    def _blocks(self) -> list[slice]:
        """Members that are clipped and updated together: all of them, or on a CPU as many as its caches hold."""
        size = count = len(self._population)
        if self._population.device.type == "cpu":
            size = max(1, BLOCK_BYTES // self._update.bytes_per_member)
        return [slice(start, start + size) for start in range(0, count, size)]

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the population's own `compact`."""
        self._update.compact(survivors)
        self._memory = [tensor[survivors] for tensor in self._memory]
        self._bounds = of_rows(self._bounds, survivors)
