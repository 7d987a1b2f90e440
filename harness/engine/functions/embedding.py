"""Embeddings whose padding has no gradient: `vmap` of torch's knows the row of padding of the first member only."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None, *options: Any, **named: Any) -> Tensor:
    """As `F.embedding`, of one of several members."""
    found = F.embedding(input, weight, None, *options, **named)
    if padding_idx is None:
        return found
    padding = padding_idx if padding_idx >= 0 else len(weight) + padding_idx
    return torch.where((input == padding).unsqueeze(-1), found.detach(), found)


def by_weight(weight: Tensor, indices: Tensor, padding_idx: int = -1, *options: Any, **named: Any) -> Tensor:
    """As `torch.embedding`, where -1 stands for no padding."""
    found = torch.embedding(weight, indices, -1, *options, **named)
    return found if padding_idx < 0 else torch.where((indices == padding_idx).unsqueeze(-1), found.detach(), found)


EMBEDDINGS: dict[Callable[..., Any], Callable[..., Any]] = {F.embedding: embedding, torch.embedding: by_weight}
"""What computes all members at once in place of which function."""
