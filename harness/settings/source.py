"""What tells a user's code from other code of the same name: a digest of all that it reaches."""

from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any

from torch.utils.weak import WeakIdKeyDictionary

from harness.settings.arrays import forget_arrays
from harness.settings.modules import owner_of, version
from harness.settings.reach import Reach, digest, known_name

Lines = dict[str, str]
"""What code reaches, name by name; see `Reach`."""

_found: MutableMapping[Any, Lines] = WeakIdKeyDictionary()
_remembered: MutableMapping[Any, Lines] = WeakIdKeyDictionary()
_asked: dict[int, list[tuple[Any, Lines]]] = {}


def reached(code: Any) -> Lines:
    """What a class, function or object of the user's reaches, itself included.

    It is looked at once for all that are made of it, until `forget_sources`.
    """
    try:
        known = _remembered.get(code) or _found.get(code) or _found.setdefault(code, _reached(code))
    except TypeError:  # an object that nothing can refer to weakly
        known = _reached(code)
    for asked in list(_asked.values()):
        asked.append((code, known))
    return known


class Changing:
    """What a user's code reaches, looked at anew whenever it is asked which of it has changed.

    Args:
        codes: classes, of which those that are no user's are left out.
    """

    def __init__(self, codes: Iterable[Any]) -> None:
        self._codes = [code for code in codes if owner_of(code) == "user"]
        self._before = self._now()

    def _now(self) -> Lines:
        return {name: text for code in self._codes for name, text in _reached(code).items()}

    def since(self) -> set[str]:
        """The names of what is another since it was asked last."""
        before, self._before = self._before, self._now()
        return {name for name in before.keys() & self._before.keys() if before[name] != self._before[name]}


def _reached(code: Any) -> Lines:
    reach = Reach()
    token = reach.of(code, type(code).__module__)
    return reach.lines if token in reach.lines else {"itself": token} | reach.lines


def content(value: Any) -> str:
    """Text that tells what an object of the user's holds, and is another once it holds something else."""
    return Reach().of(value, type(value).__module__)


def source_digest(code: Any) -> str:
    """A digest of all that a class, function or object reaches."""
    return digest(sorted(reached(code).items()))


def named(code: Any) -> str:
    """A class or function by its name; of the user's, and of what closes over something, with a digest.

    >>> named(FunctionType), named(Reach), named(len)
    ('function', 'Reach', 'len')
    """
    whose = owner_of(code)
    name = str(code.__qualname__) if whose == "harness" else known_name(code)
    closes = isinstance(code, FunctionType) and (code.__closure__ or "__wrapped__" in vars(code))
    return f"{name} ({source_digest(code)})" if whose == "user" or closes else name


def identity_of(code: Any) -> str:
    """Likewise; of an installed package with its version."""
    module = getattr(code, "__module__", None)
    known = version(module) if module and owner_of(code) == "installed" else ""
    return f"{named(code)} ({known})" if known else named(code)


@contextmanager
def asked_for() -> Iterator[list[tuple[Any, Lines]]]:
    """The code that is asked for within the block and what it reaches, for `remember_sources` in another process."""
    asked: list[tuple[Any, Lines]] = []
    _asked[id(asked)] = asked
    try:
        yield asked
    finally:
        del _asked[id(asked)]


def remember_sources(sources: Iterable[tuple[Any, Lines]]) -> None:
    """Take over what another process has found, which may have read what cannot be read here."""
    for code, lines in sources:
        with suppress(TypeError):
            _remembered[code] = lines


def forget_sources() -> None:
    """Look at all code and all arrays again: a notebook may have defined anew what a class or function uses."""
    _found.clear()
    forget_arrays()
