"""Attention of all members at once, with dropout of each member's own p on its weights."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.engine.functions.dropout import Dropout
from harness.engine.functions.transforms import beneath, of_member, only_vmap, stacked
from harness.engine.scheduled import Level


class Attention:
    """`F.scaled_dot_product_attention`.

    Args:
        dropout: of the attention weights.
    """

    def __init__(self, dropout: Dropout) -> None:
        self._dropout = dropout

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: Level = 0.0,
        is_causal: bool = False, **options: Any,
    ) -> Tensor:  # fmt: skip
        """As torch's; the weights are multiplied out where dropout acts on them."""
        if self._dropout.acts(dropout_p):
            weights = attention_weights(query, key, attn_mask, is_causal, **options)
            return self._dropout.dropout(weights, dropout_p) @ grouped(value, query, options.get("enable_gqa", False))
        self._dropout.count(dropout_p, weights_shape(query, key, attn_mask, **options))
        vmap = only_vmap()
        if vmap is None:
            return F.scaled_dot_product_attention(query, key, value, attn_mask, is_causal=is_causal, **options)
        given = [None if t is None else stacked(t, vmap) for t in (query, key, value, attn_mask)]
        axes = max(t.dim() for t in given if t is not None)
        given = [t if t is None else t.view(len(t), *[1] * (axes - t.dim()), *t.shape[1:]) for t in given]
        with beneath():
            query, key, value, attn_mask = given  # type: ignore[assignment]
            result = F.scaled_dot_product_attention(query, key, value, attn_mask, is_causal=is_causal, **options)
        return of_member(result, vmap)


def weights_shape(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, enable_gqa: bool = False, **_: Any
) -> tuple[int, ...]:
    """The shape of the attention weights, (…, query, key), of what may have fewer axes than the others."""
    heads = [query] if enable_gqa else [query, key]
    masks = [] if attn_mask is None else [attn_mask]
    leading = torch.broadcast_shapes(*(each.shape[:-2] for each in [*heads, *masks]))  # type: ignore[no-untyped-call]
    return (*leading, query.shape[-2], key.shape[-2])


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:  # fmt: skip
    """softmax(q kᵀ · scale + mask), (…, query, key), as torch documents it (Vaswani et al. 2017, arXiv:1706.03762).

    Of a query that may see no key all weights are 0, as torch has it.
    """
    key = grouped(key, query, enable_gqa)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    if attn_mask is None:
        return scores.softmax(-1)
    blind = scores.isneginf().all(-1, keepdim=True)
    return scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)


def grouped(shared: Tensor, query: Tensor, enable_gqa: bool) -> Tensor:
    """Keys or values, as often as several heads of the query share them."""
    return shared.repeat_interleave(query.shape[-3] // shared.shape[-3], -3) if enable_gqa else shared
