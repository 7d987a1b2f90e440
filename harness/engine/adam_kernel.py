"""Adam's update of all members in one pass over memory, as a Triton kernel for CUDA devices.

Step by step the formula of `harness.optimizers.adam`, which is the oracle of the tests, reads and writes 22 arrays; this
reads four and writes three. Triton comes with torch's builds for CUDA on Linux.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

COEFFICIENTS = "new_mean", "new_root", "old_square", "correction", "eps", "minus_step"
"""Those of `Adam.coefficients`, in the order in which the kernel takes them."""

BLOCK = 4096
"""Parameters of one member that are updated together."""


def adam_update(
    parameters: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, **coefficients: Tensor
) -> None:  # fmt: skip
    """As `Adam.update`, but for the gradient, which stays as it is.

    Args:
        parameters: (member, parameters), on a CUDA device.
        gradient: likewise.
        mean: likewise.
        square: likewise.
        **coefficients: columns (member, 1).
    """
    settings = torch.cat([coefficients[name] for name in COEFFICIENTS], 1)
    members, size = parameters.shape
    _adam[-(-size // BLOCK), members](parameters, gradient, mean, square, settings, size, block=BLOCK, num_warps=8)


def _block(parameters, gradient, mean, square, settings, size, block: tl.constexpr) -> None:  # type: ignore[no-untyped-def]
    """What a program of the grid (block, member) does."""
    member = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * block + tl.arange(0, block)
    inside, at, its = column < size, member * size + column, settings + member * 6
    new_mean, new_root, old_square = tl.load(its), tl.load(its + 1), tl.load(its + 2)
    correction, eps, minus_step = tl.load(its + 3), tl.load(its + 4), tl.load(its + 5)
    g, m = tl.load(gradient + at, mask=inside), tl.load(mean + at, mask=inside)
    v, p = tl.load(square + at, mask=inside), tl.load(parameters + at, mask=inside)
    m = tl.where(new_mean < 0.5, m + new_mean * (g - m), g - (1 - new_mean) * (g - m))  # as `torch.lerp`
    g = g * new_root
    v = v * old_square + g * g
    p = p + minus_step * tl.div_rn(m, tl.sqrt_rn(v) * correction + eps)
    tl.store(mean + at, m, mask=inside)
    tl.store(square + at, v, mask=inside)
    tl.store(parameters + at, p, mask=inside)


_adam = triton.jit(_block)
