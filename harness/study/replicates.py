"""Whether a seed makes a replicate: what of a run does not depend on its seed, though it usually does."""

import torch

from harness.engine.runs import build
from harness.engine.setup import Setup
from harness.settings import Note
from harness.tasks.task import Data


def replicate_notes(setup: Setup, data: Data) -> list[Note]:
    """What is the same under two seeds and so is no replicate.

    Args:
        setup: is sound.
        data: of seed 0.
    """
    other = setup.task.data(1)
    weights = [list(build(setup, of_seed, seed).parameters()) for seed, of_seed in enumerate((data, other))]
    if not weights[0] or not all(map(torch.equal, *weights)):
        return []
    message = "starts from the same weights under every seed"
    if _same(data, other) and setup.batch_size >= len(data.train):
        return [
            Note(
                "model", f"{message}, on the same data: where dropout does not act, seeds give copies, which count once"
            )
        ]
    return [Note("model", f"{message}: seeds differ in data, order of batches and dropout alone")]


def _same(one: Data, other: Data) -> bool:
    """Whether two seeds train on the same examples."""
    if len(one.train) != len(other.train):
        return False
    pairs = ((one.x[one.train], other.x[other.train]), (one.y[one.train], other.y[other.train]))
    return all(torch.equal(a, b) for a, b in pairs)
