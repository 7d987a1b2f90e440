"""One-hot vectors of tokens."""

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
