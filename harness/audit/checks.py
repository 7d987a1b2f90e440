"""Checks of a study's pieces: whether model, clipping rule and optimizer do what the engine takes for granted.

`harness.audit.doctor` runs them on a user's study, the contract test on every piece that is exported. A check trains or
evaluates a few steps on the CPU and says in one sentence what it found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.engine.train import train
from harness.settings.randomness import stream_seed
from harness.study.batch_mates import MIXES, WAY_OUT, mixes_examples
from harness.tasks.task import Data, Task

CPU = torch.device("cpu")
STEPS = 4
"""Training steps of a check: enough for gradients to pass a readout that starts at zero."""

SAMPLE = 8
"""Examples that a network must be able to learn by heart."""

RATES = (1e-3, 3e-3, 1e-2, 3e-2)
LEARNING_STEPS = 150


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        level: `ok`; `warning`, it may be meant so; `failed`, results would be wrong.
        sentence: what was found.
        way_out: what to do about it.
    """

    level: Literal["ok", "warning", "failed"]
    sentence: str
    way_out: str = ""


def tolerance(dtype: torch.dtype) -> float:
    """Relative difference that rounding explains, over a few steps."""
    return 1e-3 if dtype == torch.float32 else 1e-9


def short_runs(setups: Sequence[Setup], seeds: Sequence[int] = (0, 1)) -> list[Run]:
    """A run of every setup with every seed, ordered by seed, for a few steps."""
    short = [setup.replace(steps=STEPS) for setup in setups]
    return [Run(trial, seed, setup, confirm=False) for seed in seeds for trial, setup in enumerate(short)]


def companion_independence(setups: Sequence[Setup], dtype: torch.dtype = torch.float32) -> Finding:
    """Whether a member trains in a population as it does alone.

    Args:
        setups: they can train together.
        dtype: of parameters and activations.
    """
    runs, names = short_runs(setups), ["loss", "grad_norm"]
    _, together = train(runs, evaluations=1, device=CPU, dtype=dtype)
    for run in runs[-len(setups) :]:
        _, alone = train([run], evaluations=1, device=CPU, dtype=dtype)
        own = together[(together["trial"] == run.trial) & (together["seed"] == run.seed)]
        off = _difference(*(torch.from_numpy(curves[names].to_numpy(copy=True)) for curves in (own, alone)))
        if off > tolerance(dtype):
            return Finding(
                "failed",
                f"in a population a run takes another course than alone (relative difference {off:.1e})",
                "keep members apart: no state outside parameters and buffers, no statistics over more than the batch",
            )
    return Finding("ok", f"in a population of {len(runs)} a run takes the course that it takes alone")


def plain_module(setup: Setup, dtype: torch.dtype = torch.float32) -> Finding:
    """Whether outputs and gradients of a member are those of its module as it is written, dropout off."""
    runs = short_runs([setup])
    data = examples(runs)
    population, x, y = _population(runs, data, dtype)
    outputs = population.outputs(x, train=False).detach()
    population.losses(x, y, train=False)
    gradients = population.views(population.gradient(slice(None)))
    for member, run in enumerate(runs):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(run.seed, "init"))
            module: nn.Module = setup.model.build(setup.task.sizes(data[member])).to(dtype).eval()
            output = module(x[member])
        setup.task.losses(output, y[member]).mean().backward()  # type: ignore[no-untyped-call]
        plain = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        pairs = [(outputs[member], output.detach()), *((gradients[name][member], g) for name, g in plain.items())]
        off = max(_difference(mine, theirs) for mine, theirs in pairs)
        if off > tolerance(dtype):
            return Finding(
                "failed",
                f"in a population outputs or gradients differ from those of the module alone (by {off:.1e})",
                "compare with a copy of the module whose layers you replace one by one",
            )
    return Finding("ok", "outputs and gradients are those of the module as it is written")


def dropout(setups: Sequence[Setup]) -> Finding:
    """Whether dropout acts in training only, with noise of its own for every seed."""
    runs = short_runs(setups)
    population, x, _ = _population(runs, examples(runs), torch.float32)
    population.parameters.copy_(population.parameters[:1].clone().expand_as(population.parameters))
    x = x[:1].expand_as(x)
    trained, evaluated = [], []
    with torch.no_grad():
        for _ in range(2):
            population.draw_dropout()
            trained.append(population.outputs(x, train=True))
            evaluated.append(population.outputs(x, train=False))
    if not torch.equal(*evaluated):
        return Finding(
            "failed",
            "evaluation is random: the same weights give different outputs on the same examples",
            "use nn.Dropout, or draw noise only where self.training is true",
        )
    noisy = (trained[0] != trained[1]).flatten(1).any(1)
    same = (trained[0][: len(setups)] == trained[0][len(setups) :]).flatten(1).all(1)
    if bool((noisy[: len(setups)] & same).any()):
        return Finding(
            "failed",
            "runs of different seeds share their dropout noise, so that seeds are no independent replicates",
            "use nn.Dropout, which gets noise from each seed's own stream",
        )
    for setup, random in zip(setups, noisy.tolist(), strict=False):
        levels = {path: value for path, value in setup.model.walk("model.") if path.endswith("dropout")}
        unused = [path for path, p in levels.items() if isinstance(p, float) and p > 0 and not random]
        if unused:
            return Finding(
                "warning", f"{unused[0]} is {levels[unused[0]]:g}, yet nothing is random in training",
                "check that the module hands it to an nn.Dropout that its forward pass calls",
            )  # fmt: skip
    if not noisy.any():
        return Finding("ok", "no dropout: training is not random, nor is evaluation")
    return Finding("ok", "dropout acts in training only, with noise of its own for every seed")


