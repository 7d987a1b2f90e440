"""Whether a seed makes a replicate: what of a run does not depend on its seed, though it usually does."""

import torch
import torch.nn as nn

from harness.engine.aliasing import overlapping
from harness.engine.runs import build
from harness.engine.setup import Setup
from harness.tasks.task import Data

SAME_WEIGHTS = "starts from the same weights under every seed"
ALIKE = f"{SAME_WEIGHTS}: only data, order of batches and dropout differ between seeds"
COPIES = (
    f"{SAME_WEIGHTS} and sees the same data at every step: where dropout does not act, seeds are copies and count once"
)
NOISE_ALONE = "leaves seeds nothing but noise to differ in: where dropout does not act, they are copies and count once"


def what_seeds_share(setup: Setup) -> str:
    """What is the same under two seeds in all of which they may differ, in words; "" for nothing that usually differs.

    Args:
        setup: that can train.
    """
    data = [setup.task.data(seed) for seed in (0, 1)]
    first, second = (list(build(setup, of_seed, seed).parameters()) for seed, of_seed in enumerate(data))
    if not first or not all(map(torch.equal, first, second)):
        return ""
    return COPIES if setup.examples_a_step >= len(data[0].train) and trained_alike(*data) else ALIKE


def shared_parameter(one: nn.Module, other: nn.Module) -> str:
    """A parameter that two modules have in common, so that the training of one would change the other; "" for none."""
    names = overlapping(dict(one.named_parameters()), dict(other.named_parameters()))
    return next((name for name, _ in names), "")


def trained_alike(one: Data, other: Data) -> bool:
    """Whether two seeds train on the same examples."""
    if len(one.train) != len(other.train):
        return False
    pairs = ((one.x[one.train], other.x[other.train]), (one.y[one.train], other.y[other.train]))
    return all(torch.equal(a, b) for a, b in pairs)
