"""How the masks of dropout are drawn, for all members at once, from noise that the runs of a seed share.

U is a multiple of 2^-16, four of which come from one 64-bit random number: drawing single floats took up to a seventh of a
training step.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.engine.scheduled import Scheduled
from harness.settings.randomness import stream


def inverted(p: Tensor) -> Tensor:
    """What is not dropped is scaled by 1/(1 − p), so that the expected value stays (Srivastava et al. 2014, section 10)."""
    return torch.where(p < 1, 1 / (1 - p), 0.0)


class Mask(ABC):
    """The masks of one call of dropout for all members.

    Args:
        name: of the call; names the streams of its noise.
        shape: of one member's mask.
        rows: seed → its members, which lie next to each other.
        device: where masks live.
        dtype: of masks.

    Attributes:
        streams: seed → where its noise comes from.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], rows: Mapping[int, slice], device: torch.device, dtype: torch.dtype
    ) -> None:
        self._shape, self._rows, self._device, self._dtype = shape, rows, device, dtype
        self.streams = {seed: stream(seed, name, device) for seed in rows}
        self._levels: Scheduled | None = None
        self._allocate()

    def _allocate(self) -> None:
        """Make what depends on the number of members."""
        members = max(rows.stop for rows in self._rows.values())
        self._values = torch.empty(members, *self._shape, device=self._device, dtype=self._dtype)

    def draw(self, levels: Scheduled) -> Tensor:
        """New masks, (member, …), overwritten by the next call.

        One seed after another: its noise is still in the caches when its members use it.
        """
        if levels is not self._levels or levels.varies:
            self._set(levels.now(len(self._shape)).to(self._dtype))
            self._levels = levels
        for seed, rows in self._rows.items():
            self._draw(self.streams[seed], rows)
        return self._values

    def compact(self, rows: Mapping[int, slice]) -> None:
        """Go on with fewer members; `rows` are where they lie from now on."""
        self._rows, self._levels = rows, None
        self._allocate()

    def state_dict(self) -> dict[str, Any]:
        """Where the noise of the present members has come to, see `checkpoint`."""
        return {"shape": list(self._shape), "streams": [self.streams[seed].get_state() for seed in self._rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for seed, stream_state in zip(self._rows, state["streams"], strict=True):
            self.streams[seed].set_state(stream_state)

    @abstractmethod
    def _set(self, p: Tensor) -> None:
        """Take over the members' p, (member, 1, …)."""

    @abstractmethod
    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        """New values for the members of one seed."""


class BernoulliMask(Mask):
    """scale(p)·(U ≥ p) for a uniform U.

    Args:
        name, shape, rows, device, dtype: see `Mask`.
        scale: of what is not dropped.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], rows: Mapping[int, slice], device: torch.device, dtype: torch.dtype,
        scale: Callable[[Tensor], Tensor] = inverted,
    ) -> None:  # fmt: skip
        self._scale_of, size = scale, math.prod(shape)
        self._words = torch.empty(-(-size // 4), device=device, dtype=torch.int64)
        self._noise = self._words.view(torch.int16)[:size].view(shape)
        super().__init__(name, shape, rows, device, dtype)

    def _set(self, p: Tensor) -> None:
        self._bound = ((p * 2**16).ceil() - 2**15).clamp(max=2**15 - 1).to(torch.int16)
        self._scale = self._scale_of(p)

    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        self._words.random_(-(2**63), None, generator=generator)
        # Straight to 0.0 and 1.0: by way of booleans it took eight times as long on a CPU.
        torch.ge(self._noise, self._bound[rows], out=self._values[rows]).mul_(self._scale[rows])


class GaussianMask(Mask):
    """1 + √(p/(1 − p))·z for a standard normal z, drawn in single precision whatever that of the masks."""

    def _set(self, p: Tensor) -> None:
        self._deviation = (p / (1 - p)).sqrt()
        self._noise = torch.empty(self._shape, device=p.device, dtype=torch.float32)

    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        self._noise.normal_(generator=generator)
        torch.mul(self._noise, self._deviation[rows], out=self._values[rows]).add_(1)
