"""Measuring changes nothing, in a population or by the plain loop: not what trains, and not what is measured next."""

import itertools
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, uniform
from torch import Tensor
from torch.nn.utils import prune

from harness import Diagnostics, Study
from harness.engine.history import LoggingSteps
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.training import Training
from harness.models import Model
from harness.optimizers import SGD
from harness.settings.metrics import DETAIL
from harness.settings.randomness import stream, stream_seed
from harness.tasks import Tensors

X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
POINTS = Tensors(X, (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long(), label_noise=0.2, resample="bootstrap")


class Normed(nn.Module):
    """Batch norm and dropout, also in evaluation: what it returns depends on everything that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.out = nn.Linear(5, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.dropout(self.norm(self.first(x)).relu(), 0.2))


class Slotted:
    """A counter without a dictionary of attributes."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Hidden(Normed):
    """An average of the net answers in evaluation, and every call moves it on; in a list, so that it is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.average = [nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.Sequential(nn.Linear(12, 3)))]
        self.legacy, self.counter = np.random.RandomState(0), Slotted()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        average = self.average[0]
        self.counter.count += 1
        with torch.no_grad():
            for mine, other in zip(average[0].parameters(), self.first.parameters(), strict=True):
                mine.lerp_(other, 0.3)
        noise = 1e-2 * self.legacy.random_sample() + 1e-3 * self.counter.count
        return (super().forward(x) if self.training else average(x)) * (1 + noise)


class Restless(Normed):
    """Every call, in evaluation too, counts itself, draws numbers of all kinds and changes weights, buffers and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.history, self.seen, self.tables = 0, [], {"sum": 0.0}, np.zeros(3)
        self.trace, self.pair = torch.zeros(12), (torch.zeros(1),)
        self.own, self.numpys, self.pythons = torch.Generator(), np.random.default_rng(0), random.Random(0)
        self.register_buffer("mean", torch.zeros(5))
        self.norm.register_forward_hook(lambda layer, given, found: self.history.append(float(found.detach().mean())))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen["sum"] += float(x.sum())
        self.tables += self.calls
        self.trace = self.trace + self.calls
        self.mean.lerp_(x.mean(0), 0.1)
        self.pair[0].add_(1)
        self.first.weight.data.clamp_(-0.5 - 1 / self.calls, 0.5 + 1 / self.calls)
        drawn = torch.rand(1), torch.rand(1, generator=self.own), np.random.random(), self.numpys.random()
        noise = sum(map(float, drawn)) + self.pythons.random() + random.random()
        return (
            super().forward(x) * (1 + 0.01 * noise)
            + 1e-3 * (self.calls + self.pair[0])
            + self.trace[0] * 1e-6
            + len(self.history) * 1e-3
        )


def runs_of(module: type[nn.Module], seeds: list[int], level: str = "full") -> list[Run]:
    setup = Setup(
        task=POINTS, model=Model(module), optimizer=SGD(0.2), batch_size=16, steps=12, metrics=Diagnostics(level)
    )
    return [Run(0, seed, setup) for seed in seeds]


def everything(training: Training) -> dict[str, Any]:
    """All that is known of members, as copies."""
    members = training.population
    module = members.template
    plain = {k: repr(v) for k, v in vars(module).items() if k in ("calls", "history", "seen", "tables", "pair")}
    generators = [g.get_state().tolist() for g in members.generators()]
    own = [repr(vars(module)[k].bit_generator.state) for k in ("numpys",) if k in vars(module)]
    own += [vars(module)[k].get_state().tolist() for k in ("own",) if k in vars(module)]
    tensors = {"parameters": members.parameters} | members.others()
    globals_ = torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()
    modes = [layer.training for layer in module.modules()], members.mode
    copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return {
        "tensors": copies,
        "places": {n: t.data_ptr() for n, t in tensors.items()},
        "rest": (plain, generators, own, globals_, modes),
    }


@pytest.mark.parametrize(("module", "seeds"), [(Normed, [0, 1, 2]), (Normed, [0]), (Restless, [0])])
def test_members_are_bitwise_as_before(module: type[nn.Module], seeds: list[int]) -> None:
    training = Training(runs_of(module, seeds), LoggingSteps(12, 2), device=CPU, dtype=torch.float32, capture=False)
    for batch in training.draw_batches(5):
        training.step(batch)
    before = everything(training)
    assert float(before["tensors"]["norm.num_batches_tracked"].float().mean()) == 5
    training.evaluate(6)
    training.final_metrics()
    after = everything(training)
    assert after["rest"] == before["rest"]
    assert after["places"] == before["places"]
    for name, tensor in before["tensors"].items():
        assert torch.equal(after["tensors"][name], tensor), name


@pytest.mark.parametrize(("module", "seeds"), [(Normed, [0, 1, 2]), (Normed, [0]), (Restless, [0]), (Hidden, [0])])
def test_what_is_measured_depends_neither_on_the_level_nor_on_how_often(
    module: type[nn.Module], seeds: list[int]
) -> None:
    light = train(runs_of(module, seeds, "light"), evaluations=2, device=CPU)
    for level in DETAIL[1:]:
        runs, curves = train(runs_of(module, seeds, level), evaluations=2, device=CPU)
        pd.testing.assert_frame_equal(runs[light[0].columns], light[0], check_exact=True)
        pd.testing.assert_frame_equal(curves, light[1], check_exact=True)
    assert light[0][["best_step", "best_test_loss"]].notna().all(axis=None)
    often = train(runs_of(module, seeds, "light"), evaluations=6, device=CPU)
    ends = [name for name in light[0] if not name.startswith("best_")]
    pd.testing.assert_frame_equal(often[0][ends], light[0][ends], check_exact=True)
    steps = ["trial", "seed", "step", "loss", "grad_norm", "update_ratio"]
    pd.testing.assert_frame_equal(often[1][steps], light[1][steps], check_exact=True)


class PrunedLate(nn.Module):
    """Gradual pruning, too much of it: a hook of torch's makes the weight from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out, self.steps = nn.Linear(5, 12), nn.Linear(12, 3), 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 9 and self.training:
            prune.l1_unstructured(self.first, "weight", amount=0.99)
        return self.out(self.first(x).relu())


@pytest.mark.parametrize("module", [Hidden, PrunedLate])
def test_the_best_step_is_that_of_a_hidden_average_and_of_a_layer_before_it_is_pruned(module: type[nn.Module]) -> None:
    """What is measured of the best step is what a run that ends there has."""
    (run,) = runs_of(module, [1], "light")
    whole, _ = train([run], evaluations=12, device=CPU)
    best = int(whole["best_step"].iloc[0])
    assert 0 < best < 12
    there, _ = train([Run(0, 1, run.setup.replace(steps=best))], evaluations=best, device=CPU)
    for name in ("train_loss", "test_loss", "test_error"):
        assert whole[f"best_{name}"].iloc[0] == there[name].iloc[0]


class Counted(Normed):
    """An iterator cannot be turned back."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = itertools.count(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * min(1.0, next(self.calls) / 60)


def test_what_measuring_changes_for_good_is_said() -> None:
    notes = Study(name="x", task=POINTS, model=Model(Counted), batch_size=16, steps=2).notes
    assert any("`calls` is an iterator, which only goes on" in note for note in notes)
    assert not any(
        "iterator" in note for note in Study(name="x", task=POINTS, model=Model(Hidden), batch_size=16, steps=2).notes
    )


class NoDropout(Normed):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.first(x)).relu())


