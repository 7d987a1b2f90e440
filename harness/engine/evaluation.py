"""Evaluation: the loss and error of every member on a split, dropout off."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.setup import Setup
from harness.engine.stability import Array
from harness.tasks.task import Data

EXAMPLES, TIMES = 256, 4
"""Examples of a member that are evaluated at a time, and how many times as many as in training, at most."""

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
    parts = [population.scores(*feed.gather(part)) for part in in_batches(population, indices)]
    return torch.cat(parts, 2).double().cpu().numpy(), counts.cpu().numpy()


def in_batches(population: Members, indices: Tensor) -> tuple[Tensor, ...]:
    """(member, example) indices in parts that are passed forward together without a gradient.

    Larger than batches of training, which keep what the backward pass needs: products are the faster the more rows they
    have, up to `EXAMPLES`. How many depends on nothing but the setup, as the last bit of a number may depend on them.
    """
    return torch.split(indices, at_once(population.runs[0].setup), dim=1)


def at_once(setup: Setup) -> int:
    """How many examples of a run are evaluated at a time, at most."""
    return max(setup.batch_size, min(EXAMPLES, TIMES * setup.batch_size))


def steps_worth(setup: Setup, data: Data, evaluations: int, *, tests: bool) -> float:
    """How many training steps take about as long as evaluations do.

    Args:
        setup: of a run.
        data: its examples.
        evaluations: on the validation examples, besides the one before the first step.
        tests: whether what a tested run is measured on at its end is among them.
    """
    passed = (evaluations + 1) * len(data.validation) + AT_THE_END * len(data.test) * tests
    return FORWARD * passed / setup.examples_a_step


def mean(values: Array, counts: Array) -> Array:
    """Mean over the first `counts` examples, (…, member) from (…, member, example); see `total`."""
    return total(values, counts) / counts


def total(values: Array, counts: Array) -> Array:
    """Sum over the first `counts` examples, (…, member) from (…, member, example).

    Each member's by itself: among companions with more examples zeros would be added, and by how many decides how numpy groups a sum.
    """
    return np.stack([values[..., i, :count].sum(-1) for i, count in enumerate(counts.tolist())], -1)
