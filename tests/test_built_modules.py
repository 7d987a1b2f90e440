"""What a module is as it is built: whose its tensors are, and what of it trains."""

import functools
import warnings

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_as_written import Net, assert_textbook, runs_of
from test_train import CPU, curves_of
from torch import Tensor

from harness.engine.proof import obstacle
from harness.study.trial_run import trial_run


def problem_of(module: type[Net]) -> str:
    """The only one, or ""."""
    found = [str(problem) for problem in trial_run(runs_of(module)[0].setup)]
    assert len(found) <= 1
    return "".join(found)


# --- Memory that tensors share


class TiedByData(Net):
    def prepare(self) -> None:
        self.back = nn.Linear(16, 6)
        self.back.weight.data = self.a.weight.data.t()

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(self.back(super().hidden(x)))


class TiedRows(Net):
    """They overlap in a few numbers."""

    def prepare(self) -> None:
        memory = torch.randn(120)
        self.a.weight.data, self.a.bias.data = memory[:96].view(16, 6), memory[90:106]


class BufferOfAWeight(Net):
    def prepare(self) -> None:
        self.register_buffer("fixed", self.a.weight.detach())

    def hidden(self, x: Tensor) -> Tensor:
        return (self.a(x) - F.linear(x, self.fixed) / 2).relu()


class ViewInAList(BufferOfAWeight):
    def prepare(self) -> None:
        self.views = [{"row": self.a.weight[0].detach().numpy()}]

    def hidden(self, x: Tensor) -> Tensor:
        return super(BufferOfAWeight, self).hidden(x) + float(self.views[0]["row"].sum())


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (TiedByData, "model: its parameters `a.weight` and `back.weight` share memory"),
        (TiedRows, "model: its parameters `a.weight` and `a.bias` share memory"),
        (BufferOfAWeight, "model: `fixed` shares the memory of its parameter `a.weight`"),
        (ViewInAList, "model: `views[0]['row']` shares the memory of its parameter `a.weight`"),
    ],
)
def test_what_training_would_cut_off_from_a_parameter_is_refused(module: type[Net], said: str) -> None:
    assert problem_of(module).startswith(said)


class TiedByOneParameter(TiedByData):
    def prepare(self) -> None:
        self.c = nn.Linear(6, 16)
        self.c.weight = self.a.weight

    def hidden(self, x: Tensor) -> Tensor:
        return Net.hidden(self, x) + self.c(x)


class OldSpectralNorm(Net):
    """Holds the weight's memory once more until its first forward pass."""

    def prepare(self) -> None:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            nn.utils.spectral_norm(self.a)


class PartsOfATable(Net):
    """Parts of one tensor, some of which do not overlap, and views of a constant one."""

    def prepare(self) -> None:
        memory = torch.randn(16, 7)
        self.a.weight.data, self.a.bias.data = memory[:, :6], memory[:, 6]
        self.register_buffer("table", torch.linspace(0, 1, 16))
        self.register_buffer("part", self.table[:8])

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + self.table + self.part.sum()


class ChangingViews(Net):
    """Of two buffers that share memory one is changed and the other one read."""

    def prepare(self) -> None:
        self.register_buffer("sums", torch.zeros(16))
        self.register_buffer("first", self.sums[:1])

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            self.sums += hidden.detach().mean(0)
        return hidden + self.first


@pytest.mark.parametrize("module", [TiedByOneParameter, OldSpectralNorm, PartsOfATable])
def test_what_shares_no_memory_in_training_trains_as_written(module: type[Net]) -> None:
    assert problem_of(module) == ""
    for run in runs_of(module):
        assert_textbook(curves_of([run]), run, torch.float32, 1e-4)


def test_buffers_that_share_memory_train_as_written_by_the_plain_loop() -> None:
    assert problem_of(ChangingViews) == ""
    runs = runs_of(ChangingViews)
    assert "it changes `sums`, which shares memory with `first`" in obstacle([runs[0], runs[-1]], CPU)
    for run in runs:
        assert_textbook(curves_of([run]), run, torch.float32, 1e-4)


# --- Memory that there is


@functools.lru_cache
def table(size: int) -> Tensor:
    return torch.linspace(0, 1, size)


class CachedTable(Net):
    def prepare(self) -> None:
        self.register_buffer("table", table(16))
        self.a.load_state_dict({"weight": torch.zeros(16, 6), "bias": torch.ones(16)})

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + self.table


@pytest.mark.filterwarnings("error")
def test_a_constructor_makes_real_tensors_alone_which_it_may_keep_for_the_next() -> None:
    assert problem_of(CachedTable) == ""
    assert table(16).device == CPU


class WideLayer(Net):
    def prepare(self) -> None:
        self.wide = nn.Linear(10**6, 10**7)


class WideNoise(Net):
    """Would be written to before it is a parameter."""

    def prepare(self) -> None:
        self.wide = nn.Parameter(torch.randn(10**6, 10**7) / 1000)


class WideLazy(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.wide(x)
        return super().hidden(x)

    def prepare(self) -> None:
        self.wide = nn.LazyLinear(10**13)


@pytest.mark.parametrize("module", [WideLayer, WideNoise, WideLazy])
def test_what_no_memory_holds_is_refused_before_it_is_made(module: type[Net]) -> None:
    assert problem_of(module).startswith("model: needs ") and "GiB of memory" in problem_of(module)


# --- What trains


class AllFrozen(Net):
    def prepare(self) -> None:
        self.requires_grad_(False)


class NoParameters(Net):
    def prepare(self) -> None:
        del self.a, self.b

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x[:, :2])


class Doubles(Net):
    def prepare(self) -> None:
        self.double()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (AllFrozen, "model: does not train: all its parameters are frozen when it is built; leave some as they are"),
        (NoParameters, "model: does not train: it has no parameters when it is built; make them in the constructor"),
        (Doubles, "model: its parameters must be float32, but `a.weight` is float64: call `.float()` in the constructor"),
    ],
)  # fmt: skip
def test_a_module_in_which_nothing_can_train_is_refused_in_one_sentence(module: type[Net], said: str) -> None:
    assert problem_of(module) == f"{said} (got {module.__name__}(dropout=0.3))"
