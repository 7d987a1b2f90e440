"""Recurrent networks."""

from typing import Literal

import torch.nn as nn
from torch import Tensor

from harness.layers.one_hot import OneHot
from harness.settings import Count, Probability


class SimpleRNN(nn.Module):
    """The textbook's recurrent net: `nn.RNN`, dropout on its states, a linear readout.

    Args:
        inputs: features per time step, or the vocabulary size where inputs are tokens; taken from the task.
        outputs: classes or targets; taken from the task.
        hidden: units of each recurrent layer.
        layers: recurrent layers.
        dropout: probability p, between layers and before the readout, a new mask at each step (Zaremba et al. 2014).
        nonlinearity: of the recurrence.
        readout: at the `last` time step, or at `every` step.
    """

    def __init__(
        self,
        inputs: Count,
        outputs: Count,
        hidden: Count = 64,
        layers: Count = 1,
        dropout: Probability = 0.0,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        readout: Literal["last", "every"] = "last",
    ) -> None:
        super().__init__()
        self.rnn = nn.RNN(
            inputs, hidden, layers, nonlinearity=nonlinearity, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden, outputs)
        self.every_step = readout == "every"
        self.one_hot = OneHot(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, time, inputs) or tokens (batch, time); returns (batch, outputs) or (batch, time, outputs)."""
        if not x.is_floating_point():
            x = self.one_hot(x)
        states, _ = self.rnn(x)
        output: Tensor = self.readout(self.dropout(states if self.every_step else states[:, -1]))
        return output
