"""The last measurement: loss and error of the trained weights on training and test examples, and whether dropout acts."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array

TRAIN_SAMPLE = 256
"""Training examples on which the training loss of a tune run is measured."""


def final_metrics(population: Members, feed: Feed) -> dict[str, Array]:
    """Metrics of the trained weights, (member,) each. Test data is touched here, once, for runs of the confirm phase."""
    if not population.runs[0].confirm:
        train_loss, train_error = mean(*scores(population, feed, "train", TRAIN_SAMPLE))
        return {"train_loss": train_loss, "train_error": train_error}
    test, test_counts = scores(population, feed, "test")
    train, train_counts = scores(population, feed, "train", int(test_counts.max()))
    same = np.minimum(test_counts, train_counts)
    (train_loss, train_error), (test_loss, test_error) = mean(train, train_counts), mean(test, test_counts)
    gap = mean(test, same)[0] - mean(train, same)[0]
    found = {
        "train_loss": train_loss,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
        "gap": gap,
    }
    batch = feed.indices(1)[0][:, : population.runs[0].setup.batch_size]
    noise = {
        f"{mode}_noise": _dropout_noise(population, feed, batch, train=mode == "train") for mode in ("train", "eval")
    }
    return found | noise


def _dropout_noise(population: Members, feed: Feed, batch: Tensor, *, train: bool) -> Array:
    """Largest change of an output between two draws of dropout, (member,), on the examples at (member, batch) indices."""
    with torch.set_grad_enabled(
        train
    ):  # a module may take gradients itself in training; it may change what it is given
        first, second = (population.output_numbers(feed.gather(batch)[0], train=train).detach() for _ in range(2))
    return (first - second).abs().amax(1).double().cpu().numpy()
