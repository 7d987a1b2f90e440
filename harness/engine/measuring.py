"""Measuring changes nothing: whatever a forward or backward pass leaves behind in members is put back afterwards.

A module may count its calls, keep running statistics, draw random numbers or change its weights, also in evaluation. How
often and how much is measured would then decide how it trains, and in which order, what is found.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import HOOKS, TORCHS, attributes
from harness.engine.functions.transforms import unwrapped
from harness.engine.generators import GENERATORS, generator_state, set_generator
from harness.engine.holding import DEPTH, filled_cells, held, in_slots, slots_of
from harness.engine.member_float import MemberFloat
from harness.engine.members import Members
from harness.settings.randomness import global_generators_kept
from harness.settings.reach import as_written

Restore = Callable[[], None]

UNSEEN = type, ModuleType, MemberFloat
"""What belongs to nobody's training."""

HOLDERS = list, tuple, dict, partial, FunctionType, MethodType
"""In which an iterator is looked for."""


@contextmanager
def unchanged(members: Members) -> Iterator[None]:
    """Within the block members may be measured in any way; after it they train on as if they had not been.

    Put back are parameters, buffers and plain tensors, in value and in place; modes; numbers, containers and further modules
    that layers and their hooks hold, also in what functions close over and methods are bound to; the noise of dropout and the step of
    schedules; and the global generators. What is done in the class or the file is refused before a study trains; of what cannot be put
    back there is `one_way`.
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
    return _kept(value, {id(each): _nothing for each in but}, DEPTH)


def _members_kept(members: Members, containers: list[Any]) -> Restore:
    mode, unused = members.mode, members.unused
    training = {layer: layer.training for layer in members.template.modules()}
    seen: dict[int, Restore] = {id(layer): _nothing for layer in training}
    stores = [_items_kept(vars(layer), seen, DEPTH, TORCHS) for layer in training]
    buffers = [layer._buffers for layer in training]  # of several members, too: one may come to be in a forward pass
    hooks = [vars(layer)[name] for layer in training for name in HOOKS if vars(layer).get(name)]
    state = [_kept(container, seen, DEPTH) for container in (*containers, *buffers, *hooks)]

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
    if (written := as_written(value)) is not None:
        return _kept(written, seen, depth)
    if isinstance(value, nn.Module):
        return _module_kept(value, seen)
    parts = [_slots_kept(value, seen, depth - 1)]
    if hasattr(value, "__dict__") and not isinstance(value, MethodType):  # which has that of its function
        parts.append(_items_kept(vars(value), seen, depth - 1))
    if isinstance(value, dict):
        parts.append(_items_kept(value, seen, depth))
    elif isinstance(value, list | set | deque):
        parts.append(_elements_kept(value, seen, depth))
    elif isinstance(value, FunctionType):
        parts.append(_function_kept(value, seen, depth - 1))
    elif isinstance(value, tuple | frozenset):
        parts += [_kept(each, seen, depth - 1) for each in value]
    elif isinstance(value, MethodType | partial):
        parts += [_kept(each, seen, depth - 1) for each in held(value) or ()]
    return _all(parts)


def _elements_kept(value: list[Any] | set[Any] | deque[Any], seen: dict[int, Restore], depth: int) -> Restore:
    """The elements of a container, and what they hold."""
    items = list(value)
    inner = [_kept(item, seen, depth - 1) for item in items]

    def restore() -> None:
        value.clear()
        value.update(items) if isinstance(value, set) else value.extend(items)
        for each in inner:
            each()

    return restore


def _function_kept(value: FunctionType, seen: dict[int, Restore], depth: int) -> Restore:
    """What a function holds; of one of torch's, such as what `no_grad` makes of a function, other functions alone."""
    cells = filled_cells(value)
    if value.__globals__.get("__name__", "").partition(".")[0] == "torch":
        functions = [cell.cell_contents for cell in cells if isinstance(cell.cell_contents, FunctionType)]
        return _all([_kept(each, seen, depth) for each in functions])
    given = value.__defaults__, value.__kwdefaults__
    return _all([*(_cell_kept(cell, seen, depth) for cell in cells), *(_kept(each, seen, depth) for each in given)])


def _cell_kept(cell: CellType, seen: dict[int, Restore], depth: int) -> Restore:
    """A variable that a function closes over."""
    value = cell.cell_contents
    inner = _kept(value, seen, depth)

    def restore() -> None:
        cell.cell_contents = value
        inner()

    return restore


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
    names, before = list(slots_of(type(value))), in_slots(value)
    inner = [_kept(each, seen, depth) for each in before.values()]

    def restore() -> None:
        for name in names:
            if name in before:
                object.__setattr__(value, name, before[name])  # a frozen class's as well
            elif hasattr(value, name):
                object.__delattr__(value, name)
        for each in inner:
            each()

    return restore


def one_way(module: nn.Module) -> Iterator[str]:
    """The names of attributes that measuring changes for good: iterators, which only go on, and what calls or lists them."""
    for name, store, key in attributes(module):
        if _goes_on(store[key], set(), DEPTH):
            yield name


def _goes_on(value: Any, met: set[int], depth: int) -> bool:
    if isinstance(value, Iterator):
        return True
    if depth == 0 or id(value) in met or not isinstance(value, HOLDERS):
        return False
    met.add(id(value))
    return any(_goes_on(part, met, depth - 1) for part in held(value) or ())


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
