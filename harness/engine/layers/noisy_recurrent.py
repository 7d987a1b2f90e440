"""Member-aware recurrent layers with noise inside the recurrence."""

from typing import cast

import torch.nn as nn
from torch import Tensor

from harness.engine.layers.cells import RecurrentNoise
from harness.engine.layers.recurrent import MemberRecurrent
from harness.models.noisy_recurrent import NoisyRecurrent


class MemberNoisyRecurrent(MemberRecurrent):
    """Stands in for a `NoisyRecurrent`, with its parameters and its noise layers, which are member-aware already."""

    def __init__(self, layer: NoisyRecurrent) -> None:
        super().__init__(layer, nn.Identity)
        self.between, self.variational = layer.between, layer.variational
        self.recurrent_dropout, self.weight_dropout = layer.recurrent_dropout, layer.weight_dropout
        self.zoneout, self.cell_zoneout = layer.zoneout, layer.cell_zoneout

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
