"""What a user's code reaches: all that decides what a class or function of theirs does, by name.

Followed are bases, methods and attributes of classes, what a function closes over and its defaults, and the global names that it
uses: functions and classes by their syntax, all else by value, and modules of the user's that are used as objects, or imported, as
a whole. Code of installed packages is known by its name and version, the harness's own by its name: its numbers have a version of
their own (`harness.engine.content`). What has no value that can be told stands for the whole file that it is in. Not followed
is what is found at run time by a text, such as a module that `importlib` imports; code that uses `eval`, `exec`, `globals` or
`__import__` reaches its own module as a whole.
"""

import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import BuiltinFunctionType, CellType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from harness.settings.arrays import array_text
from harness.settings.modules import STUDY_FILE, is_installed, owner, owner_of, place, version
from harness.settings.syntax import body_of, file_text

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
"""Types whose `repr` says everything."""

BY_TEXT = {"eval", "exec", "globals", "__import__"}
"""What finds names by a text."""

LEFT_OUT = {
    "__module__", "__qualname__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__slotnames__", "__orig_bases__", "__parameters__",
    "__match_args__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__",
}  # fmt: skip
"""Of classes: what says nothing of what they do, or follows from the rest."""


class Reach:
    """What was found so far.

    Attributes:
        lines: name → what it is in short: a digest of syntax, or a value. Names in a study file, script or notebook are those
            there, others begin with their module.
    """

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self._tokens: dict[int, str] = {}
        self._alive: list[Any] = []  # so that no other object gets the place of one that was met

    def of(self, value: Any, module: str | None) -> str:
        """Text that tells a value from others; what it reaches is in `lines`.

        Args:
            value: any object.
            module: whose code holds it, by name.
        """
        if type(value) in PLAIN:
            return repr(value)
        if id(value) not in self._tokens:
            self._alive.append(value)
            self._tokens[id(value)] = f"number {len(self._tokens)}"  # within itself
            try:
                token = self._code(value) or self._value(value, module)
            except Exception:  # of a user's own object, or one that is too deep
                token = self._opaque(value, module)
            self._tokens[id(value)] = token if len(token) <= 80 or token in self.lines else digest(token)
        return self._tokens[id(value)]

    def _code(self, value: Any) -> str:
        """Of a class, function or module; "" of anything else."""
        if isinstance(value, type):
            return self._class(value)
        if (written := as_written(value)) is not None:
            return f"compiled {self.of(written, None)}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, MethodType):
            return f"{self.of(value.__func__, None)} of {self.of(value.__self__, value.__func__.__module__)}"
        if isinstance(value, BuiltinFunctionType):
            bound = value.__self__ is not None and not isinstance(value.__self__, ModuleType | type)
            return known_name(value) + (f" of {self.of(value.__self__, None)}" if bound else "")
        return ""

    def _value(self, value: Any, module: str | None) -> str:
        """Of what is no code itself, by content."""
        kind = type(value).__name__
        if isinstance(value, torch.Tensor) or (isinstance(value, np.ndarray) and not value.dtype.hasobject):
            return array_text(value)
        if type(value) in (list, tuple):
            return f"{kind} {self._all(value, module)}"
        if type(value) in (set, frozenset):
            return f"{kind} {sorted(self._all(value, module))}"
        if type(value) in (dict, MappingProxyType):
            return f"{kind} {self._all(value, module)} {self._all(value.values(), module)}"
        if isinstance(value, property):
            return f"{kind} {self._all((value.fget, value.fset, value.fdel), module)}"
        if isinstance(value, functools.cached_property):
            return f"{kind} {self.of(value.func, module)}"
        if isinstance(value, staticmethod | classmethod | functools._lru_cache_wrapper):
            return f"{kind} {self.of(value.__wrapped__, module)}"
        return self._object(value, module)

    def _all(self, values: Iterable[Any], module: str | None) -> list[str]:
        return [self.of(value, module) for value in values]

    def _object(self, value: Any, module: str | None) -> str:
        """Of any other object what `pickle` would keep."""
        cls = type(value)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # it cannot be pickled; of a user's own, what it holds tells it apart
            if owner_of(cls) != "user" or not hasattr(value, "__dict__"):
                raise
            return f"object {self.of(cls, module)} {self.of(vars(value), cls.__module__)}"
        if isinstance(reduced, str):
            return f"{reduced} of {known_name(cls)}"
        made_by, arguments, *state = reduced[:3]
        items = [list(part) for part in reduced[3:5] if part is not None]
        return f"object {self._all((cls, made_by, arguments, state, *items), cls.__module__)}"

    def _opaque(self, value: Any, module: str | None) -> str:
        """Of what cannot be told by value: the file that it is in."""
        self._file(module)
        return f"a {known_name(type(value))}"

    def _file(self, module: str | None) -> None:
        found = sys.modules.get(module or "")
        path = None if found is None or owner(module) != "user" else place(found)
        if module is not None and path is not None and path.is_file():
            is_text = path.suffix == ".py"
            name = _prefix(module).removesuffix(".") or "the study file"
            self.lines[name] = digest(file_text(str(path)) if is_text else path.read_bytes().hex())

    def _class(self, cls: type) -> str:
        module = cls.__module__
        if owner_of(cls) != "user":
            return self._named(cls)
        name = self._tokens[id(cls)] = self._begun(_prefix(module) + cls.__qualname__)
        parts = [f"{key} = {self.of(value, module)}" for key, value in written(cls).items()]
        self.lines[name] = digest([self.of(type(cls), module), self._all(cls.__bases__, module), parts])
        return name

    def _named(self, cls: type) -> str:
        """Of a class that is not the user's: its name, and methods of the user's that were put into it."""
        ours = owner_of(cls) == "harness"
        name = cls.__qualname__ if ours else f"{known_name(cls)} {version(cls.__module__)}".rstrip()
        attributes = (part for base in cls.__mro__ for part in vars(base).values())
        patched = [part for part in attributes if isinstance(part, FunctionType) and owner_of(part) == "user"]
        if patched:
            self.lines[name] = str(self._all(patched, None))
        return name

    def _function(self, function: FunctionType) -> str:
        code, names = function.__code__, function.__globals__
        module = names.get("__name__")
        whose = owner_of(function)
        held = [cell.cell_contents if is_filled(cell) else "empty" for cell in function.__closure__ or ()]
        if whose != "user":
            name = code.co_qualname if whose == "harness" else f"{module}.{code.co_qualname} {version(str(module))}"
            wrapped = function.__dict__.get("__wrapped__")
            return f"{name} {self._all([*held, wrapped], module)}" if held or wrapped is not None else name.rstrip()
        name = self._tokens[id(function)] = self._begun(_prefix(module) + code.co_qualname)
        body = body_of(code)
        given = [function.__defaults__, function.__kwdefaults__, vars(function)]
        used = [self._global(key, names, module) for key in sorted(body.names) if key in names]
        imported = [self.of(found, module) for found in self._imported(function)]
        if BY_TEXT & {key for key in body.names if key not in names} and (own := sys.modules.get(str(module))):
            imported.append(self.of(own, module))
        self.lines[name] = digest([body.text, self._all([*held, *given], module), used, imported])
        return name

    def _imported(self, function: FunctionType) -> list[ModuleType]:
        """Modules of the user's that a function imports when it is called."""
        found = []
        for wanted in body_of(function.__code__).imports:
            package = function.__globals__.get("__package__") or ""
            try:
                name = importlib.util.resolve_name("." * wanted.level + wanted.name, package)
                top = name.partition(".")[0]
                spec = None if top in sys.modules else importlib.util.find_spec(top)
                if owner(top) == "user" and not (spec and is_installed(Path(spec.origin or ""))):
                    found.append(importlib.import_module(name))
            except (ImportError, ValueError):  # whoever calls it will meet that
                continue
        return found

    def _global(self, key: str, names: dict[str, Any], module: str | None) -> str:
        """A global name: of code what that is called, of anything else a line of its own."""
        value = names[key]
        token = self.of(value, module)
        if isinstance(value, type | FunctionType | ModuleType | BuiltinFunctionType):
            return f"{key}: {token}"
        name = f"{_prefix(module)}{key}"
        if self.lines.get(name) != token:
            name = self._begun(name)
            self.lines[name] = token
        return name

    def _module(self, module: ModuleType) -> str:
        name = module.__name__
        if owner(name) != "user":
            return f"{name} {version(name)}".rstrip()
        self._file(name)
        for key in sorted(vars(module)):
            if not key.startswith("__"):
                self._global(key, vars(module), name)
        return f"module {_prefix(name)}"

    def _begun(self, name: str) -> str:
        """The name of a line that will be written, one that no other object has."""
        same = sum(known.partition(" #")[0] == name for known in self.lines)
        name = f"{name} #{same + 1}" if same else name
        self.lines[name] = ""
        return name


