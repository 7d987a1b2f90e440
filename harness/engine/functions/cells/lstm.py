"""The recurrence of `nn.LSTM`, see `harness.engine.functions.cells`."""

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.engine.functions.cells.arithmetic import (
    add_noise_gradients,
    sigmoid_backward,
    take_zoneout_share,
    tanh_backward,
    tanh_of_half,
)
from harness.engine.functions.cells.cell import Cell, CellContext, Signals, Trace


class LongShortTerm(Cell):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t); i, f, o sigmoids and g a tanh (Hochreiter & Schmidhuber 1997)."""

    inner = (1.0, 1.0, 2.0, 1.0)

    def forward(self, summed: Iterator[Tensor], steps: int, context: CellContext, *, save: bool) -> Trace:
        """See `Cell`."""
        units = context.w_hh.shape[-1]
        w_i, w_f, w_g, w_o = context.w_hh.chunk(4, 1)
        weight = torch.cat([w_i, w_f, 2 * w_g, w_o], 1).transpose(1, 2)
        states, *slices = context.sequence(steps)
        saved = [context.sequence(steps, blocks, save=save) for blocks in (4, 1, 1)]
        before, before_c = context.h_0, context.c_0
        slices, noise = [*slices, *(s[1] for s in saved)], context.noise_in_order(steps)
        for sums, state, gate, c, tanh_c, factor, zoneout, zoneout_c in zip(summed, *slices, *noise, strict=True):
            sums.baddbmm_(before if factor is None else before * factor, weight)
            i, f, g, o = torch.sigmoid(sums, out=gate).chunk(4, -1)
            tanh_of_half(sums[..., 2 * units : 3 * units], out=g)
            old_c = None if zoneout_c is None else before_c.clone()  # `c` may be the same array
            torch.mul(f, before_c, out=c).addcmul_(i, g)
            tanh_of_half(torch.mul(c, 2, out=tanh_c), out=tanh_c)
            torch.mul(o, tanh_c, out=state)
            if zoneout is not None:
                state.lerp_(before, zoneout)
            if old_c is not None:
                c.lerp_(old_c, zoneout_c)
            before, before_c = state, c
        return Trace(states, before_c, tuple(s[0] for s in saved) if save else ())

    def backward(self, grad: Tensor | None, d_h: Tensor, d_c: Tensor, context: CellContext, trace: Trace) -> Signals:
        """See `Cell`."""
        gates, cs, squashed = trace.saved
        product, other = torch.empty_like(d_h), torch.empty_like(d_h)
        steps, (c_slices, *slices) = gates.shape[1], context.backwards(cs, gates, squashed)
        slices = [(*c_slices[1:], context.c_0), *slices]
        noise = context.noise_backwards(steps)
        for before_c, gate, tanh_c, d_out, factor, zoneout, zoneout_c in zip(
            *slices, context.gradients(grad, steps), *noise, strict=True
        ):
            i, f, g, o = gate.chunk(4, -1)
            if d_out is not None:
                d_h += d_out
            share, share_c = take_zoneout_share(d_h, zoneout), take_zoneout_share(d_c, zoneout_c)
            d_c += tanh_backward(torch.mul(d_h, o, out=product), tanh_c, grad_input=product)
            sigmoid_backward(torch.mul(d_h, tanh_c, out=product), o, grad_input=o)
            torch.mul(d_c, g, out=product)
            tanh_backward(torch.mul(d_c, i, out=other), g, grad_input=g)
            sigmoid_backward(product, i, grad_input=i)
            torch.mul(d_c, before_c, out=product)
            add_noise_gradients(d_c, f, share_c)
            sigmoid_backward(product, f, grad_input=f)
            torch.bmm(gate, context.w_hh, out=d_h)
            add_noise_gradients(d_h, factor, share)
        return Signals(gates, gates, d_h, d_c)
