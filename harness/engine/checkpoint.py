"""Checkpoints: the state of a population in training, in a file from which the same population goes on.

Tensors lie in a safetensors file, everything else as JSON in its header: nothing is pickled. A file is written beside its
place, flushed to the disk and renamed, so that there is always a whole one; a sum over its content tells damage. Its
name says whose state it is (`checkpoint_name`): no other population ever reads it.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from harness.engine.content import RESULTS_VERSION
from harness.engine.kept_weights import DAMAGE
from harness.engine.module_state import NotStorable
from harness.settings.files import put_in_place

FOLDER = ".checkpoints"
"""Of a study's folder."""


class Damaged(Exception):
    """A file is no whole checkpoint of its name; the text says why."""


def checkpoint_name(members: list[str], device: torch.device, *measured: str) -> str:
    """What a population's checkpoint is known by: its members in their order, and all that their state depends on.

    Args:
        members: the key of each run, see `content.run_key`.
        device: where they train.
        *measured: what is collected of them during training.
    """
    text = repr([members, torch.__version__, device.type, RESULTS_VERSION, measured])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write(path: Path, state: dict[str, Any], members: list[str]) -> None:
    """Write a checkpoint in place of the one before.

    Args:
        path: of the file.
        state: dictionaries by text and lists of tensors, arrays, numbers and texts.
        members: the key of each run, see `content.run_key`.

    Raises:
        NotStorable: the state holds something else.
        OSError: the disk is full, or cannot be written.
    """
    tensors: dict[str, Tensor] = {}

    def take(value: Any) -> dict[str, str]:
        name = str(len(tensors))
        if isinstance(value, Tensor) and value.is_complex():
            tensors[name] = torch.view_as_real(value.detach().cpu().resolve_conj()).contiguous()
            return {"complex": name}
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().contiguous()
            return {"tensor": name}
        if isinstance(value, np.ndarray):
            tensors[name] = torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape)
            return {"array": name}
        raise NotStorable(f"a {type(value).__name__} is no number, text or tensor")

    text = json.dumps(state, default=take)
    header = {"state": text, "members": json.dumps(members), "sum": str(_sum(text, tensors))}
    try:
        with put_in_place(path) as beside:
            save_file(tensors, beside, header)
            _flush(beside)
        _flush(path.parent)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint; its tensors are on the CPU.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is not whole.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # no dictionary
        if _sum(header["state"], tensors) != int(header["sum"]):
            raise Damaged("its content is not what was written")
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise Damaged(str(error) or type(error).__name__) from error

    def put(item: dict[str, Any]) -> Any:
        (kind, name), *others = item.items() if item else [("", "")]
        if others or kind not in ("tensor", "complex", "array") or not isinstance(name, str):
            return item
        if kind == "array":
            return tensors[name].numpy()
        return torch.view_as_complex(tensors[name]) if kind == "complex" else tensors[name]

    state: dict[str, Any] = json.loads(header["state"], object_hook=put)
    return state


def _sum(text: str, tensors: dict[str, Tensor]) -> int:
    """A sum over the content of a checkpoint."""
    found = zlib.crc32(text.encode())
    for name in sorted(tensors, key=int):
        if tensors[name].numel():  # what is empty may have strides that no view bears
            found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Checkpoints:
    """The checkpoints of a study, as its leader sees them: each goes once all its runs are recorded.

    Args:
        folder: results/<study>.
        recorded: keys of the runs that are recorded already.
    """

    def __init__(self, folder: Path, recorded: Iterable[str]) -> None:
        self._folder, self._recorded = folder / FOLDER, set(recorded)
        self._members: dict[str, set[str]] = {}

    def remove_recorded(self, keys: Iterable[str]) -> None:
        """Remove those of which nothing is needed any more, now that runs with these keys are recorded."""
        self._recorded.update(keys)
        for path in self._files():
            if path.name not in self._members:
                self._members[path.name] = _members(path)
            if self._members[path.name] <= self._recorded:
                path.unlink(missing_ok=True)

    def remove(self) -> list[str]:
        """Remove all, since the study is done; returns what the user should know of those that nothing has used."""
        stale = sum(not _members(path) <= self._recorded for path in self._files())
        shutil.rmtree(self._folder, ignore_errors=True)
        return [f"removed checkpoints that are of no population of this study: {stale}"] if stale else []

    def _files(self) -> Iterable[Path]:
        return sorted(self._folder.glob("*.safetensors"))


def _members(path: Path) -> set[str]:
    """The keys of the runs whose state a checkpoint holds; one that no run has where it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return set(json.loads(file.metadata()["members"]))
    except DAMAGE:
        return {"unreadable"}
