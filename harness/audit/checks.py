"""Checks of a study's pieces: whether model, clipping rule and optimizer do what the engine takes for granted.

`harness.audit.doctor` runs them on a user's study, the contract test on every piece that is exported. A check trains or
evaluates a few steps on the CPU and says in one sentence what it found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.plain_member import PlainMember
from harness.engine.proof import obstacle
from harness.engine.runs import Run, build, examples
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.engine.train import train
from harness.settings.levels import label
from harness.study.batch_mates import MIXES, WAY_OUT, mixes_examples
from harness.study.unregistered import WAY_OUT as REGISTER
from harness.study.unregistered import unregistered
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


def as_written(setups: Sequence[Setup]) -> Finding:
    """Whether runs in a population are those of the plain loop on the module as it is written; see `proof`.

    Args:
        setups: they could train together.
    """
    why = obstacle([Run(0, 0, setups[0]), Run(1, 1, setups[-1])], CPU)
    if not why:
        return Finding("ok", "in a population losses, gradients and updates are those of the module as it is written")
    return Finding("ok", f"runs train by the plain loop, each alone, not as a population: {why}")


def dropout(setups: Sequence[Setup]) -> Finding:
    """Whether dropout acts in training only, with noise of its own for every seed."""
    members = _members(short_runs(setups))
    weights = members[0].member.parameters
    trained: tuple[list[Tensor], ...] = ([], [])
    evaluated: tuple[list[Tensor], ...] = ([], [])
    with torch.no_grad():
        for each in members:
            each.member.parameters.copy_(weights)
            for k in range(2):
                trained[k].append(each.member.outputs(members[0].x, train=True)[0])
                evaluated[k].append(each.member.outputs(members[0].x, train=False)[0])
    first, second = map(torch.stack, trained)
    if not torch.equal(*map(torch.stack, evaluated)):
        return Finding(
            "warning",
            "evaluation is random: the same weights give different outputs on the same examples",
            "unless it is meant so, use nn.Dropout, or draw noise only where self.training is true",
        )
    noisy = (first != second).flatten(1).any(1)
    same = (first[: len(setups)] == first[len(setups) :]).flatten(1).all(1)
    if bool((noisy[: len(setups)] & same).any()):
        return Finding(
            "failed",
            "runs of different seeds share their dropout noise, so that seeds are no independent replicates",
            "use nn.Dropout, which gets noise from each seed's own stream",
        )
    for setup, random in zip(setups, noisy.tolist(), strict=False):
        levels = {path: value for path, value in setup.model.walk("model.") if path.endswith("dropout")}
        unused = [path for path, p in levels.items() if _drops(p) and not random]
        if unused:
            return Finding(
                "warning", f"{unused[0]} is {label(unused[0], levels[unused[0]])}, yet nothing is random in training",
                "check that the module hands it to an nn.Dropout that its forward pass calls",
            )  # fmt: skip
    if not noisy.any():
        return Finding("ok", "no dropout: training is not random, nor is evaluation")
    return Finding("ok", "dropout acts in training only, with noise of its own for every seed")


def _drops(p: Any) -> bool:
    """Whether a setting called dropout, a number or one for each layer, says that something is dropped."""
    return any(isinstance(each, float) and each > 0 for each in (p if isinstance(p, tuple) else (p,)))


def registered(setup: Setup) -> Finding:
    """Whether torch finds all layers and parameters that the module holds."""
    if lost := unregistered(build(setup, setup.task.data(0), 0)):
        return Finding("warning", f"the model {lost}", REGISTER)
    return Finding("ok", "all layers and parameters are where torch finds them")


def reach(setup: Setup) -> Finding:
    """Whether the gradient reaches every parameter within a few steps."""
    members = _members(short_runs([setup]))
    names = list(members[0].member.views(members[0].member.parameters))
    reached = dict.fromkeys(names, False)
    for each in members:
        stepper = Stepper(each.member.runs, each.member)
        for _ in range(STEPS):
            each.member.losses(each.x, each.y)
            for name, gradient in each.member.views(each.member.gradient(slice(None))).items():
                reached[name] |= bool(gradient.any())
            stepper.step(each.x, each.y)
    if missed := [name for name, found in reached.items() if not found]:
        return Finding(
            "failed",
            f"the gradient does not reach {', '.join(missed)}",
            "use them in forward, without detach(), .data or a comparison on the way, or set requires_grad to False",
        )
    return Finding("ok", f"the gradient reaches all {len(names)} parameter tensors")


def apart_in_batch(setup: Setup) -> Finding:
    """Whether the output of an example, dropout off, is the same whatever others are in its batch."""
    if mixes_examples(setup, setup.task.data(0)):
        return Finding("warning", MIXES, WAY_OUT)
    return Finding("ok", "an example's output does not depend on the others in its batch")


def repeats(setups: Sequence[Setup]) -> Finding:
    """Whether two trainings are equal to the bit."""
    runs = short_runs(setups)
    twice = [[train([run], evaluations=1, device=CPU) for run in runs] for _ in range(2)]
    if all(a.equals(b) for one, again in zip(*twice, strict=True) for a, b in zip(one, again, strict=True)):
        return Finding("ok", "two trainings are equal to the bit")
    return Finding(
        "failed",
        "two trainings of the same runs differ",
        "draw random numbers from harness.settings.randomness.stream or in nn.Dropout, keep nothing between calls of forward",
    )


def first_loss(setup: Setup) -> Finding:
    """Whether the loss of the initial weights is about that of guessing."""
    members = _members(short_runs([setup]))
    loss = float(torch.cat([each.member.scores(each.x, each.y)[0] for each in members]).mean())
    if not math.isfinite(loss):
        return Finding(
            "failed", f"the loss of the initial weights is {loss}", "scale the inputs, or initialise smaller"
        )
    guess = guessing(setup.task, setup.task.data(0))
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
    members, losses = _members(short_runs([setup] * len(RATES), [0]), size=SAMPLE), []
    for each, rate in zip(members, RATES, strict=True):
        optimizer = torch.optim.Adam([each.member.parameters], lr=rate)
        first = each.member.losses(each.x, each.y, train=False)
        for _ in range(LEARNING_STEPS):
            each.member.losses(each.x, each.y, train=False)
            each.member.parameters.grad = each.member.gradient(slice(None))
            optimizer.step()
        losses.append(float(each.member.losses(each.x, each.y, train=False).nan_to_num(math.inf)))
    best, start, y = min(losses), float(first), members[0].y
    reference = min(start, _constant(setup.task, y[0]) or start)
    sentence = f"learning {y.shape[1]} examples by heart brought the loss from {start:.3g} to {best:.3g}"
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


@dataclass(frozen=True)
class Ready:
    """A run that is ready to train by the plain loop, and a batch for it: x and y, (1, batch, …)."""

    member: PlainMember
    inputs: Tensor
    y: Tensor

    @property
    def x(self) -> Tensor:
        """A copy, which a module may change."""
        return self.inputs.clone()


def _members(runs: list[Run], size: int | None = None) -> list[Ready]:
    """Runs that are ready to train, with a training batch each."""
    data = examples(runs)
    feed = Feed(runs, data, device=CPU, dtype=torch.float32)
    x, y = feed.gather(feed.indices(1)[0][:, :size])
    return [
        Ready(PlainMember(run, of_run, device=CPU, dtype=torch.float32), x[m : m + 1], y[m : m + 1])
        for m, (run, of_run) in enumerate(zip(runs, data, strict=True))
    ]
