"""Checks of a task's data: whether they repeat, are apart from each other, and hold something to learn."""

import torch
from torch import Tensor

from harness.audit.checks import Finding
from harness.settings.show import counted
from harness.tasks.doubt import Doubt
from harness.tasks.doubts import absent_classes, lacking_classes, told_by_one_input, unseen_values
from harness.tasks.leaks import (
    WINDOW,
    changing_test,
    repeated_inputs,
    repeated_test,
    repeated_text,
    share_of_repeated_text,
)
from harness.tasks.scope import scope
from harness.tasks.task import Data, Task
from harness.tasks.usable import SPLITS, data_problems, target_problems
from harness.tasks.windows import overlapping_windows

MOST = 0.9
"""Share of one class above which an error says little."""


def same_data(task: Task) -> Finding:
    """Whether a seed gives the same data at every call."""
    first, second = task.data(0), task.data(0)
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("x", "y", *SPLITS)]
    if all(a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
        return Finding("ok", "a seed gives the same data at every call")
    return Finding(
        "failed",
        "data(0) gives other data at its second call",
        "draw random numbers from harness.settings.randomness.stream(seed, …) only",
    )


def splits(task: Task) -> Finding:
    """Whether training, validation and test share no example, and the test repeats none."""
    data = task.data(0)
    if found := data_problems(data, type(task)):
        return Finding("failed", str(found[0]), "mend `draw` of the task")
    return _finding(
        repeated_inputs(data) or overlapping_windows(task, data) or repeated_test(data),
        "training, validation and test share no example",
    )


def test_set(task: Task) -> Finding:
    """Whether all seeds are tested on the same examples, and what a verdict is conditional on."""
    doubt = changing_test(task)
    return (
        Finding("ok", scope(task))
        if doubt is None
        else Finding("warning", f"{doubt.sentence}: {scope(task)}", doubt.way_out)
    )


def text(task: Task) -> Finding:
    """Whether a text repeats in the training split what it is tested on; other data pass."""
    data = task.data(0)
    share = share_of_repeated_text(data)
    if share is None:
        return Finding("ok", "no text, that is, tokens to be predicted one by one, is tested on")
    sentence = f"{share:.0%} of the test text, in windows of {WINDOW} tokens, stand word for word in the training text"
    return _finding(repeated_text(data), sentence)


def as_read(task: Task) -> Finding:
    """How many examples there are, and whether there was anything to decide when a file was read."""
    read = counted(len(task.data(0).x), "example")
    if notes := task.data_notes():
        way_out = "read it as meant, or change the settings of the task"
        return Finding("warning", f"{read}; {'; '.join(map(str, notes))}", way_out)
    return Finding("ok", f"{read}; nothing about the data had to be decided")


def answer(task: Task) -> Finding:
    """Whether no input alone tells the target."""
    return _finding(told_by_one_input(task, task.data(0)), "no input alone tells the target")


def classes(task: Task) -> Finding:
    """Whether each class from 0 to the largest occurs."""
    return _finding(absent_classes(task, task.data(0)), "no class is without examples")


def _finding(doubt: Doubt | None, otherwise: str) -> Finding:
    return Finding("ok", otherwise) if doubt is None else Finding("warning", *doubt)


def sane(task: Task) -> Finding:
    """Whether all numbers are finite, inputs and targets vary, no class is nearly everything, and what is held out is trained on."""
    data = task.data(0)
    if wrong := data.x.numel() - int(data.x.isfinite().sum()):
        return Finding("failed", f"{wrong} of {data.x.numel()} numbers in x are NaN or infinite", "remove them")
    if unfit := target_problems(data.y, type(task)):
        return Finding("failed", str(unfit[0]), "remove them")
    for name, values in (("x", data.x), ("y", data.y)):
        if bool((values[data.train] == values[data.train[:1]]).all()):
            return Finding("failed", f"{name} is the same in every training example", "nothing can be learned from it")
    sound = "all numbers are finite, inputs and targets vary"
    return (
        _balance(task, data)
        or _constant_inputs(data)
        or _finding(lacking_classes(task, data) or unseen_values(task, data), sound)
    )


def _balance(task: Task, data: Data) -> Finding | None:
    if data.y.is_floating_point():
        return None
    counts = data.y[data.train].flatten().clamp(min=-1).add(1).bincount()[1:]  # without what is marked by negative ones
    if not float(counts.max() / counts.sum()) > MOST:
        return None
    return Finding(
        "warning",
        f"{counts.max() / counts.sum():.0%} of the training targets are class {task.named_target(int(counts.argmax()))}",
        "judge by the loss rather than the error, or balance the classes",
    )


def _constant_inputs(data: Data) -> Finding | None:
    if not data.x.is_floating_point():
        return None
    x = data.x[data.train].flatten(0, -2)
    spread = _spread(x)
    if float(x.std()) > 0 and float(spread.max()) > 1e3 * float(spread[spread > 0].median()):
        return Finding(
            "warning", "one input varies a thousand times as much as most", "scale each input to a deviation of about 1"
        )
    constant = int((spread == 0).sum())
    if constant > len(spread) / 2:
        return Finding(
            "warning", f"{constant} of {len(spread)} inputs are the same in every training example", "leave them out"
        )
    return None


def _spread(x: Tensor) -> Tensor:
    return x.amax(0) - x.amin(0)
