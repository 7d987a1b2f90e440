"""Which numbers of a study are at or above what guessing costs: mostly those that are meant in another unit."""

import math
from collections.abc import Iterator

from torch import Tensor

from harness.settings import Note
from harness.settings.metrics import ERROR, METRICS, SIGNED
from harness.settings.show import digits
from harness.study.claims_of_arms import Threshold
from harness.study.experiment import Experiment
from harness.study.scope import setups
from harness.study.statement import Estimated
from harness.tasks.task import Data, Task

LOSS = "loss"
"""Unit of losses, beside `ERROR`."""


def out_of_reach(study: Experiment) -> Iterator[Note]:
    """That a `target_error`, or the δ or value of a claim, is no less than what guessing costs in every cell."""
    guesses = {task: guessing(task, task.data(0)) for task in dict.fromkeys(setup.task for setup in setups(study))}
    for task, guess in guesses.items():
        if task.target_error and task.target_error >= guess.get(ERROR, math.inf):
            said = "who has learned nothing has solved the task"
            yield Note("task.target_error", _said(digits(task.target_error), guess[ERROR], said, task))
    for i, claim in enumerate(study.claims):
        if not isinstance(claim, Estimated) or claim.above is not None or claim.metric in SIGNED:
            continue
        most, task = max(
            ((guess.get(METRICS[claim.metric].unit, math.inf), task) for task, guess in guesses.items()),
            key=lambda pair: pair[0],
        )
        if claim.smallest_effect >= most:
            said = "runs that are no worse than guessing hardly differ by so much"
            yield Note(f"claims[{i}].smallest_effect", _said(f"δ = {claim.smallest_effect:g}", most, said, task))
        if isinstance(claim, Threshold) and claim.better == "lower" and claim.value >= most:
            yield Note(
                f"claims[{i}].value", _said(digits(claim.value), most, "who has learned nothing is below it", task)
            )


def guessing(task: Task, data: Data) -> dict[str, float]:
    """Loss and error of the best constant answer to the training examples of `data`, by their units; without what is not known.

    Args:
        task: that scores the answers.
        data: of one of its seeds.
    """
    y, found = data.y[data.train], {}
    if task.can_guess() and not (loss := task.guess_losses(y).double().mean()).isnan():
        found[LOSS] = float(loss)
    if type(task).errors is Task.errors and (error := _error(y)):
        found[ERROR] = error
    return found


def _error(y: Tensor) -> float:
    """Of the best constant answer to targets y, (examples, …): its share of wrong classes, or its mean absolute error."""
    if y.is_floating_point():
        return float((y - y.median(0).values).abs().double().mean())
    counts = y.flatten().bincount()
    return 1 - float(counts.max() / counts.sum())


def _said(number: str, guess: float, so: str, task: Task) -> str:
    unit = task.unit()
    return f"{number} is no less than what guessing costs, {digits(guess)}: {so}{unit and f'; {unit}'}"
