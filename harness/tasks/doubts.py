"""Doubts about a task's data: what trains well and yet may not be what its user believes."""

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.settings.show import counted, ranges
from harness.tasks.doubt import Doubt
from harness.tasks.leaks import changing_test, repeated_inputs, repeated_test, repeated_text
from harness.tasks.task import Data, Task
from harness.tasks.windows import overlapping_windows

ALMOST = 0.99
"""Share of the errors, or of the variance, of the best constant answer that one input takes away if it holds the answer."""

MOST_EXAMPLES, MOST_INPUTS = 2000, 1000
"""What is looked at, at most."""

FEWEST = 50
"""Examples below which one input tells the target by chance."""

FEW = 0.01
"""Share of targets that may be of a class which a split lacks."""

Array = npt.NDArray[Any]


def doubts(task: Task, data: Data) -> list[Doubt]:
    """Every doubt about the data of one seed.

    Test inputs and targets are looked at only for which classes there are, and whether they are found elsewhere.
    """
    found = (
        changing_test(task), repeated_inputs(data), repeated_test(data), repeated_text(data) or overlapping_windows(task, data), told_by_one_input(task, data),
        absent_classes(task, data), lacking_classes(task, data), unseen_values(task, data),
    )  # fmt: skip
    return [doubt for doubt in found if doubt is not None]


def told_by_one_input(task: Task, data: Data) -> Doubt | None:
    """Whether one input alone tells the target of nearly all examples of training and validation.

    Each example is predicted from the others that have the same value, or else from those next to it in order: by the class
    of the one before, or the number on the line between both. Targets of sequences are not looked at.
    """
    y = data.y if data.clean is None else data.clean
    known = torch.unique(torch.cat([data.train, data.validation]))
    known = known[torch.linspace(0, len(known) - 1, min(len(known), MOST_EXAMPLES)).long()]
    if y.numel() != len(y) or len(known) < FEWEST:
        return None
    targets = y[known].reshape(-1).numpy()
    left = _error_in_numbers if y.is_floating_point() else _errors_in_classes
    told = []
    for name, values in itertools.islice(task.named_inputs(data), MOST_INPUTS):
        share = 1 - left(_finite(values[known].double().numpy()), targets)
        if share >= ALMOST:
            told.append((name, share))
    if not told:
        return None
    name, share = max(told, key=lambda pair: pair[1])
    more = f", as do {len(told) - 1} more" if len(told) > 1 else ""
    measure = "variance" if y.is_floating_point() else "errors of guessing"
    sentence = f"{name} alone tells the target: of the {measure} it leaves {100 * (1 - share):.2g}%{more}"
    return Doubt(sentence, "leave it out if it is the answer, or known only after it")


def _finite(values: Array) -> Array:
    """What is missing or infinite as a value of its own, below all others."""
    finite = np.isfinite(values)
    return np.where(finite, values, values.min(initial=0.0, where=finite) - 1)


def _errors_in_classes(values: Array, y: Array) -> float:
    """Errors of the classes told by the values, relative to those of the most frequent class; 1 where these are few.

    That each class gives way to the next one once is no error.
    """
    classes, y = np.unique(y, return_inverse=True)
    by_chance = len(y) - np.bincount(y).max()
    if by_chance < FEWEST / 5:
        return 1.0
    kinds, group = np.unique(values, return_inverse=True)
    counts = np.bincount(group * len(classes) + y, minlength=len(kinds) * len(classes)).reshape(len(kinds), -1)
    size, most = counts.sum(1), counts.argmax(1)
    changes = int(((size[1:] == 1) & (most[1:] != most[:-1])).sum())
    return float((max(changes - len(classes) + 1, 0) + (size - counts.max(1)).sum()) / by_chance)


def _error_in_numbers(values: Array, y: Array) -> float:
    """Squared error of the numbers told by the values, relative to the variance; 1 where there is none."""
    finite = np.isfinite(y)
    values, y = values[finite], y[finite].astype(np.float64)
    if len(y) < FEWEST or not y.var():
        return 1.0
    kinds, group, size = np.unique(values, return_inverse=True, return_counts=True)
    mean = np.bincount(group, y) / size
    off = (y - mean[group]) * np.where(size > 1, size / np.maximum(size - 1, 1), 0.0)[group]
    if len(kinds) > 2:
        line = mean[:-2] + (mean[2:] - mean[:-2]) * (kinds[1:-1] - kinds[:-2]) / (kinds[2:] - kinds[:-2])
        alone = np.where(size[1:-1] == 1, mean[1:-1] - line, 0.0)
        return float((np.square(off).sum() + np.square(alone).sum()) / (len(y) * y.var()))
    return float(np.square(off).sum() / (len(y) * y.var()))


