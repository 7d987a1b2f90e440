"""Recurrent layers with noise inside the recurrence, which torch's own do not have."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn as nn
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from harness.models.one_hot import one_hot

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class NoisyRecurrent(nn.Module):
    """An `nn.RNN`, `nn.LSTM` or `nn.GRU` with noise on its recurrence; without it, what that layer computes.

    Args:
        layer: whose parameters, and names of parameters, it takes over; with biases, batch first, of one direction.
        between: the dropout layer after each recurrent layer but the last.
        variational: whether `recurrent_dropout` has one mask for all steps of a sequence, as in the paper, or a new one at
            each step.
        recurrent_dropout: of h_{t-1} in the recurrent product (Gal & Ghahramani 2016, arXiv:1512.05287).
        weight_dropout: of W_hh, one mask for a forward pass (DropConnect; Merity et al. 2018, arXiv:1708.02182).
        zoneout: a `Zoneout` of the hidden states.
        cell_zoneout: likewise of an LSTM's cell states.
    """

    def __init__(
        self, layer: nn.RNNBase, between: Sequence[nn.Module], *, variational: bool,
        recurrent_dropout: nn.Module, weight_dropout: nn.Module, zoneout: nn.Module, cell_zoneout: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mode, self.input_size, self.hidden_size = layer.mode, layer.input_size, layer.hidden_size
        self.num_layers, self.variational = layer.num_layers, variational
        self.bias, self.batch_first, self.bidirectional, self.proj_size = True, True, False, 0
        self.between = nn.ModuleList(between)
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)
        self.recurrent_dropout, self.weight_dropout = recurrent_dropout, weight_dropout
        self.zoneout, self.cell_zoneout = zoneout, cell_zoneout

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """The states of the last layer (batch, time, hidden) from `x` (batch, time, input) or tokens, and nothing else."""
        for k in range(self.num_layers):
            x = self._layer(x if k == 0 else self.between[k - 1](x), k)
        return x, None

    def _layer(self, x: Tensor, k: int) -> Tensor:
        w_ih, w_hh, *biases = (getattr(self, f"{name}_l{k}") for name in PARAMETERS)
        # Noise is known by its shape: where there are as many steps as examples, that of a layer's output has another one.
        apart = [1] if x.shape[1] == len(x) else []
        every = w_ih.new_ones(x.shape[1], *apart, len(x), self.hidden_size)
        ones = every[:1] if self.variational else every
        w_hh, factor = self.weight_dropout(w_hh), self.recurrent_dropout(ones)
        drawn = (None if factor is ones else factor, self.zoneout(every), self.cell_zoneout(every))
        noises = Noises(*(None if noise is None else noise.flatten(0, len(apart)) for noise in drawn))
        return noisy_recurrence(self.mode, x, (w_ih, w_hh, *biases), noises)


class Noises(NamedTuple):
    """Noise within a recurrence: (time, batch, hidden) each, with size 1 where it is the same along an axis, or None for none.

    Attributes:
        factor: of h_{t-1} in the recurrent product.
        hold_h: the share of h_{t-1} in h_t.
        hold_c: likewise of an LSTM's cell state.
    """

    factor: Tensor | None
    hold_h: Tensor | None
    hold_c: Tensor | None


def noisy_recurrence(mode: str, x: Tensor, weights: Sequence[Tensor], noises: Noises) -> Tensor:
    """One recurrent layer, step by step: states (batch, time, hidden); asks whether someone else computes it.

    Args:
        mode: see `step`.
        x: (batch, time, input), or tokens (batch, time) for their one-hot vectors.
        weights: as `PARAMETERS`.
        noises: of every step.
    """
    if has_torch_function_unary(x):
        answer: Tensor = handle_torch_function(noisy_recurrence, (x,), mode, x, weights, noises)
        return answer
    w_ih, w_hh, b_ih, b_hh = weights
    if not x.is_floating_point():
        x = one_hot(x, w_ih)
    h = c = x.new_zeros(len(x), w_hh.shape[1])
    states = []
    for t in range(x.shape[1]):
        factor, hold_h, hold_c = (None if kind is None else kind[t % len(kind)] for kind in noises)
        inner = h if factor is None else h * factor
        new_h, new_c = step(mode, x[:, t] @ w_ih.T + b_ih, inner @ w_hh.T + b_hh, h, c)
        h = new_h if hold_h is None else torch.lerp(new_h, h, hold_h)
        c = new_c if hold_c is None else torch.lerp(new_c, c, hold_c)
        states.append(h)
    return torch.stack(states, 1)


def step(mode: str, outer: Tensor, inner: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next hidden and cell state, (batch, hidden) each, by the formulas of torch's layer of that mode.

    Args:
        mode: `RNN_TANH`, `RNN_RELU`, `LSTM` or `GRU`.
        outer: x_t W_ih + b_ih, (batch, gates · hidden).
        inner: h_{t-1} W_hh + b_hh, likewise.
        h: hidden state before.
        c: an LSTM's cell state before; others hand it on.
    """
    if mode == "LSTM":
        i, f, g, o = (outer + inner).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if mode == "GRU":
        (r, z, n), (inner_r, inner_z, inner_n) = outer.chunk(3, -1), inner.chunk(3, -1)
        r, z = (r + inner_r).sigmoid(), (z + inner_z).sigmoid()
        return torch.lerp((n + r * inner_n).tanh(), h, z), c
    return ((outer + inner).tanh() if mode == "RNN_TANH" else (outer + inner).relu()), c
