"""What modules hold besides parameters and buffers: numbers, texts, containers, other objects; what differs and changes."""

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.functions.transforms import is_per_member
from harness.settings.schedules import Schedule

TORCHS = frozenset(vars(nn.Module()))
"""What torch itself keeps in every module."""

DEPTH = 8
"""Objects within objects that are compared."""


def attributes(module: nn.Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What layers of a module hold as plain attributes: dotted name, the dictionary that holds it, and its key there."""
    for prefix, layer in module.named_modules():
        for key in vars(layer):
            if key not in TORCHS:
                yield f"{prefix}.{key}".lstrip("."), vars(layer), key


def is_level(value: Any) -> bool:
    """Whether a value may be a dropout probability that is each run's own: a number with a point, or a schedule."""
    return isinstance(value, float | Schedule)


def differing(a: nn.Module, b: nn.Module) -> str:
    """The name of a plain attribute in which two modules of one structure differ; "" if there is none.

    Tensors and numbers that may be each run's own, held directly by a layer, are left out.
    """
    others = {name: store[key] for name, store, key in attributes(b)}
    for name, store, key in attributes(a):
        value, other = store[key], others.pop(name, None)
        held = isinstance(value, Tensor) and isinstance(other, Tensor)
        if not (held or (is_level(value) and is_level(other)) or same(value, other)):
            return name
    return next(iter(others), "")


def same(a: Any, b: Any, depth: int = DEPTH) -> bool:
    """Whether two values are the same as far as can be seen: containers and objects by what they hold.

    Parameters count as the same: they are compared elsewhere, as are layers by their classes.
    """
    if a is b or depth == 0:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, weakref.ref):
        return a() is None or b() is None or same(a(), b(), depth - 1)
    if isinstance(a, nn.Parameter):
        return a.shape == b.shape
    if isinstance(a, Tensor):
        if is_per_member(a) or is_per_member(b):  # a forward pass of a population has left it behind
            return False
        return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a, b))
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y, depth - 1) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], depth - 1) for key in a)
    if isinstance(a, nn.Module):
        return all(map(same, a.state_dict().values(), b.state_dict().values()))
    if callable(a) and hasattr(a, "__code__"):  # made anew for each module, with what it closes over
        closed, other = ([cell.cell_contents for cell in function.__closure__ or ()] for function in (a, b))
        return a.__code__ is b.__code__ and same(closed, other, depth - 1)
    if "__eq__" in vars(type(a)):
        return bool(a == b)
    return hasattr(a, "__dict__") and same(vars(a), vars(b), depth - 1)
