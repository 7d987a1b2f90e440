"""One training step of every member: dropout, forward, backward, clip, update.

Clipping and the update go over blocks of members whose parameters, gradient and state stay in the processor's caches:
together they read and write every array several times, which from main memory would cost more than the matrix products.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from harness.clipping import Gradient
from harness.optimizers import Columns
from harness.population import Population, Run, per_member
from harness.settings import Component

BLOCK_BYTES = 8 * 2**20
"""Parameters, gradient and state of a block of members, on a CPU."""


class Stepper:
    """Takes training steps with a population.

    Args:
        runs: the members.
        population: their parameters, changed by every step.
    """

    def __init__(self, runs: list[Run], population: Population) -> None:
        setup = runs[0].setup
        self._population, self._rule, self._optimizer = population, setup.clipping, setup.optimizer
        self._bounds: Columns = dict(columns([run.setup.clipping for run in runs], population.device))
        rates = columns([run.setup.optimizer for run in runs], population.device)
        self._rates = {name: column if bool(column.any()) else None for name, column in rates.items()}
        self._state = [torch.zeros_like(population.parameters) for _ in setup.optimizer.state_names]
        self._memory = self._rule.initial_state(torch.zeros_like(population.parameters[:, :1]), setup.steps)
        self._updates = torch.zeros(len(runs), 1, dtype=torch.float64, device=population.device)

    def step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Train on one batch.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).

        Returns:
            Losses (member,), gradient norms before and after clipping (member, 1) and whether the rule acted on each (member, 1).
        """
        population, dtype = self._population, self._population.dtype
        population.draw_dropout()
        losses = population.losses(x, y)
        coefficients = _cast(self._optimizer.coefficients(self._updates + 1, **self._rates), dtype)
        bounds = _cast(self._bounds, dtype)
        norms, clipped_norms, acted = [], [], []
        for rows in self._blocks():
            flat = population.gradient(rows)
            norms.append(torch.linalg.vector_norm(flat, dim=1, keepdim=True))
            gradient = Gradient(flat, norms[-1], population.parameters[rows], population.views)
            memory = [tensor[rows] for tensor in self._memory]
            acted.append(self._rule.clip(gradient, *memory, **_rows(bounds, rows)))  # type: ignore[arg-type]
            clipped_norms.append(torch.linalg.vector_norm(flat, dim=1, keepdim=True))
            self._update(rows, flat, coefficients, skipped=acted[-1] if self._rule.skips else None)
        clipped = torch.cat(acted)
        self._updates += ~clipped if self._rule.skips else 1
        return losses, torch.cat(norms), torch.cat(clipped_norms), clipped

    def _update(self, rows: slice, gradient: Tensor, coefficients: Columns, *, skipped: Tensor | None) -> None:
        """Let the optimizer change some members; of those that skip the step, (member, 1), nothing changes."""
        changed = [tensor[rows] for tensor in (self._population.parameters, *self._state)]
        before = [] if skipped is None else [tensor.clone() for tensor in changed]
        self._optimizer.update(changed[0], gradient, *changed[1:], **_rows(coefficients, rows))
        if skipped is not None:
            for tensor, old in zip(changed, before, strict=True):
                torch.where(skipped, old, tensor, out=tensor)

    def keep(self, kept: Tensor) -> None:
        """Go on with some members only; call it after the population's own `keep`."""
        self._state, self._memory = ([tensor[kept] for tensor in kind] for kind in (self._state, self._memory))
        self._updates = self._updates[kept]
        self._bounds, self._rates = _rows(self._bounds, kept), _rows(self._rates, kept)

    def _blocks(self) -> list[slice]:
        """Members that are clipped and updated together: all of them, or on a CPU as many as its caches hold."""
        parameters = self._population.parameters
        size = len(parameters)
        if parameters.device.type == "cpu":
            arrays = 2 + len(self._state)
            size = max(1, BLOCK_BYTES // (arrays * parameters.shape[1] * parameters.element_size()))
        return [slice(start, start + size) for start in range(0, len(parameters), size)]


def columns(components: Sequence[Component], device: torch.device) -> dict[str, Tensor]:
    """The numeric settings of each member's clipping rule or optimizer as float64 columns (member, 1)."""
    values = [per_member(component) for component in components]
    return {name: torch.tensor([[v[name]] for v in values], dtype=torch.float64, device=device) for name in values[0]}


def _cast(named: Mapping[str, Tensor | None], dtype: torch.dtype) -> Columns:
    return {name: None if column is None else column.to(dtype) for name, column in named.items()}


def _rows(named: Mapping[str, Tensor | None], rows: slice | Tensor) -> Columns:
    return {name: None if column is None else column[rows] for name, column in named.items()}
