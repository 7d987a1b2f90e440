"""Multilayer perceptrons."""

from itertools import pairwise

import torch.nn as nn
from torch import Tensor

from harness.settings import Count, Probability


class DropoutNet(nn.Module):
    """The textbook's net: linear layers with ReLU and dropout after each hidden one; 784-256-128-10 on MNIST.

    Args:
        inputs: features per example; taken from the task.
        outputs: classes; taken from the task.
        hidden: widths of the hidden layers.
        dropout: probability p of dropping a hidden activation (Srivastava et al. 2014, inverted form).
    """

    def __init__(
        self, inputs: Count, outputs: Count, hidden: tuple[Count, ...] = (256, 128), dropout: Probability = 0.5
    ) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, …) is flattened to (batch, inputs); returns logits (batch, outputs)."""
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.dropout(layer(x).relu())
        logits: Tensor = self.readout(x)
        return logits
