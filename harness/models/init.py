"""Initial weights: where a network starts is a stress dial of its own."""

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn as nn
from torch import Tensor

Init = Literal["default", "he", "orthogonal"]


@torch.no_grad()
def set_linear(layers: Iterable[nn.Linear], init: Init, gain: float) -> None:
    """Draw the weights of linear layers again, unless `init` is "default", and multiply them by `gain`.

    Args:
        layers: changed in place; where weights are drawn again, biases become zero.
        init: PyTorch's default; "he", N(0, 2/inputs) (He et al. 2015, arXiv:1502.01852, equation 10); or "orthogonal"
            (Saxe et al. 2014, arXiv:1312.6120).
        gain: factor on the weights.
    """
    for layer in layers:
        if init == "he":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif init == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        if init != "default":
            nn.init.zeros_(layer.bias)
        if gain != 1:
            layer.weight *= gain


@torch.no_grad()
def set_recurrent(layer: nn.RNNBase, init: Literal["default", "orthogonal"], radius: float | None) -> None:
    """Give the recurrent matrices of a layer their initial values; of an LSTM or a GRU each gate's on its own.

    Args:
        layer: changed in place.
        init: PyTorch's default, or "orthogonal", all of whose eigenvalues have modulus 1.
        radius: the largest modulus of their eigenvalues, to which they are scaled (Pascanu et al. 2013,
            arXiv:1211.5063); None to leave them.
    """
    for name, weight in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in weight.chunk(len(weight) // layer.hidden_size):
                if init == "orthogonal":
                    nn.init.orthogonal_(gate)
                if radius is not None:
                    gate *= radius / spectral_radius(gate)


def spectral_radius(matrix: Tensor) -> float:
    """Largest modulus of a square matrix's eigenvalues.

    >>> round(spectral_radius(torch.tensor([[0.0, 2.0], [-2.0, 0.0]])), 4)
    2.0
    """
    return float(torch.linalg.eigvals(matrix).abs().max())
