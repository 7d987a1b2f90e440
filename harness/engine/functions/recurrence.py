"""The recurrence of one layer in one direction as an `autograd.Function` of all members, around the kernels of `cells`."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.engine.functions.cells import Cell, CellContext, RecurrentNoise, Trace
from harness.engine.functions.member_function import MemberFunction
from harness.engine.functions.one_hot_product import one_hot_product, one_hot_weight_gradient

_DENSE = torch.contiguous_format


class Recurrence(MemberFunction):
    """One layer in one direction, for M members.

    Takes the cell, `reverse`, `save` (whether a backward pass may follow), x (M, T, B, I) or tokens (M, T, B), w_ih (M, G, I),
    w_hh (M, G, H), b_ih and b_hh (M, G) or None, h_0 and c_0 (M, B, H) or None, and the tensors of a `RecurrentNoise`. Returns the
    states (M, T, B, H), the last of them, the last cell state or None, and the tensors that the backward pass reads.
    """

    @staticmethod
    def forward(cell: Cell, reverse: bool, save: bool, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        """See the class."""
        x, w_ih, w_hh, b_ih, b_hh, h_0, c_0, *noise = tensors
        inner = torch.cat([w_hh.new_full(w_hh.shape[-1:], factor) for factor in cell.inner])  # made on the device
        bias = None if b_ih is None else (b_ih + b_hh if cell.folds_bias else b_ih) * inner
        context = _context(x, w_hh, b_hh, h_0, c_0, reverse, RecurrentNoise(*noise))
        summed = _summed_inputs(context.in_order(x)[0], (w_ih * inner.unsqueeze(1)).transpose(1, 2), bias)
        trace = cell.forward(summed, x.shape[1], context, save=save)
        return trace.states, trace.states[:, 0 if reverse else -1], trace.last_c, *trace.saved

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        """Save what `backward` reads."""
        ctx.cell, ctx.reverse, _, x, w_ih, w_hh, _, b_hh, h_0, c_0, *noise = inputs
        states, _, _, *saved = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*saved)
        ctx.save_for_backward(x, w_ih, w_hh, b_hh, h_0, c_0, *noise, states, *saved)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *last: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of all tensors; each weight's is one product over the whole sequence."""
        x, w_ih, w_hh, b_hh, h_0, c_0, factor, zoneout_h, zoneout_c, states, *saved = ctx.saved_tensors
        cell, context = (
            ctx.cell,
            _context(x, w_hh, b_hh, h_0, c_0, ctx.reverse, RecurrentNoise(factor, zoneout_h, zoneout_c)),
        )
        d_h, d_c = (torch.zeros_like(context.h_0) if d is None else d.clone(memory_format=_DENSE) for d in last[:2])
        signals = cell.backward(grad, d_h, d_c, context, Trace(states, None, tuple(saved)))

        before, after, first = slice(-1), slice(1, None), 0
        if ctx.reverse:
            before, after, first = after, before, -1
        h, h_first = states[:, before], h_0
        if factor is not None:
            h = h * (factor if factor.shape[1] == 1 else factor[:, after])
            h_first = None if h_0 is None else h_0 * factor[:, first]
        d_w_hh = torch.bmm(_rows(signals.recurrent[:, after]).transpose(1, 2), _rows(h))
        if h_first is not None:
            d_w_hh.baddbmm_(signals.recurrent[:, first].transpose(1, 2), h_first)
        rows, rotation = _rows(signals.input), cell.rotation * w_hh.shape[-1]
        # The narrow factor first: a product with few columns took up to seven times as long as with few rows.
        if x.is_floating_point():
            with_one = torch.cat([x, x.new_ones(1).expand(*x.shape[:3], 1)], -1)
            gradients = torch.bmm(_rows(with_one).transpose(1, 2), rows)
            d_weight, d_bias = gradients[:, :-1], gradients[:, -1]
        else:
            d_weight = one_hot_weight_gradient(x.flatten(1), rows, w_ih.shape[2])
            d_bias = d_weight.sum(1)
        d_w_ih = d_weight.transpose(1, 2).roll(-rotation, 1).contiguous()
        d_x = torch.bmm(rows, w_ih.roll(rotation, 1)).view(x.shape) if ctx.needs_input_grad[3] else None
        d_b_ih = d_b_hh = None
        if b_hh is not None:
            d_b_ih = d_bias.roll(
                -rotation, 1
            )  # the recurrent signal begins with the same blocks, but for the rotated one
            d_b_hh = torch.cat(
                [d_bias[:, rotation:], _rows(signals.recurrent)[..., rows.shape[-1] - rotation :].sum(1)], 1
            )
        d_h_0, d_c_0 = (None if s is None else d for s, d in ((h_0, signals.h_0), (c_0, signals.c_0)))
        return None, None, None, d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_h_0, d_c_0, None, None, None


def _summed_inputs(steps: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Iterator[Tensor]:
    """x_t·weight + bias of one step after another, (M, B, G), in one buffer: what is done next finds it in the caches.

    Args:
        steps: x_t (M, B, I), or tokens (M, B).
        weight: (M, I, G).
        bias: (M, G) or None.
    """
    summed = weight.new_empty(*steps[0].shape[:2], weight.shape[2])
    tokens = not steps[0].is_floating_point()
    if tokens:
        weight = (weight if bias is None else weight + bias.unsqueeze(1)).contiguous()
    for x in steps:
        if tokens:
            one_hot_product(x, weight, out=summed)
        elif bias is None:
            torch.bmm(x, weight, out=summed)
        else:
            torch.baddbmm(bias.unsqueeze(1), x, weight, out=summed)
        yield summed


def _rows(sequence: Tensor) -> Tensor:
    """(M, T, B, ·) as one matrix (M, T * B, ·) a member."""
    return sequence.reshape(sequence.shape[0], -1, sequence.shape[-1])


def _context(
    x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    reverse: bool,
    noise: RecurrentNoise,
) -> CellContext:
    """Zeros in place of initial states that are None."""
    members, _, batch = x.shape[:3]
    h_0, c_0 = (w_hh.new_zeros(members, batch, w_hh.shape[-1]) if s is None else s for s in (h_0, c_0))
    return CellContext(w_hh, b_hh, h_0, c_0, reverse, noise)
