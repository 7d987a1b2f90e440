"""What a population's training leaves behind, step by step: when it is logged and evaluated, and whose numbers end."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.engine.stability import Array
from harness.engine.step import StepRecord

LOGGED_POINTS = 100
"""Points of a curve: at most this many steps are logged, evenly spaced, and those at which runs are evaluated."""

LOG = ("loss", "grad_norm", "clipped_norm", "clipped", "clipped_units")
"""What is recorded of every step."""

BLOCK = 2**21
"""Numbers of a column that are looked at together: of long training those of a few runs, or all of it would take gigabytes."""


@dataclass(frozen=True)
class LoggingSteps:
    """At which steps, counted from 1, a run is logged and evaluated."""

    steps: int
    evaluations: int

    def evaluated(self) -> list[int]:
        """Steps after which the validation loss is measured; the last is the last step."""
        count = min(self.evaluations, self.steps)
        return [self.steps * (i + 1) // count for i in range(count)]

    def logged(self) -> list[int]:
        """Steps that appear in curves: the first, evenly spaced ones, and the evaluated ones."""
        every = -(-self.steps // LOGGED_POINTS)
        return sorted({1, *range(every, self.steps + 1, every), *self.evaluated()})


class History:
    """What is recorded of every step, on the device until it is asked for.

    Args:
        when: which steps are logged and evaluated.
        members: of the population.
        device: where it trains.
        dtype: of what is recorded.

    Attributes:
        when: which steps are logged and evaluated.
        alive: int64 indices, among all runs, of the members that still train.
        nonfinite_at: (run,) the step at which a run's loss or weights became non-finite, 0 where they did not.
        steps_done: (run,) the last step of a run that stayed finite.
        measured_at: (run,) the step whose weights are measured in the end.
        validation: (evaluation, 2, run) loss and error on the validation split, NaN where not measured.
        at_start: (run,) validation loss before the first step.
    """

    def __init__(self, when: LoggingSteps, members: int, device: torch.device, dtype: torch.dtype) -> None:
        self.when, self._logged = when, {step: row for row, step in enumerate(when.logged())}
        self._evaluated = {step: row for row, step in enumerate(when.evaluated())}
        self._log = torch.full((when.steps, len(LOG), members), torch.nan, device=device, dtype=dtype)
        self._updates = torch.full((len(self._logged), members), torch.nan, device=device, dtype=dtype)
        self.validation = np.full((len(self._evaluated), 2, members), np.nan)
        self.alive = torch.arange(members, device=device)
        self.nonfinite_at = np.zeros(members, dtype=np.int64)
        self.at_start = np.full(members, np.nan)
        self.steps_done = np.full(members, when.steps)
        self.measured_at = np.full(members, when.steps)

    def write(self, step: int, record: StepRecord) -> None:
        """Record one step of the members."""
        losses, *others = record
        columns = losses, *(column[:, 0] for column in others)
        self._log[step - 1, :, self.alive] = torch.stack([column.to(self._log.dtype) for column in columns])

    def logs(self, step: int) -> bool:
        """Whether the step is one of a curve's, so that its update is recorded."""
        return step in self._logged

    def write_update(self, step: int, before: Tensor, after: Tensor) -> None:
        """Record ‖Δθ‖ / ‖θ‖ of one step from the parameters around it, (member, parameters)."""
        ratio = torch.linalg.vector_norm(after - before, dim=1) / torch.linalg.vector_norm(before, dim=1)
        self._updates[self._logged[step], self.alive] = ratio

    def evaluation(self, step: int) -> int:
        """Which evaluation comes after a step, counted from 1."""
        return self._evaluated[step] + 1

    def norms(self, step: int) -> Tensor:
        """The gradient norm of each member at a step, (member,)."""
        return self._log[step - 1, LOG.index("grad_norm"), self.alive]

    def clipped_units(self, step: int) -> Tensor:
        """The shares of their units that the clipping rule changed of finite gradients, up to a step, in a row."""
        norms, units = (self._log[:step, LOG.index(name), self.alive] for name in ("grad_norm", "clipped_units"))
        return units[norms.isfinite()]

    def evaluate(self, step: int, values: Array) -> None:
        """Record validation loss and error, (2, member)."""
        self.validation[self._evaluated[step]][:, self.alive.cpu().numpy()] = values

    def survivors(self, step: int, parameters: Tensor) -> Tensor:
        """Find whose numbers are finite up to this step; returns the int64 indices of these members."""
        alive = self.alive.cpu().numpy()
        bad = ~self._log[:step, 0].isfinite().cpu().numpy()[:, alive]
        bad[-1] |= ~parameters.isfinite().all(1).cpu().numpy()
        self.nonfinite_at[alive] = np.where(bad.any(0), bad.argmax(0) + 1, 0)
        return (torch.from_numpy(self.nonfinite_at[alive]).to(self.alive.device) == 0).nonzero()[:, 0]

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self.alive = self.alive[survivors]

    def stop(self, step: int, stopped: Tensor) -> None:
        """Record that the members at these indices train no more after a step."""
        self.steps_done[self.alive[stopped].cpu().numpy()] = step

    def trained(self, step: int) -> int:
        """Steps that were taken up to an evaluated one, summed over runs; who became non-finite went on to the next evaluation."""
        until = [next((at for at in self.when.evaluated() if at >= found), step) for found in self.nonfinite_at]
        return int(np.where(self.nonfinite_at > 0, until, np.minimum(self.steps_done, step)).sum())

    def state_dict(self, step: int) -> dict[str, Any]:
        """What is recorded up to an evaluated step, see `checkpoint`."""
        return {
            "log": self._log[:step],
            "updates": self._updates[: sum(at <= step for at in self._logged)],
            "validation": self.validation[: self._evaluated[step] + 1],
            "nonfinite_at": self.nonfinite_at,
            "steps_done": self.steps_done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._log[: len(state["log"])] = state["log"].to(self._log.device)
        self._updates[: len(state["updates"])] = state["updates"].to(self._updates.device)
        self.validation[: len(state["validation"])] = state["validation"]
        self.nonfinite_at, self.steps_done = state["nonfinite_at"], state["steps_done"]

    def finite(self) -> list[int]:
        """The runs whose loss and weights stayed finite."""
        return [int(run) for run in np.flatnonzero(self.nonfinite_at == 0)]

    def measured(self) -> Array:
        """Validation loss and error at `measured_at`, (2, run)."""
        rows = [self._evaluated[int(step)] for step in self.measured_at]
        return np.asarray(self.validation[rows, :, np.arange(len(rows))].T)

    def blocks(self) -> list[slice]:
        """All runs in parts, each of which `columns` takes little memory for: of two at least, as one alone is summed in another order."""
        steps, _, runs = self._log.shape
        parts = min(-(-steps * runs // BLOCK), max(1, runs // 2))
        return [slice(runs * i // parts, runs * (i + 1) // parts) for i in range(parts)]

    def columns(self, runs: slice) -> dict[str, Array]:
        """What is recorded of some runs, NaN after one became non-finite: `LOG` (step, run), `update_ratio` (logged step, run)."""
        steps = np.arange(1, len(self._log) + 1)
        found = {name: self._numbers(self._log[:, i, runs], runs, steps) for i, name in enumerate(LOG)}
        return found | {"update_ratio": self._numbers(self._updates[:, runs], runs, np.array(list(self._logged)))}

    def curves(self) -> dict[str, Array]:
        """The same of logged steps, with the validation loss, (logged step, run) each."""
        steps, runs = np.array(list(self._logged)), slice(None)
        found = {name: self._numbers(self._log[steps - 1, i], runs, steps) for i, name in enumerate(LOG)}
        validation = np.full((len(steps), self._log.shape[2]), np.nan)
        validation[[self._logged[step] for step in self._evaluated]] = self.validation[:, 0]
        ends = {"validation_loss": self._until_nonfinite(validation, runs, steps)}
        return found | {"update_ratio": self._numbers(self._updates, runs, steps)} | ends

    def _numbers(self, recorded: Tensor, runs: slice, steps: NDArray[np.int64]) -> Array:
        return self._until_nonfinite(np.ascontiguousarray(recorded.double().cpu().numpy()), runs, steps)

    def _until_nonfinite(self, column: Array, runs: slice, steps: NDArray[np.int64]) -> Array:
        """A column (step, run) with NaN after the step at which a run became non-finite."""
        until = self.nonfinite_at[runs]
        column[(until > 0) & (steps[:, None] > until)] = np.nan
        return column
