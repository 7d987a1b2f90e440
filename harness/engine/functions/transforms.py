"""Where a forward pass stands among `torch.func`'s transforms, and how to step out of them for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor
from torch._C import _functorch as functorch
from torch._functorch.vmap import lazy_load_decompositions  # type: ignore[attr-defined]


class Vmap(NamedTuple):
    """An active `vmap`: its level among the transforms, and how many members it goes over."""

    level: int
    members: int


_ours: Vmap | None = None


@contextmanager
def over_members(members: int) -> Iterator[Vmap]:
    """Within the block functions see one of so many members, as within `torch.func.vmap`.

    That would take tensors out of dictionaries and put them into others, a fifth of a small population's forward pass.
    """
    global _ours
    lazy_load_decompositions()
    _ours = Vmap(functorch._vmap_increment_nesting(members, "error"), members)
    try:
        yield _ours
    finally:
        _ours = None
        functorch._vmap_decrement_nesting()


def only_vmap() -> Vmap | None:
    """The one `vmap` that is active; None where there is no transform, or another, or several."""
    if _ours is not None:
        return _ours if only_ours() else None
    levels = functorch.get_interpreter_stack() or []
    if len(levels) == 1 and levels[0].key() == functorch.TransformType.Vmap:
        interpreter = functorch.CVmapInterpreterPtr(levels[0])
        return Vmap(interpreter.level(), interpreter.batchSize())
    return None


def only_ours() -> bool:
    """Whether the `vmap` of `over_members` is active, and no other transform."""
    return _ours is not None and functorch.maybe_current_level() == _ours.level


def transformed() -> bool:
    """Whether any transform is active."""
    return functorch.maybe_current_level() is not None


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


def behind(tensor: Tensor, vmap: Vmap) -> Tensor:
    """The tensor itself that is seen within `vmap`, its members along any axis; autograd knows it, and not what is seen."""
    inner: Tensor = functorch._unwrap_batched(tensor, vmap.level)[0]
    return inner


def of_member(tensor: Tensor, vmap: Vmap) -> Tensor:
    """A tensor of all members, (member, …), as it is seen within `vmap`."""
    seen: Tensor = functorch._add_batch_dim(tensor, 0, vmap.level)
    return seen


def of_all(tensor: Tensor, vmap: Vmap) -> Tensor:
    """The tensor of all members, (member, …), that one within `vmap` is returned as from it."""
    found: Tensor = functorch._remove_batch_dim(tensor, vmap.level, vmap.members, 0)
    return found


def is_per_member(tensor: Tensor) -> bool:
    """Whether a tensor within `vmap` differs between members."""
    return bool(functorch.is_batchedtensor(tensor))


def own_part(tensor: Tensor, member: int) -> Tensor:
    """What a tensor that `vmap` has left behind holds of one member."""
    return functorch.get_unwrapped(tensor).select(functorch.maybe_get_bdim(tensor), member)


def of_some(tensor: Tensor, members: Tensor) -> Tensor:
    """One that holds only what a tensor that `vmap` has left behind holds of some members, int64 indices; without its graph."""
    axis, level = functorch.maybe_get_bdim(tensor), functorch.maybe_get_level(tensor)
    inner = functorch.get_unwrapped(tensor).detach()
    found: Tensor = functorch._add_batch_dim(inner.index_select(axis, members.to(inner.device)), axis, level)
    return found


def unwrapped(tensor: Tensor) -> Tensor:
    """The tensor behind one that is seen within transforms, or was left behind by them; any other is itself."""
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor


def version(tensor: Tensor) -> int:
    """How often a tensor was written into; one seen within transforms does not count that itself."""
    return unwrapped(tensor)._version
