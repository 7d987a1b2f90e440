"""Disjoint random sets of examples: what splits are made of."""

import torch
from torch import Tensor


def split(
    n: int, parts: tuple[int, ...], generator: torch.Generator, *, groups: Tensor | None = None
) -> list[Tensor]:  # fmt: skip
    """Disjoint random index sets of the given sizes out of `range(n)`.

    The sizes are cut one after another from one random order, so the last set of a smaller call is a prefix of the last
    set of a larger one. A set takes whole groups; of its last one, what it does not need is in no set.

    Args:
        n: number of examples.
        parts: sizes of the sets, at most `n` together with what is left of their last groups.
        generator: at the start of a stream.
        groups: int64 (n,), the numbers 0, 1, 2 … of the groups that stay in one set; None: each example is its own.
    """
    if groups is None:
        return list(torch.split(torch.randperm(n, generator=generator)[: sum(parts)], list(parts)))
    sizes = groups.bincount()
    shuffled = torch.randperm(len(sizes), generator=generator)
    order = torch.argsort(torch.argsort(shuffled)[groups], stable=True)
    ends = sizes[shuffled].cumsum(0)
    found, start = [], 0
    for size in parts:
        found.append(order[start : start + size])
        if size:
            start = int(ends[torch.searchsorted(ends, start + size)])
    return found
