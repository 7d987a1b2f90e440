"""The random numbers of dropout in the forward passes of all members.

Runs of one seed share the noise, whatever their p: where U < p a unit is dropped, so masks are nested in p. What is drawn
for is known by its shape and by how many calls with that shape came before it in the forward pass; so it is the same
number that drops a unit in two networks of which one has a further dropout layer elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from harness.engine.masks import BernoulliMask, GaussianMask, Mask
from harness.engine.member_float import MemberFloat
from harness.engine.scheduled import Clock, Level, Scheduled

ALPHA = 1.7580993408473766
"""λ·α of the SELU, minus its value far below zero."""


def alpha_scale(p: Tensor) -> Tensor:
    """Keeps mean and variance of a SELU's output (Klambauer et al. 2017, arXiv:1706.02515, section 3); 0 at p = 1, as in torch."""
    return torch.where(p < 1, ((1 - p) * (1 + ALPHA**2 * p)).rsqrt(), 0.0)


MASKS: dict[str, Callable[..., Mask]] = {
    "bernoulli": BernoulliMask,
    "alpha": partial(BernoulliMask, scale=alpha_scale),
    "gaussian": GaussianMask,
}
"""By the kind of dropout."""


class Noise:
    """Draws the masks of a population, call by call.

    Args:
        rows: seed → its members, which lie next to each other.
        steps: of the whole training.
        device: where masks live.
        dtype: of masks.

    Attributes:
        clock: of the members' training.
    """

    def __init__(self, rows: Mapping[int, slice], *, steps: int, device: torch.device, dtype: torch.dtype) -> None:
        self._rows, self._device, self._dtype = rows, device, dtype
        self.clock = Clock(steps, max(members.stop for members in rows.values()), device)
        self._masks: dict[str, Mask] = {}
        self._levels: dict[Level, Scheduled] = {}
        self._member_levels: dict[int, tuple[MemberFloat, Scheduled]] = {}
        self._purpose, self._calls, self._open = "dropout", Counter[str](), False

    def begin(self, *, train: bool) -> None:
        """Begin a forward pass; those of training and of evaluation have noise of their own."""
        self._purpose = "dropout" if train else "evaluation dropout"
        self._calls.clear()
        self._open = True

    def end(self) -> None:
        """End it: what asks for noise until the next one begins computes a part of it once more."""
        self._open = False

    def mask(self, kind: str, p: Level, shape: tuple[int, ...]) -> Tensor | None:
        """The masks of the next call, (member, …), overwritten by the next forward pass; None where nothing is ever dropped.

        Args:
            kind: of `MASKS`.
            p: of all members, or a `MemberFloat`.
            shape: of one member's mask.

        Raises:
            RuntimeError: no forward pass is on.
        """
        levels = self.levels(p)
        if not self._open:
            if not levels.acts:
                return None
            message = (
                "dropout is computed a second time in the backward pass (checkpointing), which would draw other noise"
            )
            raise RuntimeError(message)
        called = f"{self._purpose} {'x'.join(map(str, shape))}"
        name = f"{called} {self._calls[called]}"
        self._calls[called] += 1
        if not levels.acts:
            return None
        key = f"{kind} {name}"
        if key not in self._masks:
            self._new(key, shape)
        return self._masks[key].draw(levels)

    def levels(self, p: Level) -> Scheduled:
        """The members' probabilities, whatever `p` is."""
        if isinstance(p, MemberFloat):
            if id(p) not in self._member_levels:
                self._member_levels[id(p)] = p, Scheduled(p.levels, self.clock)
            return self._member_levels[id(p)][1]
        if p not in self._levels:
            self._levels = self._levels if len(self._levels) < 100 else {}  # a module may set another p at every call
            self._levels[p] = Scheduled([p] * len(self.clock.rows), self.clock)
        return self._levels[p]

    def compact(self, rows: Mapping[int, slice]) -> None:
        """Go on with fewer members; `rows` are where they lie from now on, their clock and `MemberFloat`s are compacted already."""
        self._rows, self._levels, self._member_levels = rows, {}, {}
        for mask in self._masks.values():
            mask.compact(rows)

    def restart(self, rows: Mapping[int, slice]) -> None:
        """Go on with other members, whose noise begins anew; their clock is set already."""
        self._rows, self._levels, self._member_levels, self._masks = rows, {}, {}, {}

    def follow(self, other: "Noise") -> None:
        """Go on from where another's noise of the same seeds, and more, has come to."""
        for key, mask in other._masks.items():
            own = self._new(key, mask.shape)
            for seed, generator in own.streams.items():
                generator.set_state(mask.streams[seed].get_state())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """After the block every stream of noise is where it was, and schedules at their step."""
        rows = self.clock.rows
        states = {
            key: {seed: generator.get_state() for seed, generator in mask.streams.items()}
            for key, mask in self._masks.items()
        }
        yield
        self.clock.rows = rows
        self._masks = {key: mask for key, mask in self._masks.items() if key in states}  # others begin anew
        for key, mask in self._masks.items():
            for seed, generator in mask.streams.items():
                generator.set_state(states[key][seed])

    def state_dict(self) -> dict[str, Any]:
        """Where all noise has come to, see `checkpoint`; without members there is none that will be asked for."""
        masks = self._masks if len(self.clock.rows) else {}
        return {"clock": self.clock.state_dict(), "masks": {key: mask.state_dict() for key, mask in masks.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.clock.load_state_dict(state["clock"])
        for key, of_mask in state["masks"].items():
            self._new(key, tuple(of_mask["shape"])).load_state_dict(of_mask)

    def _new(self, key: str, shape: tuple[int, ...]) -> Mask:
        kind, _, name = key.partition(" ")
        self._masks[key] = MASKS[kind](name, shape, self._rows, self._device, self._dtype)
        return self._masks[key]

    def generators(self) -> list[torch.Generator]:
        """Where the masks come from that were drawn so far."""
        return [generator for mask in self._masks.values() for generator in mask.streams.values()]
