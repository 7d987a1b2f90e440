"""Whether numbers are the same to the bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def same_bits(a: Any, b: Any) -> NDArray[np.bool_]:
    """Elementwise, NaN equal to NaN, 0.0 unequal to −0.0; of text and whole numbers simply whether they are equal.

    >>> same_bits([1.0, float("nan"), 0.0], [1.0, float("nan"), -0.0]).tolist()
    [True, True, False]
    """
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype.kind != "f" or y.dtype.kind != "f":
        return np.asarray(x == y)
    return np.asarray((x == y) & (np.signbit(x) == np.signbit(y)) | np.isnan(x) & np.isnan(y))
