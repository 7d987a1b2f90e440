"""A number or a state that acts in a forward pass is seen, and put back, wherever it is held."""

import functools
import math
import types
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, textbook_model
from torch import Tensor

from harness import Study, Sweep
from harness.clipping import GlobalNorm
from harness.engine.attributes import same
from harness.engine.choice import way
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import Model
from harness.optimizers import SGD
from harness.tasks import Tensors

X = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
POINTS = Tensors(X, (X[:, 0] * X[:, 1] > 0).long(), validation_size=40, test_size=60)
FILE: dict[str, float] = {}


class Late(nn.Module):
    """From step `start` on its hidden layer is three times as large: nothing of that is seen in the first steps."""

    def __init__(self, inputs: int, outputs: int, start: float = 1.0) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(inputs, 6), nn.Linear(6, outputs)
        self.register_buffer("steps", torch.zeros(()))
        self.hold(start)

    def hold(self, start: float) -> None:
        raise NotImplementedError

    def start(self) -> float:
        return math.inf

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        hidden = torch.tanh(self.first(x)) * torch.where(self.steps >= self.start(), 3.0, 1.0)
        found: Tensor = self.out(hidden)
        return found


class InADefault(Late):
    def hold(self, start: float) -> None:
        self.start = lambda start=start: start


class InAKeyword(Late):
    def hold(self, start: float) -> None:
        def held(*, start: float = start) -> float:
            return start

        self.start = held


class InAClosure(Late):
    def hold(self, start: float) -> None:
        self.start = lambda: start


class InACache(Late):
    def hold(self, start: float) -> None:
        self.start = functools.lru_cache(lambda: start)


class Helper:
    def __init__(self, start: float) -> None:
        self.value = start

    def start(self) -> float:
        return self.value

    def __call__(self, layer: nn.Module, given: Any, found: Tensor) -> Tensor:
        return found * torch.where(layer.steps >= self.value, 3.0, 1.0)


class InWhatAMethodIsBoundTo(Late):
    def hold(self, start: float) -> None:
        self.start = Helper(start).start


class InAMethodOfItsOwn(Late):
    def hold(self, start: float) -> None:
        self.start = types.MethodType(lambda self, start=start: start, self)


class Listed(list[float]):
    start: float


class Keyed(dict[str, float]):
    start: float


class Text(str):
    start: float


class InAListsAttribute(Late):
    kind: type = Listed

    def hold(self, start: float) -> None:
        self.own = self.kind()
        self.own.start = start

    def start(self) -> float:
        return float(self.own.start)


class InADictionarysAttribute(InAListsAttribute):
    kind = Keyed


class InATextsAttribute(InAListsAttribute):
    kind = Text


class Slotted:
    __slots__ = ("__dict__", "__start", "start")


class WithSlots(Slotted):
    """A class without slots, which has those of the other one."""


class InASlot(InAListsAttribute):
    kind = WithSlots


class Private(Slotted):
    def put(self, start: float) -> None:
        self._Slotted__start = start


class InAPrivateSlot(Late):
    def hold(self, start: float) -> None:
        self.own = Private()
        self.own.put(start)

    def start(self) -> float:
        return float(self.own._Slotted__start)


@dataclass
class Incomparable:
    start: float = field(compare=False)


class InWhatIsNotCompared(Late):
    def hold(self, start: float) -> None:
        self.own = [Incomparable(start)]

    def start(self) -> float:
        return self.own[0].start


class FarInside(Late):
    def hold(self, start: float) -> None:
        self.own: Any = start
        for _ in range(12):
            self.own = deque([self.own])

    def start(self) -> float:
        own = self.own
        while isinstance(own, deque):
            own = own[0]
        return float(own)


class InAClassOfItsOwn(Late):
    def hold(self, start: float) -> None:
        self.__class__ = type("Own", (type(self),), {"value": start, "start": lambda self: self.value})


class InAHook(Late):
    def hold(self, start: float) -> None:
        self.first.register_forward_hook(lambda layer, given, found: found * torch.where(self.steps >= start, 3.0, 1.0))


class InAHooksObject(Late):
    def hold(self, start: float) -> None:
        self.register_forward_hook(Helper(start))


class InAHookBefore(Late):
    def hold(self, start: float) -> None:
        self.out.register_forward_pre_hook(
            lambda layer, given, start=start: (given[0] * torch.where(self.steps >= start, 3.0, 1.0),)
        )


class InTheClass(Late):
    value = 0.0

    def hold(self, start: float) -> None:
        type(self).value = start

    def start(self) -> float:
        return type(self).value


class InTheFile(Late):
    def hold(self, start: float) -> None:
        FILE["start"] = start

    def start(self) -> float:
        return FILE["start"]


PLACES = [
    InADefault, InAKeyword, InAClosure, InACache, InWhatAMethodIsBoundTo, InAMethodOfItsOwn, InAListsAttribute,
    InADictionarysAttribute, InATextsAttribute, InASlot, InAPrivateSlot, InWhatIsNotCompared, FarInside, InAClassOfItsOwn, InAHook,
    InAHooksObject, InAHookBefore, InTheClass, InTheFile,
]  # fmt: skip


def by_hand(setup: Setup, seed: int) -> tuple[list[float], float]:
    """By the textbook loop: training losses, and the loss on the test examples, in double precision."""
    net, losses, _ = textbook_model(setup, seed, torch.float64)
    data = setup.task.data(seed)
    with torch.no_grad():
        return losses, float(F.cross_entropy(net.eval()(data.x[data.test].double()), data.y[data.test]))


