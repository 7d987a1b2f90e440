"""The machine: its cores and how much of its memory is free; how many threads the operations on its CPU have."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import psutil  # type: ignore[import-untyped]
import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from harness.settings import cgroups


@contextmanager
def threads_restored() -> Iterator[None]:
    """After the block, or the function it decorates, torch has as many threads as before."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """The block's operations on a CPU run on one thread, torch's and those of NumPy and SciPy.

    Several of them would decide last bits: a sum, or a matrix that is taken apart, differs by how it is shared among them.
    Where Python's own threads have such blocks at the same time, a block around all of them keeps the first that ends from
    giving the others more threads.
    """
    _found.append(torch.get_num_threads())
    try:
        with threads_restored(), _libraries(len(sys.modules)).limit(limits=1):
            torch.set_num_threads(1)
            yield
    finally:
        _found.pop()


_found: list[int] = []
"""Of each `one_thread` that this process is within, how many threads it found."""


def cores() -> int:
    """Cores of the CPU that this process may use: the threads that torch would have outside of `one_thread`."""
    return [*_found, torch.get_num_threads()][0]


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries with threads of their own that are loaded now; looked for again once there are other modules."""
    return ThreadpoolController()


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on the CPU what the operating system and the process's control groups leave."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, left = int(psutil.virtual_memory().available), cgroups.memory_left()
    return available if left is None else min(available, left)
