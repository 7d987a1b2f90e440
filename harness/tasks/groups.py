"""Groups of examples, such as all of one patient, that stay in one split: as a user names them, and as they are counted."""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pandas.api.types import infer_dtype
from torch import Tensor

from harness.settings import InvalidStudy, Problem


def numbered(groups: Any, n: int, path: str) -> Tensor:
    """The groups as numbers from 0, below `n`, in the order of their names, int64 (n,).

    Args:
        groups: a name for each example, all numbers or all texts, in a tensor, an array, a list or a column of pandas.
        n: how many examples there are.
        path: of problems with them.

    Raises:
        InvalidStudy: they are not such names, or an example has none.
    """
    names = _as_array(groups, path)
    for known, numbers in _numbered:
        if known.shape == (n,) and known.dtype == names.dtype and np.array_equal(known, names):
            return numbers
    if infer_dtype(names.ravel(), skipna=True) not in KINDS:
        kinds = sorted({type(name).__name__ for name in names[~pd.isna(names)].flat})
        raise _unusable(path, USABLE, " and ".join(kinds))
    if names.shape != (n,):
        said = f"must name a group for each of the {n} examples, those of a test set last, in shape ({n},)"
        raise _unusable(path, said, f"shape {names.shape}")
    if names.dtype.kind == "U" and (names == "nan").any():
        said = "holds the text 'nan', which NumPy makes of a missing name among texts; give a list, or call the group otherwise"
        raise _unusable(path, said, "an array of texts")
    if absent := int(pd.isna(names).sum()):
        said = "must name a group for each example; give one that is alone a name of its own"
        raise _unusable(path, said, f"{absent} without")
    _numbered.append((names.copy(), torch.from_numpy(pd.factorize(names, sort=True)[0]).long()))
    return _numbered[-1][1]


def texts(groups: Any, path: str) -> "pd.Series[Any]":
    """The names that `numbered` understands, (n,), if they are texts; else none."""
    names = _as_array(groups, path)
    return pd.Series(names.astype(object) if infer_dtype(names.ravel(), skipna=True) == "string" else [], dtype=object)


USABLE = "must be all numbers or all texts, in a tensor on the CPU, an array, a list or a column of pandas"

KINDS = ("string", "integer", "floating", "mixed-integer-float", "boolean", "empty")
"""What pandas calls names that can be told apart; `empty` are those of which there are none."""

_numbered: deque[tuple[npt.NDArray[Any], Tensor]] = deque(maxlen=2)
"""The names that were numbered last: a seed asks for them several times, and to number many texts takes long."""


def _as_array(groups: Any, path: str) -> npt.NDArray[Any]:
    """The names one by one: of a list as they are, since an array would make texts of the numbers among them.

    Raises:
        InvalidStudy: they are in nothing that can be an array.
    """
    if np.ma.isMaskedArray(groups):
        groups = np.where(np.ma.getmaskarray(groups), np.array(None), np.ma.getdata(groups))
    try:
        return np.asarray(groups, None if hasattr(groups, "dtype") else object)
    except (TypeError, ValueError, RuntimeError):
        raise _unusable(path, USABLE, str(getattr(groups, "dtype", type(groups).__name__))) from None


def _unusable(path: str, message: str, got: str) -> InvalidStudy:
    return InvalidStudy([Problem(path, message, got)])
