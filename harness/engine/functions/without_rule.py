"""Functions of torch's for which `vmap` has no rule, by others for which it has one."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.engine.functions.linear import linear


def of_others() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What is computed in place of which function; `NotImplemented` where torch has a rule, or nothing helps."""
    return {torch.lstm_cell: _lstm_cell, F.normalize: _normalize, Tensor.__setitem__: _fill_masked}


def _lstm_cell(
    x: Tensor, state: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `nn.LSTMCell` documents it, of x (batch, inputs) and states (batch, units)."""
    h, c = state
    i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:  # fmt: skip
    """Into a tensor that there is, as spectral norm does it."""
    return NotImplemented if out is None else out.copy_(F.normalize(input, p, dim, eps))


def _fill_masked(x: Tensor, key: Any, value: Any) -> Any:
    """`x[key] = value`, key a mask of the first axes of x and value one number: where the mask is true is not known beforehand."""
    number = type(value) in (int, float) or (isinstance(value, Tensor) and value.dim() == 0 and value.dtype == x.dtype)
    if not (number and x.is_floating_point() and isinstance(key, Tensor) and key.dtype == torch.bool):
        return NotImplemented
    if key.shape != x.shape[: key.dim()]:
        return NotImplemented
    x.masked_fill_(key.view(*key.shape, *[1] * (x.dim() - key.dim())), value)
    return None
