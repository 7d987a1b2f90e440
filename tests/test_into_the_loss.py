"""What of a model does not go into the loss is said before anything trains, and of no other model anything."""

from typing import Any

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_as_written import Net
from test_modules import FLAT
from torch import Tensor
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm

from harness import Early, Study, Sweep
from harness.models import Model
from harness.study.into_the_loss import PROBABILITIES
from harness.tasks import Tensors

NO_LOSS = (
    "no loss: if that is to train, return it and add it by `losses` of a task of your own; if not, `.detach()` says so"
)


def told(module: type[Net], task: Tensors = FLAT, **settings: Any) -> list[str]:
    """What is said of a study of the module."""
    return Study(name="own", task=task, model=Model(module, **settings), batch_size=16, steps=4).notes


class Penalty(Net):
    aux_loss: Any = None

    def hidden(self, x: Tensor) -> Tensor:
        h = super().hidden(x)
        self.aux_loss = 0.1 * h.square().mean()
        return h


class Penalties(Net):
    """In a list, and a single layer's."""

    def prepare(self) -> None:
        self.losses: list[Tensor] = []

    def hidden(self, x: Tensor) -> Tensor:
        h = super().hidden(x)
        self.losses = [h.mean(0)[i] for i in range(4)]
        self.a.balance = h.std()  # type: ignore[assignment]
        return h


class Keeps(Net):
    """What the output is made of, or has no gradient."""

    def prepare(self) -> None:
        self.seen = torch.zeros(())
        self.register_buffer("mean", torch.zeros(16))

    def hidden(self, x: Tensor) -> Tensor:
        self.h = super().hidden(x)
        self.parts = self.h.chunk(2, 1)
        self.seen += self.h.detach().mean()
        self.mean = self.h.detach().mean(0)
        return torch.cat(self.parts, 1)


class Normed(Net):
    """Torch's own, which keep the weight of a call; and one that is never called."""

    def prepare(self) -> None:
        self.a = old_weight_norm(self.a)
        self.unused = old_weight_norm(nn.Linear(3, 3))
        self.squares = nn.Sequential(old_spectral_norm(nn.Linear(6, 6)), parametrizations.weight_norm(nn.Linear(6, 6)))
        self.more = nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 6)), nn.BatchNorm1d(6))
        self.rnn = nn.LSTM(6, 6, 2, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def hidden(self, x: Tensor) -> Tensor:
        x = self.more(self.squares(x))
        x = self.rnn(x[:, None])[0]
        return super().hidden(self.attention(x, x, x)[0][:, 0])


class KeepsBeside(Net):
    """For plots and for the next call: nothing that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 6, batch_first=True)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def hidden(self, x: Tensor) -> Tensor:
        x, self.states = self.rnn(x[:, None])
        x, self.weights = self.attention(x, x, x)
        self.logits = self.a(x[:, 0]) * 2
        return super().hidden(x[:, 0])


class Adds(torch.autograd.Function):
    """A penalty that comes in at the output."""

    @staticmethod
    def forward(context: Any, x: Tensor, penalty: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, torch.ones(())


class AddsByItself(Penalty):
    def forward(self, x: Tensor) -> Any:
        output = super().forward(x)
        return Adds.apply(output, self.aux_loss)


class GoesBackward(Penalty):
    def forward(self, x: Tensor) -> Any:
        output = super().forward(x)
        if self.training:
            self.aux_loss.backward(retain_graph=True)
        return output


def test_what_a_forward_pass_keeps_and_no_loss_has_is_told_of() -> None:
    assert told(Penalty) == [f"model: `aux_loss` is kept by its forward pass and reaches {NO_LOSS}"]
    (several,) = told(Penalties)
    assert several.startswith("model: `losses[0]`, `losses[1]`, `losses[2]`, 2 more are kept") and NO_LOSS in several


@pytest.mark.filterwarnings("ignore:.*weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("module", [Net, Keeps, KeepsBeside, Normed, AddsByItself, GoesBackward])
def test_nothing_is_told_of_what_the_output_is_made_of(module: type[Net]) -> None:
    assert told(module) == []


def test_methods_that_a_trainer_would_call_are_told_of() -> None:
    class Lit(Net):
        def training_step(self, batch: Any) -> Any: ...

    class Both(Lit):
        def configure_optimizers(self) -> Any: ...

    said = "called: the loss is the task's, and the optimizer the study's"
    assert told(Lit) == [f"model: its `training_step` is not {said}"]
    assert told(Both) == [f"model: its `training_step` and `configure_optimizers` are not {said}"]


class Likely(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).softmax(-1)


class LogLikely(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).log_softmax(-1)


class Positive(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x).exp()


class OfProbabilities(Tensors):
    def losses(self, output: Tensor, y: Tensor) -> Tensor:
        return F.nll_loss(output.log(), y, reduction="none")

    guess_losses = Tensors.guess_losses


def test_probabilities_in_the_place_of_scores_are_told_of() -> None:
    assert told(Likely) == [f"model: {PROBABILITIES}"]
    assert told(LogLikely) == told(Positive) == told(Likely, OfProbabilities(FLAT.x, FLAT.y)) == []


def test_what_a_model_does_under_a_schedule_is_looked_at_too() -> None:
    assert told(Likely, dropout=Sweep(0.1, Early(0.5, until=2))) == [f"model: {PROBABILITIES}"]
