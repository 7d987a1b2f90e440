"""What `harness bench` measures: models, batches and optimizers like those of studies."""

from dataclasses import dataclass, field

import torch
import torch.nn as nn
from torch import Tensor

from harness.clipping import GlobalNorm
from harness.engine.setup import Setup
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, Optimizer
from harness.tasks import Tensors


class NormNet(nn.Module):
    """A user's module: linear, layer norm, dropout."""

    def __init__(self, inputs: int, outputs: int, width: int = 128, dropout: float = 0.5) -> None:
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(inputs, width), nn.LayerNorm(width), nn.Dropout(dropout)
        self.second, self.out = nn.Linear(width, width), nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) → (batch, outputs)."""
        x = self.drop(self.norm(self.first(x)).relu())
        out: Tensor = self.out(self.drop(self.second(x).relu()))
        return out


class GatedNet(nn.Module):
    """A user's recurrent net: `nn.LSTM` or `nn.GRU`, readout at the last step."""

    def __init__(
        self, inputs: int, outputs: int, layer: type[nn.LSTM] | type[nn.GRU] = nn.LSTM, hidden: int = 64
    ) -> None:
        super().__init__()
        self.rnn, self.out = layer(inputs, hidden, batch_first=True), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, inputs) → (batch, outputs)."""
        out: Tensor = self.out(self.rnn(x)[0][:, -1])
        return out


class ConvNet(nn.Module):
    """A user's convolutional net: two layers with batch norm on images of one channel."""

    def __init__(self, outputs: int, channels: int = 8, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.BatchNorm2d(2 * channels), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(2 * channels * 49, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 28, 28) → (batch, outputs)."""
        out: Tensor = self.out(self.drop(self.body(x.unsqueeze(1)).flatten(1)))
        return out


class TransformerNet(nn.Module):
    """A user's transformer: two layers with a causal mask on tokens, the next one predicted at each."""

    def __init__(self, inputs: int, outputs: int, width: int = 64, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding, self.place = nn.Embedding(inputs, width), nn.Embedding(50, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)
        self.encoder, self.out = nn.TransformerEncoder(layer, 2), nn.Linear(width, outputs)
        self.mask: Tensor
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(50))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time) → (batch, time, outputs)."""
        x = self.embedding(x) + self.place(torch.arange(x.shape[1], device=x.device))
        out: Tensor = self.out(self.encoder(x, mask=self.mask, is_causal=True))
        return out


@dataclass(frozen=True)
class Workload:
    """A model, a batch and an optimizer.

    Attributes:
        model: what is trained.
        shape: of one example's input; empty dtype floating point, or tokens where `vocabulary` is given.
        classes: of the output.
        batch_size: examples of a step.
        optimizer: that updates.
        every_step: whether there is a target at every time step.
        vocabulary: of token inputs; 0 where inputs are floating point.
    """

    model: Model
    shape: tuple[int, ...]
    classes: int = 10
    batch_size: int = 64
    optimizer: Optimizer = field(default_factory=Adam)
    every_step: bool = False
    vocabulary: int = 0

    def setup(self) -> Setup:
        """The workload as a setup on random examples."""
        n, generator = 4 * self.batch_size, torch.Generator().manual_seed(0)
        if self.vocabulary:
            x = torch.randint(0, self.vocabulary, (n, *self.shape), generator=generator)
        else:
            x = torch.randn(n, *self.shape, generator=generator)
        y = torch.randint(0, self.classes, (n, self.shape[0]) if self.every_step else (n,), generator=generator)
        x.view(-1)[0], y.view(-1)[0] = (self.vocabulary - 1 if self.vocabulary else x.view(-1)[0]), self.classes - 1
        return Setup(
            task=Tensors(x, y), model=self.model, clipping=GlobalNorm(1.0), optimizer=self.optimizer, batch_size=self.batch_size
        )  # fmt: skip


WORKLOADS = {
    "mlp-784": Workload(DropoutNet(), (784,)),
    "mlp-64": Workload(DropoutNet(), (64,)),
    "mlp-tiny": Workload(DropoutNet(hidden=(64, 32)), (64,)),
    "rnn-long": Workload(SimpleRNN(hidden=50), (100, 6), classes=4, batch_size=20, optimizer=SGD()),
    "rnn-rows": Workload(SimpleRNN(hidden=64), (28, 28)),
    "char-rnn": Workload(SimpleRNN(hidden=64, dropout=0.2, readout="every"), (50,), classes=103, batch_size=32,
                         optimizer=SGD(), every_step=True, vocabulary=103),
    "lstm": Workload(Model(GatedNet, layer=nn.LSTM), (28, 28)),
    "gru": Workload(Model(GatedNet, layer=nn.GRU), (28, 28)),
    "module": Workload(Model(NormNet), (64,)),
    "cnn": Workload(Model(ConvNet), (28, 28)),
    "transformer": Workload(Model(TransformerNet), (50,), classes=103, batch_size=16, every_step=True, vocabulary=103),
}  # fmt: skip
