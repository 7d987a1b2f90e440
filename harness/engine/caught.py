"""Errors within a forward pass of several members that the module catches itself (`try`, `except`).

What fails for one member fails for all of them, and what a population cannot do fails for none of the runs alone: going on
from there, the members would not go the way that each goes by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.engine.obstacles import Unbatchable

_raised = False


def note_error() -> None:
    """Take note of an error that is being raised."""
    global _raised
    _raised = True


@contextmanager
def none_caught() -> Iterator[None]:
    """Around a forward pass.

    Raises:
        Unbatchable: an error was noted in the block, which goes on all the same.
    """
    global _raised
    _raised = False
    yield
    if _raised:
        raise Unbatchable("an operation fails for some run, and its forward pass goes on otherwise (`try`, `except`)")
