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


def at_once(device: torch.device) -> bool:
    """Whether masks are made of the noise of all seeds together.

    Where what takes time is to launch an operation. On a CPU one seed goes after another, whose noise is still in the caches when
    its members use it.
    """
    return device.type != "cpu"


class Mask(ABC):
    """The masks of one call of dropout for all members.

    Args:
        name: of the call; names the streams of its noise.
        shape: of one member's mask.
        rows: seed → its members, which lie next to each other.
        device: where masks live.
        dtype: of masks.

    Attributes:
        shape: of one member's mask.
        streams: seed → where its noise comes from.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], rows: Mapping[int, slice], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape, self._rows, self._device, self._dtype = shape, rows, device, dtype
        self.streams = {seed: stream(seed, name, device) for seed in rows}
        self._levels: Scheduled | None = None
        self._allocate()

    def _allocate(self) -> None:
        """Make what depends on the number of members."""
        counts = torch.tensor([rows.stop - rows.start for rows in self._rows.values()], device=self._device)
        self._seed_of = torch.arange(len(counts), device=self._device).repeat_interleave(counts)
        self._values = torch.empty(len(self._seed_of), *self.shape, device=self._device, dtype=self._dtype)
        self._at_once = at_once(self._device)
        drawn, noise = self._new_noise(len(counts) if self._at_once else 1)
        self._drawn, self._noise = drawn.unbind(), noise if self._at_once else noise.unbind()

    def draw(self, levels: Scheduled) -> Tensor:
        """New masks, (member, …), overwritten by the next call."""
        if levels is not self._levels or levels.varies:
            self._set(levels.now(len(self.shape)).to(self._dtype))
            self._levels = levels
        if self._at_once:
            for seed, drawn in zip(self._rows, self._drawn, strict=True):
                self._fill(drawn, self.streams[seed])
            self._apply(self._noise[self._seed_of], slice(None))
        else:
            for seed, rows in self._rows.items():
                self._fill(self._drawn[0], self.streams[seed])
                self._apply(self._noise[0], rows)
        return self._values

    def compact(self, rows: Mapping[int, slice]) -> None:
        """Go on with fewer members; `rows` are where they lie from now on."""
        self._rows, self._levels = rows, None
        self._allocate()

    def state_dict(self) -> dict[str, Any]:
        """Where the noise of the present members has come to, see `checkpoint`."""
        return {"shape": list(self.shape), "streams": [self.streams[seed].get_state() for seed in self._rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for seed, stream_state in zip(self._rows, state["streams"], strict=True):
            self.streams[seed].set_state(stream_state)

    @abstractmethod
    def _set(self, p: Tensor) -> None:
        """Take over the members' p, (member, 1, …)."""

    @abstractmethod
    def _new_noise(self, seeds: int) -> tuple[Tensor, Tensor]:
        """Room for the noise of so many seeds: as it is drawn, (seed, …), and the same as numbers of the shape of a mask."""

    @abstractmethod
    def _fill(self, drawn: Tensor, generator: torch.Generator) -> None:
        """Draw the noise of one seed."""

    @abstractmethod
    def _apply(self, noise: Tensor, rows: slice) -> None:
        """New values of some members, from the noise of their seed or from that of each one's seed, (member, …)."""


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
        self._scale_of = scale
        super().__init__(name, shape, rows, device, dtype)

    def _set(self, p: Tensor) -> None:
        self._bound = ((p * 2**16).ceil() - 2**15).clamp(max=2**15 - 1).to(torch.int16)
        self._scale = self._scale_of(p)

    def _new_noise(self, seeds: int) -> tuple[Tensor, Tensor]:
        size = math.prod(self.shape)
        words = torch.empty(seeds, -(-size // 4), device=self._device, dtype=torch.int64)
        return words, words.view(torch.int16)[:, :size].view(seeds, *self.shape)

    def _fill(self, drawn: Tensor, generator: torch.Generator) -> None:
        drawn.random_(-(2**63), None, generator=generator)

    def _apply(self, noise: Tensor, rows: slice) -> None:
        # Straight to 0.0 and 1.0: by way of booleans it took eight times as long on a CPU.
        torch.ge(noise, self._bound[rows], out=self._values[rows]).mul_(self._scale[rows])


class GaussianMask(Mask):
    """1 + √(p/(1 − p))·z for a standard normal z, drawn in single precision whatever that of the masks."""

    def _set(self, p: Tensor) -> None:
        self._deviation = (p / (1 - p)).sqrt()

    def _new_noise(self, seeds: int) -> tuple[Tensor, Tensor]:
        normals = torch.empty(seeds, *self.shape, device=self._device, dtype=torch.float32)
        return normals, normals

    def _fill(self, drawn: Tensor, generator: torch.Generator) -> None:
        drawn.normal_(generator=generator)

    def _apply(self, noise: Tensor, rows: slice) -> None:
        torch.mul(noise, self._deviation[rows], out=self._values[rows]).add_(1)
