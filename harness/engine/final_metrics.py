"""The last measurement: loss and error of the trained weights on training and test examples, and whether dropout acts."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.evaluation import at_once, mean, scores
from harness.engine.feed import Feed
from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.stability import Array
from harness.tasks.task import Data

TRAIN_SAMPLE = 256
"""Training examples on which the training loss of a tune run is measured."""


def measured_on(run: Run, data: Data) -> int:
    """How many training examples, the first ones, the training loss of a run is measured on."""
    return min(len(data.train), len(data.test) if run.confirm else TRAIN_SAMPLE)


def batch_sizes(setup: Setup, data: Data) -> list[int]:
    """How many examples are passed forward at a time wherever a run is evaluated, the most first."""
    most = at_once(setup)
    counts = len(data.validation), len(data.test), *(min(len(data.train), n) for n in (TRAIN_SAMPLE, len(data.test)))
    sizes = {size for n in counts for size in (min(n, most), n % most)}
    return sorted(sizes - {0}, reverse=True)


def guess_loss(run: Run, data: Data) -> float:
    """Loss of the best constant answer to the training set, on the examples of the training loss; NaN where not known.

    On the very same examples, so that a run that only learned the constant is not told from it by chance.
    """
    if not run.setup.task.can_guess():
        return float("nan")
    return float(run.setup.task.guess_losses(data.y[data.train])[: measured_on(run, data)].double().mean())


def final_metrics(population: Members, feed: Feed) -> dict[str, Array]:
    """Metrics of the trained weights, (member,) each. Test data is touched for runs of the confirm phase only."""
    if not population.runs[0].confirm:
        train_loss, train_error = mean(*scores(population, feed, "train", TRAIN_SAMPLE))
        return {"train_loss": train_loss, "train_error": train_error}
    found = generalization(population, feed)  # first: what follows are passes of training
    for mode in ("train", "eval"):
        found[f"{mode}_noise"] = _dropout_noise(population, feed, feed.peek(), train=mode == "train")
    return found


def generalization(population: Members, feed: Feed) -> dict[str, Array]:
    """Loss and error of the present weights on the test split and on as many training examples, and their gap, (member,) each."""
    test, counts = scores(population, feed, "test")
    test_loss, test_error = mean(test, counts)
    train_loss, train_error = mean(*scores(population, feed, "train", counts.tolist()))
    return {
        "train_loss": train_loss,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
        "gap": test_loss - train_loss,
    }


def _dropout_noise(population: Members, feed: Feed, batch: Tensor, *, train: bool) -> Array:
    """Largest change of an output between two draws of dropout, (member,), on the examples at (member, batch) indices."""
    with unchanged(population), torch.set_grad_enabled(train):  # a module may take gradients itself in training
        first, second = (population.output_numbers(feed.gather(batch)[0], train=train).detach() for _ in range(2))
    return np.asarray((first - second).abs().amax(1).double().cpu().numpy())
