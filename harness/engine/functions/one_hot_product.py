"""Products with one-hot vectors that need no vectors."""

import torch
from torch import Tensor


def one_hot_product(tokens: Tensor, weight: Tensor, *, out: Tensor) -> Tensor:
    """One-hot vectors times a matrix: the rows that the tokens name.

    Args:
        tokens: (M, N).
        weight: (M, size, G), contiguous.
        out: (M, N, G), contiguous, to be written.
    """
    torch.index_select(weight.flatten(0, 1), 0, _row(tokens, weight.shape[1]), out=out.view(-1, weight.shape[2]))
    return out


def one_hot_weight_gradient(tokens: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Gradient of `one_hot_product`'s weight, (M, size, G), from that of its result, (M, N, G)."""
    members, _, columns = gradient.shape
    weight = gradient.new_zeros(members * size, columns)
    return weight.index_add_(0, _row(tokens, size), gradient.reshape(-1, columns)).view(members, size, columns)


def _row(tokens: Tensor, size: int) -> Tensor:
    """Where each member's tokens lie in a matrix of all members' rows."""
    return (tokens + size * torch.arange(len(tokens), device=tokens.device).unsqueeze(1)).flatten()
