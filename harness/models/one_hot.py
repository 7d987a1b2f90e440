"""Recurrent layers on tokens, which stand for one-hot vectors."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def on_tokens(rnn: nn.RNNBase, tokens: Tensor) -> Tensor:
    """`rnn`'s states of all time steps for one-hot vectors of `tokens`; asks whether someone computes it without the vectors.

    Args:
        rnn: a recurrent layer.
        tokens: (batch, time), or (time, batch) where the layer is not `batch_first`.
    """
    if has_torch_function_unary(tokens):
        answer: Tensor = handle_torch_function(on_tokens, (tokens,), rnn, tokens)
        return answer
    return on_vectors(rnn, tokens)


def on_vectors(rnn: nn.RNNBase, tokens: Tensor) -> Tensor:
    """See `on_tokens`; by the vectors."""
    states: Tensor = rnn(one_hot(tokens, rnn.weight_ih_l0))[0]  # type: ignore[arg-type]
    return states


def one_hot(tokens: Tensor, weight: Tensor) -> Tensor:
    """One-hot vectors (…, size) of tokens (…), to be multiplied with `weight` (units, size)."""
    return F.one_hot(tokens, weight.shape[1]).to(weight.dtype)
