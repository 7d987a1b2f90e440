"""The pieces that the recurrences are computed from: activations, their derivatives, and the gradient of zoneout.

On a CPU `torch.tanh` takes five times as long as `torch.sigmoid` (float32), longer than the recurrent product itself. So
tanh(a) is computed as 2 σ(2 a) − 1, from weights that already carry the inner 2.
"""

import torch
from torch import Tensor

_MINUS_ONE = torch.tensor(-1.0, device="cpu")  # one element: may meet tensors of any device and precision
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input
threshold_backward = torch.ops.aten.threshold_backward.grad_input


def to_tanh(sigmoid: Tensor) -> Tensor:
    """2 σ − 1 in place."""
    return torch.add(_MINUS_ONE, sigmoid, alpha=2, out=sigmoid)


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
