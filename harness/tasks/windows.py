"""Overlapping windows of a series as examples: what is tested on shares most of its values with what is trained on."""

import torch
from torch import Tensor

from harness.tasks.doubt import Doubt
from harness.tasks.leaks import FEW
from harness.tasks.task import Data

SHORTEST = 4
"""Steps of a window; with fewer, neighbours agree by chance."""

PAIRS, MOST = 100, 1000
"""Neighbours, and held out examples, that are looked at."""


def overlapping_windows(data: Data) -> Doubt | None:
    """Whether more than a few test or validation examples share half of their steps or more with training examples.

    Windows are known from neighbours in the data, where the end of one is the beginning of the next.
    """
    stride = _stride(data.x)
    if not stride:
        return None
    trained = torch.zeros(len(data.x), dtype=torch.bool).index_fill_(0, data.train.long(), True)
    found = []
    for name, split in (("test", data.test), ("validation", data.validation)):
        some = split[torch.linspace(0, len(split) - 1, min(len(split), MOST)).long()]
        shared = int(_shares(data.x, some, trained, stride).sum())
        if shared > FEW * len(some):
            found.append(f"{shared} of {len(some)} {name} examples")
    if not found:
        return None
    sentence = f"{' and '.join(found)} share half of their steps or more with training examples: they are windows of a series, {stride} apart"
    return Doubt(
        sentence,
        "keep what overlaps in one split, by `group` (see harness/tasks/README.md), or test on what comes later",
    )


def _stride(x: Tensor) -> int:
    """How many steps after an example the next one begins, of inputs x (examples, time, …); 0 where they are no such windows."""
    if x.dim() not in (2, 3) or x.shape[1] < SHORTEST or len(x) <= 1:
        return 0
    first = torch.linspace(0, len(x) - 2, min(len(x) - 1, PAIRS)).long()
    one, following = x[first], x[first + 1]
    differ = ~_alike(one, following)
    for stride in range(1, x.shape[1] // 2 + 1):
        at = (x.shape[1] - stride) // 2  # one step tells most that are no windows
        if 2 * int(_alike(one[:, stride + at : stride + at + 1], following[:, at : at + 1]).sum()) < len(first):
            continue
        end = one[:, stride:]
        same = _alike(end, following[:, :-stride]) & (end != end[:, :1]).flatten(1).any(1)
        if 2 * int((same & differ).sum()) >= len(first):
            return stride
    return 0


def _shares(x: Tensor, examples: Tensor, trained: Tensor, stride: int) -> Tensor:
    """Which of some examples share half of their steps or more with one that is trained on, bool (examples,)."""
    found = torch.zeros(len(examples), dtype=torch.bool)
    for steps in range(stride, x.shape[1] // 2 + 1, stride):
        for later in (steps // stride, -(steps // stride)):
            others = examples + later
            inside = (others >= 0) & (others < len(x))
            inside[inside.clone()] &= trained[others[inside]]
            mine, theirs = x[examples[inside]], x[others[inside]]
            early, late = (mine, theirs) if later > 0 else (theirs, mine)
            found[inside.clone()] |= _alike(early[:, steps:], late[:, :-steps])
    return found


def _alike(some: Tensor, others: Tensor) -> Tensor:
    """Which examples agree in all of their values, bool (examples,)."""
    return (some == others).flatten(1).all(1)
