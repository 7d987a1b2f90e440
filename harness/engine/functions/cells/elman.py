"""The plain recurrence of `nn.RNN`, see `harness.engine.functions.cells`."""

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.engine.functions.cells.arithmetic import (
    add_noise_gradients,
    take_zoneout_share,
    tanh_backward,
    tanh_of_half,
    threshold_backward,
)
from harness.engine.functions.cells.cell import Cell, CellContext, Signals, Trace


class Elman(Cell):
    """h_t = φ(x_t W_ih + h_{t-1} W_hh + b) with φ tanh or ReLU (Elman 1990)."""

    def __init__(self, nonlinearity: str) -> None:
        self.tanh = nonlinearity == "tanh"
        self.inner = (2.0 if self.tanh else 1.0,)

    def forward(self, summed: Iterator[Tensor], steps: int, context: CellContext, *, save: bool) -> Trace:
        """See `Cell`."""
        weight, before = (self.inner[0] * context.w_hh).transpose(1, 2), context.h_0
        states, slices = computed, outputs = context.sequence(steps)
        zones_out = context.noise.zoneout_h is not None
        if zones_out:
            computed, outputs = context.sequence(steps, save=save)
        noise = context.noise_in_order(steps)
        for sums, new, state, factor, zoneout, _ in zip(summed, outputs, slices, *noise, strict=True):
            sums.baddbmm_(before if factor is None else before * factor, weight)
            if self.tanh:
                tanh_of_half(sums, out=new)
            else:
                torch.clamp_min(sums, 0, out=new)
            if zoneout is not None:
                torch.lerp(new, before, zoneout, out=state)
            before = state
        return Trace(states, None, (computed,) if zones_out and save else ())

    def backward(self, grad: Tensor | None, d_h: Tensor, d_c: Tensor, context: CellContext, trace: Trace) -> Signals:
        """See `Cell`."""
        signals = torch.empty_like(trace.states)
        computed = trace.saved[0] if trace.saved else trace.states
        steps = signals.shape[1]
        slices = context.backwards(computed, signals)
        for state, d_sum, d_out, factor, zoneout, _ in zip(
            *slices, context.gradients(grad, steps), *context.noise_backwards(steps), strict=True
        ):
            if d_out is not None:
                d_h += d_out
            share = take_zoneout_share(d_h, zoneout)
            if self.tanh:
                tanh_backward(d_h, state, grad_input=d_sum)
            else:
                threshold_backward(d_h, state, 0, grad_input=d_sum)
            torch.bmm(d_sum, context.w_hh, out=d_h)
            add_noise_gradients(d_h, factor, share)
        return Signals(signals, signals, d_h, None)
