"""Modules that hold, change and draw more than layers do: every run is the textbook's, in a population or by the plain loop."""

import copy
import itertools
import math
import random
import warnings
from collections.abc import Callable
from fractions import Fraction
from numbers import Real
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.nn.utils.prune
from test_modules import FLAT, runs_at
from test_train import CPU, curves_of, textbook, textbook_model
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from harness.engine.functions.answers import Answers
from harness.engine.functions.transforms import is_per_member
from harness.engine.member_float import MemberFloat
from harness.engine.noise import Noise
from harness.engine.obstacles import Unbatchable
from harness.engine.planning import copy_of
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.execution.trainer import Trainer
from harness.models import Model
from harness.optimizers import Adam
from harness.settings.schedules import Early
from harness.study.trial_run import trial_run


class Net(nn.Module):
    """The plain one; those below change one thing each."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(6, 16), nn.Dropout(dropout), nn.Linear(16, 2)
        self.steps = 0
        self.prepare()

    def prepare(self) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        return self.b(self.drop(self.hidden(x)))

    def hidden(self, x: Tensor) -> Tensor:
        return self.a(x).relu()


class DoublesByAHook(Net):
    def prepare(self) -> None:
        self.a.register_forward_hook(lambda layer, inputs, output: 2 * output)


class ShrinksParameters(Net):
    """Shrink and perturb (Ash & Adams 2020), without noise; which ones is asked in three ways."""

    def prepare(self) -> None:
        self.a.weight.shrinks = True  # type: ignore[assignment]

    def hidden(self, x: Tensor) -> Tensor:
        if self.training and self.steps == 10:
            assert type(self.a.weight) is nn.Parameter
            assert [name for name, _ in self.named_parameters()] == ["a.weight", "a.bias", "b.weight", "b.bias"]
            with torch.no_grad():
                for parameter in self.parameters():
                    if getattr(parameter, "shrinks", False) or isinstance(parameter, nn.Parameter):
                        parameter.mul_(0.5)
        return super().hidden(x)


class FrozenLayer(Net):
    def prepare(self) -> None:
        self.a.requires_grad_(False)


class WeightsByNumPy(Net):
    def prepare(self) -> None:
        self.a.weight.data = torch.from_numpy(np.random.randn(16, 6)).float()


class WeightsByPython(Net):
    def prepare(self) -> None:
        self.a.weight.data = torch.tensor([random.gauss(0, 1) for _ in range(96)]).view(16, 6)


class WeightNorm(Net):
    def prepare(self) -> None:
        nn.utils.parametrizations.weight_norm(self.a)


class OldWeightNorm(Net):
    """A hook makes the layer's weight of two parameters."""

    def prepare(self) -> None:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            nn.utils.weight_norm(self.a)


class Pruned(Net):
    """A hook makes the layer's weight of a parameter and a mask."""

    def prepare(self) -> None:
        nn.utils.prune.random_unstructured(self.a, "weight", amount=0.4)


