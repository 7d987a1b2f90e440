"""Noise layers that torch does not have: ordinary modules, for which `swap` puts member-aware ones in a population."""

from typing import Literal

import torch
import torch.nn as nn
from torch import Tensor


class GaussianDropout(nn.Module):
    """x · N(1, p/(1 − p)): the mean and variance of Bernoulli dropout (Srivastava et al. 2014, section 10).

    Args:
        p: probability of dropping in the Bernoulli form.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """`x` itself in eval mode."""
        return x * (1 + torch.randn_like(x) * (self.p / (1 - self.p)) ** 0.5) if self.training else x


class Variational(nn.Module):
    """Dropout with one mask for all time steps of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287).

    Args:
        dropout: the layer that makes the mask.
    """

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, time, feature)."""
        mask: Tensor = self.dropout(x.new_ones(len(x), 1, x.shape[-1]))
        return x * mask


class Zoneout(nn.Module):
    """Which units of a recurrent layer keep their last value instead of a new one (Krueger et al. 2017, arXiv:1606.01305).

    Args:
        p: probability of keeping it.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, shape: Tensor) -> Tensor | None:
        """The share of the last value in the next one: 0 or 1 shaped as the argument; in eval mode p; None for nowhere."""
        if not self.p:
            return None
        if not self.training:
            return shape.new_full([1] * shape.dim(), self.p)
        return torch.bernoulli(torch.full_like(shape, self.p))


NoiseKind = Literal["bernoulli", "gaussian"]

DROPOUTS: dict[str, type[nn.Dropout] | type[GaussianDropout]] = {"bernoulli": nn.Dropout, "gaussian": GaussianDropout}
"""By the kind of noise."""
