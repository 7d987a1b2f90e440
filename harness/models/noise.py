"""Noise layers that torch does not have.

What they compute is a function for each, which asks as torch's own do whether someone else computes it (`torch.overrides`):
so a population, or a run whose noise comes from its seed's streams, can.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn as nn
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from harness.settings import Probability
from harness.settings.quantities import TupleOnly


def gaussian_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """X · N(1, p/(1 − p)); `x` itself unless `training`."""
    if has_torch_function_unary(x):
        answer: Tensor = handle_torch_function(gaussian_dropout, (x,), x, p, training)
        return answer
    return x * (1 + torch.randn_like(x) * (p / (1 - p)) ** 0.5) if training else x


def zoneout(shape: Tensor, p: float, training: bool) -> Tensor | None:
    """The share of the last value in the next one: 0 or 1 shaped as `shape`; p unless `training`; None for nowhere."""
    if has_torch_function_unary(shape):
        answer: Tensor | None = handle_torch_function(zoneout, (shape,), shape, p, training)
        return answer
    if not p:
        return None
    return torch.bernoulli(torch.full_like(shape, p)) if training else shape.new_full([1] * shape.dim(), p)


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
        return gaussian_dropout(x, self.p, self.training)


class Variational(nn.Module):
    """Dropout with one mask for all time steps of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287).

    Args:
        dropout: the layer that makes the mask.
    """

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, time, …, feature)."""
        mask: Tensor = self.dropout(x.new_ones(len(x), 1, *x.shape[2:]))
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
        """See `zoneout`."""
        return zoneout(shape, self.p, self.training)


def by_layer(p: float | Sequence[float], layers: int, what: str) -> list[float]:
    """The probability of each layer: one for all, or one for each.

    Args:
        p: a probability, or as many as there are layers.
        layers: how many there are.
        what: they are, in words.

    Raises:
        ValueError: they are not as many.
    """
    if not isinstance(p, list | tuple):
        return [p] * layers  # type: ignore[list-item]
    if len(p) != layers:
        raise ValueError(f"dropout must hold one p for each of the {layers} {what}, but holds {len(p)}")
    return list(p)


EachLayers = Annotated[tuple[Probability, ...], TupleOnly()]
"""A probability for each layer."""

NoiseKind = Literal["bernoulli", "gaussian"]

DROPOUTS: dict[str, type[nn.Dropout] | type[GaussianDropout]] = {"bernoulli": nn.Dropout, "gaussian": GaussianDropout}
"""By the kind of noise."""
