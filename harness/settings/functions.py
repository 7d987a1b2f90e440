"""A user's own functions as settings: whether they can be called so, and what they say of themselves."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from harness.settings.credentials import without_credentials
from harness.settings.problems import printable


def unnamed(function: Any) -> str:
    """Why an object is no function that can be called by its name; "" if it is.

    >>> unnamed(lambda x: x)
    'must be a function with a name, written with def'
    """
    named = isinstance(function, FunctionType) and function.__name__.isidentifier()
    return "" if named else "must be a function with a name, written with def"


def needed_arguments(function: Callable[..., Any]) -> int | None:
    """How many arguments a function must be given, all of them by position; None where some cannot be given so.

    >>> needed_arguments(lambda a, b, c=1: 0), needed_arguments(lambda *, a: 0)
    (2, None)
    """
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind not in variable]
    return None if any(p.kind is p.KEYWORD_ONLY for p in needed) else len(needed)


def said_of(function: Callable[..., Any]) -> str:
    """What a function's docstring says, as it may be shown; its name where it has none."""
    said = inspect.cleandoc(function.__doc__ or "").strip()
    return printable(without_credentials(said)) or function.__name__.replace("_", " ")
