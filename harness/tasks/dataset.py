"""A user's own `torch.utils.data.Dataset`: `from_dataset`."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from harness.settings import InvalidStudy, Problem
from harness.tasks.tensors import Tensors


def from_dataset(dataset: Dataset[Any], **settings: Any) -> Tensors:
    """A task with the examples of a `torch.utils.data.Dataset`, each read once, in order.

    Of a data set with a part for training and one for testing, give both, `ConcatDataset([train, test])`: every seed
    draws its splits from all examples. What a data set does at random, such as augmentation, is done once.

    Args:
        dataset: its items are pairs (x, y) of tensors, arrays or numbers, the same shapes for all. Real numbers become
            float32, and whole numbers y int64 classes.
        **settings: of `Tensors`.

    Raises:
        InvalidStudy: it has no length, its items are not such pairs, or one cannot be read.
    """
    try:
        n = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise _unusable("needs a length; read an iterable data set into a list first", dataset) from None
    items: list[tuple[Any, Any]] = []
    for i in range(n):
        try:
            x, y = dataset[i]
        except Exception as error:  # whatever a user's own code raises
            message = f"item {i} is not a pair (x, y) that can be read: {type(error).__name__}: {error}".splitlines()[0]
            raise _unusable(message, dataset) from None
        items.append((x, y))
    try:
        x, y = (_numbers(column) for column in zip(*items, strict=True))
    except (TypeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if items else "it is empty"
        message = f"its items must be pairs of tensors, arrays or numbers of one shape: {reason}"
        raise _unusable(message, dataset) from None
    return Tensors(x, y if y.is_floating_point() else y.long(), **settings)


def _numbers(column: tuple[Any, ...]) -> Tensor:
    """The values of all items in one tensor."""
    values = default_collate(list(column))
    if not isinstance(values, Tensor):
        raise TypeError(f"found {type(column[0]).__name__}")
    return values.to(torch.float32) if values.is_floating_point() else values


def _unusable(message: str, dataset: object) -> InvalidStudy:
    return InvalidStudy([Problem("dataset", message, type(dataset).__name__)])
