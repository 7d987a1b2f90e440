"""Recurrent layers with noise inside the recurrence, which torch's own do not have."""

from collections.abc import Callable
from typing import cast

import torch.nn as nn
from torch import Tensor

from harness.layers.cells import RecurrentNoise
from harness.layers.recurrent import MemberRecurrent


class NoisyRecurrent(MemberRecurrent):
    """An `nn.RNN`, `nn.LSTM` or `nn.GRU` with noise on its recurrence; without it, what that layer computes.

    Args:
        layer: whose parameters, and names of parameters, it takes over.
        dropout: makes the dropout layer, given p, that goes between two recurrent layers.
        recurrent_dropout: of h_{t-1} in the recurrent product (Gal & Ghahramani 2016, arXiv:1512.05287).
        variational: whether that has one mask for all steps of a sequence, as in the paper, or a new one at each step.
        weight_dropout: of W_hh, one mask for a forward pass (DropConnect; Merity et al. 2018, arXiv:1708.02182).
        zoneout: a `Zoneout` of the hidden states.
        cell_zoneout: likewise of an LSTM's cell states.
    """

    def __init__(
        self, layer: nn.RNNBase, dropout: Callable[[float], nn.Module], *, variational: bool,
        recurrent_dropout: nn.Module, weight_dropout: nn.Module, zoneout: nn.Module, cell_zoneout: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__(layer, dropout)
        self.variational = variational
        self.recurrent_dropout, self.weight_dropout = recurrent_dropout, weight_dropout
        self.zoneout, self.cell_zoneout = zoneout, cell_zoneout

    def _recurrent_weight(self, weight: Tensor) -> Tensor:
        dropped: Tensor = self.weight_dropout(weight)
        return dropped

    def _noise(self, x: Tensor) -> RecurrentNoise:
        steps, batch = x.shape[:2]
        weight = cast(Tensor, self._parameters["weight_hh_l0"])
        every = weight.new_ones(steps, batch, self.hidden_size)
        ones = every[:1] if self.variational else every
        factor = self.recurrent_dropout(ones)
        return RecurrentNoise(None if factor is ones else factor, self.zoneout(every), self.cell_zoneout(every))
