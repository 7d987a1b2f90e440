"""Tensors and arrays, told apart by what they hold: shape, type and a digest of the values."""

import hashlib
from collections.abc import MutableMapping
from typing import Any

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

_shown: MutableMapping[Any, tuple[Any, str]] = WeakIdKeyDictionary()  # hashing a user's data once is enough


def array_text(array: Any) -> str:
    """A tensor or NumPy array in short.

    Raises:
        Exception: it has no content that can be read, as a tensor of the device "meta".
    """
    if isinstance(array, np.ndarray):
        if array.dtype.hasobject:
            raise TypeError("an array of objects has no bytes")
        return _text("array", array.shape, array.dtype, np.ascontiguousarray(array))
    version = None if array.is_inference() else array._version  # that changes with what it holds
    known = _shown.get(array)
    if known is None or known[0] != version or version is None:
        flat = array.detach().cpu().to_dense().contiguous().reshape(-1)
        known = version, _text("tensor", array.shape, array.dtype, flat.view(torch.uint8).numpy())
        _shown[array] = known
    return str(known[1])


def forget_arrays() -> None:
    """Read all again: one that shares its memory with another may have changed unseen."""
    _shown.clear()


def _text(kind: str, shape: Any, dtype: Any, values: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return f"{kind}({'×'.join(map(str, shape))} {dtype}, sha256 {digest})"
