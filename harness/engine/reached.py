"""What a module reaches: its tensors, and whatever tensors, arrays and layers are in attributes, lists and other objects of its layers."""

from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import attributes
from harness.engine.holding import DEPTH

CLOSED = type, ModuleType, FunctionType, str, bytes, int, float, complex, type(None)
"""What is not looked into."""


def reached(module: nn.Module) -> dict[str, Any]:
    """Tensors, NumPy arrays and layers by where they are found first, as `blocks[0]`; each object once.

    Parameters and buffers come first, by their names. Of layers only those are named that are no submodules; their own
    tensors are among the others.
    """
    found: dict[str, Any] = {}
    _enter(module, "", found, set())
    return found


def hidden(module: nn.Module) -> dict[str, Any]:
    """The parameters and layers among them that torch does not know of: the outermost ones, by where they are."""
    found = reached(module)
    known = {id(parameter) for parameter in module.parameters()}
    layers = {name: value for name, value in found.items() if isinstance(value, nn.Module)}
    within = {id(part) for layer in layers.values() for part in (*layer.parameters(), *_inner(layer))}
    parameters = {name: value for name, value in found.items() if isinstance(value, nn.Parameter)}
    return {name: value for name, value in (layers | parameters).items() if id(value) not in known | within}


def _inner(layer: nn.Module) -> Iterator[nn.Module]:
    return (part for part in layer.modules() if part is not layer)


def _enter(module: nn.Module, prefix: str, found: dict[str, Any], seen: set[int]) -> None:
    layers = list(module.modules())
    seen.update(map(id, layers))
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        _reach(tensor, f"{prefix}{name}", found, seen, DEPTH)
    for name, store, key in attributes(module):
        _reach(store[key], f"{prefix}{name}", found, seen, DEPTH)


def _reach(value: Any, name: str, found: dict[str, Any], seen: set[int], depth: int) -> None:
    if depth == 0 or isinstance(value, CLOSED) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor | np.ndarray):
        found[name] = value
    elif isinstance(value, nn.Module):
        found[name] = value
        _enter(value, f"{name}.", found, seen)
    else:
        for inner, part in _parts(value):
            _reach(part, f"{name}{inner}", found, seen, depth - 1)


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """What a container or an object holds, by how it is written after its name."""
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{i}]", part) for i, part in enumerate(value)]
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    return [(f".{key}", part) for key, part in vars(value).items()] if hasattr(value, "__dict__") else []
