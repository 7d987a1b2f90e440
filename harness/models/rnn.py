"""Recurrent networks."""

from typing import Literal

import torch.nn as nn
from torch import Tensor

from harness.models.init import set_recurrent
from harness.models.noise import DROPOUTS, EachLayers, NoiseKind, Variational, Zoneout, by_layer
from harness.models.noisy_recurrent import NoisyRecurrent
from harness.models.one_hot import on_tokens
from harness.settings import Count, Positive, Probability
from harness.settings.schedules import Schedule

CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class SimpleRNN(nn.Module):
    """The textbook's recurrent net: `nn.RNN`, dropout on its states, a linear readout. Probabilities may be schedules.

    Args:
        inputs: features per time step, or the vocabulary size where inputs are tokens; taken from the task.
        outputs: classes or targets; taken from the task.
        hidden: units of each recurrent layer.
        layers: recurrent layers.
        dropout: probability p, between layers and before the readout, a new mask at each step (Zaremba et al. 2014); or
            one for the output of each layer, the last before the readout, whose factors are `model.dropout.0` and so on.
        nonlinearity: of the recurrence of `cell` rnn.
        readout: at the `last` time step, or at `every` step.
        cell: `rnn`, `lstm` or `gru`.
        embedding: size of learned vectors for tokens; None for one-hot vectors.
        input_dropout: p of the features of every step's input; of an embedding, where inputs are tokens.
        recurrent_dropout: p of h_{t-1} where W_hh multiplies it (Gal & Ghahramani 2016, with `variational`).
        weight_dropout: p of the elements of W_hh, one mask for a forward pass: DropConnect (Merity et al. 2018, AWD-LSTM).
        zoneout: probability that a unit keeps its last state instead of the new one (Krueger et al. 2017); in
            evaluation the mean of both.
        cell_zoneout: likewise the cell state of an lstm.
        variational: one mask for all steps of a sequence, for `dropout`, `input_dropout` and `recurrent_dropout`
            (Gal & Ghahramani 2016), instead of a new one at each step.
        noise: of the same three; `bernoulli`, or `gaussian` of the same mean and variance.
        init: of the recurrent matrices, PyTorch's default or `orthogonal`.
        spectral_radius: to which they are scaled; None to leave them. An rnn's gradients can grow along time above 1.
    """

    def __init__(
        self,
        inputs: Count,
        outputs: Count,
        hidden: Count = 64,
        layers: Count = 1,
        dropout: Probability | EachLayers = 0.0,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        readout: Literal["last", "every"] = "last",
        cell: Literal["rnn", "lstm", "gru"] = "rnn",
        embedding: Count | None = None,
        input_dropout: Probability = 0.0,
        recurrent_dropout: Probability = 0.0,
        weight_dropout: Probability = 0.0,
        zoneout: Probability = 0.0,
        cell_zoneout: Probability = 0.0,
        variational: bool = False,
        noise: NoiseKind = "bernoulli",
        init: Literal["default", "orthogonal"] = "default",
        spectral_radius: Positive | None = None,
    ) -> None:
        super().__init__()
        if nonlinearity == "relu" and cell != "rnn":
            raise ValueError(f"nonlinearity='relu' needs cell='rnn', but got cell={cell!r}")
        if cell_zoneout and cell != "lstm":
            raise ValueError(
                f"cell_zoneout needs cell='lstm', but got cell={cell!r}; zoneout acts on every cell's state"
            )

        def dropped(p: float, *, sequence: bool = True) -> nn.Module:
            layer: nn.Module = DROPOUTS[noise](p)
            return Variational(layer) if variational and sequence else layer

        self.embedding = None if embedding is None else nn.Embedding(inputs, embedding)
        self.input_dropout = dropped(input_dropout) if input_dropout else None
        options = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
        rnn: nn.RNNBase = CELLS[cell](embedding or inputs, hidden, layers, batch_first=True, **options)
        *between, last = by_layer(dropout, layers, "recurrent layers")
        if between:
            rnn.dropout = between[0]  # given to its constructor, a schedule would be refused
        scheduled = any(isinstance(p, Schedule) for p in between)
        alike = not isinstance(dropout, tuple) or layers < 3
        special = layers > 1 and (variational or noise != "bernoulli" or scheduled or not alike)
        if special or recurrent_dropout or weight_dropout or zoneout or cell_zoneout:
            self.rnn: nn.Module = NoisyRecurrent(
                rnn, [dropped(p) for p in between], variational=variational, recurrent_dropout=dropped(recurrent_dropout, sequence=False),
                weight_dropout=nn.Dropout(weight_dropout), zoneout=Zoneout(zoneout), cell_zoneout=Zoneout(cell_zoneout),
            )  # fmt: skip
        else:
            self.rnn = rnn
        self.every_step = readout == "every"
        self.dropout, self.readout = dropped(last, sequence=self.every_step), nn.Linear(hidden, outputs)
        set_recurrent(rnn, init, spectral_radius)  # last: the readout is the same for all

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, time, inputs) or tokens (batch, time); returns (batch, outputs) or (batch, time, outputs)."""
        x = self._input(x)
        on_vectors = x.is_floating_point() or isinstance(self.rnn, NoisyRecurrent)
        states = self.rnn(x)[0] if on_vectors else on_tokens(self.rnn, x)  # type: ignore[arg-type]
        output: Tensor = self.readout(self.dropout(states if self.every_step else states[:, -1]))
        return output

    def _input(self, x: Tensor) -> Tensor:
        """Of the first recurrent layer: vectors, or tokens for their one-hot vectors."""
        tokens = not x.is_floating_point()
        if x.dim() != 3 - tokens:  # torch would take a batch of rows for one sequence
            message = f"a batch of sequences ({3 - tokens} axes) is needed, but got {tuple(x.shape)}"
            raise ValueError(f"{message}; images are sequences with layout='rows'")
        if self.embedding is not None:
            if not tokens:
                raise ValueError("embedding is for tokens; leave it out for inputs that are numbers")
            x = self.embedding(x)
        if self.input_dropout is not None:
            if tokens and self.embedding is None:
                raise ValueError("input_dropout of tokens needs an embedding, e.g. embedding=64")
            # Noise is known by its shape: where inputs have that of the states, their noise has another one.
            apart = x.shape[-1] == self.readout.in_features
            x = self.input_dropout(x.unsqueeze(2)).squeeze(2) if apart else self.input_dropout(x)
        return x
