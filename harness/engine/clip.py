"""The clipping rules at work: what each remembers of its members, and the gradients of a block of members after another.

Members of one population may have several rules of the harness's own, each of which is shown the rows of its own members.
"""

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.clipping import ClippingRule, Gradient
from harness.engine.members import Members
from harness.engine.misfit import Misfit
from harness.engine.own_components import for_all, is_own, unread
from harness.engine.runs import Run
from harness.engine.scheduled import kind_of, settings_of
from harness.settings.show import counted

LONG_ROW_BYTES = 2**18
"""Of a member whose gradient a CPU rather clips where it is, with its neighbours at most, than copy it to be clipped with others."""

Places = slice | Tensor
"""Of some members, one after another: a slice, or int64 (member,)."""


def shares(rule: ClippingRule) -> bool:
    """Whether its members may share a population with those of other rules: what a user's own rule does is shown by itself."""
    return not is_own(rule)


def by_kind(runs: list[Run]) -> list[list[int]]:
    """The places of the runs whose rules act together, see `scheduled.kind_of`; ascending."""
    kinds: dict[ClippingRule, str] = {}
    found: dict[str, list[int]] = {}
    for place, rule in enumerate(run.setup.clipping for run in runs):
        if rule not in kinds:
            kinds[rule] = kind_of(rule)
        found.setdefault(kinds[rule], []).append(place)
    return list(found.values())


def check_shares(rule: ClippingRule, units: Tensor) -> None:
    """Raises `Misfit` where what a rule's `clip` returned is no share, as NaN is none; the host waits for the numbers."""
    if len(outside := units[~((units >= 0) & (units <= 1))]):
        raise _no_shares(rule, f"{float(outside[0]):.4g}")


def _check_same_shape(rule: ClippingRule, given: Any, flat: Tensor) -> None:
    """Raises `Misfit` where what a rule has set in place of the gradient is not of its shape."""
    if not isinstance(given, Tensor) or given.shape != flat.shape:
        got = f"a tensor {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        must = f"must be a tensor (member, parameters), here {tuple(flat.shape)}"
        raise Misfit(f"what `clip` of {type(rule).__name__} sets as `gradient.flat` {must}, not {got}")


def _no_shares(rule: ClippingRule, here: str) -> Misfit:
    must = "must return for each member whether it acted, or the share of units that it changed: a tensor (member, 1), bool or within [0, 1]"
    return Misfit(f"`clip` of {type(rule).__name__} {must}, here {here}")


def initial_state(rule: ClippingRule, zeros: Tensor, steps: int) -> list[Tensor]:
    """See `ClippingRule.initial_state`; two that a rule gave one memory have one each.

    Raises:
        Misfit: it is not of each member.
    """
    given: Any = rule.initial_state(zeros, steps)
    must = f"`initial_state` of {type(rule).__name__} must return a list of tensors (member, …), such as [zeros.repeat(1, 10)]"
    if not isinstance(given, list | tuple):
        raise Misfit(f"{must}, here a {type(given).__name__}")
    for tensor in given:
        if not isinstance(tensor, Tensor):
            raise Misfit(f"{must}, here one holds a {type(tensor).__name__}")
        if tensor.shape[:1] != zeros.shape[:1]:
            raise Misfit(f"{must}, here one of shape {tuple(tensor.shape)} for {counted(len(zeros), 'member')}")
    return [tensor.clone() for tensor in given]


class Part(NamedTuple):
    """Some members of one rule.

    Attributes:
        places: in a block.
        members: among all.
        own: among those of the rule.
    """

    places: Places
    members: Places
    own: slice


class Clipped(NamedTuple):
    """What clipping did to the gradients of some members, (member, 1) each.

    Attributes:
        norm: before.
        clipped_norm: after.
        units: the share of its units that the rule changed; where it says only whether it changed the gradient, 1 or 0.
        skipped: whether the member takes no step; None where no rule skips any.
    """

    norm: Tensor
    clipped_norm: Tensor
    units: Tensor
    skipped: Tensor | None


