"""The pieces that the recurrences are computed from: activations, their derivatives, and the gradient of zoneout.

On a CPU `torch.tanh` is the slowest of a recurrence's operations. tanh(a) = 1 / (1 + 2 / (e²ᵃ − 1)) takes three quarters of
its time, from weights that already carry the inner 2, and is as accurate near 0, where 2 σ(2 a) − 1 has no digit left.
"""

import torch
from torch import Tensor

_ONE = torch.tensor(1.0, device="cpu")  # one element: may meet tensors of any device and precision
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input
threshold_backward = torch.ops.aten.threshold_backward.grad_input


def tanh_of_half(doubled: Tensor, *, out: Tensor) -> Tensor:
    """tanh(a) from 2 a, to `out`, which may be the same tensor; infinite values on the way end in −1, 0 and 1 as they should."""
    if doubled.is_cuda:  # where two launches count for more than what they compute
        return torch.mul(doubled, 0.5, out=out).tanh_()
    torch.expm1(doubled, out=out).reciprocal_()
    return torch.add(_ONE, out, alpha=2, out=out).reciprocal_()


def take_zoneout_share(d_state: Tensor, zoneout: Tensor | None) -> Tensor | None:
    """Take the part that belongs to the state before out of a state's gradient, where zoneout handed that state on."""
    if zoneout is None:
        return None
    share = d_state * zoneout
    d_state -= share
    return share


def add_noise_gradients(d_before: Tensor, factor: Tensor | None, zoneout_share: Tensor | None) -> None:
    """Complete the gradient of a state: the noise on its recurrent product, and its share in the next state's gradient."""
    if factor is not None:
        d_before *= factor
    if zoneout_share is not None:
        d_before += zoneout_share
