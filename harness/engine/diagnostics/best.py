"""The weights of least validation loss: what early stopping would have chosen (Prechelt 1998)."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array


class BestWeights:
    """Copies each member's weights at its least validation loss, the first of several.

    Args:
        population: whose weights; its other state (running statistics) is copied with them.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._best: list[Tensor] = []
        self._loss = np.full(len(population), np.inf)
        self._step = np.zeros(len(population))

    def see(self, step: int, loss: Array) -> None:
        """Look at the weights after `step`, of validation loss `loss` (member,)."""
        better = loss < self._loss
        self._loss, self._step = np.where(better, loss, self._loss), np.where(better, step, self._step)
        rows = torch.from_numpy(better).to(self._population.device)
        if not self._best:
            self._best = [tensor.clone() for tensor in self._population.state()]
        for best, tensor in zip(self._best, self._population.state(), strict=True):
            best[rows] = tensor[rows]

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self._best = [tensor[survivors] for tensor in self._best]
        rows = survivors.cpu().numpy()
        self._loss, self._step = self._loss[rows], self._step[rows]

    def test(self, feed: Feed) -> dict[str, Array]:
        """`best_step`, and loss and error of those weights on the test split; leaves the population as it was."""
        present = [tensor.clone() for tensor in self._population.state()]
        self._put(self._best)
        loss, error = mean(*scores(self._population, feed, "test"))
        self._put(present)
        return {"best_step": self._step, "best_test_loss": loss, "best_test_error": error}

    def _put(self, tensors: list[Tensor]) -> None:
        for state, tensor in zip(self._population.state(), tensors, strict=True):
            state.copy_(tensor)
