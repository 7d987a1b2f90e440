"""Signatures of components as `help`, notebooks and editors show them, made from their fields."""

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY
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
    """The fields in the order in which they are taken; by name alone those after `KW_ONLY` and what is required after a default."""
    blank = object.__new__(component)
    kinds, defaults = blank.kinds(), blank.defaults()
    hints, by_name = typing.get_type_hints(component), _by_name(component)
    parameters: list[inspect.Parameter] = []
    for name in kinds:
        default = defaults.get(name, inspect.Parameter.empty)
        late = default is inspect.Parameter.empty and any(p.default is not p.empty for p in parameters)
        kind = inspect.Parameter.KEYWORD_ONLY if name in by_name or late else inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters.append(inspect.Parameter(name, kind, default=default, annotation=hints.get(name, Any)))
    return iter(sorted(parameters, key=lambda parameter: parameter.kind))


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
