"""Groups of examples, such as all of one patient, that stay in one split: as a user names them, and as they are counted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.settings import InvalidStudy, Problem


def numbered(groups: Any, n: int, path: str) -> Tensor:
    """The groups as numbers from 0, below `n`, in the order of their names, int64 (n,).

    Args:
        groups: a name for each example, numbers or texts in a tensor, an array, a list or a column of pandas.
        n: how many examples there are.
        path: of problems with them.

    Raises:
        InvalidStudy: they are not such names.
    """
    try:
        names = np.asarray(groups)
        if names.dtype.hasobject and all(isinstance(name, str) for name in names.flat):  # as pandas holds texts
            names = names.astype(str)
        usable = names.dtype.kind in "biufU"
    except (TypeError, ValueError, RuntimeError):
        usable = False
    if not usable:
        kind = getattr(groups, "dtype", type(groups).__name__)
        raise _unusable(path, "must be numbers or texts, in a tensor on the CPU, an array or a list", str(kind))
    if names.shape != (n,):
        said = f"must name a group for each of the {n} examples, those of a test set last, in shape ({n},)"
        raise _unusable(path, said, f"shape {names.shape}")
    if names.dtype.kind == "f" and (nan := int(np.isnan(names).sum())):
        raise _unusable(
            path, "must name a group for each example; give one that is alone a number of its own", f"{nan} NaN"
        )
    if n and names.dtype == np.int64 and names.min() >= 0 and names.max() < n:
        return torch.from_numpy(names)  # as they are: to sort many takes long
    return torch.from_numpy(np.unique(names, return_inverse=True)[1]).long()


def _unusable(path: str, message: str, got: str) -> InvalidStudy:
    return InvalidStudy([Problem(path, message, got)])
