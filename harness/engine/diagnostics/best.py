"""The weights of least validation loss: what early stopping would have chosen (Prechelt 1998)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.final_metrics import generalization
from harness.engine.measuring import kept, unchanged
from harness.engine.members import Members
from harness.engine.plain_member import PlainMember
from harness.engine.stability import Array

MEASURED = ("train_loss", "test_loss", "test_error", "gap")
"""What is measured of the best weights as of the last ones, under `best_…`."""


class BestWeights:
    """Copies each member's weights at its least validation loss, the first of several.

    Args:
        population: whose weights; its other state (running statistics) is copied with them.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._best: list[Tensor] = []
        self._put_alone: Callable[[], None] = lambda: None
        self._loss = np.full(len(population), np.inf)
        self._step = np.zeros(len(population))
        self._last = 0

    def see(self, step: int, loss: Array) -> None:
        """Look at the weights after `step`, of validation loss `loss` (member,)."""
        better = loss < self._loss
        self._loss, self._step = np.where(better, loss, self._loss), np.where(better, step, self._step)
        self._last = step
        rows = torch.from_numpy(better).to(self._population.device)
        if isinstance(self._population, PlainMember):  # whose tensors may come, go and change their shape
            self._put_alone = kept(self._population) if better.any() else self._put_alone
            return
        if not self._best:
            self._best = [tensor.clone() for tensor in self._population.state()]
        for best, tensor in zip(self._best, self._population.state(), strict=True):
            best[rows] = tensor[rows]

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self._best = [tensor[survivors] for tensor in self._best]
        rows = survivors.cpu().numpy()
        self._loss, self._step = self._loss[rows], self._step[rows]

    def metrics(self, feed: Feed, present: dict[str, Array]) -> dict[str, Array]:
        """`best_step`, `best_validation_loss` and what is `MEASURED` of those weights; leaves the population as it was.

        Args:
            feed: their examples.
            present: what was measured of the last weights, which are often the best ones.
        """
        found = present
        if (self._step != self._last).any():
            with unchanged(self._population):
                self._put()
                found = generalization(self._population, feed)
        measured = {f"best_{name}": found[name] for name in MEASURED}
        return {"best_step": self._step, "best_validation_loss": self._loss} | measured

    def _put(self) -> None:
        """Put the best weights in place."""
        self._put_alone()
        for state, best in zip(self._population.state() if self._best else [], self._best, strict=True):
            state.copy_(best)
