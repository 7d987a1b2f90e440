"""What a study is written with: `Component`, a frozen record of settings, and the two roles `Sweep` and `Tune`.

First stage of the flow (study → design → populations → train → record → report). A component never raises
where it is written: it keeps what is wrong with it, so that a `Study` can report every problem at once.
"""

import difflib
import functools
import hashlib
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, dataclass_transform

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch.utils.weak import WeakIdKeyDictionary

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bound = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study: where (`path`), what (`message`) and, if it helps, the value `got`."""

    path: str
    message: str
    got: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" (got {self.got})" if self.got else "")

    def under(self, parent: str) -> "Problem":
        """The same problem, seen from a component that holds this one under the name `parent`."""
        return Problem(f"{parent}.{self.path}" if self.path else parent, self.message, self.got)


class InvalidStudy(Exception):
    """A study that cannot run; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def nearest(name: str, valid: list[str]) -> str:
    """`; did you mean …?` with the closest valid name, or the valid names where none is close.

    >>> nearest("droput", ["dropout", "hidden"])
    '; did you mean dropout?'
    """
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid names: {', '.join(valid) or 'none'}"


class Sweep:
    """A scientific factor: every level is trained, and levels of several sweeps multiply into cells.

    Args:
        *levels: at least one number, string, boolean, None or component; all different.
    """

    def __init__(self, *levels: Any) -> None:
        self.levels = levels

    def __repr__(self) -> str:
        return f"Sweep({', '.join(map(show, self.levels))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sweep) and self.levels == other.levels

    def __hash__(self) -> int:
        return hash(self.levels)

    def problems(self) -> list[Problem]:
        """What is wrong with the levels as such; each level's own value is checked by the component."""
        if not self.levels:
            return [Problem("", "Sweep needs at least one level", repr(self))]
        shown = [show(level) for level in self.levels]
        return [Problem("", "the levels of a Sweep must differ", repr(self))] if len(set(shown)) < len(shown) else []


class Tune:
    """A nuisance factor: Optuna searches `[low, high]` with the same budget in every cell.

    Args:
        low: smallest value; an `int` makes the factor an integer when `high` is one too.
        high: largest value, included.
        log: search the logarithm; needs `low > 0`.
    """

    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self.log = low, high, log

    def __repr__(self) -> str:
        return f"Tune({self.low}, {self.high}{', log=True' if self.log else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tune) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def problems(self) -> list[Problem]:
        """What is wrong with the range as such; both ends are checked by the component too."""
        ends = (self.low, self.high)
        if not all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends):
            return [Problem("", "Tune needs two finite numbers", repr(self))]
        if not self.low < self.high:
            return [Problem("", "low < high must hold", repr(self))]
        if self.log and self.low <= 0:
            return [Problem("", "log=True needs low > 0", repr(self))]
        return []


_shown_tensors = WeakIdKeyDictionary()  # hashing a user's data once is enough


def show(value: Any) -> str:
    """A value as a reader would write it; tensors by shape and content, classes by name."""
    if isinstance(value, torch.Tensor):
        if value not in _shown_tensors:
            flat = value.detach().cpu().to_dense().contiguous().reshape(-1)
            digest = hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()[:16]
            _shown_tensors[value] = f"tensor({'×'.join(map(str, value.shape))} {value.dtype}, sha256 {digest})"
        return str(_shown_tensors[value])
    if isinstance(value, type):
        return value.__qualname__
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:180]}… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"


@functools.cache
def _kinds(component: type) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for cls in reversed(component.__mro__):
        hints |= typing.get_type_hints(cls, include_extras=True) if "__annotations__" in cls.__dict__ else {}
    return {n: k for n, k in hints.items() if not n.startswith("_") and typing.get_origin(k) is not ClassVar}