class ReassignedBuffer(Net):
    def prepare(self) -> None:
        self.register_buffer("mean", torch.zeros(16))

    def hidden(self, x: Tensor) -> Tensor:
        hidden = self.a(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean(0)
        return (hidden - self.mean).relu()


class ReassignedTensor(ReassignedBuffer):
    """A plain attribute."""

    def prepare(self) -> None:
        self.mean = torch.zeros(16)


class BufferInPlace(ReassignedBuffer):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = self.a(x)
        if self.training:
            self.mean.mul_(0.9).add_(hidden.detach().mean(0), alpha=0.1)
        return (hidden - self.mean).relu()


class ComplexBuffer(Net):
    """Rotations, as of LLaMA's embeddings of positions; they turn on in training."""

    def prepare(self) -> None:
        self.register_buffer("turns", torch.polar(torch.ones(8), torch.linspace(0, 3, 8)))

    def hidden(self, x: Tensor) -> Tensor:
        if self.training:
            self.turns = self.turns * self.turns[1]
        turned = torch.view_as_complex(self.a(x).view(len(x), 8, 2)) * self.turns
        return torch.view_as_real(turned).flatten(1).relu()


class SetsP(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.drop.p = 0.2 + 0.02 * self.steps
        return super().hidden(x)


class MonteCarlo(Net):
    """Dropout acts in evaluation as well (Gal & Ghahramani 2016)."""

    def train(self, mode: bool = True) -> "MonteCarlo":
        super().train(mode)
        self.drop.train()
        return self


class KeepsWeightsSmall(Net):
    """In place, each layer's just before it is used."""

    def prepare(self) -> None:
        self.between = nn.Linear(16, 16)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        for layer in (self.between, self.b):
            with torch.no_grad():
                layer.weight.clamp_(-0.2, 0.2)
            hidden = hidden if layer is self.b else layer(hidden)
        return hidden


class AveragesWeights(Net):
    """In a copy, of which the part that begins with zeros seems to stay as it is (Tarvainen & Valpola 2017)."""

    def prepare(self) -> None:
        nn.init.zeros_(self.a.bias)
        self.average = copy.deepcopy(self.a).requires_grad_(False)

    def hidden(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            for own, averaged in zip(self.a.parameters(), self.average.parameters(), strict=True):
                averaged.lerp_(own, 0.1)
        return super().hidden(x) + self.average(x)


class FrozenNorm(Net):
    """Its statistics stay those of the beginning, in training too."""

    def prepare(self) -> None:
        self.norm = nn.BatchNorm1d(16)

    def train(self, mode: bool = True) -> "FrozenNorm":
        super().train(mode)
        self.norm.eval()
        return self

    def hidden(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.norm(super().hidden(x))
        return hidden


class Remembers(Net):
    """Leaves its activations behind, for whoever looks."""

    def hidden(self, x: Tensor) -> Tensor:
        self.last: Tensor = super().hidden(x)
        return self.last


class CarriesAState(Net):
    """From one forward pass to the next."""

    def prepare(self) -> None:
        self.state: Tensor | None = None

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if not self.training:
            return hidden
        before, self.state = self.state, hidden.detach()
        return hidden if before is None else hidden + 0.5 * before


class CarriesABuffer(CarriesAState):
    """That no run has to begin with, and that is written in place."""

    def prepare(self) -> None:
        self.register_buffer("state", None)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = Net.hidden(self, x)
        if not self.training:
            return hidden
        if self.state is None:
            self.state = hidden.detach().clone()
        carried = hidden + 0.5 * self.state
        self.state.copy_(hidden.detach())
        return carried


class EveryOtherStep(Net):
    """A layer takes part in every other step, another never."""

    def prepare(self) -> None:
        self.other, self.spare = nn.Linear(6, 16), nn.Linear(6, 16)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + (self.other(x) if self.steps % 2 else 0)


class AsksAutograd(Net):
    """What it hears is what the plain loop hears, of weights, activations and inputs."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.a.weight.requires_grad and self.a.weight.is_leaf and self.a.weight.grad is None:
            hidden = 2 * hidden
        if hidden.requires_grad is self.training and hidden.is_leaf is not self.training:
            hidden = hidden + 0.5
        if x.grad_fn is None and self.a.weight.grad_fn is None and not x.requires_grad_(False).requires_grad:
            hidden = hidden.cos()
        return hidden


class GeneratorsOfItsOwn(Net):
    """Of the same state in all runs, one of which it draws from as it trains."""

    def prepare(self) -> None:
        self.chance, self.others = np.random.default_rng(3), [random.Random(3), np.random.RandomState(3)]
        self.held = torch.Generator().manual_seed(3)
        self.a.bias.data = torch.rand(16, generator=self.held)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (1 + float(self.chance.random()))


class NormsOfNorms(Net):
    """A linear bottleneck (Sandler et al. 2018): the running mean of what was centred is 0, but for rounding."""

    def prepare(self) -> None:
        self.norms = nn.Sequential(nn.BatchNorm1d(16, affine=False), nn.Linear(16, 16, bias=False), nn.BatchNorm1d(16))

    def hidden(self, x: Tensor) -> Tensor:
        return self.norms(self.a(x)).relu()


BATCHED = (
    DoublesByAHook, ShrinksParameters, FrozenLayer, WeightsByNumPy, WeightsByPython, WeightNorm, OldWeightNorm, Pruned, ReassignedBuffer, ReassignedTensor,
    BufferInPlace, ComplexBuffer, SetsP, MonteCarlo, KeepsWeightsSmall, AveragesWeights, FrozenNorm, Remembers, CarriesAState, CarriesABuffer, EveryOtherStep,
    AsksAutograd, GeneratorsOfItsOwn, NormsOfNorms,
)  # fmt: skip


class HalvesAGradient(Net):
    def prepare(self) -> None:
        self.a.weight.register_hook(lambda gradient: gradient / 2)


class ClampsAGradient(Net):
    """Of a hidden layer (Graves 2013), by a hook with the guard that evaluation needs."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: gradient.clamp(-0.004, 0.004))
        return hidden


class ClampsLayersGradients(Net):
    def prepare(self) -> None:
        self.b.register_full_backward_hook(lambda layer, inputs, outputs: tuple(g.clamp(-0.003, 0.003) for g in inputs))


class ClampsByTheGraph(Net):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if hidden.grad_fn is not None:
            hidden.grad_fn.register_prehook(lambda gradients: tuple(g.clamp(-0.004, 0.004) for g in gradients))
        return hidden


class KeepsAGradient(Net):
    """That of its activations, by which it scales the next ones."""

    def prepare(self) -> None:
        self.kept: Tensor | None = None

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if not hidden.requires_grad:
            return hidden
        before, self.kept = self.kept, hidden
        hidden.retain_grad()
        return hidden if before is None or before.grad is None else hidden / (1 + 100 * before.grad.norm().detach())


class AddsAGradient(Net):
    """That of a loss of its own, in the forward pass."""

    def prepare(self) -> None:
        self.back = nn.Linear(16, 6)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            (self.back(hidden) - x).square().mean().backward(retain_graph=True)
        return hidden


class FreezesALayer(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.a.requires_grad_(self.steps % 2 == 1)
        return super().hidden(x)


class NumPysNoise(Net):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden + torch.from_numpy(np.random.randn(*hidden.shape)).to(x) if self.training else hidden


class PythonsNoise(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (random.random() if self.training else 1)


class NumberOfTheSeed(Net):
    def prepare(self) -> None:
        self.scale = random.random()

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * self.scale


class SizeOfTheSeed(Net):
    def prepare(self) -> None:
        self.units = random.sample(range(16), 5)

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x).index_fill(1, torch.tensor(self.units), 0.0)


class GeneratorOfTheSeed(Net):
    def prepare(self) -> None:
        self.chance = random.Random(random.random())

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (1 + self.chance.random())


class DrawsByItsGenerator(Net):
    def prepare(self) -> None:
        self.held = {"generator": torch.Generator().manual_seed(3)}

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x + torch.randn(x.shape, generator=self.held["generator"]))


class TakesTurns(Net):
    def prepare(self) -> None:
        self.turns = [itertools.cycle((0.5, 1.0))]

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (next(self.turns[0]) if self.training else 1.0)


class NotesTheSeed(Net):
    """On a parameter: which is the largest weight to begin with."""

    def prepare(self) -> None:
        self.a.weight.largest = int(self.a.weight.detach().argmax())  # type: ignore[assignment]


class CountsOnAParameter(Net):
    def prepare(self) -> None:
        self.a.weight.uses = 0  # type: ignore[assignment]

    def hidden(self, x: Tensor) -> Tensor:
        self.a.weight.uses += 1  # type: ignore[operator]
        return super().hidden(x)


class Collects(Net):
    """Its activations, in a list."""

    def prepare(self) -> None:
        self.collected: list[Tensor] = []

    def hidden(self, x: Tensor) -> Tensor:
        self.collected.append(super().hidden(x).detach().mean())
        return super().hidden(x)


class RemembersWhich(Net):
    """A tensor of another shape in every run."""

    def prepare(self) -> None:
        self.active = torch.zeros(0, dtype=torch.int64)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        self.active = hidden.detach().flatten().nonzero()
        return hidden


class ComputesWithP(Net):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) * (1 - self.drop.p)


class Projects(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.a.weight.data = self.a.weight.data.clamp(-0.2, 0.2)
        return super().hidden(x)


class ProjectsInPlace(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.a.weight.data.clamp_(-0.2, 0.2)
        return super().hidden(x)


class Checkpointed(Net):
    def hidden(self, x: Tensor) -> Tensor:
        hidden: Tensor = checkpoint(super().hidden, x, use_reentrant=False)
        return hidden


ALONE = {
    HalvesAGradient: "a hook on the gradient of a parameter, `a.weight`",
    ClampsAGradient: "puts a hook on a gradient",
    ClampsLayersGradients: "a hook on the gradient of a layer, `b`",
    ClampsByTheGraph: "looks into the graph of the backward pass",
    KeepsAGradient: "puts a hook on a gradient",
    AddsAGradient: "takes gradients itself",
    FreezesALayer: "changes what has a gradient",
    NumPysNoise: "draws random numbers itself",
    PythonsNoise: "draws random numbers itself",
    NumberOfTheSeed: "computes with a number that differs between runs",
    SizeOfTheSeed: "`units` is not the same in all runs",
    GeneratorOfTheSeed: "`chance` is not the same in all runs",
    DrawsByItsGenerator: "draws random numbers itself",
    TakesTurns: "`turns` cannot be compared between runs",
    NotesTheSeed: "what is noted on `a.weight` as an attribute is not the same in all runs",
    CountsOnAParameter: "changes what is noted on `a.weight` as an attribute",
    Collects: "`collected` changes from call to call",
    RemembersWhich: "`active` after step 1 is of another kind",
    ComputesWithP: "computes with a number that differs between runs",
    Projects: "",
    ProjectsInPlace: "accessing `data` under vmap",
    Checkpointed: "",
}
"""Modules, and why no population trains them where that is certain."""


def runs_of(module: type[Net]) -> list[Run]:
    """Of two seeds at two levels of p, by Adam with weight decay: what it does to unused parameters shows."""
    runs = runs_at(FLAT, Model(module), (0.3, 0.5))
    return [Run(r.trial, r.seed, r.setup.replace(optimizer=Adam(lr=0.01, weight_decay=0.1))) for r in runs]


def assert_textbook(curve: pd.DataFrame, run: Run, dtype: torch.dtype = torch.float64, rtol: float = 1e-9) -> None:
    losses, norms = textbook(run.setup, run.seed, dtype)
    np.testing.assert_allclose(curve["loss"], losses, rtol=rtol)
    np.testing.assert_allclose(curve["grad_norm"], norms, rtol=rtol)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("module", BATCHED)
def test_run_of_a_population_is_the_textbooks_and_so_it_is_alone(module: type[Net]) -> None:
    runs = runs_of(module)
    assert trial_run(runs[0].setup) == []
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    together = curves_of(runs, dtype=torch.float64)
    for run in runs:
        one_of_them = together.loc[run.trial, run.seed]
        alone = curves_of([run], dtype=torch.float64).loc[run.trial, run.seed]
        assert_textbook(one_of_them, run)
        assert_textbook(alone, run)
        pd.testing.assert_frame_equal(one_of_them, alone, rtol=1e-9)


class DoubleBuffer(Net):
    """A third has other digits in double precision."""

    def prepare(self) -> None:
        self.register_buffer("third", torch.tensor(1 / 3, dtype=torch.float64))

    def hidden(self, x: Tensor) -> Tensor:
        self.precise = (3 * self.third - 1).abs() < 1e-12
        return torch.where(self.precise, 1.0, 2.0) * super().hidden(x)


class HalfBuffer(DoubleBuffer):
    """And fewer in half precision."""

    def prepare(self) -> None:
        self.register_buffer("third", torch.tensor(1 / 3, dtype=torch.float16))

    def hidden(self, x: Tensor) -> Tensor:
        return self.third.float() * Net.hidden(self, x)


@pytest.mark.parametrize("module", [ComplexBuffer, DoubleBuffer, HalfBuffer])
def test_buffers_keep_their_type_in_single_precision(module: type[Net]) -> None:
    runs = runs_of(module)
    together = curves_of(runs)
    for run in runs:
        assert_textbook(together.loc[run.trial, run.seed], run, torch.float32, 1e-4)
        assert_textbook(curves_of([run]), run, torch.float32, 1e-5)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("module", [OldWeightNorm, Pruned, ReassignedBuffer])
def test_runs_that_begin_with_equal_weights_share_a_population(module: type[Net]) -> None:
    """What a forward pass makes anew is each run's own, though it was equal to begin with: of levels at one seed, of a copy."""
    first, *_, last = runs_of(module)
    runs = [first, Run(last.trial, first.seed, last.setup), copy_of(first)]
    curves = curves_of(runs, dtype=torch.float64)
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run)


class InDouble(Net):
    """Its scores are of another precision than its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).double()


class InHalf(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).half()


@pytest.mark.parametrize(("module", "rtol"), [(InDouble, 1e-4), (InHalf, 2e-3)])
def test_scores_may_have_another_precision(module: type[Net], rtol: float) -> None:
    runs = runs_of(module)
    assert trial_run(runs[0].setup) == []
    together = curves_of(runs)
    for run in runs:
        for curves in (together, curves_of([run])):
            assert_textbook(curves.loc[run.trial, run.seed], run, torch.float32, rtol)


@pytest.mark.parametrize("module", ALONE)
def test_run_of_what_no_population_trains_is_the_textbooks(module: type[Net]) -> None:
    runs = runs_of(module)
    assert trial_run(runs[0].setup) == []
    found = obstacle([runs[0], runs[-1]], CPU)
    assert found and ALONE[module] in found
    for run in runs:
        assert_textbook(curves_of([run], dtype=torch.float64), run)


def test_runs_of_equal_p_share_a_population_where_the_module_computes_with_it() -> None:
    runs = runs_of(ComputesWithP)[:2]
    assert obstacle(runs, CPU) == ""
    curves = curves_of(runs, dtype=torch.float64)
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run)


@pytest.mark.parametrize("module", [Net, ReassignedBuffer, Remembers, CarriesAState, CarriesABuffer, EveryOtherStep])
def test_runs_keep_what_is_theirs_when_one_between_them_diverges(module: type[Net]) -> None:
    runs = runs_of(module)
    wild = [
        Run(9, seed, runs[0].setup.with_value("model.dropout", 0.1).with_value("optimizer.lr", 1e300))
        for seed in (3, 4)
    ]
    curves = curves_of(runs[:2] + wild + runs[2:], dtype=torch.float64)
    assert curves.loc[9]["loss"].isna().any()
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run)


class CarriesInAnObject(Net):
    """From one forward pass to the next, where nobody else writes."""

    def prepare(self) -> None:
        self.objects = SimpleNamespace(state=None)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            before, self.objects.state = self.objects.state, hidden.detach()
            hidden = hidden if before is None else hidden + 0.5 * before
        return hidden


def test_what_cannot_be_taken_from_all_runs_for_those_that_stay_ends_the_population() -> None:
    runs = runs_of(CarriesInAnObject)
    wild = Run(9, 4, runs[0].setup.with_value("optimizer.lr", 1e30))
    trained = Trainer(CPU, evaluations=4).train([*runs, wild], lambda steps, diverged: None)
    assert not trained.errors
    assert "it keeps a tensor of all runs, `objects.state`, and some of them end" in trained.notes[0]
    curves = trained.curves.set_index(["trial", "seed", "step"])
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run, torch.float32, rtol=1e-4)


def test_evaluation_is_random_where_dropout_acts_in_it_and_training_stays_as_it_was() -> None:
    noisy, plain = (curves_of(runs_of(module), dtype=torch.float64) for module in (MonteCarlo, Net))
    pd.testing.assert_series_equal(noisy["loss"], plain["loss"])
    assert (noisy["validation_loss"] - plain["validation_loss"]).dropna().abs().min() > 1e-4


class SofterInUse(Net):
    """By an `eval` of its own, which calls `train` as torch's does."""

    temperature = 1.0

    def eval(self) -> "SofterInUse":
        super().eval()
        self.temperature = 4.0
        return self

    def train(self, mode: bool = True) -> "SofterInUse":
        self.temperature = 1.0
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / self.temperature


def test_an_eval_of_its_own_is_called() -> None:
    runs = runs_of(SofterInUse)
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    together = curves_of(runs, dtype=torch.float64)
    for run in runs:
        model, *_ = textbook_model(run.setup, run.seed, torch.float64)
        data = run.data()
        with torch.no_grad():
            output = model.eval()(data.x[data.validation].double())
        loss = float(F.cross_entropy(output, data.y[data.validation]))
        for curves in (together, curves_of([run], dtype=torch.float64)):
            assert curves.loc[run.trial, run.seed]["validation_loss"].iloc[-1] == pytest.approx(loss, rel=1e-9)


def test_dropout_within_a_checkpoint_is_refused_since_it_would_draw_other_noise() -> None:
    class Users(Net):
        def hidden(self, x: Tensor) -> Tensor:
            hidden: Tensor = checkpoint(lambda x: self.drop(self.a(x)), x, use_reentrant=False)
            return hidden

    setup = runs_of(Users)[0].setup
    (problem,) = trial_run(setup)
    assert "dropout is computed a second time in the backward pass (checkpointing)" in problem.message
    assert trial_run(setup.with_value("model.dropout", 0.0)) == []


class ReadsLater(Net):
    """Its tenth step, long after the proof, is its first that reads a value."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden * hidden.detach().mean().item() if self.steps >= 10 else hidden


class ChangesABufferLater(ReassignedBuffer):
    """So late that the buffer seemed to be the same for all."""

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) if self.steps >= 10 else (self.a(x) - self.mean).relu()


class ChangesABufferInPlaceLater(BufferInPlace, ChangesABufferLater):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) if self.steps >= 10 else ChangesABufferLater.hidden(self, x)


class NumPysNoiseLater(NumPysNoise):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) if self.steps >= 10 else Net.hidden(self, x)


class ClampsAGradientLater(ClampsAGradient):
    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) if self.steps >= 10 else Net.hidden(self, x)


class ReadsPLater(Net):
    """Its tenth step is the first that reads the number of the run, past Python's operators."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        return hidden * math.sqrt(self.drop.p) if self.steps >= 10 else hidden


class PrunesLater(Net):
    """Gradual pruning: a weight goes on under another name."""

    def hidden(self, x: Tensor) -> Tensor:
        if self.training and self.steps == 10:
            torch.nn.utils.prune.l1_unstructured(self.a, "weight", amount=0.5)
        return super().hidden(x)


class CatchesLater(Net):
    """An operation that fails for one run at a time, whose module goes on otherwise."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.steps < 10:
            return hidden
        try:
            return hidden * torch.linalg.cholesky(x.mean().view(1, 1))
        except torch.linalg.LinAlgError:
            return hidden / 2


class CatchesInEvaluationLater(Net):
    """What no population can do, which the module takes for a failure of its own."""

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training or self.steps < 10:
            return hidden
        try:
            return hidden if hidden.mean() > 0 else -hidden
        except RuntimeError:
            return hidden / 2


class CatchesThatPDiffersLater(Net):
    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.steps < 10:
            return hidden
        try:
            return hidden * math.sqrt(self.drop.p)
        except Exception:
            return hidden / 2


class RaisesLater(Net):
    """In a population alone, by no word of torch's."""

    def hidden(self, x: Tensor) -> Tensor:
        if self.steps >= 10 and is_per_member(x):
            raise KeyError("no such place")
        return super().hidden(x)


LATER = {
    ReadsLater: "reads values of a tensor",
    ReadsPLater: "computes with a number that differs between runs",
    ChangesABufferLater: "changes `mean`",
    ChangesABufferInPlaceLater: "doesn't match the broadcast shape",
    NumPysNoiseLater: "draws random numbers itself",
    ClampsAGradientLater: "puts a hook on a gradient",
    PrunesLater: "replaces a parameter, `a.weight`",
    CatchesLater: "an operation fails for some run",
    CatchesInEvaluationLater: "an operation fails for some run",
    CatchesThatPDiffersLater: "an operation fails for some run",
    RaisesLater: "no such place",
}
"""Modules that share a population to begin with, and what is said when they no longer can."""


@pytest.mark.parametrize(("module", "said"), LATER.items())
def test_what_stops_being_a_population_in_mid_training_trains_by_the_plain_loop(module: type[Net], said: str) -> None:
    runs = runs_of(module)
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    trained = Trainer(CPU, evaluations=2).train(runs, lambda steps, diverged: None)
    assert not trained.errors
    assert len(trained.notes) == 1 and said in trained.notes[0]
    assert sorted(trained.parts) == [((run.trial, run.seed),) for run in runs]
    curves = trained.curves.set_index(["trial", "seed", "step"])
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run, torch.float32, rtol=1e-4)


class TestMemberFloat:
    LEVELS = MemberFloat([0.2, 0.5])

    @pytest.mark.parametrize(
        "compute",
        [
            lambda p: 1 - p, lambda p: p * 2, lambda p: 2 / p, lambda p: p**2, lambda p: -p, lambda p: abs(p), lambda p: round(p, 1),
            int, float, lambda p: p // 1, lambda p: divmod(p, 1), lambda p: p % 1, complex, lambda p: p.is_integer(),
        ],
    )  # fmt: skip
    def test_it_is_no_number_to_compute_with(self, compute: Callable[[float], object]) -> None:
        with pytest.raises(Unbatchable, match="differs between runs"):
            compute(self.LEVELS)

    @pytest.mark.parametrize(
        "read",
        [
            math.sqrt, lambda p: math.isclose(p, 0.5), math.floor, np.sqrt, lambda p: np.ones(3) * p, np.asarray,
            lambda p: np.float64(2) * p, str, repr, lambda p: f"{p:.1f}", lambda p: {0.2: 1}.get(p), hash,
            lambda p: p in {0.2, 0.5}, Fraction, torch.tensor,
        ],
    )  # fmt: skip
    def test_nothing_reads_past_its_operators(self, read: Callable[[float], object]) -> None:
        with pytest.raises(Unbatchable, match="differs between runs"):
            read(self.LEVELS)

    def test_it_is_taken_for_the_float_that_a_member_has(self) -> None:
        assert isinstance(self.LEVELS, float) and isinstance(self.LEVELS, Real) and not isinstance(self.LEVELS, int)

    @pytest.mark.parametrize(
        ("compare", "says"),
        [
            (lambda p: p > 0, True), (lambda p: p >= 0.2, True), (lambda p: p < 0, False), (lambda p: p <= 0.5, True),
            (lambda p: 0 < p < 1, True), (lambda p: p == 0.3, False), (lambda p: p != 0.3, True), (bool, True),
        ],
    )  # fmt: skip
    def test_a_comparison_says_what_it_says_of_every_member(self, compare: Callable[[float], bool], says: bool) -> None:
        assert compare(self.LEVELS) is says

    @pytest.mark.parametrize("compare", [lambda p: p > 0.3, lambda p: p <= 0.2, lambda p: p == 0.5, lambda p: p != 0.2])
    def test_a_comparison_in_which_members_differ_is_refused(self, compare: Callable[[float], bool]) -> None:
        with pytest.raises(Unbatchable, match="decides by it"):
            compare(self.LEVELS)

    @pytest.mark.parametrize(
        "compute",
        [
            lambda x, p: x + p, lambda x, p: F.leaky_relu(x, negative_slope=p), lambda x, p: x.new_tensor([p, p]),
            lambda x, p: torch.full((3,), p),
        ],
    )  # fmt: skip
    def test_torch_does_not_take_the_first_members_number_for_all(
        self, compute: Callable[[Tensor, float], Tensor]
    ) -> None:
        noise = Noise({0: slice(0, 2)}, steps=1, device=CPU, dtype=torch.float64)
        with Answers(noise, batched=True), pytest.raises(Unbatchable):
            torch.func.vmap(lambda x: compute(x, self.LEVELS))(torch.ones(2, 3))

    def test_schedules_are_compared_by_their_probabilities(self) -> None:
        levels = MemberFloat([0.2, Early(0.5, until=3)])
        assert not levels > 1 and not levels < 0
        with pytest.raises(Unbatchable):
            _ = levels < 0.1
