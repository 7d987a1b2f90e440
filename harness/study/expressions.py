"""What stands behind the `=` of `--set`: a value as a study file would write it, read without evaluating anything.

The text is parsed, and its syntax tree walked: literals, and calls of components, `Sweep` and `Tune` by name.
"""

import ast
import inspect
import math
from collections.abc import Mapping
from functools import cache, partial
from types import BuiltinFunctionType, FunctionType, MappingProxyType, ModuleType
from typing import Any

import torch.nn as nn

from harness import clipping, models, optimizers, tasks
from harness.engine.diagnostics import Diagnostics
from harness.settings import Component, Sweep, Tune, first_line, nearest, schedules
from harness.study.claims import KINDS

CONSTANTS = {"inf": math.inf, "true": True, "false": False}
"""Words that mean a value, beside Python's own True, False and None."""

NO_NAMES: Mapping[str, Any] = MappingProxyType({})


class NotAValue(ValueError):
    """A text that a study file could not hold as a value either; the message says why."""


class _Unknown(NotAValue):
    """A word that names nothing: a text, where it stands alone."""


def parse_value(text: str, names: Mapping[str, Any] = NO_NAMES, *, is_text: bool = False) -> Any:
    """A value of `--set`: a literal, a component, a `Sweep` or `Tune` of these; any other single word or phrase is text.

    Args:
        text: such as `0.5`, `[64, 64]`, `true`, `AGC(0.01)`, `Sweep(NoClipping(), GlobalNorm(inf))`, `some/file.txt`.
        names: what the study file calls what, before the harness's own names.
        is_text: the setting holds a text now; so a word that happens to be a name is one too.

    Raises:
        NotAValue: it calls something that is no component, or holds a name that there is not.

    >>> parse_value("0.5"), parse_value("[1, (2, -inf)]"), parse_value("false"), parse_value("some/file.txt")
    (0.5, [1, (2, -inf)], False, 'some/file.txt')
    >>> parse_value("Sweep(NoClipping(), GlobalNorm(max_norm=1.0))")
    Sweep(NoClipping(), GlobalNorm(max_norm=1.0))
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: too many brackets
        if text.strip().partition("(")[0] in _harness():
            raise NotAValue("is not Python: are brackets and quotes closed?") from None
        return text
    if is_text and isinstance(node, ast.Name) and node.id not in CONSTANTS:
        return text
    try:
        return _Reader(names).value(node)
    except _Unknown:
        if isinstance(node, ast.Call) and not is_text:
            raise
        role = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Sweep", "Tune")
        if role or isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.Set):
            raise
        return text
    except (RecursionError, MemoryError):
        return text


class _Reader:
    """Walks the syntax tree of one value."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._functions = {name: value for name, value in names.items() if isinstance(value, FunctionType)}
        self._names = dict(_harness()) | {name: value for name, value in names.items() if _may_be_named(name, value)}

    def value(self, node: ast.expr) -> Any:
        """What a node of the tree means."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() | ast.Attribute():
                return self._named(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self._signed(node)
            case ast.List():
                return [self.value(element) for element in node.elts]
            case ast.Tuple():
                return tuple(self.value(element) for element in node.elts)
            case ast.Dict():
                return {self._key(k): self.value(v) for k, v in zip(node.keys, node.values, strict=True)}
            case ast.Set():
                return {self._key(element) for element in node.elts}
            case ast.Call():
                return self._call(node)
        raise _Unknown(f"cannot take {ast.unparse(node)}: only values, names and calls of components")

    def _signed(self, node: ast.UnaryOp) -> Any:
        number = self.value(node.operand)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise _Unknown(f"cannot take {ast.unparse(node)}: only numbers have a sign")
        return -number if isinstance(node.op, ast.USub) else number

    def _key(self, node: ast.expr | None) -> Any:
        key = None if node is None else self.value(node)
        if node is None or isinstance(key, list | dict | set):
            raise _Unknown("needs plain values as keys")
        return key

    def _function(self, node: ast.expr) -> Any:
        """What a name within `Function(…)` means: a function of the study file, too."""
        return (
            self._functions.get(node.id)
            if isinstance(node, ast.Name) and node.id in self._functions
            else self.value(node)
        )

    def _named(self, node: ast.expr) -> Any:
        """What a name means, or an attribute of a module such as `nn.ReLU`."""
        if isinstance(node, ast.Attribute):
            owner = self._named(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else None
            found = getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
            if found is None or not (isinstance(found, ModuleType) or _may_be_named(node.attr, found)):
                raise _Unknown(f"unknown name {ast.unparse(node)}")
            return found
        if not isinstance(node, ast.Name):
            raise _Unknown(f"cannot take {ast.unparse(node)}: only values, names and calls of components")
        if node.id not in self._names:
            raise _Unknown(f"unknown name {node.id}; a text in a value needs quotes, '{node.id}'")
        return self._names[node.id]

    def _call(self, node: ast.Call) -> Any:
        called = ast.unparse(node.func)
        try:
            function = self._named(node.func)
        except _Unknown:
            valid = [name for name, value in self._names.items() if _makes_settings(value)]
            raise _Unknown(f"unknown name {called}{nearest(called, valid)}") from None
        if isinstance(function, type) and issubclass(function, nn.Module):
            raise NotAValue(f"{called} is a module: write Model({called}, …)")
        if not _makes_settings(function):
            raise NotAValue(f"cannot call {called}: only components, Sweep and Tune can be written here")
        if any(isinstance(arg, ast.Starred) for arg in node.args) or any(k.arg is None for k in node.keywords):
            raise NotAValue("cannot take * and **: write the values out")
        value = self._function if function is schedules.Function else self.value
        args = [value(arg) for arg in node.args]
        keywords = {str(k.arg): value(k.value) for k in node.keywords}
        try:
            if not _checks_itself(function):
                inspect.signature(function).bind(*args, **keywords)
            return function(*args, **keywords)
        except Exception as error:  # a user's component may raise what it likes
            reason = str(error) if isinstance(error, TypeError) else first_line(error)
            raise NotAValue(f"cannot make {called}: {reason}") from error


@cache
def _harness() -> dict[str, Any]:
    """The harness's own names, as study files import them."""
    rooms = (clipping, optimizers, tasks, models)
    exported = {name: getattr(room, name) for room in rooms for name in room.__all__}
    exported |= {
        kind.__name__: kind for kind in schedules.Schedule.__subclasses__() if kind.__module__ == schedules.__name__
    }
    exported |= {kind.__name__: kind for kind in (Sweep, Tune, Diagnostics, *KINDS.values())}
    return {name: value for name, value in exported.items() if _makes_settings(value)} | CONSTANTS


def _checks_itself(function: Any) -> bool:
    """Whether it takes whatever it is given, and says what is wrong with it by path, as components do."""
    made = _made_by(function)
    return made is not None and issubclass(made, Component)


def _makes_settings(value: Any) -> bool:
    """Whether calling it gives a part of a study."""
    made = _made_by(value)
    return made is not None and issubclass(made, Component | Sweep | Tune)


def _made_by(value: Any) -> type | None:
    """The class whose object a call gives; `DropoutNet` and such are `Model` with its first argument given."""
    made = value.func if isinstance(value, partial) else value
    return made if isinstance(made, type) else None


def _may_be_named(name: str, value: Any) -> bool:
    """Whether a name of a study file stands for a value; of functions it does not: `relu` is a text."""
    return not name.startswith("_") and not isinstance(value, FunctionType | BuiltinFunctionType)
