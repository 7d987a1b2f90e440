"""Whether a network can be trained on a task's examples, and scored by its targets."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from harness.settings import Problem
from harness.tasks.task import Data, Task

SPLITS = ("train", "validation", "test")


def data_problems(data: Data, task: type[Task] = Task) -> list[Problem]:
    """Why a network cannot be trained on the examples, if it cannot.

    They are no tensors of the kinds that `Data` names, a split is empty, names no example or one of another split, or targets
    are unusable or one alone.

    Args:
        data: of one of the task's seeds.
        task: that scores the outputs.
    """
    found = [*_kind_problems(data)] or [*_length_problems(data)] or [*_split_problems(data)]
    if any(problem.path in ("x", "y") for problem in found):
        return found
    found += target_problems(data.y, task)
    return found or _constant_problems(data.y if data.clean is None else data.clean, task)


def kind_problems(name: str, value: Any, kinds: tuple[torch.dtype, ...], otherwise: str) -> list[Problem]:
    """Why a value, seen alone, is no tensor to train on: where it is, or its kind of number.

    Args:
        name: of it.
        value: a tensor, if it is one.
        kinds: of numbers that it may have, of which a sentence names the first two.
        otherwise: what to do about other kinds.
    """
    if not isinstance(value, Tensor):
        return [Problem(name, "must be a tensor; use torch.as_tensor", type(value).__name__)]
    ways_out = [
        (value.is_nested, "must not be nested: examples have one shape", "to_padded_tensor(0)"),
        (not value.is_nested and value.layout != torch.strided, "must not be sparse", "to_dense()"),
        (value.device.type != "cpu", "must be on the CPU, from where each device takes its share", "cpu()"),
        (value.requires_grad, "must not require a gradient", "detach()"),
    ]
    found = [Problem(name, f"{message}; use {name}.{way}") for wrong, message, way in ways_out if wrong]
    if found or value.dtype in kinds:
        return found
    first = " or ".join(str(kind).removeprefix("torch.") for kind in kinds[:2])
    return [Problem(name, f"must be {first}; use {otherwise}", str(value.dtype).removeprefix("torch."))]


FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _kind_problems(data: Data) -> Iterator[Problem]:
    wide = (torch.float32, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
    yield from kind_problems("x", data.x, wide, "x.float() for numbers, x.long() for tokens")
    kinds = (torch.float32, torch.int64, *FLOATS)
    yield from kind_problems("y", data.y, kinds, "y.float() for numbers, y.long() for classes")
    for name in SPLITS:
        whole = "torch.as_tensor(…) of a list of indices, mask.nonzero()[:, 0] of a mask"
        yield from kind_problems(name, getattr(data, name), (torch.int64, torch.int32), whole)


def _length_problems(data: Data) -> Iterator[Problem]:
    if not (data.x.dim() and data.y.dim()):
        yield Problem("x" if data.y.dim() else "y", "must have an axis of examples, the first one", "shape ()")
    elif len(data.x) != len(data.y):
        yield Problem("y", f"needs as many examples as x, {len(data.x)}", str(len(data.y)))


def _split_problems(data: Data) -> Iterator[Problem]:
    """Splits that are empty, name what is no example, or share one with an earlier split."""
    n, seen = len(data.x), dict[str, Tensor]()
    for name in SPLITS:
        split = getattr(data, name)
        if split.dim() != 1 or not len(split):
            message = "must hold at least one example" if split.dim() == 1 else "must be one row of indices"
            yield Problem(name, message, "none" if split.dim() == 1 else f"shape {tuple(split.shape)}")
        elif split.min() < 0 or split.max() >= n:
            yield Problem(name, f"must be indices of the examples, 0 to {n - 1}", f"{split.min()} to {split.max()}")
        else:
            own = torch.zeros(n, dtype=torch.bool).index_fill_(0, split.long(), True)
            for other, held in seen.items():
                if shared := int((own & held).sum()):
                    message = f"must share no example with {other}, see harness.tasks.splits.split"
                    yield Problem(name, message, f"{shared} of {int(own.sum())} in both")
            seen[name] = own


def target_problems(y: Tensor, task: type[Task]) -> list[Problem]:
    """Why a task cannot score outputs by these targets, if it cannot.

    Negative classes, such as torch's −100, and NaN often mark what does not count. Only losses and errors of a task's own
    can leave it out.

    Args:
        y: (examples, …) classes or numbers.
        task: whose `losses` and `errors` are used.
    """
    numbers = y.is_floating_point()
    marked = ~y.isfinite() if numbers else y < 0
    shared = [name for name in ("losses", "errors") if getattr(task, name) is getattr(Task, name)]
    count = int(marked.sum())
    if not count or not (shared or count == y.numel()):
        return []
    nan = int(y.isnan().sum())
    got = f"{nan} NaN, {count - nan} infinite" if numbers else f"smallest {int(y.min())}"
    wanted = "all targets must be finite" if numbers else "classes must be ≥ 0"
    way_out = f", or the task's own `{'` and `'.join(shared)}` must leave the others out" if shared else ""
    return [Problem("y", f"{wanted}{way_out}; {count} of {y.numel()} are not", got)]


def _constant_problems(y: Tensor, task: type[Task]) -> list[Problem]:
    """That all targets are the same, (examples, …), where a task scores outputs as `Task` does."""
    if task.losses is not Task.losses or (y != y[:1]).any():
        return []
    got = str(y[0].tolist()) if y[0].numel() <= MOST_SHOWN else f"{y[0].numel()} numbers"
    return [Problem("y", "the targets of all examples are the same: there is nothing to learn", got)]


MOST_SHOWN = 4
"""Numbers of a target that a message names."""
