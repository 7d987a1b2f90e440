"""`MemberFloat`: a number of a module that differs between the members of a population, such as a dropout probability.

The module that stands for all members holds one in place of its plain number. Handed to dropout it means each member's
own; whatever would silently read it as one number raises `Unbatchable`. It is no float, whose value `math`, `format` and
dictionaries read past all operators; but `isinstance` says that it is one.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch.nn as nn

from harness.engine.attributes import attributes, is_level
from harness.engine.caught import note_error
from harness.engine.obstacles import Unbatchable
from harness.engine.scheduled import Level
from harness.settings.like_a_float import LikeAFloat

OUTSIDE = "it computes with a number that differs between runs, or decides by it, outside of dropout"


class MemberFloat:
    """Not a number by itself, standing for those of all members.

    Args:
        levels: of the members, in order.
        refusal: what is said where it is read as one number.

    Attributes:
        levels: of the members that still train.
    """

    def __init__(self, levels: Sequence[Level], refusal: str = OUTSIDE) -> None:
        self.levels, self.refusal = list(levels), refusal

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return LikeAFloat

    def __reduce__(self) -> tuple[type["MemberFloat"], tuple[list[Level], str]]:
        return MemberFloat, (self.levels, self.refusal)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # asked of every object, whether it has it
            raise AttributeError(name)
        self._refuse()

    def _agreed(self, compare: Callable[[Any], bool]) -> bool:
        """What a comparison says of all members' numbers, if it says the same of all."""
        found = set(map(bool, map(compare, self.levels)))
        if len(found) > 1:
            self._refuse()
        return found.pop()

    def _refuse(self, *_: object) -> NoReturn:
        note_error()
        raise Unbatchable(self.refusal)

    def __lt__(self, other: Any) -> bool:
        return self._agreed(lambda level: level < other)

    def __gt__(self, other: Any) -> bool:
        return self._agreed(lambda level: level > other)

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        return self is other or self._agreed(lambda level: level == other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self._agreed(bool)

    __hash__ = __str__ = __repr__ = __format__ = __array__ = _refuse
    __float__ = __int__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _refuse
    __neg__ = __pos__ = __abs__ = _refuse


def own_levels(module: nn.Module) -> dict[str, Level]:
    """The numbers that a module holds and that may be each run's own, by name."""
    return {name: store[key] for name, store, key in attributes(module) if is_level(store[key])}


def put_levels(modules: list[nn.Module]) -> dict[str, MemberFloat]:
    """Put in the first module, for each number in which the modules differ, one that stands for all; these by name."""
    found = {}
    values = [[store[key] for _, store, key in attributes(module)] for module in modules]
    for (name, store, key), own in zip(attributes(modules[0]), zip(*values, strict=True), strict=True):
        if is_level(own[0]) and any(level != own[0] for level in own[1:]):
            found[name] = store[key] = MemberFloat(own)
    return found
