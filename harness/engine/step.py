"""One training step of every member: dropout, forward, backward, clip, update.

Clipping and the update go over blocks of members whose parameters, gradient and state stay in the processor's caches:
together they read and write every array several times, which from main memory would cost more than the matrix products.
"""

import torch
from torch import Tensor

from harness.clipping import Gradient
from harness.engine.population import Population
from harness.engine.runs import Run
from harness.engine.update import cast, columns, of_rows, update_of
from harness.optimizers import Columns

BLOCK_BYTES = 16 * 2**20
"""Parameters, gradient and state of a block of members, on a CPU."""


class Stepper:
    """Takes training steps with a population.

    Args:
        runs: the members.
        population: their parameters, changed by every step.
    """

    def __init__(self, runs: list[Run], population: Population) -> None:
        setup = runs[0].setup
        self._population, self._rule = population, setup.clipping
        self._bounds: Columns = dict(columns([run.setup.clipping for run in runs], population.device))
        self._memory = self._rule.initial_state(torch.zeros_like(population.parameters[:, :1]), setup.steps)
        self._update = update_of(runs, population)

    def step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Train on one batch.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).

        Returns:
            Losses (member,), gradient norms before and after clipping (member, 1) and whether the rule acted on each (member, 1).
        """
        population = self._population
        population.draw_dropout()
        losses = population.losses(x, y)
        bounds = cast(self._bounds, population.dtype)
        norms, clipped_norms, acted = [], [], []
        self._update.begin()
        for rows in self._blocks():
            flat = population.gradient(rows)
            norms.append(torch.linalg.vector_norm(flat, dim=1, keepdim=True))
            gradient = Gradient(flat, norms[-1], population.parameters[rows], population.views)
            memory = [tensor[rows] for tensor in self._memory]
            acted.append(self._rule.clip(gradient, *memory, **of_rows(bounds, rows)))  # type: ignore[arg-type]
            clipped_norms.append(gradient.clipped_norm())
            self._update(rows, flat, acted[-1] if self._rule.skips else None)
        clipped = torch.cat(acted)
        self._update.end(clipped if self._rule.skips else None)
        return losses, torch.cat(norms), torch.cat(clipped_norms), clipped

    def keep(self, kept: Tensor) -> None:
        """Go on with some members only; call it after the population's own `keep`."""
        self._update.keep(kept)
        self._memory = [tensor[kept] for tensor in self._memory]
        self._bounds = of_rows(self._bounds, kept)

    def _blocks(self) -> list[slice]:
        """Members that are clipped and updated together: all of them, or on a CPU as many as its caches hold."""
        size = count = len(self._population)
        if self._population.device.type == "cpu":
            size = max(1, BLOCK_BYTES // self._update.bytes_per_member)
        return [slice(start, start + size) for start in range(0, count, size)]
