"""What a module is besides its trainable parameters, as tensors, numbers and lists: what a checkpoint can hold of it.

Buffers, fixed parameters, modes, and what layers hold as attributes: a module may count its calls, keep a history or draw from
a generator of its own. It is put back into a module that was built anew, so that what cannot be taken apart (functions,
other objects) must be as it was built. Whatever else a module holds is `NotStorable`: better no checkpoint than one that goes on otherwise.
"""

import copyreg
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from harness.engine.attributes import TORCHS, class_of, own_parts, same
from harness.engine.functions.transforms import is_per_member, own_part
from harness.engine.generators import GENERATORS, generator_state, set_generator

SCALARS = frozenset({type(None), bool, int, float, str})
LISTS = {"list": list, "tuple": tuple, "set": set, "deque": deque}
DICTS = {"dict": dict, "ordered": OrderedDict, "default": defaultdict, "counter": Counter}
MADE_ANEW = ("list", "tuple", "dict")
"""Containers that may come to be in training; others are filled where the module that was built has them."""

AS_BUILT = ["built"]
"""Stands for what is as it was when the module was built, or is put back elsewhere."""

OWN_STATE = frozenset({"_parameters", "_buffers", "_modules", "training"})
"""What torch keeps in every module and a state has; the rest (hooks above all) must be as built."""


class NotStorable(Exception):
    """Something cannot be written to a checkpoint; the text says what."""


def module_state(module: nn.Module, built: nn.Module, member: int | None = None) -> dict[str, Any]:
    """The state of a module as scalars, lists, dictionaries by text, tensors and arrays; these are copies.

    Args:
        module: in training.
        built: one as it was before training, of the same run and on the same device.
        member: whose part is taken of what a forward pass of several members has left behind; None for a state of all, in which
            that has no place.

    Raises:
        NotStorable: it holds what none of these can stand for.
    """
    return {
        "modes": [layer.training for layer in module.modules()],
        "trainable": [parameter.requires_grad for parameter in module.parameters()],
        "stores": _Taken(module, built, member).stores(),
    }


def load_module_state(module: nn.Module, state: dict[str, Any]) -> None:
    """Put a module, built anew or in training, into a state.

    Args:
        module: whose layers and parameters are those that the state is of.
        state: see `module_state`.
    """
    for (_, store), saved in zip(_stores(module), state["stores"], strict=True):
        _fill(store, saved, TORCHS)
    for layer, mode in zip(module.modules(), state["modes"], strict=True):
        layer.training = mode
    for parameter, trainable in zip(module.parameters(), state["trainable"], strict=True):
        if parameter.requires_grad is not trainable:
            parameter.requires_grad_(trainable)


def _stores(module: nn.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """What layers hold: first all tensors that have names, which other attributes may hold once more; then attributes."""
    layers = list(module.named_modules())
    for name, layer in layers:
        yield name, layer._parameters
        yield name, layer._buffers
    for name, layer in layers:
        yield name, vars(layer)


class _Taken:
    """Takes a module apart, beside one that is as it was built."""

    def __init__(self, module: nn.Module, built: nn.Module, member: int | None) -> None:
        self._modules, self._member = (module, built), member
        layers, others = list(module.named_modules()), list(built.named_modules())
        if [(name, class_of(layer)) for name, layer in layers] != [(name, class_of(layer)) for name, layer in others]:
            raise NotStorable("its layers are no longer those that it was built with")
        pairs = [(layer, other) for (_, layer), (_, other) in zip(layers, others, strict=True)]
        self._names = {id(part): name for found in (module, built) for name, part in own_parts(found)}
        self._made = {f"{name}.{key}".lstrip(".") for name, layer in layers for key in _made(layer)}
        for (name, layer), (_, other) in zip(layers, others, strict=True):
            self._check_torchs(name, layer, other)
        ours, theirs = dict(module.named_parameters()), dict(built.named_parameters())
        if list(ours) != list(theirs):
            raise NotStorable("its parameters are no longer those that it was built with")
        pairs += [(ours[name], theirs[name]) for name in ours if theirs[name].requires_grad]
        self._seen = {id(mine): other for mine, other in pairs}
        self._met = {id(other) for _, other in pairs}

    def stores(self) -> list[list[Any]]:
        """Everything that `_stores` has."""
        pairs = zip(*map(_stores, self._modules), strict=True)
        return [
            [
                [key, self._take(store[key], built.get(key), f"{name}.{key}".lstrip("."))]
                for key in store
                if key not in TORCHS
            ]
            for (name, store), (_, built) in pairs
        ]

    def _check_torchs(self, name: str, layer: nn.Module, built: nn.Module) -> None:
        for key in TORCHS - OWN_STATE:
            ours, theirs = vars(layer).get(key), vars(built).get(key)
            if isinstance(ours, dict) and isinstance(theirs, dict):  # of hooks by number
                ours, theirs = list(ours.values()), list(theirs.values())
            if not same(ours, theirs, self._names):
                raise NotStorable(f"`{f'{name}.{key}'.lstrip('.')}` has changed since it was built")

    def _take(self, value: Any, built: Any, name: str) -> Any:
        """A value as it is stored, where the module that was built has `built`."""
        if type(value) in SCALARS:
            return value
        if name in self._made:
            return AS_BUILT if is_per_member(value) else ["tensor", value.detach().clone()]
        if self._member is not None and isinstance(value, Tensor) and is_per_member(value):
            return ["tensor", own_part(value, self._member).detach().clone()]
        if id(value) in self._seen or id(built) in self._met:
            if self._seen.get(id(value), self) is built:
                return AS_BUILT
            raise NotStorable(f"`{name}` holds what another attribute holds too")
        taken = self._content(value, built, name)
        if taken is None:
            if value is built or same(value, built, self._names):
                return AS_BUILT
            raise NotStorable(f"`{name}` holds a {type(value).__name__}")
        return taken

    def _content(self, value: Any, built: Any, name: str) -> list[Any] | None:
        """What a value consists of, after the name of its kind; None where that cannot be said."""
        kind, alike = type(value), type(value) is type(built)
        if isinstance(value, Tensor):
            return ["tensor", value.detach().clone()] if self._enters(value, built, _is_stored(value, built)) else None
        if kind is np.ndarray:
            return ["array", value.copy()] if self._enters(value, built, value.dtype.kind in "biuf") else None
        if kind in GENERATORS:
            return ["generator", generator_state(value)] if self._enters(value, built, alike) else None
        for word, container in (LISTS | DICTS).items():
            if kind is container:
                if not (kind is tuple or self._enters(value, built, alike or word in MADE_ANEW)):
                    return None
                if word in LISTS:
                    others = chain(built if alike and kind is not set else (), repeat(None))
                    return [
                        word,
                        [self._take(v, o, f"{name}[{i}]") for i, (v, o) in enumerate(zip(value, others, strict=False))],
                    ]
                return [word, self._items(value, built if alike else {}, name)]
        if alike and _is_its_attributes(value) and self._enters(value, built, True):
            return ["object", self._items(vars(value), vars(built), name)]
        return None

    def _enters(self, value: Any, built: Any, possible: bool) -> bool:
        """Take note of an object that is stored, and of its counterpart: no other one may be filled into that."""
        if possible:
            self._seen[id(value)] = built
            if type(built) not in SCALARS:
                self._met.add(id(built))
        return possible

    def _items(self, store: dict[Any, Any], built: dict[Any, Any], name: str) -> list[list[Any]]:
        if not all(type(key) in SCALARS for key in store):
            raise NotStorable(f"`{name}` holds a dictionary whose keys are no texts or numbers")
        return [[key, self._take(value, built.get(key), f"{name}.{key}")] for key, value in store.items()]


def _made(layer: nn.Module) -> Iterator[str]:
    """The attributes of a layer that a hook of torch's makes anew before each forward pass: weights that are normed or pruned."""
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm):
            yield hook.name
        elif isinstance(hook, BasePruningMethod):
            yield hook._tensor_name


