"""Multilayer perceptrons."""

from itertools import pairwise
from typing import Literal

import torch.nn as nn
from torch import Tensor

from harness.models.init import Init, set_linear
from harness.models.noise import DROPOUTS, EachLayers, NoiseKind, by_layer
from harness.settings import Count, Positive, Probability

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU}


class DropoutNet(nn.Module):
    """The textbook's net: linear layers with ReLU and dropout after each hidden one; 784-256-128-10 on MNIST.

    Args:
        inputs: features per example; taken from the task.
        outputs: classes; taken from the task.
        hidden: widths of the hidden layers; `()` for none.
        dropout: probability p of dropping a hidden activation (Srivastava et al. 2014, inverted form), or a schedule of it; or
            one for each hidden layer, from the first, whose factors are `model.dropout.0` and so on.
        input_dropout: likewise an input.
        noise: of both; `bernoulli`, or `gaussian` of the same mean and variance (Srivastava et al. 2014, section 10).
        activation: after each hidden layer.
        init: of the hidden layers' weights, see `harness.models.init.set_linear`; the readout keeps PyTorch's default.
        gain: factor on the initial weights of the hidden layers; above 1 gradients grow with depth.
    """

    def __init__(
        self,
        inputs: Count,
        outputs: Count,
        hidden: tuple[Count, ...] = (256, 128),
        dropout: Probability | EachLayers = 0.5,
        input_dropout: Probability = 0.0,
        noise: NoiseKind = "bernoulli",
        activation: Literal["relu", "tanh", "sigmoid", "gelu", "silu"] = "relu",
        init: Init = "default",
        gain: Positive = 1.0,
    ) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.activation = ACTIVATIONS[activation]()
        self.input_dropout = DROPOUTS[noise](input_dropout)
        self.dropout = nn.ModuleList(DROPOUTS[noise](p) for p in by_layer(dropout, len(hidden), "hidden layers"))
        self.readout = nn.Linear(widths[-1], outputs)
        set_linear(self.hidden, init, gain)  # type: ignore[arg-type]  # last: the readout is the same for all

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, …) is flattened to (batch, inputs); returns logits (batch, outputs).

        Raises:
            ValueError: an example holds more or fewer numbers.
        """
        first = self.hidden[0] if len(self.hidden) else self.readout
        if (numbers := x.shape[1:].numel()) != first.in_features:
            message = (
                f"an example of shape {tuple(x.shape[1:])} has {numbers} numbers, and inputs is {first.in_features}"
            )
            raise ValueError(f"{message}; set inputs={numbers}, or give images with layout='flat'")
        x = self.input_dropout(x.flatten(1))
        for layer, dropout in zip(self.hidden, self.dropout, strict=True):
            x = dropout(self.activation(layer(x)))
        logits: Tensor = self.readout(x)
        return logits
