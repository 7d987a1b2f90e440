"""Where a module holds its tensors, so that a population can put those of all members in their place for a forward pass."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import attributes
from harness.engine.obstacles import Unbatchable


class TensorPlaces:
    """The places of a module's parameters, buffers and other tensors: every name, list and dictionary that has one.

    Args:
        module: whose tensors they are; one with several names has the first.
    """

    def __init__(self, module: nn.Module) -> None:
        names = {id(tensor): name for name, tensor in reversed(named_tensors(module).items())}
        places = list(_everywhere(module))
        self._places = [(store, key, names[id(value)], value) for store, key, value in places if id(value) in names]
        self._references = [
            (store, key, names[id(value())], value)
            for store, key, value in places
            if isinstance(value, weakref.ref) and id(value()) in names
        ]

    def own(self) -> list[tuple[str, Tensor]]:
        """The module's own tensors, each with its name, which lie idle while it is filled with others."""
        return [(name, tensor) for _, _, name, tensor in self._places]

    @contextmanager
    def filled(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Within the block the module holds other tensors, seen as its own are; afterwards its own again."""
        for store, key, name, own in self._places:
            tensors[name].__class__ = own.__class__  # a parameter for whoever asks, with what was noted on it
            vars(tensors[name]).update(vars(own))
            store[key] = tensors[name]
        for store, key, name, _ in self._references:
            store[key] = weakref.ref(tensors[name])
        try:
            yield
        finally:
            for store, key, _, own in (*self._places, *self._references):
                store[key] = own

    def changed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the module has put in place of tensors that it was filled with.

        Raises:
            Unbatchable: in place of a parameter, or a tensor of another shape or kind; or one has other attributes now.
        """
        found = {}
        for store, key, name, own in self._places:
            if list(map(id, vars(tensors[name]).values())) != list(map(id, vars(own).values())):
                raise Unbatchable(f"its forward pass changes what is noted on `{name}` as an attribute")
            now = store.get(key) if isinstance(store, dict) else store[key]
            if now is not tensors[name]:
                if isinstance(own, nn.Parameter) and own.requires_grad:
                    raise Unbatchable(f"its forward pass replaces a parameter, `{name}`")
                if not isinstance(now, Tensor) or now.shape != own.shape or now.dtype != tensors[name].dtype:
                    raise Unbatchable(f"its forward pass makes another kind of tensor of `{name}`")
                found[name] = now.detach()
        return found


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of a module, and tensors that are plain attributes of its layers, by name."""
    loose = {name: store[key] for name, store, key in attributes(module) if isinstance(store[key], Tensor)}
    return dict(module.named_parameters()) | dict(module.named_buffers()) | loose


def untrained(module: nn.Module) -> list[str]:
    """Names of the tensors of a module that do not train: fixed parameters, buffers, and tensors that are plain attributes."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return [name for name in named_tensors(module) if name not in trained]


def _everywhere(module: nn.Module) -> Iterator[tuple[Any, Any, Any]]:
    """Every place of a tensor, or of a weak reference to one, in layers and in lists and dictionaries that they hold."""
    for layer in module.modules():
        yield from _items(layer._parameters)
        yield from _items(layer._buffers)
    for _, store, key in attributes(module):
        value = store[key]
        if isinstance(value, Tensor):
            yield store, key, value
        elif isinstance(value, list | dict):
            yield from _items(value)


def _items(container: Any) -> Iterator[tuple[Any, Any, Any]]:
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, Tensor | weakref.ref):
            yield container, key, value
