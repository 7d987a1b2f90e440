"""What objects hold: items, attributes, slots, what functions close over and methods are bound to.

A number that acts in a forward pass may be in any of these. Whoever compares modules, or puts them back, goes by this list.
"""

import weakref
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from harness.settings.reach import as_written, is_filled, written

DEPTH = 20
"""Objects within objects that are looked at."""

ATOMS = int, float, complex, str, bytes
"""What holds nothing but its value; a class of a user's may add attributes."""


def held(value: Any) -> list[Any] | None:
    """What a value consists of besides its class, in an order that is the same for another one made in the same way.

    Returns:
        None where it is one whole: numbers and texts, and objects of which nothing can be seen.
    """
    if isinstance(value, weakref.ref):
        return [value()]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if (compiled_from := as_written(value)) is not None:
        return [compiled_from]
    if isinstance(value, FunctionType):
        closed = [cell.cell_contents for cell in filled_cells(value)]
        return [value.__code__, *closed, value.__defaults__, value.__kwdefaults__, vars(value)]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if type(value) in (*ATOMS, frozenset):
        return None
    parts: list[Any] | None = None
    if isinstance(value, partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, list | tuple | deque):
        parts = list(value)
    elif isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, set | frozenset):
        parts = [frozenset(value)]
    elif issubclass(type(value), ATOMS):  # a schedule only says that it is a number
        parts = [next(kind for kind in ATOMS if isinstance(value, kind)).__repr__(value)]
    attributes = {**in_slots(value), **getattr(value, "__dict__", {})}
    if parts is None and not hasattr(value, "__dict__") and not any(slots_of(type(value))):
        return None
    return [*(parts or []), *attributes, *attributes.values()]


def filled_cells(function: FunctionType) -> list[CellType]:
    """The variables that a function closes over and that have a value."""
    return [cell for cell in function.__closure__ or () if is_filled(cell)]


def in_slots(value: Any) -> dict[str, Any]:
    """The attributes of an object that are in no dictionary, see `object.__slots__`."""
    return {name: getattr(value, name) for name in slots_of(type(value)) if hasattr(value, name)}


def slots_of(kind: type) -> Iterator[str]:
    """The names of the slots of a class and of those that it is made of, as attributes are called."""
    for cls in kind.__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            private = name.startswith("__") and not name.endswith("__")
            if name not in ("__dict__", "__weakref__"):
                yield f"_{cls.__name__.lstrip('_')}{name}" if private else name


def held_by_class(kind: type) -> list[Any]:
    """What a class consists of: what it is made of, and what its lines define."""
    own = written(kind)
    return [*kind.__bases__, *own, *own.values()]
