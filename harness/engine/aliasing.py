"""Aliasing: tensors that are different objects, or of different modules, and share memory."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.parameter import is_lazy


def overlapping(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of every two tensors or NumPy arrays that share memory, also of one that both have.

    Args:
        one: by name; what is not on the CPU, or is nothing of the kind, shares none.
        other: likewise.
    """
    ours, theirs = _arrays(one), _arrays(other)
    if not ours or not theirs:
        return
    (starts, ends), (others, their_ends) = (
        np.array([_bounds(array) for array in arrays.values()]).T for arrays in (ours, theirs)
    )
    names, their_names = list(ours), list(theirs)
    for i, j in np.argwhere((starts[:, None] < their_ends) & (others < ends[:, None])):
        if np.shares_memory(ours[names[i]], theirs[their_names[j]]):
            yield names[i], their_names[j]


def _arrays(values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    found = {name: _array(value) for name, value in values.items()}
    return {name: array for name, array in found.items() if array is not None and array.size}


class _Memory:
    """The memory of a tensor for NumPy, whatever its type."""

    def __init__(self, tensor: Tensor) -> None:
        size = tensor.element_size()
        self.__array_interface__ = {
            "version": 3, "typestr": f"|V{size}", "data": (tensor.data_ptr(), True),
            "shape": tuple(tensor.shape), "strides": tuple(size * stride for stride in tensor.stride()),
        }  # fmt: skip


def _array(value: Any) -> NDArray[Any] | None:
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, Tensor) or is_lazy(value) or value.device.type != "cpu" or value.layout != torch.strided:
        return None
    return np.asarray(_Memory(value)) if value.numel() else None


def _bounds(array: NDArray[Any]) -> tuple[int, int]:
    """The first byte, and the first one behind the last."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high)
