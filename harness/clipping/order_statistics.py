"""The norms so far of each member in ascending order, where to insert one costs √steps.

Blocks (member, K, B) with K · B ≥ steps hold them one block after another, each a ring: it begins at its `start`, so that to
take in a new first entry and give up the last is one entry written. A norm is inserted into its block, whose last entry becomes
the first of the next, and so on. Shapes never change and nothing is decided on the host.
"""

from math import inf, isqrt

import torch
from torch import Tensor

LONG = 20_000
"""From so many steps on there are K ≈ B ≈ √steps blocks; up to there to move all entries of one is faster (on a CPU)."""


def empty(zeros: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Blocks and starts before the first norm: ∞ everywhere.

    Args:
        zeros: (member, 1), of the type of the norms and where they live.
        steps: how many norms will be inserted.

    Returns:
        Blocks (member, K, B) and starts (member, K), whole numbers in the type of the norms.
    """
    count = 1 if steps < LONG else isqrt(steps - 1) + 1
    return zeros.new_full((len(zeros), count, -(-steps // count)), inf), zeros.new_zeros(len(zeros), count)


def insert(norm: Tensor, blocks: Tensor, starts: Tensor) -> None:
    """Insert a norm (member, 1) of each member into its place."""
    _, count, size = blocks.shape
    if count == 1:  # which is no ring: it hands nothing on
        blocks[:, 0] = _inserted(norm, blocks[:, 0])
        return
    last = (starts.long() - 1) % size
    largest = blocks.gather(2, last.unsqueeze(2)).squeeze(2)
    place = (largest < norm).sum(1, keepdim=True).clamp(max=count - 1)

    chosen = place.unsqueeze(2).expand(-1, 1, size)
    order = (starts.gather(1, place).long() + torch.arange(size, device=blocks.device)) % size
    block = blocks.gather(1, chosen).squeeze(1)
    block = block.scatter(1, order, _inserted(norm, block.gather(1, order)))

    later = torch.arange(count, device=blocks.device) > place
    handed_on = torch.where(later, largest.roll(1, 1), largest).unsqueeze(2)
    blocks.scatter_(2, last.unsqueeze(2), handed_on).scatter_(1, chosen, block.unsqueeze(1))
    starts.copy_(torch.where(later, last.to(starts.dtype), starts))


def _inserted(norm: Tensor, entries: Tensor) -> Tensor:
    """Ascending entries (member, B) with the norm in its place and the last one left out."""
    before = torch.cat([torch.full_like(norm, -inf), entries[:, :-1]], 1)
    return torch.clamp(norm, before, entries)


def at(rank: Tensor, blocks: Tensor, starts: Tensor) -> Tensor:
    """The norms of these ranks, (member, 1): whole numbers from 0, below the count of norms."""
    size, rank = blocks.shape[2], rank.long()
    of_block = rank // size
    entry = of_block * size + (starts.gather(1, of_block).long() + rank) % size
    return blocks.flatten(1).gather(1, entry)
