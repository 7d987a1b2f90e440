"""Components around a user's own function, which is known by its source."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

from harness.settings.component import Component
from harness.settings.credentials import without_credentials
from harness.settings.problems import printable
from harness.settings.source import remember_source, source_digest


class WithFunction(Component):
    """Base of those; another process knows the function by the source that it was read from, which it may not find.

    Args:
        function: the user's.
    """

    function: Callable[..., Any]

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        function = self.values().get("function")
        self.__dict__["_source"] = source_digest(function) if isinstance(function, FunctionType) else ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As another process made it, where the source of the function can be read no more."""
        self.__dict__.update(state)
        if state["_source"]:
            remember_source(self.function, state["_source"])  # type: ignore[arg-type]


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
