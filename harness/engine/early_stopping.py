"""Early stopping by patience (Prechelt 1998): which members stop; their best weights (`copies`) are then measured."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.engine.members import Members


class EarlyStopping:
    """Counts each member's evaluations since its least validation loss.

    Args:
        population: of all runs, each with its `patience`.
    """

    def __init__(self, population: Members) -> None:
        self._device = population.device
        self._patience = np.array([run.setup.patience for run in population.runs])
        self._waited = np.zeros(len(population), dtype=np.int64)

    def see(self, better: NDArray[np.bool_]) -> Tensor:
        """Take note of whose weights are the best so far, (member,); returns who stops, bool (member,)."""
        self._waited = np.where(better, 0, self._waited + 1)
        return torch.from_numpy(self._waited >= self._patience).to(self._device)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        rows = survivors.cpu().numpy()
        self._patience, self._waited = self._patience[rows], self._waited[rows]

    def state_dict(self) -> dict[str, Any]:
        """How long each member has waited, see `checkpoint`."""
        return {"waited": self._waited, "patience": self._patience}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._waited, self._patience = state["waited"], state["patience"]
