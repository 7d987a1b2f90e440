"""Measuring changes nothing: whatever a forward or backward pass leaves behind in members is put back afterwards.

A module may count its calls, keep running statistics, draw random numbers or change its weights, also in evaluation. How
often and how much is measured would then decide how it trains, and in which order, what is found.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import DEPTH, TORCHS
from harness.engine.functions.transforms import is_per_member
from harness.engine.members import Members
from harness.settings.randomness import global_generators_kept

Restore = Callable[[], None]

UNSEEN = type, ModuleType, nn.Module
"""What is kept elsewhere, or belongs to nobody's training."""


@contextmanager
def unchanged(members: Members) -> Iterator[None]:
    """Within the block members may be measured in any way; after it they train on as if they had not been.

    Put back are parameters, buffers and plain tensors, in value and in place; modes; numbers and containers that layers hold
    as attributes; the noise of dropout; and the global generators. What hooks do outside of their module cannot be known.
    """
    restore = kept(members)
    with members.noise_kept(), global_generators_kept(members.device):
        yield
    restore()


def kept(members: Members) -> Restore:
    """What puts members back into the state that they are in now: all that is theirs, but for where random numbers come from."""
    mode, unused = members.mode, members.unused
    training = {layer: layer.training for layer in members.template.modules()}
    seen: dict[int, Restore] = {}
    stores = [_items_kept(vars(layer), seen, DEPTH, TORCHS) for layer in training]
    state = [_kept(container, seen, DEPTH) for container in members.containers()]

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
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: _nothing(value.set_state(state))
    if isinstance(value, np.random.Generator):
        bits = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", bits)
    if isinstance(value, random.Random):
        pythons = value.getstate()
        return lambda: value.setstate(pythons)
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
    return _items_kept(vars(value), seen, depth - 1) if hasattr(value, "__dict__") else _nothing


def _tensor_kept(tensor: Tensor) -> Restore:
    if is_per_member(tensor) or (tensor.requires_grad and not tensor.is_leaf):  # of a forward pass that is over
        return _nothing
    place, values = tensor.data, tensor.detach().clone()

    def restore() -> None:
        if tensor.data_ptr() != place.data_ptr():
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