class Clip:
    """Clips the gradients of a population, each member's by its own rule.

    Args:
        runs: the members.
        population: whose parameters the gradients are of.
    """

    def __init__(self, runs: list[Run], population: Members) -> None:
        self._population = population
        self._rules = [_AtWork(runs, members, population) for members in by_kind(runs)]
        self._known = all(shares(each.rule) for each in self._rules)

    def begin(self) -> None:
        """Begin a step; then every member's gradient is to be clipped once."""
        for each in self._rules:
            each.begin(self._population.dtype)

    def __call__(self, rows: slice, flat: Tensor) -> Clipped:
        """Clip the gradients of some members in place.

        Args:
            rows: those members.
            flat: their gradients, (member, parameters).
        """
        used = self._population.used
        flat = flat[:, used]
        norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        given = norm if self._known else norm.clone()  # a user's own rule may change it in place
        block = Gradient(flat, given, self._population.parameters[rows, used], self._population.views, self._known)
        if len(self._rules) > 1:
            return self._by_several(rows, block)
        [only] = self._rules
        units = only.clip(block, rows, rows)
        if block.flat is not flat:
            _check_same_shape(only.rule, block.flat, flat)
            flat.copy_(block.flat)
        return Clipped(norm, block.clipped_norm(), units.to(norm.dtype), units != 0 if only.rule.skips else None)

    def _by_several(self, rows: slice, block: Gradient) -> Clipped:
        """Likewise, each rule on the rows of its own members; those that it only scales are so with all others in one pass."""
        clipped_norm, units, factors = torch.empty_like(block.norm), torch.empty_like(block.norm), None
        skipped = torch.zeros_like(block.norm, dtype=torch.bool) if any(r.rule.skips for r in self._rules) else None
        for each, (places, members, own) in self._parts(rows, len(block.norm)):
            gradient = _RowsOf(block, places)
            units[places] = each.clip(gradient, members, own).to(units.dtype)
            clipped_norm[places] = gradient.clipped_norm()
            if gradient.factor is not None:
                factors = torch.ones_like(block.norm) if factors is None else factors
                factors[places] = gradient.factor
            elif gradient.copied:
                block.flat[places] = gradient.flat
            if each.rule.skips and skipped is not None:
                skipped[places] = units[places] != 0
        if factors is not None:
            block.flat.mul_(factors)
        return Clipped(block.norm, clipped_norm, units, skipped)

    def _parts(self, rows: slice, count: int) -> Iterator[tuple["_AtWork", Part]]:
        """The rules with those of a block's members that are theirs."""
        return ((each, part) for each in self._rules for part in each.within(rows.start, count))

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""
        for each in self._rules:
            each.compact(survivors)

    def state(self) -> list[Tensor]:
        """What the rules remember, to be changed in place."""
        return [tensor for each in self._rules for tensor in each.memory]

    def rules(self) -> list[ClippingRule]:
        """The rules, each of which stands for those of its members."""
        return [each.rule for each in self._rules]


