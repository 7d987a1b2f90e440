"""The recurrence of `nn.GRU`, see `harness.engine.functions.cells`."""

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


class GatedUnit(Cell):
    """h_t = z h_{t-1} + (1 − z) n, n = tanh(x_t W_in + b_in + r (h_{t-1} W_hn + b_hn)), r, z sigmoids (Cho et al. 2014).

    The two summands of n have gradients of their own. The backward pass writes them around those of the gates, in the
    order n, r, z, hn: the first three blocks are the input's signal, the last three the recurrent one.
    """

    inner = (1.0, 1.0, 2.0)
    folds_bias = False
    rotation = 1

    def forward(self, summed: Iterator[Tensor], steps: int, context: CellContext, *, save: bool) -> Trace:
        """See `Cell`; the last block of what is saved is that of h_{t-1} W_hn + b_hn."""
        units, weight = context.w_hh.shape[-1], context.w_hh.transpose(1, 2)
        bias = weight.new_zeros(1) if context.b_hh is None else context.b_hh.unsqueeze(1)
        (states, state_slices), (gates, gate_slices) = context.sequence(steps), context.sequence(steps, 4, save=save)
        before = context.h_0
        recurrent, noise = before.new_empty(*before.shape[:2], 3 * units), context.noise_in_order(steps)
        for sums, state, gate, factor, zoneout, _ in zip(summed, state_slices, gate_slices, *noise, strict=True):
            torch.baddbmm(bias, before if factor is None else before * factor, weight, out=recurrent)
            r, z, n, hn = gate.chunk(4, -1)
            rz = gate[..., : 2 * units]
            torch.add(sums[..., : 2 * units], recurrent[..., : 2 * units], out=rz).sigmoid_()
            hn.copy_(recurrent[..., 2 * units :])
            tanh_of_half(torch.addcmul(sums[..., 2 * units :], r, hn, value=2, out=n), out=n)
            torch.lerp(n, before, z, out=state)
            if zoneout is not None:
                state.lerp_(before, zoneout)
            before = state
        return Trace(states, None, (gates,) if save else ())

    def backward(self, grad: Tensor | None, d_h: Tensor, d_c: Tensor, context: CellContext, trace: Trace) -> Signals:
        """See `Cell`."""
        (gates,) = trace.saved
        units = d_h.shape[-1]
        product, other = torch.empty_like(d_h), torch.empty_like(d_h)
        steps, (h_slices, *slices) = gates.shape[1], context.backwards(trace.states, gates)
        slices = [(*h_slices[1:], context.h_0), *slices]
        for before, gate, d_out, factor, zoneout, _ in zip(
            *slices, context.gradients(grad, steps), *context.noise_backwards(steps), strict=True
        ):
            r, z, n, hn = d_n, d_r, d_z, d_hn = gate.chunk(4, -1)
            if d_out is not None:
                d_h += d_out
            share = take_zoneout_share(d_h, zoneout)
            torch.sub(before, n, out=product).mul_(d_h)
            tanh_backward(torch.addcmul(d_h, d_h, z, value=-1, out=other), n, grad_input=other)
            d_h.mul_(z)
            sigmoid_backward(product, z, grad_input=d_z)
            torch.mul(other, hn, out=product)
            torch.mul(other, r, out=d_hn)
            sigmoid_backward(product, r, grad_input=d_r)
            d_n.copy_(other)
            if factor is None:
                d_h.baddbmm_(gate[..., units:], context.w_hh)
            else:
                d_h.addcmul_(torch.bmm(gate[..., units:], context.w_hh, out=product), factor)
            add_noise_gradients(d_h, None, share)
        return Signals(gates[..., : 3 * units], gates[..., units:], d_h, None)
