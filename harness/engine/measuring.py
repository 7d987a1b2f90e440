"""Measuring changes nothing: whatever a forward or backward pass leaves behind in members is put back afterwards.

A module may count its calls, keep running statistics, draw random numbers or change its weights, also in evaluation. How
often and how much is measured would then decide how it trains, and in which order, what is found.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import DEPTH, TORCHS, attributes
from harness.engine.functions.transforms import unwrapped
from harness.engine.generators import GENERATORS, generator_state, set_generator
from harness.engine.member_float import MemberFloat
from harness.engine.members import Members
from harness.settings.randomness import global_generators_kept

Restore = Callable[[], None]

UNSEEN = type, ModuleType, MemberFloat
"""What belongs to nobody's training."""


DEEP = 20
"""To which objects within objects those of the engine are kept."""


@contextmanager
def unchanged(members: Members) -> Iterator[None]:
    """Within the block members may be measured in any way; after it they train on as if they had not been.

    Put back are parameters, buffers and plain tensors, in value and in place; modes; numbers, containers and further modules
    that layers hold as attributes; the noise of dropout and the step of schedules; and the global generators. What hooks do outside of their module
    cannot be known; of what cannot be put back there is `one_way`.
    """
    restore = kept(members)
    with members.noise_kept(), global_generators_kept(members.device):
        yield
    restore()


def kept(members: Members) -> Restore:
    """What puts members back into the state that they are in now: all that is theirs, but for where random numbers come from."""
    return _members_kept(members, members.containers())


def attributes_kept(members: Members) -> Restore:
    """Likewise but for their `state`: what their layers hold as attributes, and modes."""
    return _members_kept(members, [])


def object_kept(value: Any, but: Iterable[Any]) -> Restore:
    """Likewise an object of the engine's with all that it holds, apart from these objects."""
    return _kept(value, {id(each): _nothing for each in but}, DEEP)


def _members_kept(members: Members, containers: list[Any]) -> Restore:
    mode, unused = members.mode, members.unused
    training = {layer: layer.training for layer in members.template.modules()}
    seen: dict[int, Restore] = {id(layer): _nothing for layer in training}
    stores = [_items_kept(vars(layer), seen, DEPTH, TORCHS) for layer in training]
    buffers = [layer._buffers for layer in training]  # of several members, too: one may come to be in a forward pass
    state = [_kept(container, seen, DEPTH) for container in (*containers, *buffers)]

    def restore() -> None:
        for each in (*stores, *state):
            each()
        for layer, was in training.items():
            layer.training = was
        members.mode, members.unused = mode, unused

    return restore


def _nothing(*_: object) -> None:
    pass


def _kept(value: Any, seen: dict[int, Restore], depth: int) -> Restore:
    """What makes an object hold again what it holds now.

    Args:
        value: any object; those that cannot change need nothing.
        seen: by identity the objects that are being kept already.
        depth: to which objects within objects are kept.
    """
    if depth == 0 or isinstance(value, UNSEEN):
        return _nothing
    if id(value) not in seen:
        seen[id(value)] = _nothing  # an object within itself
        seen[id(value)] = _kept_content(value, seen, depth)
        return seen[id(value)]
    return _nothing


def _kept_content(value: Any, seen: dict[int, Restore], depth: int) -> Restore:
    if isinstance(value, Tensor):
        return _tensor_kept(value)
    if isinstance(value, np.ndarray):
        array = value.copy()
        return lambda: np.copyto(value, array)
    if isinstance(value, GENERATORS):
        state = generator_state(value)
        return lambda: set_generator(value, state)
    if isinstance(value, dict):
        return _items_kept(value, seen, depth)
    if isinstance(value, list | set | deque):
        items = list(value)
        inner = [_kept(item, seen, depth - 1) for item in items]

        def restore() -> None:
            value.clear()
            value.update(items) if isinstance(value, set) else value.extend(items)
            for each in inner:
                each()

        return restore
    if isinstance(value, tuple | frozenset):
        return _all([_kept(item, seen, depth - 1) for item in value])
    if isinstance(value, nn.Module):
        return _module_kept(value, seen)
    parts = [_slots_kept(value, seen, depth - 1)]
    if hasattr(value, "__dict__"):
        parts.append(_items_kept(vars(value), seen, depth - 1))
    return _all(parts)


def _all(parts: list[Restore]) -> Restore:
    def restore() -> None:
        for each in parts:
            each()

    return restore


def _module_kept(module: nn.Module, seen: dict[int, Restore]) -> Restore:
    """Of a module that is no layer of the members' own, such as an average of it that a list hides from torch."""
    layers = [layer for layer in module.modules() if layer is module or id(layer) not in seen]
    seen |= {id(layer): _nothing for layer in layers}
    stores = [store for layer in layers for store in (layer._parameters, layer._buffers, layer._modules)]
    parts = [_items_kept(store, seen, DEPTH) for store in stores]
    parts += [_items_kept(vars(layer), seen, DEPTH, TORCHS - {"training"}) for layer in layers]
    return _all(parts)


def _slots_kept(value: Any, seen: dict[int, Restore], depth: int) -> Restore:
    """Of attributes without a dictionary, see `object.__slots__`."""
    names = [name for cls in type(value).__mro__ for name in _slots(cls)]
    held = {name: getattr(value, name) for name in names if hasattr(value, name)}
    inner = [_kept(each, seen, depth) for each in held.values()]

    def restore() -> None:
        for name in names:
            if name in held:
                object.__setattr__(value, name, held[name])  # a frozen class's as well
            elif hasattr(value, name):
                object.__delattr__(value, name)
        for each in inner:
            each()

    return restore


def _slots(cls: type) -> list[str]:
    slots = vars(cls).get("__slots__", ())
    return [name for name in ([slots] if isinstance(slots, str) else slots) if name not in ("__dict__", "__weakref__")]


def one_way(module: nn.Module) -> Iterator[str]:
    """The names of attributes that measuring changes for good: iterators, which only go on."""
    for name, store, key in attributes(module):
        if isinstance(store[key], Iterator):
            yield name


def _tensor_kept(tensor: Tensor) -> Restore:
    tensor = unwrapped(tensor)
    if tensor.requires_grad and not tensor.is_leaf:  # of a forward pass that is over
        return _nothing
    place, values = tensor.data, tensor.detach().clone()

    def restore() -> None:
        if not tensor.is_set_to(place):
            tensor.data = place
        place.copy_(values)

    return restore


def _items_kept(
    store: dict[Any, Any], seen: dict[int, Restore], depth: int, but: frozenset[str] = frozenset()
) -> Restore:
    """The items of a dictionary, and what they hold; those named in `but` are none of ours."""
    items = {key: value for key, value in store.items() if key not in but}
    inner = [_kept(value, seen, depth - 1) for value in items.values()]

    def restore() -> None:
        for key in [key for key in store if key not in but and key not in items]:
            del store[key]
        store.update(items)
        for each in inner:
            each()

    return restore
