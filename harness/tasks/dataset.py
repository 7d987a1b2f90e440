"""A user's own `torch.utils.data.Dataset`: `from_dataset`."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from harness.settings import InvalidStudy, Problem
from harness.tasks.tensors import Tensors


def from_dataset(dataset: Dataset[Any], *, test: Dataset[Any] | None = None, **settings: Any) -> Tensors:
    """A task with the examples of a `torch.utils.data.Dataset`, each read once, in order.

    What a data set does at random, such as augmentation, is done once.

    Args:
        dataset: its items are pairs (x, y) of tensors, arrays or numbers, the same shapes for all. Real numbers become
            float32, where that changes little, and whole numbers y int64 classes.
        test: likewise, a part of its own for testing, as data sets with `train=False` are; None: some of `dataset` is kept.
        **settings: of `Tensors`.

    Raises:
        InvalidStudy: it has no length, its items are not such pairs, complex ones among them, one cannot be read, or float32 cannot tell its numbers
            apart.
    """
    x, y = _tensors("dataset", dataset)
    return Tensors(x, y, test=None if test is None else _tensors("test", test), **settings)


ROUNDED_AWAY = 1e-3
"""Of a standard deviation, what rounding may change."""


def _tensors(name: str, dataset: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all items.

    Raises:
        InvalidStudy: see `from_dataset`; the problem's path is `name`.
    """
    try:
        n = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise _unusable(name, "needs a length; read an iterable data set into a list first", dataset) from None
    items: list[tuple[Any, Any]] = []
    for i in range(n):
        try:
            item = dataset[i]
            if not isinstance(item, list | tuple):  # keys or rows may be two as well
                keys = f" with {', '.join(map(repr, item))}" if isinstance(item, dict) else ""
                raise TypeError(f"it is a {type(item).__name__}{keys}")
            x, y = item
        except Exception as error:  # whatever a user's own code raises
            message = f"item {i} is not a pair (x, y) that can be read: {type(error).__name__}: {error}".splitlines()[0]
            raise _unusable(name, message, dataset) from None
        items.append((x, y))
    try:
        x, y = (_collated(column) for column in zip(*items, strict=True))
    except (TypeError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if items else "it is empty"
        message = f"its items must be pairs of tensors, arrays or numbers of one shape: {reason}"
        raise _unusable(name, message, dataset) from None
    x, y = (_in_float32(name, part, values, dataset) for part, values in (("x", x), ("y", y)))
    understood = x.is_floating_point() or x.dtype == torch.int64
    for part, values, usable, whole in (("x", x, understood, "tokens"), ("y", y, not y.is_complex(), "classes")):
        if not usable:
            kind = str(values.dtype).removeprefix("torch.")
            message = f"{part} is {kind}: items must have numbers, {part}.float(), or {whole}, {part}.long()"
            raise _unusable(name, f"{message}; let the data set give them so", dataset)
    return x, y if y.is_floating_point() else y.long()


def _collated(column: tuple[Any, ...]) -> Tensor:
    """The values of all items in one tensor."""
    mixed = set(map(type, column)) == {int, float}  # of which torch would take the kind of the first for all
    values = default_collate(list(map(float, column) if mixed else column))
    if not isinstance(values, Tensor):
        raise TypeError(f"found {type(column[0]).__name__}")
    return values


def _in_float32(name: str, part: str, values: Tensor, dataset: object) -> Tensor:
    """Real numbers in float32, whole ones as they are.

    Raises:
        InvalidStudy: rounding would change what is to be learned: numbers that differ little for their size.
    """
    if not values.is_floating_point():
        return values
    rounded = values.to(torch.float32)
    off, spread = (rounded - values).abs().amax(0), values.std(0, correction=0)
    if (lost := (off > ROUNDED_AWAY * spread) & (spread > 0)).any():
        largest, least = float(off[lost].max()), float(spread[lost].min())
        message = f"{part} has numbers that differ little for their size: float32 changes them by up to {largest:.2g}"
        raise _unusable(
            name, f"{message}, and their standard deviation is {least:.2g}; take a constant off them", dataset
        )
    return rounded


def _unusable(name: str, message: str, dataset: object) -> InvalidStudy:
    return InvalidStudy([Problem(name, message, type(dataset).__name__)])
