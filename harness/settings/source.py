"""What tells a user's class or function from another one of the same name: a digest of its source."""

import hashlib
import inspect
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

_digests: "WeakKeyDictionary[Any, str]" = WeakKeyDictionary()
"""Of each class and function that was asked for, read before its file can be edited."""


def source_digest(code: type | FunctionType) -> str:
    """A digest of the source of a class or function, if it can be read; of a function also of what it closes over."""
    if code not in _digests:
        try:
            text = inspect.getsource(code)
        except (OSError, TypeError):  # typed in; or unpickled, in a process where its module does not exist
            if not isinstance(code, FunctionType):
                return remember_source(code, "source not found")
            text = repr(_compiled(code.__code__))
        if isinstance(code, FunctionType):
            cells = [cell.cell_contents for cell in code.__closure__ or ()]
            text += repr((cells, code.__defaults__, code.__kwdefaults__))
        remember_source(code, hashlib.sha256(text.encode()).hexdigest()[:16])
    return _digests[code]


def _compiled(code: CodeType) -> tuple[Any, ...]:
    """What a function does, where its source cannot be read."""
    constants = [_compiled(const) if isinstance(const, CodeType) else const for const in code.co_consts]
    return code.co_code, code.co_names, constants


def remember_source(code: type | FunctionType, digest: str) -> str:
    """Take over the digest that another process has found, unless there is one; returns what is kept."""
    return _digests.setdefault(code, digest)
