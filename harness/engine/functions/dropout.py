"""Dropout whose masks come from the noise that the runs of a seed share, each member with its own p."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.engine.functions.transforms import beneath, of_member, only_vmap, transformed
from harness.engine.member_float import MemberFloat
from harness.engine.noise import ALPHA, Noise, alpha_scale
from harness.engine.obstacles import Unbatchable
from harness.engine.scheduled import Level
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
        functional: dict[Callable[..., Any], Callable[..., Any]] = {
            F.dropout: self.dropout,
            F.dropout1d: partial(self._features, unbatched=2),
            F.dropout2d: self._features,
            F.dropout3d: partial(self._features, unbatched=4),
            F.alpha_dropout: self._alpha,
            F.feature_alpha_dropout: partial(self._alpha, of_features=True),
        }
        native: dict[Callable[..., Any], Callable[..., Any]] = {
            torch.dropout: self.dropout,
            torch.feature_dropout: self._features,
            torch.alpha_dropout: self._alpha,
            torch.feature_alpha_dropout: partial(self._alpha, of_features=True),
        }
        in_place = {
            getattr(torch, f"{torchs.__name__}_"): partial(ours, inplace=True) for torchs, ours in native.items()
        }
        renamed = {torchs: partial(_native, ours) for torchs, ours in (native | in_place).items()}
        return functional | renamed | {gaussian_dropout: self._gaussian, zoneout: self._zoneout}

    def dropout(self, input: Tensor, p: Level = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """As `F.dropout`."""
        return _times(input, self._mask("bernoulli", p, input.shape) if training else None, inplace)

    def acts(self, p: Level) -> bool:
        """Whether anything is ever dropped."""
        return self._noise.levels(p).acts

    def count(self, p: Level, shape: tuple[int, ...]) -> None:
        """Take note of a call in which nothing is dropped: later ones get the noise that they would get after one that does."""
        self._noise.mask("bernoulli", p, shape)

    def _features(
        self, input: Tensor, p: Level = 0.5, training: bool = True, inplace: bool = False, unbatched: int | None = None
    ) -> Tensor:  # fmt: skip
        """Of whole features; `unbatched` is the number of axes at which torch takes an example without a batch axis."""
        shape = features(input, 1 if input.dim() == unbatched else 2)
        return _times(input, self._mask("bernoulli", p, shape) if training else None, inplace)

    def _alpha(
        self, input: Tensor, p: Level = 0.5, training: bool = False, inplace: bool = False, of_features: bool = False
    ) -> Tensor:  # fmt: skip
        """What is dropped becomes −α, and mean and variance of a SELU's output stay.

        Of m = U ≥ p: (x·m − α·(1 − m))·a + α·a·p with a = 1/√((1 − p)(1 + α²·p)) (Klambauer et al. 2017).
        """
        shape = features(input) if of_features else input.shape
        mask = self._mask("alpha", p, shape) if training else None
        if mask is None:
            return input
        now = self._for_member(self._noise.levels(p).now(input.dim()).to(mask.dtype))
        result = (input + ALPHA) * mask - ALPHA * (1 - now) * alpha_scale(now)
        return input.copy_(result) if inplace else result

    def _gaussian(self, x: Tensor, p: Level, training: bool) -> Tensor:
        return _times(x, self._mask("gaussian", p, x.shape) if training else None, False)

    def _zoneout(self, shape: Tensor, p: Level, training: bool) -> Tensor | None:
        if training:
            mask = self._mask("bernoulli", p, shape.shape)
            return None if mask is None else (mask == 0).to(mask.dtype)
        return self._for_member(self._noise.levels(p).now(shape.dim()).to(shape.dtype)) if self.acts(p) else None

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


def _native(ours: Callable[..., Tensor], input: Tensor, p: Level, train: bool) -> Tensor:
    """A function that torch has twice, by the names that its arguments have in the other place."""
    return ours(input, p, train)


def features(input: Tensor, axes: int = 2) -> torch.Size:
    """The shape of a mask that is the same over all but the first axes."""
    return torch.Size([*input.shape[:axes], *[1] * (input.dim() - axes)])


def _times(input: Tensor, mask: Tensor | None, inplace: bool) -> Tensor:
    if mask is None:  # modules that put a dropped weight in a weight's place could not train on with a parameter there
        return input.view_as(input) if isinstance(input, nn.Parameter) else input
    return input.mul_(mask) if inplace else (input * mask).to(input.dtype)  # of a lower precision it stays