def as_written(compiled: Any) -> Any:
    """The function or module that `torch.compile` was given, for what it made of that; None for all else.

    What the compiler keeps beside it is another whenever it is loaded or called; and it trains as it is written.
    """
    if isinstance(compiled, FunctionType):
        return vars(compiled).get("_torchdynamo_orig_callable")
    if isinstance(compiled, torch.nn.Module) and type(compiled).__name__ == "OptimizedModule":
        return compiled._orig_mod
    return None


SLOTS = ("member_descriptor", "getset_descriptor")
"""Attributes of a class that are places of its objects'."""


def digest(content: Any) -> str:
    """Of what `repr` says of it, in short."""
    return hashlib.sha256(repr(content).encode(errors="backslashreplace")).hexdigest()[:16]


def known_name(code: Any) -> str:
    """Where a class or function can be found: the shortest path from the top that leads to it.

    >>> known_name(torch.nn.ReLU), known_name(torch.nn.functional.relu), known_name(torch.tanh), known_name(torch.nn.functional.gelu)
    ('torch.nn.ReLU', 'torch.nn.functional.relu', 'torch.tanh', 'torch.nn.functional.gelu')
    """
    name = str(getattr(code, "__qualname__", None) or getattr(code, "__name__", type(code).__qualname__))
    holder = getattr(code, "__self__", None)
    module = (
        "numpy"
        if isinstance(code, np.ufunc)
        else getattr(code, "__module__", None) or getattr(holder, "__module__", None) or ""
    )
    if module == "builtins" or owner_of(code) == "user" or owner(module) == "user":
        return f"{'' if module == 'builtins' else _prefix(module)}{name}"
    for short in dict.fromkeys((name, name.rpartition(".")[2])):  # `torch.tanh` says that it is in a class
        ends = [i for i, c in enumerate(module) if c == "."] + [len(module)]
        paths = [*(module[:end] for end in ends), "torch.nn.functional"]  # to which torch adds what is in C
        for path in sorted(paths, key=lambda path: "._" in path):
            found: Any = sys.modules.get(path)
            for part in short.split("."):
                found = getattr(found, part, None)
            if found is code:
                return f"{path}.{short}"
    return f"{module}.{name}"


def _prefix(module: str | None) -> str:
    """What names of a module's begin with: nothing in a study file, script or notebook, whatever it is called."""
    own = module in (None, "", "__main__") or str(module).startswith(STUDY_FILE) or module not in sys.modules
    return "" if own else f"{module}."


def written(cls: type) -> dict[str, Any]:
    """What the lines of a class define, by name, and what was put into it later."""
    return {
        key: value
        for key, value in sorted(vars(cls).items())
        if key not in LEFT_OUT and type(value).__name__ not in SLOTS
    }


def is_filled(cell: CellType) -> bool:
    """Whether a variable that a function closes over has a value."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