def reach(setup: Setup) -> Finding:
    """Whether the gradient reaches every parameter within a few steps."""
    runs = short_runs([setup])
    data = examples(runs)
    population, x, y = _population(runs, data, torch.float32)
    stepper = Stepper(runs, population)
    names = list(population.views(population.parameters))
    reached = dict.fromkeys(names, False)
    for _ in range(STEPS):
        population.draw_dropout()
        population.losses(x, y)
        for name, gradient in population.views(population.gradient(slice(None))).items():
            reached[name] |= bool(gradient.any())
        stepper.step(x, y)
    if missed := [name for name, found in reached.items() if not found]:
        return Finding(
            "failed",
            f"the gradient does not reach {', '.join(missed)}",
            "use them in forward, without detach(), .data or a comparison on the way, or set requires_grad to False",
        )
    return Finding("ok", f"the gradient reaches all {len(names)} parameter tensors")


def apart_in_batch(setup: Setup) -> Finding:
    """Whether the output of an example, dropout off, is the same whatever others are in its batch."""
    if mixes_examples(setup.model, setup.task.sizes(data := setup.task.data(0)), data.x[data.train]):
        return Finding("warning", MIXES, WAY_OUT)
    return Finding("ok", "an example's output does not depend on the others in its batch")


def repeats(setups: Sequence[Setup]) -> Finding:
    """Whether two trainings are equal to the bit."""
    runs = short_runs(setups)
    first, second = (train(runs, evaluations=1, device=CPU) for _ in range(2))
    if all(a.equals(b) for a, b in zip(first, second, strict=True)):
        return Finding("ok", "two trainings are equal to the bit")
    return Finding(
        "failed",
        "two trainings of the same runs differ",
        "draw random numbers from harness.settings.randomness.stream or in nn.Dropout, keep nothing between calls of forward",
    )


def first_loss(setup: Setup) -> Finding:
    """Whether the loss of the initial weights is about that of guessing."""
    runs = short_runs([setup])
    data = examples(runs)
    population, x, y = _population(runs, data, torch.float32)
    loss = float(population.scores(x, y)[0].mean())
    if not math.isfinite(loss):
        return Finding(
            "failed", f"the loss of the initial weights is {loss}", "scale the inputs, or initialise smaller"
        )
    guess = guessing(setup.task, data[0])
    if guess is None:
        return Finding("ok", f"the loss of the initial weights is {loss:.3g}")
    if not 0.5 * guess < loss < 2 * guess:
        return Finding(
            "warning",
            f"the loss of the initial weights is {loss:.3g}, that of guessing {guess:.3g}",
            "scale the inputs and targets to about 1, or initialise the last layer smaller",
        )
    return Finding("ok", f"the loss of the initial weights is {loss:.3g}, that of guessing {guess:.3g}")


def guessing(task: Task, data: Data) -> float | None:
    """Loss of answering all classes alike, or 0 for real targets; None where a task has a loss of its own."""
    if type(task).losses is not Task.losses:
        return None
    if data.y.is_floating_point():
        return float(data.y[data.train].square().mean())
    return math.log(task.sizes(data)["outputs"])


def learns(setup: Setup) -> Finding:
    """Whether the model can learn a few examples by heart: Adam at several rates, dropout and clipping off."""
    runs = short_runs([setup] * len(RATES), [0])
    data = examples(runs)
    population, x, y = _population(runs, data, torch.float32, size=SAMPLE)
    rows = list(population.parameters)
    optimizer = torch.optim.Adam([{"params": [row], "lr": lr} for row, lr in zip(rows, RATES, strict=True)])
    first = population.losses(x, y, train=False)
    for _ in range(LEARNING_STEPS):
        population.losses(x, y, train=False)
        for row, gradient in zip(rows, population.gradient(slice(None)), strict=True):
            row.grad = gradient
        optimizer.step()
    losses = population.losses(x, y, train=False)
    best, start = float(losses.nan_to_num(math.inf).min()), float(first[0])
    reference = min(start, _constant(setup.task, y[0]) or start)
    sentence = f"learning {len(x[0])} examples by heart brought the loss from {start:.3g} to {best:.3g}"
    if best < 0.5 * reference:
        return Finding("ok", sentence)
    way_out = "look for inputs that never reach the output, a saturated or too small layer, or wrong targets"
    return Finding("failed" if best > 0.9 * reference else "warning", sentence, way_out)


def _constant(task: Task, y: Tensor) -> float | None:
    """Loss of the best constant answer to these targets; None where a task has a loss of its own."""
    if type(task).losses is not Task.losses:
        return None
    if y.is_floating_point():
        return float(y.var(0, correction=0).mean())
    shares = y.flatten().bincount() / y.numel()
    return float(-torch.special.xlogy(shares, shares).sum())


def _population(
    runs: list[Run], data: list[Data], dtype: torch.dtype, size: int | None = None
) -> tuple[Population, Tensor, Tensor]:
    """A population ready to train, and a training batch for each member."""
    population = Population(runs, data, device=CPU, dtype=dtype)
    feed = Feed(runs, data, device=CPU, dtype=dtype)
    x, y = feed.gather(feed.indices(1)[0][:, :size])
    population.prepare(x[0])
    population.draw_dropout()
    return population, x, y


def _difference(a: Tensor, b: Tensor) -> float:
    """‖a − b‖ relative to ‖b‖."""
    if a.shape != b.shape:
        return math.inf
    scale = float(torch.linalg.vector_norm(b))
    return float(torch.linalg.vector_norm(a - b)) / (scale or 1.0)
