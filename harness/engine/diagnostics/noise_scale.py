"""How noisy the gradient of a batch is. With dropout off; gradients of training are left alone, and so are its random numbers."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array

BATCHES = 8
"""Batches that the gradient noise scale compares at each evaluation, as far as the training set has so many different ones."""


def sample(feed: Feed, size: int) -> Tensor:
    """The first `size` training examples of each member, (member, size) indices; smaller sets are repeated."""
    indices, counts = feed.split("train", size)
    columns = torch.arange(size, device=indices.device) % counts.unsqueeze(1)
    return indices.gather(1, columns)


def gradient_on(population: Members, feed: Feed, indices: Tensor) -> Tensor:
    """Gradient of the mean loss on some examples, (member, parameters), batch by batch.

    Args:
        population: at its present weights.
        feed: holds the examples.
        indices: (member, example).
    """
    total = torch.zeros_like(population.parameters)
    for part in torch.split(indices, population.runs[0].setup.batch_size, dim=1):
        population.losses(*feed.gather(part), train=False)
        total.add_(population.gradient(slice(None)), alpha=part.shape[1] / indices.shape[1])
    return total


class NoiseScale:
    """The simple gradient noise scale trΣ / ‖G‖² (McCandlish et al. 2018, arXiv:1812.06162, section 2.2).

    G is the gradient of the loss, Σ the covariance of the gradients of single examples. Both are estimated without bias from
    batches of training examples at every evaluation and averaged over these before dividing (appendix A.1).

    Args:
        population: of all members.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._sums = torch.zeros(2, len(population), dtype=torch.float64, device=population.device)
        self._several = torch.zeros(len(population), dtype=torch.bool, device=population.device)

    def see(self, feed: Feed) -> None:
        """Estimate numerator and denominator at the present weights."""
        size = self._population.runs[0].setup.batch_size
        batches = (
            feed.split("train", BATCHES * size)[1] // size
        )  # of each member; the same examples again would have no noise
        squared = torch.zeros_like(self._sums[0])
        mean = torch.zeros_like(self._population.parameters)
        for i, part in enumerate(torch.split(sample(feed, BATCHES * size), size, dim=1)):
            gradient, weight = gradient_on(self._population, feed, part), (i < batches) / batches.clamp(min=1)
            squared += weight * torch.linalg.vector_norm(gradient, dim=1).double().square()
            mean.addcmul_(gradient, weight.to(gradient.dtype).unsqueeze(1))
        square = torch.linalg.vector_norm(mean, dim=1).double().square()
        trace = size * batches / (batches - 1) * (squared - square)  # NaN or infinite for one batch, see `value`
        self._sums += torch.stack([trace, square - trace / (batches * size)])
        self._several = batches > 1

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self._sums, self._several = self._sums[:, survivors], self._several[survivors]

    def state_dict(self) -> dict[str, Tensor]:
        """The sums over evaluations, see `checkpoint`."""
        return {"sums": self._sums, "several": self._several}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._sums, self._several = (state[name].to(self._population.device) for name in ("sums", "several"))

    def value(self) -> Array:
        """The noise scale in examples, (member,); infinite where the gradient is lost in its noise, NaN for less than two batches."""
        trace, square = self._sums.cpu().numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(square > 0, trace / square, np.inf)
        return np.where(self._several.cpu().numpy(), scale, np.nan)
