"""Evaluation: the loss and error of every member on a split, dropout off."""

from collections.abc import Sequence

import numpy as np
import torch

from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.setup import Setup
from harness.engine.stability import Array
from harness.tasks.task import Data

FORWARD = 1 / 3
"""Of the arithmetic of a training step: the backward pass takes two products for each of the forward pass."""

AT_THE_END = 4
"""How often the test examples are passed forward once a run is trained: its last and its best weights, on them and on training examples."""


@torch.no_grad()
def scores(
    population: Members, feed: Feed, split: str, at_most: int | Sequence[int] | None = None
) -> tuple[Array, Array]:
    """Loss and error of every example of a split, dropout off.

    Returns:
        (2, member, example) scores and how many examples of each member count, (member,).
    """
    indices, counts = feed.split(split, at_most)
    chunk = population.runs[0].setup.batch_size  # as large as memory and caches are known to bear
    parts = [population.scores(*feed.gather(part)) for part in torch.split(indices, chunk, dim=1)]
    return torch.cat(parts, 2).double().cpu().numpy(), counts.cpu().numpy()


def steps_worth(setup: Setup, data: Data, evaluations: int, *, confirm: bool) -> float:
    """How many training steps take about as long as all evaluations of a run.

    Args:
        setup: of the run.
        data: its examples.
        evaluations: on the validation examples, while it trains.
        confirm: whether it is tested.
    """
    passed = (evaluations + 1) * len(data.validation) + AT_THE_END * len(data.test) * confirm
    return FORWARD * passed / setup.examples_a_step


def mean(values: Array, counts: Array) -> Array:
    """Mean over the first `counts` examples, (…, member) from (…, member, example)."""
    inside = np.arange(values.shape[-1]) < counts[:, None]
    return np.asarray(np.where(inside, values, 0.0).sum(-1) / counts)
