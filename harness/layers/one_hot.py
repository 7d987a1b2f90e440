"""One-hot vectors of tokens, and the products with them that need no vectors."""

import torch
import torch.nn as nn
from torch import Tensor


class OneHot(nn.Module):
    """Tokens (…) to one-hot vectors (…, size), the input of a recurrent layer that follows directly.

    In a population it passes the tokens on: the stand-in of a recurrent layer takes them as they are.

    Args:
        size: of the vocabulary.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.vectors: Tensor
        # Not `eye`: on the "meta" device, where sizes are found, it imports for more than a second.
        self.register_buffer("vectors", torch.zeros(size, size).fill_diagonal_(1.0), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.vectors[tokens]


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
