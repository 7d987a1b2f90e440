"""The weights of least validation loss: what early stopping would have kept (Prechelt 1998)."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.population import Population
from harness.engine.stability import Array


class BestWeights:
    """Keeps each member's weights at its least validation loss, the first of several.

    Args:
        population: whose weights; its other state (running statistics) is kept with them.
    """

    def __init__(self, population: Population) -> None:
        self._population = population
        self._kept: list[Tensor] = []
        self._loss = np.full(len(population), np.inf)
        self._step = np.zeros(len(population))

    def see(self, step: int, loss: Array) -> None:
        """Look at the weights after `step`, of validation loss `loss` (member,)."""
        better = loss < self._loss
        self._loss, self._step = np.where(better, loss, self._loss), np.where(better, step, self._step)
        rows = torch.from_numpy(better).to(self._population.device)
        if not self._kept:
            self._kept = [tensor.clone() for tensor in self._population.state()]
        for kept, tensor in zip(self._kept, self._population.state(), strict=True):
            kept[rows] = tensor[rows]

    def keep(self, rows: Tensor) -> None:
        """Go on with some members only."""
        self._kept = [tensor[rows] for tensor in self._kept]
        self._loss, self._step = self._loss[rows.cpu().numpy()], self._step[rows.cpu().numpy()]

    def test(self, feed: Feed) -> dict[str, Array]:
        """`best_step`, and loss and error of those weights on the test split; leaves the population as it was."""
        present = [tensor.clone() for tensor in self._population.state()]
        self._put(self._kept)
        loss, error = mean(*scores(self._population, feed, "test"))
        self._put(present)
        return {"best_step": self._step, "best_test_loss": loss, "best_test_error": error}

    def _put(self, tensors: list[Tensor]) -> None:
        for own, tensor in zip(self._population.state(), tensors, strict=True):
            own.copy_(tensor)
