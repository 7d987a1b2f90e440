"""Functions of torch that do not ask whether someone else computes them."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast


def unasking(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which does not ask for an answer to itself: while it is answered, what it calls could not be."""
    written = cast(FunctionType, function)
    asks = dict.fromkeys(("has_torch_function", "has_torch_function_unary"), lambda tensors: False)
    return FunctionType(written.__code__, written.__globals__ | asks, argdefs=written.__defaults__)
