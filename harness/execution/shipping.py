"""A study on its way to the processes that train: packed once by the leader, unpacked by each of them, never on disk.

What trains is the very object that the leader has checked: classes and functions of the user's own files are sent by value,
so that nobody loads a file again that may have been edited meanwhile. What may differ where it is unpacked is compared:
versions, and the data, by content, where they come from files. On the same host, large tensors and what was read from files
are not sent: the other process maps the leader's memory.
"""

import contextlib
import functools
import io
import platform
import sys
from pathlib import Path
from types import FunctionType, ModuleType, UnionType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import torch
from torch import Tensor

from harness.execution.shared_memory import SharedMemory, memory_of
from harness.settings import InvalidStudy, Problem, first_line
from harness.settings.modules import HARNESS, STUDY_FILE, is_installed, place
from harness.settings.source import asked_for, remember_sources
from harness.study import Study
from harness.tasks.loaded import Kept, keep_all, kept_by


def pack(study: Study, *, here: bool = True) -> bytes:
    """A study and the user's modules that it is made of, as bytes for `unpack`.

    Args:
        study: whose runs are to be trained.
        here: whether they are unpacked on this host, while the study lives.

    Raises:
        InvalidStudy: it holds what cannot leave this process, such as an open file.
    """
    modules = users_modules()
    namespaces = {name: _namespace(module) for name, module in modules.items()}
    with asked_for() as sources:
        study.settings()
    content, memory = (study, modules, sources), memory_of(study) if here else None
    try:
        try:
            body = _dumps(content, modules, namespaces, memory)
        except Exception:  # a module may hold what cannot be sent and no run needs
            bare: dict[str, dict[str, Any]] = {name: {} for name in modules}
            for name, held in namespaces.items():
                if not _fits(held, modules, bare):
                    namespaces[name] = {key: value for key, value in held.items() if _fits(value, modules, bare)}
            body = _dumps(content, modules, namespaces, memory)
    except Exception as error:
        why = str(error) if isinstance(error, _Scripted) else first_line(error)
        message = f"cannot be sent to the processes that train: {why}"
        raise InvalidStudy([Problem("study", message)]) from error
    fingerprints: dict[str, str] = {}
    kept = kept_by(lambda: fingerprints.update(study.fingerprints()))  # once: of large tensors it takes a while
    loaded = _packed(kept, study) if here else b""
    return cloudpickle.dumps((_versions(), fingerprints, loaded, body))  # type: ignore[no-any-return]


def pack_loaded(study: Study) -> bytes:
    """What a study has read from files, for `unpack_loaded` on this host while the study lives; empty where it cannot be sent."""
    return _packed(kept_by(study.fingerprints), study)


def _packed(kept: Kept, study: Study) -> bytes:
    with contextlib.suppress(Exception):
        return _dumps(kept, {}, {}, memory_of(study))
    return b""


def unpack_loaded(packed: bytes) -> None:
    """Keep what another process has read from files."""
    if packed:
        keep_all(cloudpickle.loads(packed))


def unpack(packed: bytes, where: str) -> Study:
    """The study that was packed, and the modules it is made of.

    Args:
        packed: by `pack`, in a process of the same user.
        where: this is, in words.

    Raises:
        InvalidStudy: it cannot be unpacked here, or would train otherwise here than where it was packed.
    """
    versions, fingerprints, loaded, body = cloudpickle.loads(packed)
    if found := _differences(versions, _versions(), where):
        raise InvalidStudy(found)
    try:
        unpack_loaded(loaded)
        study: Study
        study, _, sources = cloudpickle.loads(body)
        remember_sources(sources)
        found = _differences(fingerprints, study.fingerprints(), where)
    except InvalidStudy:
        raise
    except Exception as error:
        raise InvalidStudy([Problem("study", f"cannot be unpacked on {where}: {first_line(error)}")]) from error
    if found:
        raise InvalidStudy(found)
    return study


def users_modules() -> dict[str, ModuleType]:
    """Modules of the user's by name: study files, a script or notebook, and all that lies beside or below these."""
    homes, modules = set(), sys.modules.copy()  # at once: another thread may import meanwhile
    for name, module in modules.items():
        if name.startswith(STUDY_FILE) or name == "__main__":
            path = _place(module)
            homes.add(path.parent if path else Path.cwd())
    return {
        name: module
        for name, module in modules.items()
        if name.partition(".")[0] not in (HARNESS, "__main__") and getattr(module, "__name__", None) == name
        and (path := _place(module)) and any(map(path.is_relative_to, homes))
    }  # fmt: skip


