"""Dropout whose masks come from the noise that the runs of a seed share, each member with its own p."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.engine.functions.transforms import beneath, of_member, only_vmap, transformed
from harness.engine.member_float import Level, MemberFloat
from harness.engine.noise import ALPHA, Noise, alpha_scale
from harness.engine.obstacles import Unbatchable
from harness.models.noise import gaussian_dropout, zoneout


class Dropout:
    """Torch's functions of dropout, and the project's own, with masks from `noise`.

    Args:
        noise: of all members, or of the only one.
        batched: whether forward passes run under `vmap`, and see one of several members.
    """

    def __init__(self, noise: Noise, *, batched: bool) -> None:
        self._noise, self._batched = noise, batched

    def answers(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """What is computed in place of which function."""
        return {
            F.dropout: self.dropout,
            torch.dropout: lambda input, p, train: self.dropout(input, p, train),
            torch.dropout_: lambda input, p, train: self.dropout(input, p, train, inplace=True),
            F.dropout1d: lambda input, p=0.5, training=True, inplace=False: self._features(input, p, training, inplace, 2),
            F.dropout2d: lambda input, p=0.5, training=True, inplace=False: self._features(input, p, training, inplace, None),
            F.dropout3d: lambda input, p=0.5, training=True, inplace=False: self._features(input, p, training, inplace, 4),
            torch.feature_dropout: lambda input, p, train: self._features(input, p, train, False, None),
            torch.feature_dropout_: lambda input, p, train: self._features(input, p, train, True, None),
            F.alpha_dropout: lambda input, p=0.5, training=False, inplace=False: self._alpha(
                input, input.shape, p, training, inplace
            ),
            torch.alpha_dropout: lambda input, p, train: self._alpha(input, input.shape, p, train, False),
            torch.alpha_dropout_: lambda input, p, train: self._alpha(input, input.shape, p, train, True),
            F.feature_alpha_dropout: lambda input, p=0.5, training=False, inplace=False: self._alpha(
                input, features(input), p, training, inplace
            ),
            torch.feature_alpha_dropout: lambda input, p, train: self._alpha(input, features(input), p, train, False),
            torch.feature_alpha_dropout_: lambda input, p, train: self._alpha(input, features(input), p, train, True),
            gaussian_dropout: self._gaussian,
            zoneout: self._zoneout,
        }  # fmt: skip

    def dropout(self, input: Tensor, p: Level = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """As `F.dropout`."""
        return _times(input, self._mask("bernoulli", p, input.shape) if training else None, inplace)

    def acts(self, p: Level) -> bool:
        """Whether anything is ever dropped."""
        return self._noise.levels(p).acts

    def _features(self, input: Tensor, p: Level, training: bool, inplace: bool, unbatched: int | None) -> Tensor:
        """Of whole features; `unbatched` is the number of axes at which torch takes an example without a batch axis."""
        shape = features(input, 1 if input.dim() == unbatched else 2)
        return _times(input, self._mask("bernoulli", p, shape) if training else None, inplace)

    def _alpha(self, input: Tensor, shape: torch.Size, p: Level, training: bool, inplace: bool) -> Tensor:
        """What is dropped becomes −α, and mean and variance of a SELU's output stay.

        Of m = U ≥ p: (x·m − α·(1 − m))·a + α·a·p with a = 1/√((1 − p)(1 + α²·p)) (Klambauer et al. 2017).
        """
        mask = self._mask("alpha", p, shape) if training else None
        if mask is None:
            return input
        now = self._for_member(self._noise.levels(p).p(input.dim()))
        result = (input + ALPHA) * mask - ALPHA * (1 - now) * alpha_scale(now)
        return input.copy_(result) if inplace else result

    def _gaussian(self, x: Tensor, p: Level, training: bool) -> Tensor:
        return _times(x, self._mask("gaussian", p, x.shape) if training else None, False)

    def _zoneout(self, shape: Tensor, p: Level, training: bool) -> Tensor | None:
        if training:
            mask = self._mask("bernoulli", p, shape.shape)
            return None if mask is None else (mask == 0).to(mask.dtype)
        return self._for_member(self._noise.levels(p).p(shape.dim())) if self.acts(p) else None

    def _mask(self, kind: str, p: Level, shape: torch.Size) -> Tensor | None:
        if not isinstance(p, MemberFloat) and (p < 0 or p > 1):
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        if not transformed():
            mask = self._noise.mask(kind, p, tuple(shape))
        elif self._batched and only_vmap() is not None:
            with beneath():
                mask = self._noise.mask(kind, p, tuple(shape))
        else:
            raise Unbatchable("its forward pass calls dropout within a transform of torch.func")
        return None if mask is None else self._for_member(mask)

    def _for_member(self, values: Tensor) -> Tensor:
        vmap = only_vmap() if self._batched else None
        return values[0] if vmap is None else of_member(values, vmap)


def features(input: Tensor, axes: int = 2) -> torch.Size:
    """The shape of a mask that is the same over all but the first axes."""
    return torch.Size([*input.shape[:axes], *[1] * (input.dim() - axes)])


def _times(input: Tensor, mask: Tensor | None, inplace: bool) -> Tensor:
    if mask is None:  # modules that put a dropped weight in a weight's place could not train on with a parameter there
        return input.view_as(input) if isinstance(input, nn.Parameter) else input
    return input.mul_(mask) if inplace else input * mask
