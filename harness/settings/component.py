"""What a study is written with: `Component`, a frozen record of settings.

First stage of the flow (study → design → populations → train → record → report). A component never raises
where it is written: it keeps what is wrong with it, so that a `Study` can report every problem at once.
"""

import typing
from collections.abc import Iterator
from typing import Any, ClassVar, dataclass_transform

from harness.settings.checking import check_value
from harness.settings.fields import fields_of, unannotated
from harness.settings.modules import owner_of
from harness.settings.problems import Problem, closest, nearest
from harness.settings.quantities import TupleOnly
from harness.settings.roles import Sweep, Tune
from harness.settings.show import counted, show
from harness.settings.signatures import FieldSignature, positional
from harness.settings.source import Lines, identity_of, reached

DERIVED = (
    "_as_text_",
    "_factors",
    "_kinds",
    "_setups",
    "_counts",
    "_digests",
    "_data_digest",
    "_refused",
    "_predicts_numbers",
)
"""Attributes that only save time: its own text, a study's factors, a model's arguments, the setups of a study's cells, how many
examples their tasks have, what a setup and a task's data are in short, which values beyond its range a setting does not take,
and whether its targets are numbers."""


@dataclass_transform(frozen_default=True)
class Component:
    """Base of everything a study is made of: fields are class annotations, values may hold `Sweep` or `Tune`.

    Every field is checked with pydantic, strictly, on construction; `problems()` returns what was found.
    """

    stand_ins: ClassVar[tuple[type, ...]] = ()
    """Classes whose values may stand where a field wants a number. Where there are any, a number in a sequence may be one,
    or a `Sweep` or `Tune`, too; it is the factor `<field>.<index>`."""

    later: ClassVar[frozenset[str]] = frozenset()
    """Settings that the class has been given since studies with it were recorded: at its default none is written, so that what
    was described before is the same."""

    __signature__ = FieldSignature()

    _problems: list[Problem]
    _values: dict[str, Any]

    _elsewhere: ClassVar[str] = "it holds its settings alone, the annotated fields of its class"
    """What is said of a value that is none and is to be kept in it."""

    def __new__(cls, /, *_: Any, **__: Any) -> typing.Self:
        """A component that nothing is known of until `__init__` of this class."""
        made = super().__new__(cls)
        message = (
            f"was made without its settings: an `__init__` of {cls.__name__} must call `super().__init__(…)` with them; best it has none, "
            "nor `@dataclass`, which makes one"
        )
        made.__dict__.update(_values={}, _problems=[Problem("", message)])
        return made

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        fields = Component.kinds(self)  # which refuses fields that hide a method, such as this one
        kinds, defaults = self.kinds(), self.defaults()
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        first = positional(type(self), kinds, defaults) if args else []
        if len(args) > len(first):
            most = f"takes at most {counted(len(first), 'positional value')}"
            problems.append(Problem("", most, str(len(args))))
        given = dict(zip(first, args, strict=False))
        problems += [Problem(name, "given twice") for name in given if name in settings]
        unknown = [name for name in settings if name not in kinds]
        meant = {closest(name, list(kinds)) for name in unknown}
        for name in unknown:
            message = unannotated(type(self), name) or f"unknown setting{nearest(name, list(kinds))}"
            problems.append(Problem(name.strip() or repr(name), message, show(settings[name])))
        given |= {name: value for name, value in settings.items() if name in kinds}
        for name, kind in kinds.items():
            if name not in given and name not in defaults:
                problems += [] if name in meant else [Problem(name, "is required")]
                continue
            values[name], found = _check(kind, given[name] if name in given else defaults[name], self.stand_ins)
            problems += [problem.under(name) for problem in found]
        # Annotated fields are attributes too; arguments of a user's module are not: one may be called `values`.
        self.__dict__.update({name: value for name, value in values.items() if name in fields})
        self.__dict__.update(_values=values, _problems=problems)
        if not problems and not any(_has_role(value) for value in values.values() if not isinstance(value, Component)):
            problems += self.check()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; what is derived it finds again."""
        return {name: value for name, value in self.__dict__.items() if name not in DERIVED}

    def __setattr__(self, name: str, value: Any) -> None:
        way_out = f"use `replace({name}=…)`" if name in self.kinds() else self._elsewhere
        why = f"is frozen; {way_out}" if self._values or not self._problems else self._problems[0].message
        raise AttributeError(f"{type(self).__name__} {why}")

    def __repr__(self) -> str:
        shown = (f"{name}={show(value)}" for name, value in self.written().items())
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
        return fields_of(type(self))  # type: ignore[arg-type]  # a class is hashable, whatever its __hash__

    def defaults(self) -> dict[str, Any]:
        """The default value of each field that has one."""
        return {name: getattr(type(self), name) for name in self.kinds() if hasattr(type(self), name)}

    def values(self) -> dict[str, Any]:
        """Field names and values, in the order of the class; fields with no value (a problem) left out."""
        return dict(self._values)

    def written(self) -> dict[str, Any]:
        """`values`, without those of `later` that are as if there were none."""
        values = self.values()  # of the class no types are asked, which are not there yet where it is being unpickled
        return {n: v for n, v in values.items() if n not in self.later or show(v) != show(getattr(type(self), n))}

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
                    place = (f"{name}.{i}" if self.stand_ins else f"{name}[{i}]") if several else name
                    found += [problem.under(place) for problem in part.problems()]
        return found

    def _lacks(self, method: str) -> NotImplementedError:
        """What a base class raises in place of a method that each class must have for itself."""
        return NotImplementedError(f"{type(self).__name__} has no method `{method}`, which it must have")

    def replace(self, /, **settings: Any) -> typing.Self:
        """A copy with some settings changed."""
        return type(self)(**(self.values() | settings))

    def renewed(self) -> typing.Self:
        """A copy, and copies of the components inside, about which everything is found out again: what they hold may have changed."""
        return self.replace(**{name: _renewed(value) for name, value in self.values().items()})

    def identity(self) -> str:
        """What this component is, besides its settings: the name of its class, of a user's own with a digest of its code."""
        return ", ".join(map(identity_of, self.code()))

    def code(self) -> list[Any]:
        """The classes and functions that decide what this component does."""
        return [type(self)]

    def reached(self) -> Lines:
        """What the user's code among these reaches, name by name."""
        users = (reached(code) for code in self.code() if owner_of(code) == "user")
        return {name: line for lines in users for name, line in lines.items()}

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Every setting as (factor path, value), such as ("optimizer.lr", 0.1); components inside are entered.

        So are sequences that hold components, `Sweep` or `Tune`.
        """
        for name, value in self.written().items():
            yield from _walk(prefix + name, value)

    def components(self, prefix: str = "") -> Iterator[tuple[str, "Component"]]:
        """Every component inside this one, those in sequences and levels included, as (path, component)."""
        for name, value in self.values().items():
            yield from _components(f"{prefix}{name}", value)

    def with_value(self, path: str, value: Any) -> typing.Self:
        """A copy with the setting at factor path `path` replaced.

        Raises:
            KeyError: there is no such path.
        """
        head, _, rest = path.partition(".")
        if head not in self.kinds():
            raise KeyError(path)
        return self.replace(**{head: _replaced(self.values().get(head), rest, value) if rest else value})


def part_at(setting: Any, name: str) -> Any:
    """The setting `name` of a component, or the element of that index in a sequence.

    Raises:
        KeyError: there is none.
    """
    if isinstance(setting, Component) and name in setting.kinds():
        return setting.values().get(name)
    if isinstance(setting, list | tuple) and name.isdecimal() and int(name) < len(setting):
        return setting[int(name)]
    raise KeyError(name)


def _replaced(setting: Any, path: str, value: Any) -> Any:
    """A component or sequence with the setting at a path in it replaced; raises `KeyError` where there is none."""
    if isinstance(setting, Component):
        return setting.with_value(path, value)
    head, _, rest = path.partition(".")
    part = part_at(setting, head)
    parts = list(setting)
    parts[int(head)] = _replaced(part, rest, value) if rest else value
    return type(setting)(parts)


def _renewed(value: Any) -> Any:
    """A setting with the components in it renewed."""
    if isinstance(value, Component):
        return value.renewed()
    if isinstance(value, Sweep):
        return Sweep(*map(_renewed, value.levels))
    if type(value) in (list, tuple):
        return type(value)(map(_renewed, value))
    return {key: _renewed(part) for key, part in value.items()} if type(value) is dict else value


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Component):
        yield from value.walk(f"{path}.")
    elif isinstance(value, list | tuple) and any(isinstance(part, Component | Sweep | Tune) for part in value):
        for i, part in enumerate(value):
            yield from _walk(f"{path}.{i}", part)
    else:
        yield path, value


def _components(path: str, value: Any) -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield path, value
        yield from value.components(f"{path}.")
    elif isinstance(value, Sweep | list | tuple | dict):
        parts = (
            value.items() if isinstance(value, dict) else enumerate(value.levels if isinstance(value, Sweep) else value)
        )
        for key, part in parts:
            yield from _components(f"{path}[{key}]", part)


def _check(kind: Any, value: Any, stand_ins: tuple[type, ...]) -> tuple[Any, list[Problem]]:
    """The value as its type wants it, and what is wrong with it."""
    if isinstance(value, Sweep):
        if any(_has_role(level) for level in value.levels):
            return value, [
                Problem("", "a level of a Sweep cannot hold a Sweep or Tune; write out all levels", show(value))
            ]
        pairs = [_check(kind, level, stand_ins) for level in value.levels]
        checked = Sweep(*(level for level, _ in pairs))
        return checked, [problem for _, found in pairs for problem in found] or checked.problems()
    if isinstance(value, Tune):
        found = value.problems()
        return value, found or [p for end in (value.low, value.high) for p in check_value(kind, end, stand_ins)[1]]
    if stand_ins and isinstance(value, list | tuple):
        sequence = sequence_kind(kind)
        either = sequence not in (None, kind)  # a number or several: what is wrong with one is said of it alone
        if either and isinstance(value, list) and _takes_tuples_only(kind):
            ways = f"several levels are Sweep({', '.join(map(show, value))}), one for each is {show(tuple(value))}"
            return value, [Problem("", f"can be understood in two ways: {ways}", show(value))]
        if either or any(isinstance(part, (Sweep, Tune, *stand_ins)) for part in value):
            return _check_parts(kind, value, stand_ins)
    return check_value(kind, value, stand_ins)


def _check_parts(
    kind: Any, value: list[Any] | tuple[Any, ...], stand_ins: tuple[type, ...]
) -> tuple[Any, list[Problem]]:
    """Likewise of a sequence whose elements are not all plain: each by itself."""
    sequence = sequence_kind(kind)
    if sequence is None and kind is not Any:
        return value, [Problem("", "must be a single number", show(value))]
    length = len(typing.get_args(sequence))
    if typing.get_origin(sequence) is tuple and ... not in typing.get_args(sequence) and len(value) != length:
        return value, [Problem("", f"must hold {length} values", show(value))]
    pairs = [_check(element_kind(kind, i), part, stand_ins) for i, part in enumerate(value)]
    checked = (typing.get_origin(sequence) or type(value))(part for part, _ in pairs)
    return checked, [problem.under(str(i)) for i, (_, found) in enumerate(pairs) for problem in found]


def sequence_kind(kind: Any) -> Any:
    """The list or tuple that an annotation admits; None for none."""
    admitted = (
        getattr(k, "__origin__", k) if hasattr(k, "__metadata__") else k for k in (kind, *typing.get_args(kind))
    )
    return next((k for k in admitted if typing.get_origin(k) in (list, tuple)), None)


def _takes_tuples_only(kind: Any) -> bool:
    return any(isinstance(note, TupleOnly) for k in typing.get_args(kind) for note in getattr(k, "__metadata__", ()))


def element_kind(kind: Any, i: int) -> Any:
    """What element i of it must be; anything where that is not said."""
    kinds = typing.get_args(sequence_kind(kind))
    several = typing.get_origin(sequence_kind(kind)) is tuple and ... not in kinds
    return (*kinds, Any)[i if several else 0]


def _has_role(value: Any) -> bool:
    return any(isinstance(inner, Sweep | Tune) for _, inner in _walk("", value))
