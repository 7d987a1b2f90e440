"""`--memory`: the bound on what all populations of a device take at a time."""

import re

import torch

from harness.settings import InvalidStudy, Problem
from harness.settings.machine import free_memory

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
