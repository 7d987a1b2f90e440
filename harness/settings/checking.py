"""Whether a value is what the annotation of a setting asks for; checked with pydantic, strictly.

Nothing is converted, but for sequences, a list or a `range` where a tuple is asked for and the reverse, and NumPy's whole numbers.
"""

import math
import operator
import re
import sys
import typing
import unicodedata
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from harness.settings.credentials import holds_password, without_credentials
from harness.settings.problems import Problem
from harness.settings.quantities import Hint
from harness.settings.show import show

DEEPEST = 8
"""Sequences within one another that are converted."""


def check_value(kind: Any, value: Any, stand_ins: tuple[type, ...]) -> tuple[Any, list[Problem]]:
    """The value as its type wants it, and what is wrong with it.

    Args:
        kind: an annotation.
        value: any object.
        stand_ins: classes whose values are welcome whatever the annotation.
    """
    if isinstance(value, stand_ins):
        return value, []
    if isinstance(value, float) and math.isnan(value):
        return value, [Problem("", "must be a number", "nan")]
    if isinstance(value, int) and abs(value) >= 2**63:
        return value, [Problem("", "must be a number of at most 64 bits", show(value))]
    for text in _texts(value):
        if unfit := _unfit(text):
            return value, [Problem("", unfit, show(without_credentials(text)))]
    converted, error = _validated(kind, value)
    if error is not None and (plain := _plain(value)) is not value:
        converted, error = _validated(kind, plain)
    if error is None:
        return converted, []
    message, wrong, place = _first_wrong(value, error)
    hint = _hint(kind, wrong, str(message["type"]))
    text = str(message["msg"])
    return value, [Problem("", text[0].lower() + text[1:] + place + (f"; {hint}" if hint else ""), show(wrong))]


def _first_wrong(value: Any, error: ValidationError) -> tuple[ErrorDetails, Any, str]:
    """What is wrong, with what, and where: of a sequence with the first element that is, else with the value."""
    messages = error.errors()
    if isinstance(value, list | tuple):
        for message in messages:
            steps = [step for step in message["loc"] if isinstance(step, int)]
            if steps:
                wrong: Any = value
                for step in steps:
                    wrong = wrong[step]
                return message, wrong, f" in element {'.'.join(map(str, steps))}"
    return messages[0], value, ""


def _hint(kind: Any, value: Any, wrong: str) -> str:
    """What to write instead of a value that is refused; "" where the rule says it.

    Args:
        kind: the annotation.
        value: that it refuses.
        wrong: pydantic's name for the first thing that is wrong.
    """
    if isinstance(kind, type) and wrong == "is_instance_of":
        if isinstance(value, type) and issubclass(value, kind):
            return f"this is the class: write {value.__name__}(…)"
        room = ".".join(kind.__module__.split(".")[:2])
        exported = [getattr(sys.modules[room], name) for name in getattr(sys.modules.get(room), "__all__", ())]
        shipped = [c for c in exported if isinstance(c, type) and issubclass(c, kind) and c is not kind]
        return f"such as {', '.join(f'{c.__name__}(…)' for c in shipped)} of {room}" if shipped else ""
    whole = wrong in ("int_type", "float_type", "bool_type", "string_type", "literal_error")
    if isinstance(value, list | tuple) and whole:
        return f"several levels are Sweep({', '.join(map(show, value))})"
    if wrong in ("tuple_type", "list_type"):
        return f"a single one is {'(…,)' if wrong == 'tuple_type' else '[…]'}"
    if isinstance(value, str):
        number = wrong in ("int_type", "float_type") and re.fullmatch(r"-?(inf|\d+(\.\d*)?(e-?\d+)?)", value)
        return "leave out the quotes" if number else ""
    if wrong == "int_type" and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    notes = (note for part in (kind, *typing.get_args(kind)) for note in typing.get_args(part))
    return next((note.text for note in notes if isinstance(note, Hint)), "")


def _validated(kind: Any, value: Any) -> tuple[Any, ValidationError | None]:
    """The value as its type wants it, a list as a tuple or the reverse; and what is wrong with it."""
    adapter = _adapter(kind)
    error = None
    for _ in range(DEEPEST):
        try:
            return adapter.validate_python(value), None
        except ValidationError as found:
            error = found
        wrong = [e for e in error.errors() if e["type"] in ("tuple_type", "list_type")]
        swapped = value
        for e in wrong:
            swapped = _swapped(swapped, [step for step in e["loc"] if isinstance(step, int)])
        if swapped is value:
            break
        value = swapped
    return value, error


def _plain(value: Any, deep: int = DEEPEST) -> Any:
    """The same with Python's own whole numbers for NumPy's, and lists for ranges, in so many sequences within one another, too."""
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, range):
        return list(value)
    if not isinstance(value, list | tuple) or not deep:
        return value
    plain = [_plain(part, deep - 1) for part in value]
    if all(map(operator.is_, plain, value)):
        return value
    return plain if isinstance(value, list) else tuple(plain)


def _swapped(value: Any, at: list[int]) -> Any:
    """The same sequences, a list at the place `at` a tuple instead and a tuple a list; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    if not at:
        return tuple(value) if isinstance(value, list) else list(value)
    inner = _swapped(value[at[0]], at[1:])
    return value if inner is value[at[0]] else type(value)([*value[: at[0]], inner, *value[at[0] + 1 :]])


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value: itself, or those in sequences and dictionaries, however deep."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list | tuple | dict | set) and id(part) not in seen:
            seen.add(id(part))
            waiting += [*part, *part.values()] if isinstance(part, dict) else part


def _unfit(text: str) -> str:
    """Why a text cannot be a setting, which is written to tables, figures and databases; "" if it can."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text):
        return "must hold no control characters or lone surrogates"
    if holds_password(text):
        return "must hold no password, since settings are recorded; read it from the environment instead"
    return ""


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """What checks values of an annotated type; anything goes where a user's annotation is none that pydantic knows."""
    try:
        if kind not in _adapters:
            _adapters[kind] = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
        return _adapters[kind]
    except (PydanticUserError, NameError, TypeError):
        return TypeAdapter(Any)


_adapters: dict[Any, TypeAdapter[Any]] = {}
