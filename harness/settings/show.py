"""`show`: a setting's value as text, the same text in every process; `counted`: how many there are, in words; `aligned`: a table."""

import hashlib
from collections.abc import Sequence
from types import FunctionType
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from harness.settings.source import source_digest

_shown_tensors = WeakIdKeyDictionary()  # hashing a user's data once is enough


def show(value: Any) -> str:
    """A value as a reader would write it; tensors by shape and content, classes by name, functions by name and source."""
    if isinstance(value, type):
        return value.__qualname__
    try:
        text = _text(value)
    except Exception as error:  # of a user's own class, a list that is too deep, a tensor without content
        text = f"a {type(value).__name__} that cannot be shown: {type(error).__name__}"
    if len(text) <= 200:
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{text[:180]}… (sha256 {digest[:16]})"


def _text(value: Any) -> str:
    """Tensors and functions, where a list or tuple holds some too: `repr` leaves out most of a large tensor, and shows addresses."""
    if isinstance(value, FunctionType):
        return f"{value.__qualname__} ({source_digest(value)})"
    if isinstance(value, torch.Tensor):
        return _show_tensor(value)
    if type(value) in (list, tuple) and any(isinstance(item, torch.Tensor | FunctionType) for item in value):
        shown = ", ".join(map(_text, value))
        return f"[{shown}]" if isinstance(value, list) else f"({shown})"
    return repr(value)


def _show_tensor(tensor: torch.Tensor) -> str:
    if tensor not in _shown_tensors:
        flat = tensor.detach().cpu().to_dense().contiguous().reshape(-1)
        digest = hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()[:16]
        _shown_tensors[tensor] = f"tensor({'×'.join(map(str, tensor.shape))} {tensor.dtype}, sha256 {digest})"
    return str(_shown_tensors[tensor])


def counted(n: int, one: str, several: str | None = None) -> str:
    """So many of something, in the words for one or for several; these are the word for one and an s where not given.

    >>> counted(1, "seed"), counted(1200, "run"), counted(2, "run is", "runs are")
    ('1 seed', '1,200 runs', '2 runs are')
    """
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines, their columns as wide as their widest text.

    >>> aligned([("seed", "loss"), ("0", "0.25")])
    ['seed  loss', '0     0.25']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
