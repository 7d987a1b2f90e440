"""A user's own data: `Tensors`."""

from collections import deque
from dataclasses import KW_ONLY, replace
from typing import Annotated, Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from harness.settings import Note, Problem
from harness.settings.quantities import Hint
from harness.tasks.features import MANY, SPELLED_ALIKE, spelled_alike
from harness.tasks.groups import texts
from harness.tasks.pooled import Pooled, digest
from harness.tasks.task import Task
from harness.tasks.usable import kind_problems, target_problems

ATensor = Annotated[Tensor, Hint("torch.tensor(…) makes one of numbers, arrays and lists, of examples of one shape")]


class Tensors(Pooled):
    """Examples held in two tensors, e.g. `Tensors(torch.from_numpy(features).float(), torch.from_numpy(labels))`.

    Args:
        x: inputs (n, …), float32 features (n, …, features) or int64 tokens (n, time) from 0.
        y: targets; int64 classes from 0, (n,) or one for every step of x, or float32 numbers (n, …). There are as many
            classes as the largest says, 1 … 4 are five; torch's −100 needs a subclass with `losses` and `errors` that skip it.
        test: a test set of its own, inputs and targets like x and y; None: some of x and y are kept for the test.
        group: what must stay in one split, such as all examples of a patient: a number or text for each example, those of the
            test set last, in a tensor, an array, a list or a column of pandas. Of groups in `test` nothing is trained on. None: each is its own.
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    x: ATensor
    y: ATensor

    _: KW_ONLY
    test: tuple[ATensor, ATensor] | None = None
    group: Any = None

    later: ClassVar[frozenset[str]] = Pooled.later | {"group"}
    most_held_out: ClassVar[int] = 2**63

    def pool(self) -> tuple[Tensor, Tensor]:
        """The tensors as they were given, those of the test set after the others."""
        if self.test is None:
            return self.x, self.y
        x, y = self.test
        return _joined(self.x, x), _joined(self.y, y)

    def official_test(self) -> int:
        """Examples of `test`."""
        return 0 if self.test is None else len(self.test[0])

    def groups(self) -> Any:
        """See `group`."""
        return self.group

    def fingerprint(self) -> str:
        """SHA-256 of the bytes of all tensors."""
        return digest(self.x, self.y, *(self.test or ()))

    def data_notes(self) -> list[Note]:
        """Whether inputs are tokens, targets numbers that may be meant as classes, groups nearly the same; see `Pooled`."""
        return [*_token_notes(self.x, self.y), *self._number_notes(), *self._group_notes(), *super().data_notes()]

    def _group_notes(self) -> list[Note]:
        """That texts in `group` are two groups though they are nearly the same."""
        alike = "" if self.group is None else spelled_alike(texts(self.group, "group"))
        return [Note("group", f"{alike}: {SPELLED_ALIKE}")] if alike else []

    def _number_notes(self) -> list[Note]:
        """That targets are whole numbers, few different ones, and taken as numbers, where the loss is the usual one."""
        if (
            type(self).losses is not Pooled.losses
            or not self.y.is_floating_point()
            or (self.y % 1).any()
            or len(kinds := torch.unique(self.y)) > MANY
        ):
            return []
        seen = f"{len(kinds)} different numbers, all whole, are taken as numbers to predict, by squared error"
        return [Note("y", f"{seen}; {_classes_of(self.y)}")]

    def check(self) -> list[Problem]:
        """Tensors that a network can be trained on, with an example for each split."""
        found = self._tensor_problems("", self.x, self.y)
        if self.test is not None:
            found += self._tensor_problems("test.", *self.test)
            found = found or _unlike(self.test[0], self.x, "x") + _unlike(self.test[1], self.y, "y")
        return found or super().check()

    def _tensor_problems(self, prefix: str, x: Tensor, y: Tensor) -> list[Problem]:
        """What is wrong with a pair of tensors, each name after `prefix`."""
        found = _problems("x", x) + _problems("y", y)
        found = found or _value_problems("x", x) + target_problems(y, type(self))
        found = found or _number_problems(x, y) or ([] if self._scores_itself() else _class_problems(x, y))
        return [replace(problem, path=f"{prefix}{problem.path}") for problem in found]

    def _scores_itself(self) -> bool:
        """Whether losses and errors are a subclass's own, and with them what the shapes of targets mean."""
        return type(self).losses is not Task.losses and type(self).errors is not Task.errors


_pools: deque[Tensor] = deque(maxlen=4)
"""What was joined last."""