def setup_of(module: type[nn.Module], steps: int) -> Setup:
    return Setup(
        task=POINTS, model=Model(module), optimizer=SGD(0.5), clipping=GlobalNorm(1.0), batch_size=16, steps=steps
    )


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_level_that_acts_late_is_each_runs_own_wherever_the_module_holds_it(place: type[Late]) -> None:
    levels = (5.0, 9.0)
    study = Study(
        name="x", task=POINTS, model=Model(place, start=Sweep(*levels)), optimizer=SGD(0.5), clipping=GlobalNorm(1.0),
        batch_size=16, steps=14, seeds=2,
    )  # fmt: skip
    runs = [Run(i, seed, study.setup(cell), dict(cell)) for i, cell in enumerate(study.cells()) for seed in range(2)]
    how = way(runs, CPU, memory_bytes=2**30)
    populations = [[run] for run in runs] if how.width == 1 else [sorted(runs, key=lambda run: run.seed)]
    if how.apart:
        populations = [[run for run in runs if run.trial == trial] for trial in range(2)]
    for population in populations:
        _, curves = train(population, evaluations=2, device=CPU, dtype=torch.float64)
        for run in population:
            own = curves[(curves["trial"] == run.trial) & (curves["seed"] == run.seed)]
            np.testing.assert_allclose(own["loss"], by_hand(run.setup, run.seed)[0], rtol=1e-9)


def test_what_is_the_same_is_still_known_as_that() -> None:
    """Else populations would fall apart that need not."""
    for place in (*PLACES, Late):
        if place in (Late, InTheClass, InTheFile):
            continue
        one, other = (Model(place, start=5.0).build({"inputs": 5, "outputs": 2}, 1) for _ in range(2))
        layers = {id(part): name for module in (one, other) for name, part in module.named_modules()}
        assert same(vars(one).get("own"), vars(other).get("own"), layers), place
        assert same(vars(one).get("start"), vars(other).get("start"), layers), place


def test_each_of_several_generators_is_compared_by_its_own_state() -> None:
    """What stands for a state is gone once it is compared, and the next one may be in its place."""
    for place in range(20):
        one, other = ([np.random.default_rng(seed) for seed in range(20)] for _ in range(2))
        assert same(one, other, {})
        other[place].random()
        assert not same(one, other, {})


def test_a_weak_reference_to_what_is_gone_tells_no_two_modules_apart() -> None:
    layer, other = nn.Linear(1, 1), nn.Linear(1, 1)
    one, gone = weakref.ref(layer), weakref.ref(other)
    assert not same(one, gone, {})
    del other
    assert same(one, gone, {})


class Counting(nn.Module):
    """The gain of the hidden layer grows at every step of training."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(inputs, 6), nn.Linear(6, outputs)
        self.hold()

    def hold(self) -> None:
        raise NotImplementedError

    def gain(self, training: bool) -> float:
        return 1.0

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(torch.tanh(self.first(x)) * self.gain(self.training))
        return found


class ClosesOver(Counting):
    def hold(self) -> None:
        seen = 0

        def gain(training: bool) -> float:
            nonlocal seen
            seen += training
            return 1 + seen / 10

        self.gain = gain


class IsDecorated(ClosesOver):
    def hold(self) -> None:
        super().hold()
        self.gain = torch.no_grad()(self.gain)


class HasADefault(Counting):
    def hold(self) -> None:
        def gain(training: bool, seen: list[int] = [0]) -> float:  # noqa: B006
            seen[0] += training
            return 1 + seen[0] / 10

        self.gain = types.FunctionType(gain.__code__, globals(), "gain", ([0],))


class Counter:
    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def gain(self, training: bool) -> float:
        self.seen += training
        return 1 + self.seen / 10


class IsBound(Counting):
    def hold(self) -> None:
        self.gain = Counter().gain


class IsPartial(Counting):
    def hold(self) -> None:
        self.gain = functools.partial(Counter.gain, Counter())


class HooksCount(Counting):
    def hold(self) -> None:
        counter = Counter()
        self.first.register_forward_hook(lambda layer, given, found: found * counter.gain(layer.training))


class Sum(list[int]):
    seen = 0


class AListCounts(Counting):
    def hold(self) -> None:
        self.own = Sum()

    def gain(self, training: bool) -> float:
        self.own.seen += training
        return 1 + self.own.seen / 10


KEPT = [ClosesOver, IsDecorated, HasADefault, IsBound, IsPartial, HooksCount, AListCounts]


@pytest.mark.parametrize("module", KEPT)
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_what_is_measured_is_of_the_state_that_training_left_wherever_it_is_held(
    module: type[Counting], seeds: list[int]
) -> None:
    setup = setup_of(module, 20)
    runs, _ = train([Run(0, seed, setup) for seed in seeds], evaluations=5, device=CPU, dtype=torch.float64)
    for seed in seeds:
        found = runs.set_index("seed").loc[seed]
        assert found["test_loss"] == pytest.approx(by_hand(setup, seed)[1], rel=1e-9)
        best = by_hand(setup.replace(steps=int(found["best_step"])), seed)[1]
        assert found["best_test_loss"] == pytest.approx(best, rel=1e-9)


class Forgetful(Counting):
    """An iterator, which no measuring could turn back, in a function."""

    def hold(self) -> None:
        ticks = iter(range(10**6))
        self.gain = lambda training: 1 + (next(ticks) if training else 0) / 10


def test_iterators_are_said_wherever_they_are() -> None:
    notes = Study(name="x", task=POINTS, model=Model(Forgetful), batch_size=16, steps=2).notes
    assert any("`gain`" in note and "only goes on" in note for note in notes)
