"""Operations that `vmap` batches with other numbers than the plain loop has, batched by rules of our own.

They take the place of torch's in its dispatcher, so it does not matter by which way an operation is reached: a method, a
function, a scripted one, a loss. They act where `vmap` goes over the members, and nowhere else; there torch's own rules stay.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, get_kernel

from harness.engine.functions.transforms import Vmap, behind, is_per_member, of_member, only_ours, only_vmap, stacked
from harness.engine.obstacles import Unbatchable


@cache
def put_rules() -> Library:
    """Put the rules in the place of torch's; they stay as long as what is returned."""
    library = Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel", UserWarning)
        for name, rule in RULES.items():
            torchs = get_kernel(f"aten::{name}", "FuncTorchBatched")
            ours = partial(_batched, rule, torchs)
            library.impl(name, ours, "FuncTorchBatched", with_keyset=True)  # type: ignore[no-untyped-call]
    return library


def _batched(rule: Callable[..., Any], torchs: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
    """What a rule gives, or torch's where that has no answer."""
    found = rule(*args, **kwargs) if only_ours() else NotImplemented
    return torchs.call_boxed(keys, *args, **kwargs) if found is NotImplemented else found


def _embedding(weight: Tensor, indices: Tensor, padding_idx: int = -1, *options: Any, **named: Any) -> Any:
    """Padding has no gradient: torch's rule knows the row of padding of the first member only."""
    if padding_idx < 0:
        return NotImplemented
    found = torch.embedding(weight, indices, -1, *options, **named)
    return torch.where((indices == padding_idx).unsqueeze(-1), found.detach(), found)


def _evenly(choose: Callable[..., tuple[Tensor, Tensor]], x: Tensor) -> Any:
    """The element that is chosen of all: equal ones share its gradient, which torch's rule gives to one of them."""
    if not (x.is_floating_point() and torch.is_grad_enabled()):
        return NotImplemented
    found, _ = choose(x.detach().flatten(), 0)
    equal = (x == found) | (x.isnan() & found.isnan())
    share = (torch.where(equal, x, 0.0) / equal.sum()).sum()
    return torch.where(found.isfinite(), found + (share - share.detach()), share)  # exactly the element, not a mean


def _select_scatter(x: Tensor, values: Tensor, axis: int, index: int) -> Any:
    """By another function of torch's: its rule multiplies the gradient of the values."""
    size = x.shape[axis]
    if not -size <= index < size:
        return NotImplemented  # which raises
    place = index % size
    return torch.slice_scatter(x, values.to(x.dtype).unsqueeze(axis), axis, place, place + 1)


def _index_fill(x: Tensor, axis: int, index: Tensor, value: Tensor) -> Any:
    """Into what is the same for all members torch's rule fills a sum of their values."""
    if is_per_member(x) or not is_per_member(value):
        return NotImplemented
    return torch.index_fill(x + torch.zeros_like(value, dtype=x.dtype), axis, index, value)


def _roll(x: Tensor, *places: Any) -> Any:
    """Of a number of each member's own torch's rule gives that of another."""
    return NotImplemented if x.dim() else x.clone()


def _index_select(x: Tensor, axis: int, index: Tensor) -> Any:
    """Torch's rule drops the axis where there is one index for it."""
    return NotImplemented if index.dim() else torch.index_select(x, axis, index.unsqueeze(0))


def _as_strided_(x: Tensor, size: Sequence[int], strides: Sequence[int], offset: int | None = None) -> Tensor:
    """Torch has no rule, and returns what the tensor was. That is right where every number stays, as in average pooling."""
    stays = x.shape == tuple(size) and offset is None
    if stays and all(own == given for n, own, given in zip(size, x.stride(), strides, strict=True) if n > 1):
        return x
    raise Unbatchable("its forward pass calls `as_strided_`")


def _members_first(operation: Callable[..., Any], *args: Any) -> Any:
    """Torch's rule is right only where members are the first axis behind each tensor, and behind a convolution they are the second."""
    vmap = only_vmap()
    assert vmap is not None
    given = [_with_members_first(value, vmap) if isinstance(value, Tensor) else value for value in args]
    return NotImplemented if all(one is other for one, other in zip(given, args, strict=True)) else operation(*given)


def _with_members_first(tensor: Tensor, vmap: Vmap) -> Tensor:
    if not is_per_member(tensor):
        return tensor
    first = stacked(tensor, vmap)
    return tensor if first is behind(tensor, vmap) else of_member(first.contiguous(), vmap)


RULES: dict[str, Callable[..., Any]] = {
    "embedding": _embedding,
    "max": partial(_evenly, torch.max),
    "min": partial(_evenly, torch.min),
    "median": partial(_evenly, torch.median),
    "nanmedian": partial(_evenly, torch.nanmedian),
    "select_scatter": _select_scatter,
    "index_fill.int_Tensor": _index_fill,
    "roll": _roll,
    "index_select": _index_select,
    "as_strided_": _as_strided_,
    "as_strided": partial(_members_first, torch.as_strided),
    "grid_sampler_2d": partial(_members_first, torch.grid_sampler_2d),
    "grid_sampler_3d": partial(_members_first, torch.grid_sampler_3d),
}
"""By torch's name of an operation what is computed for one of several members; `NotImplemented` where torch's rule is right."""