def _is_stored(tensor: Tensor, built: Any) -> bool:
    """Whether the numbers of a tensor are all there is to it: no graph of a forward pass that is over."""
    if is_per_member(tensor) or not tensor.is_leaf or tensor.layout != torch.strided:
        return False
    return not tensor.requires_grad or (isinstance(built, Tensor) and built.requires_grad)


def _is_its_attributes(value: Any) -> bool:
    """Whether an object is its class and what its `__dict__` holds, and nothing else, as pickle would take it apart."""
    if isinstance(value, type | nn.Module) or not hasattr(value, "__dict__"):
        return False
    try:
        how, of, *rest = value.__reduce_ex__(2)
    except Exception:  # a class's own, or none
        return False
    held = vars(value)
    state = rest[0] if rest and rest[0] is not None else {}
    whole = type(state) is dict and list(state) == list(held) and all(state[key] is held[key] for key in held)
    return how is copyreg.__newobj__ and of == (type(value),) and whole and not any(rest[1:])  # type: ignore[attr-defined]


def _fill(store: dict[Any, Any], saved: list[list[Any]], but: frozenset[str] = frozenset()) -> None:
    """Give a dictionary the items that were stored, in their order; those named in `but` are left alone."""
    items = {key: _put(taken, store.get(key)) for key, taken in saved}
    for key in [key for key in store if key not in but]:
        del store[key]
    store.update(items)


def _put(taken: Any, present: Any) -> Any:
    """A value that was stored: in place where the module has one of its kind, as others may hold it too."""
    if type(taken) in SCALARS:
        return taken
    kind, *content = taken
    if kind == "built":
        return present
    if kind == "tensor":
        return _put_tensor(content[0], present)
    if kind == "array":
        if isinstance(present, np.ndarray) and (present.shape, present.dtype) == (content[0].shape, content[0].dtype):
            np.copyto(present, content[0])
            return present
        return content[0].copy()
    if kind == "generator":
        set_generator(present, content[0])
        return present
    if kind == "object":
        _fill(vars(present), content[0])
        return present
    if kind in DICTS:
        store: dict[Any, Any] = present if type(present) is DICTS[kind] else {}
        _fill(store, content[0])
        return store
    return _put_list(kind, content[0], present)


def _put_tensor(tensor: Tensor, present: Any) -> Tensor:
    if isinstance(present, Tensor) and (present.shape, present.dtype) == (tensor.shape, tensor.dtype):
        present.detach().copy_(tensor)
        return present
    return tensor.clone()


def _put_list(kind: str, saved: list[Any], present: Any) -> Any:
    alike = type(present) is LISTS[kind]
    others = list(present) if alike and kind != "set" else []
    items = [_put(taken, others[i] if i < len(others) else None) for i, taken in enumerate(saved)]
    if kind == "tuple" or not alike:
        return LISTS[kind](items)
    present.clear()
    present.update(items) if kind == "set" else present.extend(items)
    return present
