"""What modules hold besides parameters and buffers: numbers, texts, containers, other objects; what differs and changes."""

import weakref
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.utils.parametrize import type_before_parametrizations

from harness.engine.functions.transforms import is_per_member
from harness.engine.generators import GENERATORS, generator_state
from harness.engine.scheduled import Level

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


def own_parts(module: nn.Module) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """The layers and parameters of a module, by their names."""
    yield from module.named_modules()
    yield from module.named_parameters()


def class_of(value: Any) -> type:
    """The class of a value as it was written: of a layer that torch has parametrized not the one that it makes for this layer."""
    return type_before_parametrizations(value) if isinstance(value, nn.Module) else type(value)


def is_level(value: Any) -> bool:
    """Whether a value may be a dropout probability that is each run's own: a number with a point, or a schedule."""
    return isinstance(value, Level)


def differing(a: nn.Module, b: nn.Module) -> str:
    """The name of a plain attribute in which two modules of one structure differ; "" if there is none.

    Tensors and numbers that may be each run's own, held directly by a layer, are left out.
    """
    layers = {id(part): name for module in (a, b) for name, part in own_parts(module)}
    others = {name: store[key] for name, store, key in attributes(b)}
    for name, store, key in attributes(a):
        value, other = store[key], others.pop(name, None)
        held = isinstance(value, Tensor) and isinstance(other, Tensor)
        if not (held or (is_level(value) and is_level(other)) or same(value, other, layers)):
            return name
    return next(iter(others), "")


def same(a: Any, b: Any, layers: Mapping[int, str], depth: int = DEPTH) -> bool:
    """Whether two values are the same as far as can be seen: containers and objects by what they hold, generators by their state.

    Args:
        a: one of them.
        b: the other.
        layers: names of the layers of their modules and of their parameters, which are compared elsewhere.
        depth: to which objects within objects are compared.
    """
    if a is b or depth == 0:
        return True
    if class_of(a) is not class_of(b):
        return False
    if isinstance(a, nn.Module | nn.Parameter) and id(a) in layers:
        return layers[id(a)] == layers.get(id(b))
    if isinstance(a, Tensor):
        if is_per_member(a) or is_per_member(b):  # a forward pass of a population has left it behind
            return False
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, GENERATORS):
        return same(generator_state(a), generator_state(b), layers)
    if isinstance(a, weakref.ref) and (a() is None or b() is None):
        return True
    parts = _parts(a), _parts(b)
    if None in parts:
        return bool("__eq__" in vars(type(a)) and a == b)
    return all(same(x, y, layers, depth - 1) for x, y in zip_longest(*parts))  # type: ignore[arg-type]


def comparable(value: Any, depth: int = DEPTH) -> bool:
    """Whether `same` can tell that such a value is the same as another one that was made in the same way."""
    if depth == 0 or isinstance(value, GENERATORS):
        return True
    parts = _parts(value)
    return "__eq__" in vars(type(value)) if parts is None else all(comparable(part, depth - 1) for part in parts)


def _parts(value: Any) -> list[Any] | None:
    """What a value consists of; None where it is compared as a whole."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, weakref.ref):
        return [value()]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if hasattr(value, "__code__"):  # a function, made anew for each module, and what it closes over
        return [value.__code__, *(cell.cell_contents for cell in value.__closure__ or ())]
    return [vars(value)] if hasattr(value, "__dict__") and "__eq__" not in vars(type(value)) else None
