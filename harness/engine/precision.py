"""A module in single or double precision, where it trains: what is complex stays so.

`nn.Module.to(dtype)` would make real numbers of complex ones.
"""

import torch
import torch.nn as nn
from torch import Tensor


def kind_in(kind: torch.dtype, dtype: torch.dtype) -> torch.dtype:
    """The type of numbers that a tensor of some type has where training computes in `dtype`.

    In single precision it is the one that its module gave it; in double precision numbers with a point are all double, or
    would be rounded.

    >>> kind_in(torch.complex64, torch.float64), kind_in(torch.float16, torch.float32)
    (torch.complex128, torch.float16)
    """
    whole = not (kind.is_floating_point or kind.is_complex)
    return kind if whole or dtype != torch.float64 else torch.promote_types(kind, dtype)


def placed(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A tensor of a module on a device, as it is where training computes in `dtype`."""
    return tensor.to(device, kind_in(tensor.dtype, dtype))


def module_placed(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The module itself, its parameters and buffers likewise."""
    module._apply(lambda tensor: placed(tensor, device, dtype))  # type: ignore[no-untyped-call]
    return module
