"""The machine: how much of its memory is free, and how many threads the operations on its CPU have."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]
import torch

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
    """The block's operations on a CPU run on one thread."""
    with threads_restored():
        torch.set_num_threads(1)
        yield


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; on the CPU what the operating system and the process's control groups leave."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available, left = int(psutil.virtual_memory().available), cgroups.memory_left()
    return available if left is None else min(available, left)
