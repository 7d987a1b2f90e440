"""A process that trains: its memory and its garbage."""

import ctypes
import gc

M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD = -4, -1, -2


def prepare_process() -> None:
    """Prepare a process for training, once everything is imported.

    glibc keeps large buffers instead of returning them to the kernel at every step (page faults cost up to 2 ×), and the
    garbage collector no longer walks through what the imports made (a twentieth of the time of small steps).
    """
    gc.collect()
    gc.freeze()
    try:
        libc = ctypes.CDLL(None)
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 * 2**20)):
            libc.mallopt(option, value)
    except (OSError, AttributeError, TypeError):
        pass  # not glibc (TypeError: Windows has no library of the process itself): nothing to tell
