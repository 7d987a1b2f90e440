"""A user's own data: `Tensors`."""

from typing import ClassVar

import torch
from torch import Tensor

from harness.settings import Problem
from harness.tasks.pooled import Pooled, digest
from harness.tasks.task import target_problems


class Tensors(Pooled):
    """Examples held in two tensors, e.g. `Tensors(torch.from_numpy(features).float(), torch.from_numpy(labels))`.

    Args:
        x: inputs (n, …), float32 features (n, …, features) or int64 tokens (n, time) from 0.
        y: targets; int64 classes from 0, (n,) or one for every step of x, or float32 numbers (n, …). There are as many
            classes as the largest says, 1 … 4 are five; torch's −100 needs a subclass with `losses` and `errors` that skip it.
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    x: Tensor
    y: Tensor

    most_held_out: ClassVar[int] = 2**63

    def pool(self) -> tuple[Tensor, Tensor]:
        """The tensors as they were given."""
        return self.x, self.y

    def fingerprint(self) -> str:
        """SHA-256 of the bytes of x and y."""
        return digest(self.x, self.y)

    def check(self) -> list[Problem]:
        """Two tensors that a network can be trained on, with an example for each split."""
        found = _problems("x", self.x) + _problems("y", self.y)
        found = found or _value_problems("x", self.x) + target_problems(self.y, type(self))
        return found or self._shape_problems() or super().check()

    def _shape_problems(self) -> list[Problem]:
        x, y = self.x, self.y
        if x.dim() < 2:
            return [Problem("x", "needs two axes or more, (n, features) or (n, time); use x.unsqueeze(1)", _shape(x))]
        if len(x) != len(y):
            return [Problem("y", f"needs as many examples as x, {len(x)}", str(len(y)))]
        steps = x.shape[:-1] if x.is_floating_point() else x.shape
        if not y.is_floating_point() and y.shape not in (x.shape[:1], steps):
            shapes = " or ".join(dict.fromkeys(str(tuple(shape)) for shape in (x.shape[:1], steps)))
            return [Problem("y", f"classes need the shape {shapes}, to go with this x", _shape(y))]
        return []


def _problems(name: str, tensor: Tensor) -> list[Problem]:
    """Why `tensor`, seen alone, cannot be trained on: where it is, its kind of number, its size."""
    ways_out = [
        (tensor.layout != torch.strided, "must not be sparse", "to_dense()"),
        (tensor.device.type != "cpu", "must be on the CPU, from where each device takes its share", "cpu()"),
        (tensor.requires_grad, "must not require a gradient", "detach()"),
    ]
    found = [Problem(name, f"{message}; use {name}.{way}") for wrong, message, way in ways_out if wrong]
    if not found and tensor.dtype not in (torch.float32, torch.int64):
        whole = "tokens" if name == "x" else "classes"
        message = f"must be float32 or int64; use {name}.float() for numbers, {name}.long() for {whole}"
        found.append(Problem(name, message, str(tensor.dtype).removeprefix("torch.")))
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
