"""`--memory`: the bound on what all populations of a device take at a time."""

import re
from collections.abc import Iterable

import torch

from harness.engine.way import Way
from harness.settings import InvalidStudy, Problem
from harness.settings.machine import free_memory
from harness.settings.show import counted

SHARE_OF_FREE_MEMORY = 0.5


def parse_memory(text: str | None, device: torch.device) -> int:
    """Bytes of `--memory`, such as 4G or 500M; without it a share of what is free.

    Raises:
        InvalidStudy: it is no size.
    """
    if text is None:
        return int(SHARE_OF_FREE_MEMORY * free_memory(device))
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not found or float(found.group(1)) == 0:
        raise InvalidStudy([Problem("--memory", "needs a size such as 4G or 500M", text)])
    return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2).upper() or " "))


def check_bound(given: str | None, ways: Iterable[Way], bytes_each: int, processes: int) -> None:
    """Refuse a `--memory` below the least that trains at a time: a run by the plain loop, or a population of two.

    Args:
        given: `--memory`; None is a guess of ours, and refuses nothing.
        ways: how runs train.
        bytes_each: what is left to each process.
        processes: that train at the same time.

    Raises:
        InvalidStudy: it is too little.
    """
    least = max((min(way.width, 2) * way.member_bytes for way in ways), default=0)
    if given is not None and least > bytes_each:
        message = f"what trains at a time takes {as_size(least)} at least in each of {counted(processes, 'process', 'processes')}"
        way_out = f"give {as_size(least * processes)} or more" + ", or fewer --workers" * (processes > 1)
        raise InvalidStudy([Problem("--memory", f"{message}; {way_out}", given)])


def as_size(size_bytes: int) -> str:
    """A size as `--memory` takes it, rounded up.

    >>> as_size(1), as_size(40_000), as_size(5 * 2**30 + 1)
    ('1K', '40K', '5121M')
    """
    size, units = -(-size_bytes // 1024), iter("KMGT")
    unit = next(units)
    while size >= 10_000 and unit != "T":
        size, unit = -(-size // 1024), next(units)
    return f"{size}{unit}"
