"""Overlapping windows of a series as examples: what is tested on shares most of its values with what is trained on."""

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.tasks.doubt import Doubt
from harness.tasks.leaks import FEW
from harness.tasks.task import Data, Task

SHORTEST = 4
"""Steps of a window; with fewer, neighbours agree by chance."""

PAIRS, MOST = 100, 1000
"""Neighbours, and held out examples, that are looked at."""


def overlapping_windows(task: Task, data: Data) -> Doubt | None:
    """Whether more than a few test or validation examples share half of their steps or more with training examples.

    Windows are known from neighbours in the data, where the end of one is the beginning of the next.
    """
    x, stride = next(_windows(task.unscaled(data)), (data.x, 0))
    if not stride:
        return None
    trained = torch.zeros(len(x), dtype=torch.bool).index_fill_(0, data.train.long(), True)
    found = []
    for name, split in (("test", data.test), ("validation", data.validation)):
        some = split[torch.linspace(0, len(split) - 1, min(len(split), MOST)).long()]
        shared = int(_shares(x, some, trained, stride).sum())
        if shared > FEW * len(some):
            found.append(f"{shared} of {len(some)} {name} examples")
    if not found:
        return None
    sentence = f"{' and '.join(found)} share half of their steps or more with training examples: they are windows of a series, {abs(stride)} apart"
    return Doubt(
        sentence,
        "keep what overlaps in one split, by `group` (see harness/tasks/README.md), or test on what comes later",
    )


def _windows(x: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Each way in which inputs (examples, …) are windows: with their time as axis 1, and how many steps the next begins after an example.

    Below 0 where it begins before it, as of a series in reverse.
    """
    if x.dim() not in (2, 3) or len(x) <= 1:
        return
    first = torch.linspace(0, len(x) - 2, min(len(x) - 1, PAIRS)).long()
    for axis in range(1, x.dim()):
        along = x.movedim(axis, 1)
        one, following = along[first], along[first + 1]
        for sign, pairs in ((1, (one, following)), (-1, (following, one))):
            if stride := _stride(*pairs):
                yield along, sign * stride


def _stride(one: Tensor, following: Tensor) -> int:
    """How many steps after each example of (examples, time, …) its neighbour begins; 0 where they are no such windows."""
    steps = one.shape[1]
    if steps < SHORTEST:
        return 0
    differ = ~_alike(one, following)
    for stride in range(1, steps // 2 + 1):
        at = (steps - stride) // 2  # one step tells most that are no windows
        if 2 * int(_alike(one[:, stride + at : stride + at + 1], following[:, at : at + 1]).sum()) < len(one):
            continue
        end = one[:, stride:]
        same = _alike(end, following[:, :-stride]) & (end != end[:, :1]).flatten(1).any(1)
        if 2 * int((same & differ).sum()) >= len(one):
            return stride
    return 0


def _shares(x: Tensor, examples: Tensor, trained: Tensor, stride: int) -> Tensor:
    """Which of some examples share half of their steps or more with one that is trained on, bool (examples,)."""
    found = torch.zeros(len(examples), dtype=torch.bool)
    for steps in range(abs(stride), x.shape[1] // 2 + 1, abs(stride)):
        for later in (steps // stride, -steps // stride):
            others = examples + later
            inside = (others >= 0) & (others < len(x))
            inside[inside.clone()] &= trained[others[inside]]
            mine, theirs = x[examples[inside]], x[others[inside]]
            early, late = (mine, theirs) if later * stride > 0 else (theirs, mine)
            found[inside.clone()] |= _alike(early[:, steps:], late[:, :-steps])
    return found


def _alike(some: Tensor, others: Tensor) -> Tensor:
    """Which examples agree in all of their values, bool (examples,)."""
    return (some == others).flatten(1).all(1)
