"""What tasks read from files, kept by what it was read from: several tasks, and several processes of a launch, read it once.

A leader hands what its loaders keep to the processes that it starts (`harness.execution.shipping`). A loader's arguments say
which version of a file it is to read (`pooled.File`): where that has changed meanwhile, the other process reads it anew.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

R = TypeVar("R")

Kept = Mapping[str, Mapping[tuple[Any, ...], Any]]
"""By the name of a loader what it has loaded, by its arguments."""


class Loader(Generic[R]):
    """A function of hashable arguments by position, and what it returned for the last ones, as `functools.lru_cache`.

    Args:
        function: that loads.
        most: results that are kept.

    Attributes:
        kept: results by arguments, those that were not asked for for longest first.
        asked: the arguments of those that were asked for, see `kept_by`.
    """

    def __init__(self, function: Callable[..., R], most: int) -> None:
        self._function, self._most = function, most
        self.kept: OrderedDict[tuple[Any, ...], R] = OrderedDict()
        self.asked: set[tuple[Any, ...]] = set()
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> R:
        """What there is, or is loaded now."""
        if arguments not in self.kept:
            self.keep(arguments, self._function(*arguments))
        self.kept.move_to_end(arguments)
        self.asked.add(arguments)
        return self.kept[arguments]

    def keep(self, arguments: tuple[Any, ...], found: R) -> None:
        """Keep what was loaded, here or in another process."""
        self.kept[arguments] = found
        while len(self.kept) > self._most:
            self.asked.discard(self.kept.popitem(last=False)[0])


_loaders: dict[str, Loader[Any]] = {}


def loader(most: int) -> Callable[[Callable[..., R]], Loader[R]]:
    """Decorates a function at the top of a module that loads, so that its last results, at most so many, are kept."""

    def decorated(function: Callable[..., R]) -> Loader[R]:
        found = Loader(function, most)
        _loaders[f"{function.__module__}.{function.__qualname__}"] = found
        return found

    return decorated


def kept_by(call: Callable[[], object]) -> Kept:
    """What loaders keep of all that they are asked for within a call."""
    for each in _loaders.values():
        each.asked.clear()
    call()
    found = {name: {arguments: each.kept[arguments] for arguments in each.asked} for name, each in _loaders.items()}
    return {name: own for name, own in found.items() if own}


def keep_all(kept: Kept) -> None:
    """Keep what the loaders of another process kept, where this one has not loaded it itself."""
    for name, found in kept.items():
        for arguments, result in found.items():
            if name in _loaders and arguments not in _loaders[name].kept:
                _loaders[name].keep(arguments, result)
