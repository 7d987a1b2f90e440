"""What all recurrences share: what they are given, what they leave for the backward pass, and what that returns.

M, T, B, H and G are those of `harness.engine.functions.cells`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor


class RecurrentNoise(NamedTuple):
    """Noise within a recurrence: (M, T, B, H) each, with size 1 where it is the same along an axis, or None for none.

    Attributes:
        factor: multiplies h_{t-1} in the recurrent product at step t.
        zoneout_h: the share of h_{t-1} in h_t, in place of what the cell computes: h_t = z h_{t-1} + (1 − z) h̃_t.
        zoneout_c: likewise for an LSTM's cell state; h̃_t is computed from c̃_t (Krueger et al. 2017, arXiv:1606.01305).
    """

    factor: Tensor | None = None
    zoneout_h: Tensor | None = None
    zoneout_c: Tensor | None = None


class CellContext(NamedTuple):
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

    def sequence(self, steps: int, blocks: int = 1, *, save: bool = True) -> tuple[Tensor, tuple[Tensor, ...]]:
        """An empty sequence (M, T, B, blocks · H) and its slices in order; unless saved, one step's array for all."""
        members, batch, units = self.h_0.shape
        sequence = self.h_0.new_empty(members, steps if save else 1, batch, blocks * units)
        return sequence, self.in_order(sequence)[0] * (1 if save else steps)

    def in_order(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """The slices (M, B, ·) of sequences (M, T, B, ·) as the forward pass visits them."""
        return [s.unbind(1)[::-1] if self.reverse else s.unbind(1) for s in sequences]

    def backwards(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """The slices as the backward pass visits them."""
        return [slices[::-1] for slices in self.in_order(*sequences)]

    def gradients(self, grad: Tensor | None, steps: int) -> tuple[Tensor | None, ...]:
        """The slices of a gradient with respect to all states as the backward pass visits them; None where there is none."""
        return (None,) * steps if grad is None else self.backwards(grad)[0]

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
        input: with respect to x_t W_ih + b_ih, (M, T, B, G), its blocks in the order that `Cell.rotation` says.
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
        inner: for each block of H summed inputs the factor that `forward` wants on x_t W_ih + b, see `arithmetic`.
        folds_bias: whether that b is b_ih + b_hh; else it is b_ih.
        rotation: by how many blocks `Signals.input` is rotated, the last to the front.
    """

    inner: tuple[float, ...]
    folds_bias = True
    rotation = 0

    @abstractmethod
    def forward(self, summed: Iterator[Tensor], steps: int, context: CellContext, *, save: bool) -> Trace:
        """Run through time.

        Args:
            summed: `inner` · (x_t W_ih + b) of one step after another, (M, B, G) each, in a buffer to be overwritten.
            steps: T.
            context: weights and initial states.
            save: whether to save what `backward` reads.
        """

    @abstractmethod
    def backward(self, grad: Tensor | None, d_h: Tensor, d_c: Tensor, context: CellContext, trace: Trace) -> Signals:
        """Backpropagation through time.

        Args:
            grad: gradient with respect to the states, (M, T, B, H); None for zeros.
            d_h: with respect to the last hidden state, on top of `grad`, (M, B, H); overwritten.
            d_c: with respect to the last cell state, (M, B, H); overwritten.
            context: as in `forward`.
            trace: of `forward` with `save`; what an LSTM or a GRU saved is overwritten.
        """
