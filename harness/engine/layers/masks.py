"""How the masks of dropout are drawn, for all members at once, from noise that the runs of a seed share.

U is a multiple of 2^-16, four of which come from one 64-bit random number: drawing single floats took up to a seventh of a
training step.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from harness.settings.randomness import stream
from harness.settings.schedules import Ramp, Schedule


class Probabilities:
    """One layer's p of every member, at the step that training has come to.

    Args:
        levels: a probability or a schedule for each member.
        steps: of the whole training.
        device: where `p` lives.
        dtype: of `p`.

    Attributes:
        p: (member,) probabilities; a new tensor whenever they change.
        acts: whether any member's p is ever above 0.
        varies: whether any member's p changes with the step.
    """

    def __init__(
        self, levels: Sequence[float | Schedule], *, steps: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        ramps = [level.ramp(steps) if isinstance(level, Schedule) else Ramp(level, level, 0, 1) for level in levels]
        self.acts = any(ramp.start or ramp.end for ramp in ramps)
        self.varies = any(ramp.start != ramp.end for ramp in ramps)
        self._ramps = torch.tensor(ramps, device=device, dtype=torch.float64)
        self._step = torch.zeros((), device=device, dtype=torch.float64)
        self._steps, self._dtype = steps, dtype
        self._set()

    def advance(self) -> None:
        """Go on to the next step, if there is one."""
        if self.varies:
            self._step.add_(1).clamp_(max=self._steps)
            self._set()

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        self._ramps = self._ramps[survivors]
        self._set()

    def _set(self) -> None:
        start, end, first, last = self._ramps.unbind(1)
        self.p = torch.lerp(start, end, ((self._step - first) / (last - first)).clamp(0, 1)).to(self._dtype)


def inverted(p: Tensor) -> Tensor:
    """What is not dropped is scaled by 1/(1 − p), so that the expected value stays (Srivastava et al. 2014, section 10)."""
    return 1 / (1 - p)


class Mask(ABC):
    """The masks of one call of one dropout layer for all members.

    Args:
        name: of the buffer it stands for; names the streams too.
        shape: of one member's mask.
        levels: the layer's p.
        rows: seed → its members, which lie next to each other.

    Attributes:
        values: (member, …) the masks of the last `draw`.
        streams: seed → where its noise comes from.
    """

    values: Tensor

    def __init__(self, name: str, shape: tuple[int, ...], levels: Probabilities, rows: Mapping[int, slice]) -> None:
        self.name, self._shape, self._levels, self._rows = name, shape, levels, rows
        self.streams = {seed: stream(seed, f"dropout {name}", levels.p.device) for seed in rows}
        self._allocate()

    def draw(self) -> None:
        """New masks, one seed after another: its noise is still in the caches when its members use it."""
        if self._levels.varies:
            self._set(self._p())
        for seed, rows in self._rows.items():
            self._draw(self.streams[seed], rows)

    def compact(self, rows: Mapping[int, slice]) -> None:
        """Go on with the members that the levels go on with; `rows` are where they lie from now on."""
        self._rows = rows
        self._allocate()

    def _p(self) -> Tensor:
        """The members' p, with the axes of the masks."""
        return self._levels.p.view(-1, *[1] * len(self._shape))

    @abstractmethod
    def _allocate(self) -> None:
        """Make what depends on the number of members; `values` are those that drop nothing."""

    @abstractmethod
    def _set(self, p: Tensor) -> None:
        """Take over the members' p."""

    @abstractmethod
    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        """New values for the members of one seed."""


class BernoulliMask(Mask):
    """scale(p)·(U ≥ p) for a uniform U.

    Args:
        name, shape, levels, rows: see `Mask`.
        scale: of what is not dropped.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], levels: Probabilities, rows: Mapping[int, slice],
        scale: Callable[[Tensor], Tensor] = inverted,
    ) -> None:  # fmt: skip
        self._scale_of, size = scale, math.prod(shape)
        self._words = torch.empty(-(-size // 4), device=levels.p.device, dtype=torch.int64)
        self._noise = self._words.view(torch.int16)[:size].view(shape)
        super().__init__(name, shape, levels, rows)

    def _allocate(self) -> None:
        self._set(self._p())
        self.values = self._scale.expand(-1, *self._shape).contiguous()

    def _set(self, p: Tensor) -> None:
        self._bound = ((p * 2**16).ceil() - 2**15).clamp(max=2**15 - 1).to(torch.int16)
        self._scale = self._scale_of(p)

    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        self._words.random_(-(2**63), None, generator=generator)
        # Straight to 0.0 and 1.0: by way of booleans it took eight times as long on a CPU.
        torch.ge(self._noise, self._bound[rows], out=self.values[rows]).mul_(self._scale[rows])


class GaussianMask(Mask):
    """1 + √(p/(1 − p))·z for a standard normal z, drawn in single precision whatever that of the masks."""

    def _allocate(self) -> None:
        p = self._p()
        self._set(p)
        self._noise = torch.empty(self._shape, device=p.device, dtype=torch.float32)
        self.values = torch.ones_like(p).expand(-1, *self._shape).contiguous()

    def _set(self, p: Tensor) -> None:
        self._deviation = (p / (1 - p)).sqrt()

    def _draw(self, generator: torch.Generator, rows: slice) -> None:
        self._noise.normal_(generator=generator)
        torch.mul(self._noise, self._deviation[rows], out=self.values[rows]).add_(1)