@pytest.mark.parametrize("seeds", [[0, 1], [0]])
def test_calibration_is_that_of_the_statistics_that_training_left(seeds: list[int]) -> None:
    """The probe for noise, which comes before it, passes batches through batch norm in training mode."""
    training = Training(runs_of(NoDropout, seeds), LoggingSteps(12, 1), device=CPU, dtype=torch.float64, capture=False)
    for step, batch in enumerate(training.draw_batches(12), start=1):
        training.log(step, training.step(batch), None)
    training.evaluate(12)
    members, module, data = training.population, NoDropout().double().eval(), POINTS.data(0)
    weights = {**members.views(members.parameters), **members.others()}
    module.load_state_dict({name: tensor[0].clone() for name, tensor in weights.items()})
    p = module(data.x[data.test].double()).softmax(-1).detach()
    brier = float((p - F.one_hot(data.y[data.test], 3)).square().sum(1).mean())
    assert training.final_metrics()["brier"][0] == pytest.approx(brier, rel=1e-9)


class Noisy(nn.Module):
    """Dropout in training by a layer, and always by a function."""

    def __init__(self, always: float = 0.0) -> None:
        super().__init__()
        self.first, self.drop, self.out, self.always = nn.Linear(5, 8), nn.Dropout(0.4), nn.Linear(8, 3), always

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.dropout(self.drop(self.first(x)), self.always))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("always", [0.0, 0.3])
def test_noise_is_the_largest_change_of_an_output_between_two_draws_by_hand(always: float, accumulate: int) -> None:
    """On the first of the next batches, with the draws that come after those of training; in evaluation the layer does nothing."""
    setup = Setup(task=POINTS, model=Model(Noisy, always=always), optimizer=SGD(1e-300), batch_size=16, accumulate=accumulate, steps=1)  # fmt: skip
    found = train([Run(0, seed, setup) for seed in (3, 4)], evaluations=1, device=CPU, dtype=torch.float64)[0].loc[1]
    torch.manual_seed(stream_seed(4, "init"))
    module, data = Noisy().double(), POINTS.data(4)
    order = data.train[torch.randperm(len(data.train), generator=stream(4, "order"))]
    hidden = module.first(data.x[order[16 * accumulate :][:16]].double())

    def change(purpose: str, skipped: int, ps: list[float]) -> float:
        streams = [stream(4, f"{purpose} 16x8 {call}") for call in range(len(ps))]
        drawn = [[uniform(hidden.shape, own) for own in streams] for _ in range(skipped + 2)]
        masks = [[(u >= p).double() / (1 - p) for u, p in zip(each, ps, strict=True)] for each in drawn[skipped:]]
        first, second = (module.out(hidden * torch.stack(each).prod(0)) for each in masks)
        return (first - second).abs().max().item()

    assert found["train_noise"] == pytest.approx(change("dropout", accumulate, [0.4, always]), rel=1e-9)
    if always:  # the layer, which does nothing in evaluation, makes no call
        assert found["eval_noise"] == pytest.approx(change("evaluation dropout", 0, [always]), rel=1e-9)
    else:
        assert found["eval_noise"] == 0
