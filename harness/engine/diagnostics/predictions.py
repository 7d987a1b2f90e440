"""What predictions are worth beyond their error: calibration, robustness to input noise, and what was only memorized."""

import numpy as np
import torch
from torch import Tensor

from harness.engine.evaluation import in_batches, mean, scores
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array
from harness.settings.randomness import stream
from harness.tasks.task import Task

BINS = 15
"""Equal bins of confidence (Guo et al. 2017, arXiv:1706.04599, section 2)."""

SIGMAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Input noise, in standard deviations of all numbers of the inputs taken together, see `deviation`."""

SCALE_SAMPLE = 256
"""Training examples that the standard deviation of the inputs is taken from."""


def calibration(population: Members, feed: Feed) -> dict[str, Array]:
    """`brier` and `calibration_error` on the test split, (member,) each; NaN where targets are no classes.

    And where a task has losses of its own: the softmax of outputs are probabilities by the cross-entropy of `Task.losses`.

    Every step of a sequence that has a class of its own is a prediction of its own.
    """
    indices, counts = feed.split("test")
    parts = []
    for part in in_batches(population, indices):
        x, y = feed.gather(part)
        if y.is_floating_point() or type(population.task).losses is not Task.losses:
            return dict.fromkeys(("brier", "calibration_error"), np.full(len(population), np.nan))
        p = population.outputs(x, train=False).softmax(-1)
        confidence, chosen = p.max(-1)
        brier = p.square().sum(-1) - 2 * p.gather(-1, y.unsqueeze(-1)).squeeze(-1) + 1
        parts.append(torch.stack([brier, confidence, (chosen == y).to(p.dtype)]))
    brier, confidence, correct = torch.cat(parts, 2).flatten(2).double().cpu().numpy()
    predictions = counts.cpu().numpy() * (brier.shape[1] // indices.shape[1])
    return {"brier": mean(brier, predictions), "calibration_error": calibration_error(confidence, correct, predictions)}


def calibration_error(confidence: Array, correct: Array, counts: Array) -> Array:
    """Expected calibration error Σ n_b/N · |accuracy − confidence| over equal bins ((b − 1)/15, b/15], (member,).

    Args:
        confidence: largest probability of each prediction, (member, prediction).
        correct: 1 where the prediction is right, else 0, (member, prediction).
        counts: how many predictions of each member count, (member,).
    """
    inside = np.arange(confidence.shape[1]) < counts[:, None]
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    slots = (bins + BINS * np.arange(len(confidence))[:, None]).ravel()
    excess = np.bincount(slots, (np.where(inside, correct - confidence, 0.0)).ravel(), BINS * len(confidence))
    return np.asarray(np.abs(excess.reshape(-1, BINS)).sum(1) / counts)


def noise_error(population: Members, feed: Feed) -> Array:
    """Mean test error over `SIGMAS` of Gaussian noise on the inputs, (member,); NaN for tokens.

    Runs of one seed of the noise get the same, from its stream "input noise", scaled by σ and the `deviation` of their inputs.
    """
    chosen, sizes = feed.split("train", SCALE_SAMPLE)
    sample, _ = feed.gather(chosen)
    if not sample.is_floating_point():
        return np.full(len(population), np.nan)
    deviations = [deviation(own[:size]) for own, size in zip(sample, sizes.tolist(), strict=True)]
    scale = torch.stack(deviations).view(-1, *[1] * (sample.dim() - 1))
    indices, counts = feed.split("test")
    noises = [(run.noise_seed, count) for run, count in zip(population.runs, counts.tolist(), strict=True)]
    streams = {(seed, count): stream(seed, "input noise") for seed, count in noises}
    parts, start = [], 0
    for part in in_batches(population, indices):
        x, y = feed.gather(part)
        drawn = {key: torch.zeros(x.shape[1:]) for key in streams}
        for key, values in drawn.items():
            own = values[
                : max(0, key[1] - start)
            ]  # as many as each alone would draw: torch's numbers depend on how many
            own.copy_(torch.randn(own.shape, generator=streams[key]))
        noise = scale * torch.stack([drawn[key] for key in noises]).to(x)
        parts.append(torch.stack([population.scores(x + sigma * noise, y)[1] for sigma in SIGMAS]))
        start += part.shape[1]
    errors: Tensor = torch.cat(parts, 2).mean(0)
    return mean(errors.double().cpu().numpy(), counts.cpu().numpy())


def deviation(sample: Tensor) -> Tensor:
    """Standard deviation of all numbers of some examples taken together, (): one for all inputs, however their offsets and sizes differ."""
    return sample.flatten().std()


def memorization(population: Members, feed: Feed) -> Array:
    """Accuracy on training examples whose class label noise replaced, (member,): what cannot be had by generalizing.

    Arpit et al. 2017 (arXiv:1706.05394). NaN for a member without such examples.
    """
    if not bool(feed.split("flipped")[1].any()):
        return np.full(len(population), np.nan)
    (_, errors), counts = scores(population, feed, "flipped")
    with np.errstate(invalid="ignore"):
        return np.asarray(1 - mean(errors, counts))
