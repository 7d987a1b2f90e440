"""What modules hold besides parameters and buffers: numbers, texts, containers, other objects; what differs and changes."""

import weakref
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.utils.parametrize import type_before_parametrizations

from harness.engine.functions.transforms import is_per_member
from harness.engine.generators import GENERATORS, generator_state
from harness.engine.holding import ATOMS, DEPTH, held, held_by_class
from harness.engine.scheduled import Level

TORCHS = frozenset(vars(nn.Module()))
"""What torch itself keeps in every module."""

HOOKS = tuple(sorted(name for name in TORCHS if name.startswith("_forward")))
"""Those of a forward pass among it, each a dictionary of which the keys count the hooks of all modules."""


def attributes(module: nn.Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """What layers of a module hold as plain attributes: dotted name, the dictionary that holds it, and its key there.

    After those of a layer come its hooks, as lists, which changes to these dictionaries do not reach.
    """
    for prefix, layer in module.named_modules():
        hooks = {key: list(vars(layer)[key].values()) for key in HOOKS if vars(layer).get(key)}
        for store in (vars(layer), hooks):
            for key in store:
                if store is hooks or key not in TORCHS:
                    yield f"{prefix}.{key}".lstrip("."), store, key


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
    """The name of a plain attribute in which two modules of one structure differ, a layer's class among them; "" if there is none.

    Tensors and numbers that may be each run's own, held directly by a layer, are left out.
    """
    layers = {id(part): name for module in (a, b) for name, part in own_parts(module)}
    for (name, layer), (_, twin) in zip(a.named_modules(), b.named_modules(), strict=False):
        if not same_class(class_of(layer), class_of(twin), layers):
            return f"{name}.__class__".lstrip(".")
    others = {name: store[key] for name, store, key in attributes(b)}
    for name, store, key in attributes(a):
        value, other = store[key], others.pop(name, None)
        held = isinstance(value, Tensor) and isinstance(other, Tensor)
        if not (held or (is_level(value) and is_level(other)) or same(value, other, layers)):
            return name
    return next(iter(others), "")


def same(a: Any, b: Any, layers: Mapping[int, str]) -> bool:
    """Whether two values are the same as far as can be seen: whatever they hold, see `holding.held`, generators by their state.

    Args:
        a: one of them.
        b: the other.
        layers: names of the layers of their modules and of their parameters, which are compared elsewhere.
    """
    return _Comparison(layers).same(a, b, DEPTH)


def same_class(a: type, b: type, layers: Mapping[int, str]) -> bool:
    """Whether two classes are one, or made anew by the same lines with the same values; `layers` as there."""
    return _Comparison(layers).same_class(a, b, DEPTH)


class _Comparison:
    """Compares two values; what is being compared already, an object within itself, is taken for the same."""

    def __init__(self, layers: Mapping[int, str]) -> None:
        self._layers = layers
        self._met: dict[tuple[int, int], tuple[Any, Any]] = {}  # kept alive: no other objects get their places

    def same(self, a: Any, b: Any, depth: int) -> bool:
        if a is b or (id(a), id(b)) in self._met:
            return True
        if type(a) is type(b) and type(a) in ATOMS:
            return bool(a == b)
        if isinstance(a, type) and isinstance(b, type):
            return self.same_class(a, b, depth)
        if depth == 0 or not self.same_class(class_of(a), class_of(b), depth):
            return False
        if isinstance(a, nn.Module | nn.Parameter) and id(a) in self._layers:
            return self._layers[id(a)] == self._layers.get(id(b))
        if isinstance(a, Tensor):
            if is_per_member(a) or is_per_member(b):  # a forward pass of a population has left it behind
                return False
            return a.dtype == b.dtype and torch.equal(a, b)
        if isinstance(a, np.ndarray):
            return bool(np.array_equal(a, b))
        if isinstance(a, GENERATORS):
            return self.same(generator_state(a), generator_state(b), depth - 1)
        if isinstance(a, weakref.ref) and (a() is None or b() is None):
            return True
        return self._same_parts(a, b, held(a), held(b), depth)

    def _same_parts(self, a: Any, b: Any, of_a: list[Any] | None, of_b: list[Any] | None, depth: int) -> bool:
        if of_a is None or of_b is None:
            return bool("__eq__" in vars(type(a)) and a == b)
        self._met[id(a), id(b)] = a, b
        return all(self.same(x, y, depth - 1) for x, y in zip_longest(of_a, of_b))

    def same_class(self, a: type, b: type, depth: int) -> bool:
        if a is b or (id(a), id(b)) in self._met:
            return True
        named_alike = (a.__module__, a.__qualname__, type(a)) == (b.__module__, b.__qualname__, type(b))
        return depth > 0 and named_alike and self._same_parts(a, b, held_by_class(a), held_by_class(b), depth)


def comparable(value: Any) -> bool:
    """Whether `same` can tell that such a value is the same as another one that was made in the same way."""
    return _is_comparable(value, set(), DEPTH)


def _is_comparable(value: Any, met: set[int], depth: int) -> bool:
    known = value is None or isinstance(value, (*GENERATORS, type, nn.Module, Tensor, np.ndarray))
    if known or depth == 0 or id(value) in met:
        return True
    met.add(id(value))
    parts = held(value)
    return "__eq__" in vars(type(value)) if parts is None else all(_is_comparable(p, met, depth - 1) for p in parts)
