"""The recurrences themselves, forward and backward through time, for all members of a population at once.

Arrays here are `(member, time, batch, feature)`, not batch before time: the loop over time takes one slice
`(member, batch, feature)` per step, whose matrices `bmm` multiplies as they lie, and all steps of a member together are
one matrix `(time * batch, feature)` for the products before and after the loop.

M members, T time steps, B samples, H units, G = H, 3 H or 4 H summed inputs of the gates. The formulas and the order of
the gates are those of `nn.RNN`, `nn.LSTM` and `nn.GRU`; `before` is the hidden state of the previous step, `d_a` the
gradient of the loss with respect to a.

On a CPU `torch.tanh` takes five times as long as `torch.sigmoid` (float32), longer than the recurrent product itself. So
tanh(a) is computed as 2 σ(2 a) − 1, from weights that already carry the inner 2.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

_MINUS_ONE = torch.tensor(-1.0, device="cpu")  # one element: may meet tensors of any device and precision
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_threshold_backward = torch.ops.aten.threshold_backward.grad_input


class RecurrentNoise(NamedTuple):
    """Noise within a recurrence: (M, T, B, H) each, with size 1 where it is the same along an axis, or None for none.

    Attributes:
        factor: multiplies h_{t-1} in the recurrent product at step t.
        hold_h: the share of h_{t-1} in h_t, in place of what the cell computes: h_t = z h_{t-1} + (1 − z) h̃_t.
        hold_c: likewise for an LSTM's cell state; h̃_t is computed from c̃_t (Krueger et al. 2017, arXiv:1606.01305).
    """

    factor: Tensor | None = None
    hold_h: Tensor | None = None
    hold_c: Tensor | None = None


class Given(NamedTuple):
    """What does not change over time, and the noise.

    Attributes:
        w_hh: recurrent weights (M, G, H).
        b_hh: recurrent biases (M, G) or None.
        h_0: hidden state before the first step, (M, B, H).
        c_0: an LSTM's cell state before the first step, (M, B, H); unused elsewhere.
        reverse: whether the recurrence runs from the last time step to the first.
        noise: of every step.
    """

    w_hh: Tensor
    b_hh: Tensor | None
    h_0: Tensor
    c_0: Tensor
    reverse: bool
    noise: RecurrentNoise

    def sequence(self, steps: int, blocks: int = 1, *, keep: bool = True) -> tuple[Tensor, tuple[Tensor, ...]]:
        """An empty sequence (M, T, B, blocks · H) and its slices in order; unless kept, one step's array for all."""
        members, batch, units = self.h_0.shape
        sequence = self.h_0.new_empty(members, steps if keep else 1, batch, blocks * units)
        return sequence, self.in_order(sequence)[0] * (1 if keep else steps)

    def in_order(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """The slices (M, B, ·) of sequences (M, T, B, ·) as the forward pass visits them."""
        return [s.unbind(1)[::-1] if self.reverse else s.unbind(1) for s in sequences]

    def backwards(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """The slices as the backward pass visits them."""
        return [slices[::-1] for slices in self.in_order(*sequences)]

    def noise_in_order(self, steps: int) -> list[tuple[Tensor | None, ...]]:
        """Each kind of noise, step by step, as the forward pass visits them."""
        kinds = ((None,) if kind is None else self.in_order(kind)[0] for kind in self.noise)
        return [slices * (steps // len(slices)) for slices in kinds]

    def noise_backwards(self, steps: int) -> list[tuple[Tensor | None, ...]]:
        """Likewise, as the backward pass visits them."""
        return [slices[::-1] for slices in self.noise_in_order(steps)]


class Trace(NamedTuple):
    """What the forward pass leaves: hidden `states` (M, T, B, H), an LSTM's `last_c` (M, B, H), more for `backward`."""

    states: Tensor
    last_c: Tensor | None
    saved: tuple[Tensor, ...]


class Signals(NamedTuple):
    """Gradients of the loss.

    Attributes:
        input: with respect to x_t W_ih + b_ih, (M, T, B, G), its blocks in the order that `Cell.turned` says.
        recurrent: with respect to h_{t-1} W_hh + b_hh, (M, T, B, G).
        h_0: with respect to the initial hidden state, (M, B, H).
        c_0: with respect to the initial cell state, (M, B, H).
    """

    input: Tensor
    recurrent: Tensor
    h_0: Tensor
    c_0: Tensor | None


class Cell(ABC):
    """One kind of recurrence.

    Attributes:
        inner: for each block of H summed inputs the factor that `forward` wants on x_t W_ih + b, see the module.
        folds_bias: whether that b is b_ih + b_hh; else it is b_ih.
        turned: by how many blocks `Signals.input` is turned, the last to the front.
    """

    inner: tuple[float, ...]
    folds_bias = True
    turned = 0

    @abstractmethod
    def forward(self, summed: Iterator[Tensor], steps: int, given: Given, *, keep: bool) -> Trace:
        """Run through time.

        Args:
            summed: `inner` · (x_t W_ih + b) of one step after another, (M, B, G) each, in a buffer to be overwritten.
            steps: T.
            given: weights and initial states.
            keep: whether to keep what `backward` reads.
        """

    @abstractmethod
    def backward(self, grad: Tensor, d_h: Tensor, d_c: Tensor, given: Given, trace: Trace) -> Signals:
        """Backpropagation through time.

        Args:
            grad: gradient with respect to the states, (M, T, B, H).
            d_h: with respect to the last hidden state, on top of `grad`, (M, B, H); overwritten.
            d_c: with respect to the last cell state, (M, B, H); overwritten.
            given: as in `forward`.
            trace: of `forward` with `keep`; what an LSTM or a GRU saved is overwritten.
        """


def to_tanh(sigmoid: Tensor) -> Tensor:
    """2 σ − 1 in place."""
    return torch.add(_MINUS_ONE, sigmoid, alpha=2, out=sigmoid)


def held(d_state: Tensor, hold: Tensor | None) -> Tensor | None:
    """Take the share that belongs to the state before out of a state's gradient."""
    if hold is None:
        return None
    share = d_state * hold
    d_state -= share
    return share


def through(d_before: Tensor, factor: Tensor | None, share: Tensor | None) -> None:
    """Complete the gradient of a state: the noise on its recurrent product, and the share that the next state held."""
    if factor is not None:
        d_before *= factor
    if share is not None:
        d_before += share


class Elman(Cell):
    """h_t = φ(x_t W_ih + h_{t-1} W_hh + b) with φ tanh or ReLU (Elman 1990)."""

    def __init__(self, nonlinearity: str) -> None:
        self.tanh = nonlinearity == "tanh"
        self.inner = (2.0 if self.tanh else 1.0,)

    def forward(self, summed: Iterator[Tensor], steps: int, given: Given, *, keep: bool) -> Trace:
        """See `Cell`."""
        weight, before = (self.inner[0] * given.w_hh).transpose(1, 2), given.h_0
        states, slices = computed, own = given.sequence(steps)
        holds = given.noise.hold_h is not None
        if holds:
            computed, own = given.sequence(steps, keep=keep)
        noise = given.noise_in_order(steps)
        for sums, new, state, factor, hold, _ in zip(summed, own, slices, *noise, strict=True):
            sums.baddbmm_(before if factor is None else before * factor, weight)
            if self.tanh:
                to_tanh(torch.sigmoid(sums, out=new))
            else:
                torch.clamp_min(sums, 0, out=new)
            if hold is not None:
                torch.lerp(new, before, hold, out=state)
            before = state
        return Trace(states, None, (computed,) if holds and keep else ())

    def backward(self, grad: Tensor, d_h: Tensor, d_c: Tensor, given: Given, trace: Trace) -> Signals:
        """See `Cell`."""
        signals = torch.empty_like(trace.states)
        computed = trace.saved[0] if trace.saved else trace.states
        noise, slices = given.noise_backwards(grad.shape[1]), given.backwards(computed, signals, grad)
        for state, d_sum, d_out, factor, hold, _ in zip(*slices, *noise, strict=True):
            d_h += d_out
            share = held(d_h, hold)
            if self.tanh:
                _tanh_backward(d_h, state, grad_input=d_sum)
            else:
                _threshold_backward(d_h, state, 0, grad_input=d_sum)
            torch.bmm(d_sum, given.w_hh, out=d_h)
            through(d_h, factor, share)
        return Signals(signals, signals, d_h, None)


class LongShortTerm(Cell):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t); i, f, o sigmoids and g a tanh (Hochreiter & Schmidhuber 1997)."""

    inner = (1.0, 1.0, 2.0, 1.0)

    def forward(self, summed: Iterator[Tensor], steps: int, given: Given, *, keep: bool) -> Trace:
        """See `Cell`."""
        w_i, w_f, w_g, w_o = given.w_hh.chunk(4, 1)
        weight = torch.cat([w_i, w_f, 2 * w_g, w_o], 1).transpose(1, 2)
        states, *slices = given.sequence(steps)
        saved = [given.sequence(steps, blocks, keep=keep) for blocks in (4, 1, 1)]
        before, before_c = given.h_0, given.c_0
        slices, noise = [*slices, *(s[1] for s in saved)], given.noise_in_order(steps)
        for sums, state, gate, c, tanh_c, factor, hold, hold_c in zip(summed, *slices, *noise, strict=True):
            sums.baddbmm_(before if factor is None else before * factor, weight)
            i, f, g, o = torch.sigmoid(sums, out=gate).chunk(4, -1)
            old_c = None if hold_c is None else before_c.clone()  # `c` may be the same array
            torch.mul(f, before_c, out=c).addcmul_(i, to_tanh(g))
            to_tanh(torch.mul(c, 2, out=tanh_c).sigmoid_())
            torch.mul(o, tanh_c, out=state)
            if hold is not None:
                state.lerp_(before, hold)
            if old_c is not None:
                c.lerp_(old_c, hold_c)
            before, before_c = state, c
        return Trace(states, before_c, tuple(s[0] for s in saved) if keep else ())

    def backward(self, grad: Tensor, d_h: Tensor, d_c: Tensor, given: Given, trace: Trace) -> Signals:
        """See `Cell`."""
        gates, cs, squashed = trace.saved
        product, other = torch.empty_like(d_h), torch.empty_like(d_h)
        c_slices, *slices = given.backwards(cs, gates, squashed, grad)
        slices, noise = [(*c_slices[1:], given.c_0), *slices], given.noise_backwards(grad.shape[1])
        for before_c, gate, tanh_c, d_out, factor, hold, hold_c in zip(*slices, *noise, strict=True):
            i, f, g, o = gate.chunk(4, -1)
            d_h += d_out
            share, share_c = held(d_h, hold), held(d_c, hold_c)
            d_c += _tanh_backward(torch.mul(d_h, o, out=product), tanh_c, grad_input=product)
            _sigmoid_backward(torch.mul(d_h, tanh_c, out=product), o, grad_input=o)
            torch.mul(d_c, g, out=product)
            _tanh_backward(torch.mul(d_c, i, out=other), g, grad_input=g)
            _sigmoid_backward(product, i, grad_input=i)
            torch.mul(d_c, before_c, out=product)
            through(d_c, f, share_c)
            _sigmoid_backward(product, f, grad_input=f)
            torch.bmm(gate, given.w_hh, out=d_h)
            through(d_h, factor, share)
        return Signals(gates, gates, d_h, d_c)


class GatedUnit(Cell):
    """h_t = z h_{t-1} + (1 − z) n, n = tanh(x_t W_in + b_in + r (h_{t-1} W_hn + b_hn)), r, z sigmoids (Cho et al. 2014).

    The two summands of n have gradients of their own. The backward pass writes them around those of the gates, in the
    order n, r, z, hn: the first three blocks are the input's signal, the last three the recurrent one.
    """

    inner = (1.0, 1.0, 2.0)
    folds_bias = False
    turned = 1

    def forward(self, summed: Iterator[Tensor], steps: int, given: Given, *, keep: bool) -> Trace:
        """See `Cell`; the last block of what is saved is that of h_{t-1} W_hn + b_hn."""
        units, weight = given.w_hh.shape[-1], given.w_hh.transpose(1, 2)
        bias = weight.new_zeros(1) if given.b_hh is None else given.b_hh.unsqueeze(1)
        (states, state_slices), (gates, gate_slices) = given.sequence(steps), given.sequence(steps, 4, keep=keep)
        before = given.h_0
        recurrent, noise = before.new_empty(*before.shape[:2], 3 * units), given.noise_in_order(steps)
        for sums, state, gate, factor, hold, _ in zip(summed, state_slices, gate_slices, *noise, strict=True):
            torch.baddbmm(bias, before if factor is None else before * factor, weight, out=recurrent)
            r, z, n, hn = gate.chunk(4, -1)
            rz = gate[..., : 2 * units]
            torch.add(sums[..., : 2 * units], recurrent[..., : 2 * units], out=rz).sigmoid_()
            hn.copy_(recurrent[..., 2 * units :])
            to_tanh(torch.addcmul(sums[..., 2 * units :], r, hn, value=2, out=n).sigmoid_())
            torch.lerp(n, before, z, out=state)
            if hold is not None:
                state.lerp_(before, hold)
            before = state
        return Trace(states, None, (gates,) if keep else ())

    def backward(self, grad: Tensor, d_h: Tensor, d_c: Tensor, given: Given, trace: Trace) -> Signals:
        """See `Cell`."""
        (gates,) = trace.saved
        units = d_h.shape[-1]
        product, other = torch.empty_like(d_h), torch.empty_like(d_h)
        h_slices, *slices = given.backwards(trace.states, gates, grad)
        slices, noise = [(*h_slices[1:], given.h_0), *slices], given.noise_backwards(grad.shape[1])
        for before, gate, d_out, factor, hold, _ in zip(*slices, *noise, strict=True):
            r, z, n, hn = d_n, d_r, d_z, d_hn = gate.chunk(4, -1)
            d_h += d_out
            share = held(d_h, hold)
            torch.sub(before, n, out=product).mul_(d_h)
            _tanh_backward(torch.addcmul(d_h, d_h, z, value=-1, out=other), n, grad_input=other)
            d_h.mul_(z)
            _sigmoid_backward(product, z, grad_input=d_z)
            torch.mul(other, hn, out=product)
            torch.mul(other, r, out=d_hn)
            _sigmoid_backward(product, r, grad_input=d_r)
            d_n.copy_(other)
            if factor is None:
                d_h.baddbmm_(gate[..., units:], given.w_hh)
            else:
                d_h.addcmul_(torch.bmm(gate[..., units:], given.w_hh, out=product), factor)
            through(d_h, None, share)
        return Signals(gates[..., : 3 * units], gates[..., units:], d_h, None)