def _joined(tensor: Tensor, test: Tensor) -> Tensor:
    """The same object for the same numbers, whatever object holds them: tasks that differ in their sizes share one pool in memory.

    The numbers are compared each time, since those of a tensor may change in ways that it does not tell.
    """
    for pool in _pools:
        if _same_bits(pool[: len(tensor)], tensor) and _same_bits(pool[len(tensor) :], test):
            return pool
    _pools.append(torch.cat([tensor, test]))
    return _pools[-1]


def _same_bits(some: Tensor, others: Tensor) -> bool:
    """Whether two tensors are alike in type, shape and every bit; NaN is like NaN."""
    whole = {4: torch.int32, 8: torch.int64}.get(some.element_size(), some.dtype)
    return some.dtype == others.dtype and torch.equal(some.view(whole), others.view(whole))


def _token_notes(x: Tensor, y: Tensor) -> list[Note]:
    """That whole numbers x are taken as tokens, unless each has a class of its own, as those of a text have."""
    if x.is_floating_point() or x.shape == y.shape:
        return []
    kinds = len(pd.unique(x.flatten().numpy()))  # by hashing: to sort the pixels of many images takes seconds
    seen = f"whole numbers are taken as tokens, {kinds:,} different ones from {int(x.min())} to {int(x.max()):,}"
    return [Note("x", f"{seen}; x.float() makes numbers of them")]


def _classes_of(y: Tensor) -> str:
    """What makes classes of whole numbers y (n, …)."""
    rows = y.reshape(len(y), -1)
    if rows.shape[1] == 1:
        return f"y{'.flatten()' if y.dim() > 1 else ''}.long() makes classes of them"
    if y.dim() > 2 or (y * (1 - y)).any():
        return "y.long() makes classes of them"
    if (rows.sum(1) == 1).all():
        return "y.argmax(1) makes classes of rows with a single 1"
    return "labels of which a row has several need a subclass of Tensors with `losses` and `errors` of its own"


def _number_problems(x: Tensor, y: Tensor) -> list[Problem]:
    if x.dim() < 2:
        return [Problem("x", "needs two axes or more, (n, features) or (n, time); use x.unsqueeze(1)", _shape(x))]
    if len(x) != len(y):
        return [Problem("y", f"needs as many examples as x, {len(x)}", str(len(y)))]
    return []


def _class_problems(x: Tensor, y: Tensor) -> list[Problem]:
    steps = x.shape[:-1] if x.is_floating_point() else x.shape
    if not y.is_floating_point() and y.shape not in (x.shape[:1], steps):
        shapes = " or ".join(dict.fromkeys(str(tuple(shape)) for shape in (x.shape[:1], steps)))
        way_out = "others need a subclass of Tensors with `losses` and `errors` of its own"
        return [Problem("y", f"classes need the shape {shapes}, to go with this x; {way_out}", _shape(y))]
    return []


def _unlike(test: Tensor, tensor: Tensor, name: str) -> list[Problem]:
    """Why the test set's examples cannot be of one kind with the others, if they cannot."""
    if test.shape[1:] == tensor.shape[1:] and test.dtype == tensor.dtype:
        return []
    wanted = f"(n{''.join(f', {size}' for size in tensor.shape[1:])})"
    message = f"must be like {name}: shape {wanted}, {str(tensor.dtype).removeprefix('torch.')}"
    got = f"{_shape(test)}, {str(test.dtype).removeprefix('torch.')}"
    return [Problem(f"test.{name}", message, got)]


def _problems(name: str, tensor: Tensor) -> list[Problem]:
    """Why `tensor`, seen alone, cannot be trained on: where it is, its kind of number, its size."""
    way_out = f"{name}.float() for numbers, {name}.long() for {'tokens' if name == 'x' else 'classes'}"
    found = kind_problems(name, tensor, (torch.float32, torch.int64), way_out)
    if not found and not (tensor.dim() and tensor.numel()):
        found.append(Problem(name, "must hold at least one example", _shape(tensor)))
    return found


def _value_problems(name: str, tensor: Tensor) -> list[Problem]:
    if tensor.is_floating_point():
        finite = int(tensor.isfinite().sum())
        if finite < tensor.numel():
            nan = int(tensor.isnan().sum())
            got = f"{nan} NaN, {tensor.numel() - finite - nan} infinite"
            return [Problem(name, f"all {tensor.numel()} values must be finite", got)]
    elif negative := int((tensor < 0).sum()):
        message = f"tokens must be ≥ 0; {negative} of {tensor.numel()} are not"
        return [Problem(name, message, f"smallest {int(tensor.min())}")]
    return []


def _shape(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)}"
