"""Early stopping by patience: which members stop, and the weights of the least validation loss, which are then measured."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.diagnostics.best import MEASURED
from harness.engine.members import Members
from harness.engine.stability import Array


class EarlyStopping:
    """Copies each run's state at its least validation loss, the first of several (Prechelt 1998).

    Args:
        population: of all runs, each with its `patience`.

    Attributes:
        best_step: (run,) the step of the least validation loss.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._alive = np.arange(len(population))
        self._patience = np.array([run.setup.patience for run in population.runs])
        self._loss, self._waited = np.full(len(population), np.inf), np.zeros(len(population), dtype=np.int64)
        self.best_step = np.zeros(len(population), dtype=np.int64)
        self._best: list[Tensor] = []

    def see(self, step: int, loss: Array) -> Tensor:
        """Look at the weights after `step`, of validation loss `loss` (member,); returns who stops, bool (member,)."""
        alive, device = self._alive, self._population.device
        better = (loss < self._loss[alive]) | (self.best_step[alive] == 0)  # whatever the first one is
        runs = alive[better]
        self._loss[runs], self.best_step[runs] = np.where(np.isnan(loss), np.inf, loss)[better], step
        self._waited[alive] = np.where(better, 0, self._waited[alive] + 1)
        state = self._population.state()
        if not self._best:
            self._best = [tensor.clone() for tensor in state]
        into, rows = torch.from_numpy(runs).to(device), torch.from_numpy(np.flatnonzero(better)).to(device)
        for best, tensor in zip(self._best, state, strict=True):
            best[into] = tensor[rows]
        return torch.from_numpy(self._waited[alive] >= self._patience[alive]).to(device)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; the state of the others stays here."""
        self._alive = self._alive[survivors.cpu().numpy()]

    def metrics(self, runs: list[int], present: dict[str, Array]) -> dict[str, Array]:
        """The `best_…` metrics of some of the runs, (run,) each: their weights are the best ones, and measured already.

        Args:
            runs: by their places in the beginning.
            present: what was measured of them, see `final_metrics`.
        """
        measured = {f"best_{name}": present[name] for name in MEASURED if name in present}
        return {"best_step": self.best_step[runs], "best_validation_loss": self._loss[runs]} | measured

    def restore(self, runs: list[int]) -> None:
        """Put some of the runs back into the population, each in its best state and at the step of that."""
        device = self._population.device
        rows = torch.tensor(runs, device=device)
        steps = torch.from_numpy(self.best_step[runs]).to(device)
        self._population.restore(runs, [best[rows] for best in self._best], steps)
