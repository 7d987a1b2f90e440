"""Signatures of components as `help`, notebooks and editors show them, made from their fields."""

import inspect
import typing
from collections.abc import Callable, Collection, Iterator
from dataclasses import KW_ONLY
from itertools import takewhile
from typing import Any, ParamSpec

P = ParamSpec("P")


class FieldSignature:
    """A class attribute `__signature__`: the fields of the class that it is asked of, with their types and defaults.

    Static checkers make the same of the annotations (`typing.dataclass_transform`).

    Args:
        by_name: whether all of them are taken by name alone.
    """

    def __init__(self, *, by_name: bool = False) -> None:
        self._by_name = by_name

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        """See `inspect.signature`, which asks for it."""
        found = list(_parameters(owner))
        return inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in found] if self._by_name else found)


def _parameters(component: Any) -> Iterator[inspect.Parameter]:
    """The fields: those that may be given by position, then those by name alone."""
    blank = object.__new__(component)
    kinds, defaults = blank.kinds(), blank.defaults()
    hints, first = typing.get_type_hints(component), positional(component, kinds, defaults)
    for name in dict.fromkeys([*first, *kinds]):
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if name in first else inspect.Parameter.KEYWORD_ONLY
        default = defaults.get(name, inspect.Parameter.empty)
        yield inspect.Parameter(name, kind, default=default, annotation=hints.get(name, Any))


def positional(component: type, kinds: Collection[str], defaults: Collection[str]) -> list[str]:
    """The fields that may be given by position, in this order: as in a dataclass those of bases first.

    By name alone are given those after `KW_ONLY`, and what is required after one that is not.

    Args:
        component: a class.
        kinds: all its fields.
        defaults: those that are not required.
    """
    by_name = _by_name(component)
    written = dict.fromkeys(name for cls in reversed(component.__mro__) for name in inspect.get_annotations(cls))
    found = [name for name in written if name in kinds and name not in by_name]
    required = list(takewhile(lambda name: name not in defaults, found))
    return required + [name for name in found if name in defaults]


def _by_name(component: type) -> set[str]:
    """The fields that some class of it has after `_: KW_ONLY`."""
    found: set[str] = set()
    for cls in component.__mro__:
        annotated = inspect.get_annotations(cls)
        names = list(annotated)
        if annotated.get("_") is KW_ONLY:
            found.update(names[names.index("_") + 1 :])
    return found


def anywhere(made: Callable[P, object]) -> Callable[P, Any]:
    """The same, for static checkers: what it makes may stand in the place of a value of any type, as a `Sweep` may."""
    return made