def _place(module: ModuleType) -> Path | None:
    """The Python file of a module of the user's, or the folder of a package without one."""
    path = place(module)
    return None if path is None else _users(path)


@functools.lru_cache(maxsize=8192)
def _users(path: Path) -> Path | None:
    """A path as it is without links, if it is of Python and not installed."""
    return path.resolve() if path.suffix in (".py", "") and not is_installed(path) else None


def _namespace(module: ModuleType) -> dict[str, Any]:
    """What is sent of a module; of a study file, which no other module imports, only what its own code may name."""
    left_out = ("__builtins__", "__loader__", "__spec__", "__cached__")
    held = {name: value for name, value in vars(module).copy().items() if name not in left_out}
    if module.__name__.startswith(STUDY_FILE):
        kinds = (ModuleType, UnionType, str)
        held = {name: value for name, value in held.items() if callable(value) or isinstance(value, kinds)}
    return held


class _Scripted(Exception):
    """A function that TorchScript has compiled, which only torch could send, and without the defaults of its arguments."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Sends the user's modules as what they hold, functions with a cache without its content, and large tensors as shared memory.

    Of a function that `torch.compile` has made the one that it was made of: nothing compiled runs here, see `engine.uncompiled`.
    """

    def __init__(
        self,
        file: Any,
        modules: dict[str, ModuleType],
        namespaces: dict[str, dict[str, Any]],
        memory: SharedMemory | None,
    ) -> None:
        super().__init__(file)
        self._modules, self._namespaces, self._memory = modules, namespaces, memory

    def reducer_override(self, obj: Any) -> Any:
        """How an object is sent; see `pickle.Pickler`."""
        if isinstance(obj, Tensor) and self._memory is not None:
            return self._memory.reduced(obj)
        if isinstance(obj, ModuleType) and self._modules.get(obj.__name__) is obj:
            return _module, (obj.__name__,), self._namespaces[obj.__name__]
        if isinstance(obj, functools._lru_cache_wrapper) and getattr(obj, "__module__", None) in {
            *self._modules,
            "__main__",
        }:
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if isinstance(obj, FunctionType) and "_torchdynamo_orig_callable" in vars(obj):
            return _itself, (vars(obj)["_torchdynamo_orig_callable"],)
        if isinstance(obj, torch.jit.ScriptFunction):
            raise _Scripted(
                f"`{obj.name}` is compiled by torch.jit.script; leave that out, and it trains as it is written"
            )
        return super().reducer_override(obj)


def _dumps(
    content: Any,
    modules: dict[str, ModuleType],
    namespaces: dict[str, dict[str, Any]],
    memory: SharedMemory | None = None,
) -> bytes:
    file, registered = io.BytesIO(), cloudpickle.list_registry_pickle_by_value()
    try:
        for module in modules.values():
            cloudpickle.register_pickle_by_value(module)
        _Pickler(file, modules, namespaces, memory).dump(content)
    finally:
        for name, module in modules.items():
            if name not in registered:
                cloudpickle.unregister_pickle_by_value(module)
    return file.getvalue()


def _fits(value: Any, modules: dict[str, ModuleType], namespaces: dict[str, dict[str, Any]]) -> bool:
    try:
        _dumps(value, modules, namespaces)
    except Exception:
        return False
    return True


def _module(name: str) -> ModuleType:
    """The module of this name here, made if there is none; what it holds follows."""
    return sys.modules.setdefault(name, ModuleType(name))


def _itself(function: Any) -> Any:
    return function


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _versions() -> dict[str, str]:
    """What must agree where a study is unpacked: bytecode is Python's, numbers are torch's."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "torch": torch.__version__.partition("+")[0], "cloudpickle": cloudpickle.__version__}


def _differences(there: dict[str, str], here: dict[str, str], where: str) -> list[Problem]:
    return [
        Problem(
            path, f"is {here.get(path, 'nothing')} on {where}, {there.get(path, 'nothing')} where the study was read"
        )
        for path in there | here
        if there.get(path) != here.get(path)
    ]