@dataclass_transform(frozen_default=True)
class Component:
    """Base of everything a study is made of: fields are class annotations, values may hold `Sweep` or `Tune`.

    Every field is checked with pydantic, strictly, on construction; `problems()` returns what was found.
    """

    _problems: list[Problem]
    _adapters: ClassVar[dict[Any, TypeAdapter[Any]]] = {}

    def __init__(self, *args: Any, **settings: Any) -> None:
        kinds, defaults = self.kinds(), self.defaults()
        problems: list[Problem] = []
        if len(args) > len(kinds):
            problems.append(Problem("", f"takes at most {len(kinds)} positional values", str(len(args))))
        given = dict(zip(kinds, args, strict=False))
        problems += [Problem(name, "given twice") for name in given if name in settings]
        for name in settings:
            if name not in kinds:
                problems.append(Problem(name, f"unknown setting{nearest(name, list(kinds))}", show(settings[name])))
        given |= {name: value for name, value in settings.items() if name in kinds}
        for name, kind in kinds.items():
            if name not in given and name not in defaults:
                problems.append(Problem(name, "is required"))
                continue
            value, found = self._check(kind, given[name] if name in given else defaults[name])
            problems += [problem.under(name) for problem in found]
            self.__dict__[name] = value
        self.__dict__["_problems"] = problems
        if not problems and not any(isinstance(value, Sweep | Tune) for value in self.values().values()):
            problems += self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; use `replace({name}=…)`")

    def __repr__(self) -> str:
        shown = (f"{name}={show(value)}" for name, value in self.values().items())
        return f"{self.class_name()}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._as_text() == other._as_text()

    def __hash__(self) -> int:
        return hash(self._as_text())

    def _as_text(self) -> str:
        """`repr`, made once: a study of thousands of cells compares its settings often."""
        if "_as_text_" not in self.__dict__:
            self.__dict__["_as_text_"] = repr(self)
        return typing.cast(str, self.__dict__["_as_text_"])

    def class_name(self) -> str:
        """The name that `repr` begins with."""
        return type(self).__name__

    def kinds(self) -> dict[str, Any]:
        """Field names and their annotated types, base classes first."""
        return _kinds(type(self))  # type: ignore[arg-type]  # a class is hashable, whatever its __hash__

    def defaults(self) -> dict[str, Any]:
        """The default value of each field that has one."""
        return {name: getattr(type(self), name) for name in self.kinds() if hasattr(type(self), name)}

    def values(self) -> dict[str, Any]:
        """Field names and values, in the order of the class; fields with no value (a problem) left out."""
        return {name: self.__dict__[name] for name in self.kinds() if name in self.__dict__}

    def notable(self) -> dict[str, Any]:
        """The settings that a reader wants to see: the first one, and those that differ from their default."""
        values, defaults = self.values(), self.defaults()
        return {n: v for i, (n, v) in enumerate(values.items()) if i == 0 or n not in defaults or v != defaults[n]}

    def check(self) -> list[Problem]:
        """Rules between fields; overridden where there are any. Called only with plain, valid values."""
        return []

    def problems(self) -> list[Problem]:
        """Everything wrong with this component and those inside it, paths relative to it."""
        found = list(self._problems)
        for name, value in self.values().items():
            several = isinstance(value, list | tuple)
            for i, part in enumerate(value.levels if isinstance(value, Sweep) else value if several else (value,)):
                if isinstance(part, Component):
                    found += [problem.under(f"{name}[{i}]" if several else name) for problem in part.problems()]
        return found

    def replace(self, **settings: Any) -> typing.Self:
        """A copy with some settings changed."""
        return type(self)(**(self.values() | settings))

    def identity(self) -> str:
        """What this component is, besides its settings; changes when its results would."""
        return type(self).__qualname__

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Every setting as (factor path, value), such as ("optimizer.lr", 0.1); components inside are entered."""
        for name, value in self.values().items():
            if isinstance(value, Component):
                yield from value.walk(f"{prefix}{name}.")
            else:
                yield prefix + name, value

    def with_value(self, path: str, value: Any) -> typing.Self:
        """A copy with the setting at factor path `path` replaced.

        Raises:
            KeyError: there is no such path.
        """
        head, _, rest = path.partition(".")
        if head not in self.kinds():
            raise KeyError(path)
        if rest:
            inner = self.values().get(head)
            if not isinstance(inner, Component):
                raise KeyError(path)
            value = inner.with_value(rest, value)
        return self.replace(**{head: value})

    @classmethod
    def _check(cls, kind: Any, value: Any) -> tuple[Any, list[Problem]]:
        """The value as its type wants it, and what is wrong with it."""
        if isinstance(value, Sweep):
            pairs = [cls._check_one(kind, level) for level in value.levels]
            return Sweep(*(v for v, _ in pairs)), value.problems() + [p for _, found in pairs for p in found]
        if isinstance(value, Tune):
            found = value.problems()
            return value, found or [p for end in (value.low, value.high) for p in cls._check_one(kind, end)[1]]
        return cls._check_one(kind, value)

    @classmethod
    def _check_one(cls, kind: Any, value: Any) -> tuple[Any, list[Problem]]:
        if isinstance(value, Sweep | Tune):
            return value, [Problem("", "a Sweep or Tune cannot hold another one", repr(value))]
        if isinstance(value, float) and math.isnan(value):
            return value, [Problem("", "must be a number", "nan")]
        adapter = cls._adapters.get(kind)
        if adapter is None:
            config = ConfigDict(arbitrary_types_allowed=True, strict=True)
            adapter = cls._adapters[kind] = TypeAdapter(kind, config=config)
        try:
            return adapter.validate_python(value), []
        except ValidationError as error:
            first = error.errors()[0]
            return value, [Problem("", _message(first), show(value))]


def _message(error: Any) -> str:
    text = str(error["msg"])
    return text[0].lower() + text[1:]
