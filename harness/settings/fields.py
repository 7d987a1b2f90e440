"""The fields of a component's class, which are its settings: read from its annotations, and held apart from all else that it has."""

import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, ClassVar

from harness.settings.modules import owner_of
from harness.settings.problems import InvalidStudy, Problem, closest
from harness.settings.roles import Sweep, Tune
from harness.settings.show import show

ALIKE = 0.75
"""How like one another two names are of which one may be meant by the other, see `closest`: `loss` and `losses` are .8."""


@functools.cache
def fields_of(cls: type) -> dict[str, Any]:
    """Names of fields and their annotated types, base classes first.

    Raises:
        InvalidStudy: a field hides what a base class has under its name, or the reverse; or a `Sweep` or `Tune` is in no field.
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {n: k for n, k in hints.items() if not n.startswith("_") and typing.get_origin(k) is not ClassVar}
    inherited = {name for base in cls.__bases__ for name in fields_of(base)}
    if found := [*_hiding(cls, fields, inherited), *_lost(cls, fields)]:
        raise InvalidStudy(found)
    return fields


def _hiding(cls: type, fields: dict[str, Any], inherited: set[str]) -> Iterator[Problem]:
    """Fields under whose name a base has something else, and properties under the name of a field."""
    for name in inspect.get_annotations(cls):
        if name in fields and name not in inherited and any(hasattr(base, name) for base in cls.__bases__):
            owner = next((base.__name__ for base in cls.__mro__[1:] if name in vars(base)), "every class")
            message = f"is a setting that hides `{name}` of {owner}, which is none; give it another name"
            yield Problem(f"{cls.__name__}.{name}", message)
    for name, value in vars(cls).items():
        if name in fields and hasattr(type(value), "__set__"):
            message = "is a setting, whose value this property hides; give one of them another name"
            yield Problem(f"{cls.__name__}.{name}", message)


def _lost(cls: type, fields: dict[str, Any]) -> Iterator[Problem]:
    """Levels that nothing would ever try."""
    for name, value in vars(cls).items():
        if name not in fields and isinstance(value, Sweep | Tune):
            message = (
                f"is no setting, which needs an annotation and no underscore in front: {name.lstrip('_')}: float = …"
            )
            yield Problem(f"{cls.__name__}.{name}", message, show(value))


def unannotated(cls: type, name: str) -> str:
    """What to write where a plain value in a class was meant as its setting `name`; "" where there is none.

    >>> class Rule:
    ...     max_norm = 1.0
    >>> unannotated(Rule, "max_norm"), unannotated(Rule, "lr")
    ('is no setting of Rule without an annotation: `max_norm: float = 1.0` in the class', '')
    """
    value = inspect.getattr_static(cls, name, None)
    if not isinstance(value, bool | int | float | str) or name in fields_of(cls):
        return ""
    return f"is no setting of {cls.__name__} without an annotation: `{name}: {type(value).__name__} = {show(value)}` in the class"


def misnamed(cls: type) -> Iterator[tuple[str, str]]:
    """Names in a user's class that nothing asks for, each with the one of a base of ours that it may have been meant as.

    None that the user's own methods use, and none beside which the class has what it may mean.
    """
    bases = [base for base in cls.__mro__[:-1] if owner_of(base) == "harness"]
    users = [base for base in cls.__mro__[:-1] if base not in bases]
    known, fields = {name for base in bases for name in vars(base)}, fields_of(cls)
    own = {name: value for base in users for name, value in vars(base).items()}
    used = {name for value in own.values() for name in _names_in(inspect.unwrap(getattr(value, "fget", None) or value))}
    open_to = sorted(name for name in known - own.keys() - set(fields) if not name.startswith("_"))
    for name in sorted(own.keys() - known - fields.keys() - used):
        if not name.startswith("_") and (meant := closest(name, open_to, ALIKE)):
            yield name, meant


def _names_in(code: Any) -> Iterator[str]:
    """What a function asks of objects by name."""
    if isinstance(code, FunctionType):
        yield from code.__code__.co_names


def argument_problems(cls: type, method: Callable[..., Any]) -> list[Problem]:
    """Why a method cannot be given the settings of its class by their names, after one argument by position.

    Args:
        cls: a component's.
        method: of it, a function.
    """
    arguments = list(inspect.signature(method).parameters.values())[1:]  # without `self`
    first = [p.name for p in arguments[:1] if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in fields_of(cls)]
    message = f"is a setting with the name of the first argument of `{method.__name__}`; give one of them another name"
    needed = [p.name for p in arguments if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    meant = [Problem(name, said) for name in needed if (said := unannotated(cls, name))]
    return [Problem(name, message) for name in first] + meant