class _AtWork:
    """A rule, or several that differ in numbers, with those of its members that are still in training.

    Args:
        runs: all members.
        members: the places of its own among them, ascending.
        population: of all members.

    Attributes:
        rule: that stands for those of its members.
        memory: what it remembers of them, (member of the rule, …) each.
    """

    def __init__(self, runs: list[Run], members: list[int], population: Members) -> None:
        self.rule, own = for_all([runs[member].setup.clipping for member in members]), set(members)
        self.memory = initial_state(
            self.rule, torch.zeros_like(population.parameters[: len(members), :1]), runs[0].setup.steps
        )
        of_others = runs[members[0]].setup.clipping
        rules = [run.setup.clipping if place in own else of_others for place, run in enumerate(runs)]
        self._settings = settings_of(rules, population.clock)  # of all members: those of others are never read
        self._now: dict[str, Tensor] = {}
        self._members, self._device = members, population.device
        self._within: dict[tuple[int, int], list[Part]] = {}  # by the first member of a block and how many it has
        row = population.parameters[0]
        self._long = population.device.type == "cpu" and row.numel() * row.element_size() >= LONG_ROW_BYTES

    def begin(self, dtype: torch.dtype) -> None:
        """Begin a step, with the numbers that the rule has then: copies, which it may change in place."""
        self._now = {name: number.now().to(dtype, copy=True) for name, number in self._settings.items()}

    def within(self, start: int, count: int) -> list[Part]:
        """Those of its members that are in the block of so many from `start` on, in parts that it clips one after another."""
        if (start, count) not in self._within:
            first, end = (bisect_left(self._members, place) for place in (start, start + count))
            cuts = [i for i in range(first + 1, end) if self._long and self._members[i] > self._members[i - 1] + 1]
            ends = [first, *cuts, end] if first < end else []
            self._within[start, count] = [self._part(slice(*own), start) for own in pairwise(ends)]
        return self._within[start, count]

    def _part(self, own: slice, start: int) -> Part:
        members = self._members[own]
        places = [member - start for member in members]
        return Part(_places(places, self._device), _places(members, self._device), own)

    def clip(self, gradient: Gradient, members: Places, own: slice) -> Tensor:
        """Clip the gradients of some of its members, which lie there among all and in its memory; what the rule returns.

        Raises:
            Misfit: that is not a number for each of them.
        """
        numbers = {name: now[members] for name, now in self._now.items()}
        with unread(self.rule, len(self._members)):
            units: Any = self.rule.clip(gradient, *[tensor[own] for tensor in self.memory], **numbers)
        if not isinstance(units, Tensor):
            raise _no_shares(self.rule, f"a {type(units).__name__}")
        if units.shape != gradient.norm.shape:
            raise _no_shares(
                self.rule, f"one of shape {tuple(units.shape)} for {counted(len(gradient.norm), 'member')}"
            )
        return units

    def compact(self, survivors: Tensor) -> None:
        """See `Clip.compact`."""
        places = {old: new for new, old in enumerate(survivors.tolist())}
        kept = [i for i, member in enumerate(self._members) if member in places]
        self._members = [places[self._members[i]] for i in kept]
        self.memory = [tensor[kept] for tensor in self.memory]
        self._within = {}
        for number in self._settings.values():
            number.compact(survivors)


def _places(places: list[int], device: torch.device) -> Places:
    """Ascending places, as a slice where they lie next to each other."""
    if places[-1] - places[0] + 1 == len(places):
        return slice(places[0], places[-1] + 1)
    return torch.tensor(places, dtype=torch.int64, device=device)


class _RowsOf(Gradient):
    """The gradients of some members of a block.

    They are copied once their rule reads them, unless they lie next to each other; a factor alone needs no copy.

    Args:
        block: the gradients of all its members.
        rows: which of them.

    Attributes:
        factor: what the gradients are to be multiplied with, (member, 1), if the rule says so.
    """

    def __init__(self, block: Gradient, rows: Places) -> None:
        self._block, self._rows = block, rows
        self.norm, self.views = block.norm[rows], block.views
        self.factor: Tensor | None = None

    @cached_property
    def flat(self) -> Tensor:  # type: ignore[override]
        """See `Gradient`."""
        return self._block.flat[self._rows]

    @cached_property
    def parameters(self) -> Tensor:  # type: ignore[override]
        """See `Gradient`."""
        return self._block.parameters[self._rows]

    @property
    def copied(self) -> bool:
        """Whether `flat` is a copy, which the rule may have changed."""
        return "flat" in vars(self) and not isinstance(self._rows, slice)

    def scale(self, factor: Tensor) -> None:
        """See `Gradient.scale`; whoever holds the block does it."""
        self.factor = factor

    def clipped_norm(self) -> Tensor:
        """See `Gradient.clipped_norm`."""
        if self.factor is not None:
            return self.norm * self.factor
        return super().clipped_norm() if "flat" in vars(self) else self.norm
