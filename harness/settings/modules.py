"""Whose code a module is: the harness's own, installed with Python or a package, or the user's."""

import importlib.metadata
import sys
import sysconfig
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Literal

HARNESS = __name__.partition(".")[0]

STUDY_FILE = "study "
"""Modules made from study files are called this and the file's name, see `harness.study.load`."""

HEAP_TYPE = 1 << 9
"""Of a class's `__flags__`: a class statement made it."""

Owner = Literal["harness", "installed", "user"]


def owner(name: str | None) -> Owner:
    """Whose code the module of that name is.

    >>> owner("harness.models"), owner("torch.nn"), owner("math"), owner("__main__")
    ('harness', 'installed', 'installed', 'user')
    """
    top = (name or "").partition(".")[0]
    if top == HARNESS:
        return "harness"
    if name is None or name == "__main__" or name.startswith(STUDY_FILE):
        return "user"
    if top in sys.stdlib_module_names:
        return "installed"
    places = map(place, filter(None, map(sys.modules.get, (name, top))))
    return "installed" if any(path is not None and is_installed(path) for path in places) else "user"


def owner_of(code: Any) -> Owner:
    """Whose a class or function is; what is made in C is installed.

    >>> owner_of(Path), owner_of(owner), owner_of(len)
    ('installed', 'harness', 'installed')
    """
    if isinstance(code, FunctionType):
        return owner(code.__globals__.get("__name__"))
    if not isinstance(code, type):
        return "installed"
    typed_in = code.__module__ == "builtins" and code.__flags__ & HEAP_TYPE  # by `exec`, where no module has a name
    return "user" if typed_in else owner(code.__module__)


def class_with(name: str, cls: type) -> type:
    """The class that an attribute of `cls` comes from: its own, or one of its bases."""
    return next(base for base in cls.__mro__ if name in vars(base))


def place(module: ModuleType) -> Path | None:
    """The file of a module, or the folder of a package without one; None where it was made by no file."""
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return _absolute(file) if isinstance(file, str) else None


@lru_cache(maxsize=8192)  # thousands of modules, asked for a few times
def _absolute(file: str) -> Path | None:
    return Path(file) if Path(file).is_absolute() else None  # `torch.ops` says "_ops.py" and is made by no file


@lru_cache(maxsize=4096)
def is_installed(path: Path) -> bool:
    """Whether a path is in Python's own library or in what was installed, which every process has."""
    if {"site-packages", "dist-packages"} & set(path.parts):  # thousands: to resolve their paths would take a while
        return True
    path, folders = path.resolve(), (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    return {"site-packages", "dist-packages"} & set(path.parts) != set() or any(map(path.is_relative_to, folders))


def is_taken(name: str) -> bool:
    """Whether the harness, Python, or what is installed has a module of that name: a file so named would hide it, or be hidden.

    >>> is_taken("harness"), is_taken("random"), is_taken("torch"), is_taken("my_study"), is_taken("my.torch")
    (True, True, True, False, False)
    """
    if name == HARNESS or name in sys.stdlib_module_names:
        return True
    found = PathFinder.find_spec(name, [path for path in sys.path if is_installed(Path(path))])
    return name.isidentifier() and found is not None and found.origin is not None


@lru_cache(maxsize=1024)
def version(name: str) -> str:
    """Of the distribution that an installed module belongs to, without what tells builds apart.

    "" for Python's own and for torch and NumPy: results say on which of these they were made, and numbers agree to rounding.

    >>> version("pandas.core") == version("pandas") != "", version("math"), version("torch.nn")
    (True, '', '')
    """
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("torch", "numpy"):
        return ""
    try:
        found = importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:  # a distribution of another name
        found = str(getattr(sys.modules.get(top), "__version__", ""))
    return found.partition("+")[0]
