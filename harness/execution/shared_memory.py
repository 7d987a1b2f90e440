"""Large tensors on their way to processes of this host: in memory that these map, in place of a copy for each.

On Linux such memory is a file without a name (`memfd_create`), to be opened by its descriptor in the process that made it: it is
gone with this process and the last one that maps it, whatever becomes of them. What is mapped is private: who writes into
it changes it for nobody else. Elsewhere tensors are copied.
"""

import functools
import os
import weakref
from typing import Any

import torch
from torch import Tensor

LEAST_BYTES = 2**20
"""Smaller tensors are copied."""


class SharedMemory:
    """The memory of large tensors, a file for each storage, see `memory_of`."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], int] = {}
        self._held: list[Tensor] = []  # a storage that is gone could leave its place to another

    def close(self) -> None:
        """Nobody maps it from now on; who has, goes on."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def reduced(self, tensor: Tensor) -> Any:
        """How a tensor is pickled, see `pickle.Pickler.reducer_override`; `NotImplemented` where it is to be copied."""
        if not (type(tensor) is Tensor and _plain(tensor)):
            return NotImplemented
        storage = tensor.untyped_storage()
        key = storage.data_ptr(), storage.nbytes()
        if key not in self._files:
            self._files[key] = os.memfd_create("harness")
            self._held.append(tensor)
            os.truncate(self._files[key], key[1])
            torch.UntypedStorage.from_file(_path(os.getpid(), self._files[key]), True, key[1]).copy_(storage)
        where = os.getpid(), self._files[key], os.fstat(self._files[key]).st_ino, key[1]
        return _mapped, (where, tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())


def _plain(tensor: Tensor) -> bool:
    """Whether a tensor is nothing but numbers in the memory of a host that can share it, and large."""
    plain = tensor.device.type == "cpu" and tensor.layout == torch.strided and not tensor.requires_grad
    plain = plain and not vars(tensor) and not tensor.is_conj() and not tensor.is_neg()
    return plain and tensor.untyped_storage().nbytes() >= LEAST_BYTES and _can_share()


@functools.cache
def _can_share() -> bool:
    return hasattr(os, "memfd_create") and os.path.isdir(_path(os.getpid(), ""))


def _path(process: int, descriptor: int | str) -> str:
    return f"/proc/{process}/fd/{descriptor}"


_of: dict[int, SharedMemory] = {}


def memory_of(owner: object) -> SharedMemory:
    """The memory of an object's tensors, closed when the object goes."""
    if id(owner) not in _of:
        _of[id(owner)] = SharedMemory()
        weakref.finalize(owner, _leave, id(owner))
    return _of[id(owner)]


def _leave(owner: int) -> None:
    _of.pop(owner).close()


def _mapped(
    where: tuple[int, int, int, int], dtype: torch.dtype, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """The tensor in another process."""
    return torch.empty(0, dtype=dtype).set_(_storage(*where), offset, shape, stride)


_here: dict[tuple[int, int, int, int], Any] = {}


def _storage(process: int, descriptor: int, inode: int, size: int) -> Any:
    """The memory as it is mapped here, once; descriptors are given again, a file's inode is its own."""
    key = process, descriptor, inode, size
    if key not in _here:
        _here[key] = torch.UntypedStorage.from_file(_path(process, descriptor), False, size)
    return _here[key]
