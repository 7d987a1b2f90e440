"""Where a forward pass stands among `torch.func`'s transforms, and how to step out of them for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor
from torch._C import _functorch as functorch


class Vmap(NamedTuple):
    """An active `vmap`: its level among the transforms, and how many members it goes over."""

    level: int
    members: int


def only_vmap() -> Vmap | None:
    """The one `vmap` that is active; None where there is no transform, or another, or several."""
    levels = functorch.get_interpreter_stack() or []
    if len(levels) == 1 and levels[0].key() == functorch.TransformType.Vmap:
        interpreter = functorch.CVmapInterpreterPtr(levels[0])
        return Vmap(interpreter.level(), interpreter.batchSize())
    return None


def transformed() -> bool:
    """Whether any transform is active."""
    return bool(functorch.get_interpreter_stack())


@contextmanager
def beneath() -> Iterator[None]:
    """Outside of the innermost transform, for the length of the block."""
    layer = functorch.pop_dynamic_layer_stack()
    try:
        yield
    finally:
        functorch.push_dynamic_layer_stack(layer)


def stacked(tensor: Tensor, vmap: Vmap) -> Tensor:
    """The tensor of all members, (member, …), behind one that is seen within `vmap`; what is the same for all is expanded."""
    inner, axis = functorch._unwrap_batched(tensor, vmap.level)
    if axis is None:
        return inner.expand(vmap.members, *inner.shape)
    return inner.movedim(axis, 0) if axis else inner  # not a view of it: `postponed` knows weights by identity


def of_member(tensor: Tensor, vmap: Vmap) -> Tensor:
    """A tensor of all members, (member, …), as it is seen within `vmap`."""
    seen: Tensor = functorch._add_batch_dim(tensor, 0, vmap.level)
    return seen


def is_per_member(tensor: Tensor) -> bool:
    """Whether a tensor within `vmap` differs between members."""
    return bool(functorch.is_batchedtensor(tensor))