def absent_classes(task: Task, data: Data) -> Doubt | None:
    """Whether a class between 0 and the largest never occurs, where the largest decides how many there are."""
    y = _classes(data)
    if type(task).sizes is not Task.sizes or not len(y):
        return None
    kinds = set(torch.unique(y).tolist())
    n = max(kinds) + 1
    if len(kinds) == n:
        return None
    absent = [str(c) for c in range(min(n, len(kinds) + 4)) if c not in kinds][:3]
    more = f" and {n - len(kinds) - len(absent)} more" if n - len(kinds) > len(absent) else ""
    sentence = (
        f"of the {n} classes, 0 … {n - 1}, {', '.join(absent)}{more} never occur{'s' if n - len(kinds) == 1 else ''}"
    )
    return Doubt(sentence, "classes are counted from 0 to the largest: number those that there are 0, 1, 2 …")


def lacking_classes(task: Task, data: Data) -> Doubt | None:
    """Whether held-out examples are of classes that are never trained on, a split lacks a class, or the test has one example of it.

    Of targets with several classes each, such as a text, rare ones do not count.
    """
    every = _classes(data)
    train, validation, test = (_classes(data, getattr(data, name)) for name in ("train", "validation", "test"))
    held_out = torch.cat([validation, test])
    few = 0.0 if data.y.numel() == len(data.y) else FEW
    unseen = int((~torch.isin(held_out, train)).sum())
    found = []
    if unseen > few * len(held_out):
        of_classes = "is of a class that is" if unseen == 1 else "are of classes that are"
        found.append(f"{unseen} of {counted(len(held_out), 'held-out target')} {of_classes} never trained on")
    kinds, counts = torch.unique(every, return_counts=True)
    common = kinds[counts > few * len(every)]
    for name, own in (("validation", validation), ("test", test)):
        if lacking := common[~torch.isin(common, own)].tolist():
            found.append(f"{_these(task, lacking)} not in the {name} examples of seed 0")
    tested, times = torch.unique(test, return_counts=True)
    if not few and (single := tested[times == 1].tolist()):
        found.append(f"{_these(task, single)} tested on a single example{' each' if len(single) > 1 else ''}")
    if not found:
        return None
    return Doubt("; ".join(found), "use more examples, or merge or leave out rare classes")


def _these(task: Task, classes: list[int]) -> str:
    first = task.named_target(classes[0])
    return f"class {first} is" if len(classes) == 1 else f"{len(classes)} classes, {first} the first, are"


def trained_on_one_class(task: Task, seeds: Sequence[int]) -> Doubt | None:
    """Whether seeds train on examples of one class alone; asked where seed 0 has so few of another that one may have none."""
    data = task.data(0)
    counts = torch.unique(_classes(data, data.train), return_counts=True)[1]
    if not len(counts) or int(counts.sum() - counts.max()) > FEWEST:
        return None
    alone = [seed for seed in seeds if _same_classes(task, seed)]
    if not alone:
        return None
    sentence = f"{counted(len(alone), 'seed trains', 'seeds train')} on one class alone ({ranges(alone)}): there is nothing to learn"
    return Doubt(sentence, "train on more examples, or leave these seeds out")


def _same_classes(task: Task, seed: int) -> bool:
    with suppress(Exception):  # of a user's task: the runs of this seed will fail, and say so
        data = task.data(seed)
        return len(torch.unique(_classes(data, data.train))) == 1
    return False


def unseen_values(task: Task, data: Data) -> Doubt | None:
    """Whether more than a few test or validation examples have in an input what nothing is learned of, see `_unseen`."""
    if type(task).named_inputs is Task.named_inputs:
        return None  # a network sees them as they are
    found = []
    for name, values in itertools.islice(task.named_inputs(data), MOST_INPUTS):
        for split, own in (("test", data.test), ("validation", data.validation)):
            unseen = int(_unseen(values[own], values[data.train]).sum())
            if unseen > FEW * len(own):
                found.append(
                    (
                        unseen / len(own),
                        f"{unseen} of {counted(len(own), f'{split} example')} {'has' if unseen == 1 else 'have'} in {name}",
                    )
                )
    if not found:
        return None
    more = f"; {counted(len(found) - 1, 'more such case')}" if len(found) > 1 else ""
    sentence = f"{max(found, key=lambda pair: pair[0])[1]} what is never trained on{more}"
    return Doubt(sentence, "write what is the same in the same way, train on more examples, or leave the input out")


def _unseen(values: Tensor, trained: Tensor) -> Tensor:
    """Which values of an input are like none that it is trained on, bool: other categories, other numbers than a constant, missing ones."""
    kinds = torch.unique(trained[~trained.isnan()])
    other = ~values.isnan() & ~torch.isin(values, kinds)
    if values.is_floating_point() and len(kinds) > 1:
        other[:] = False
    return other | (values.isnan() & ~trained.isnan().any())


def _classes(data: Data, examples: Tensor | None = None) -> Tensor:
    """The classes of these examples, or of all, in one row, without label noise and what is marked by negative ones."""
    y = data.y if data.clean is None else data.clean
    if y.is_floating_point():
        return torch.empty(0, dtype=torch.int64)
    y = (y if examples is None else y[examples]).flatten()
    return y[y >= 0]
