"""What the `vmap` rules of hand-written layers share: members are the leading axis, of size 1 outside `vmap`."""

from typing import Any

from torch import Tensor


def members_first(info: Any, tensor: Tensor | None, axis: int | None) -> Tensor | None:
    """A rule's argument with all members along its leading axis, which has size 1 within each.

    Args:
        info: what `vmap` tells a rule.
        tensor: the argument, or None for one that is not there.
        axis: along which `vmap` goes; None where all members share the tensor.
    """
    if tensor is None:
        return None
    return tensor.expand(info.batch_size, *tensor.shape[1:]) if axis is None else tensor.movedim(axis, 0).squeeze(1)
