"""Clipping rules: by hand, against their oracles, by their properties, and in training.

Tests over `RULES` take every exported rule; a new one needs its oracle in `plain_clipping.py`.
"""

import itertools
import math
from math import inf
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_clipping import parameters_with_gradients, plain
from test_train import curves_of, textbook
from ways import width

from harness import Claim, Study, Sweep, clipping
from harness.clipping import (
    AGC,
    AutoClip,
    ClippingRule,
    GlobalNorm,
    Gradient,
    NoClipping,
    Normalized,
    PerTensorNorm,
    SkipNonfinite,
    Value,
    ZClip,
    order_statistics,
)
from harness.clipping.rule import shrinkage
from harness.engine import clip, step
from harness.engine.choice import way
from harness.engine.feed import Feed
from harness.engine.misfit import Misfit
from harness.engine.parameter_layout import ALIGNMENT
from harness.engine.plain_member import PlainMember
from harness.engine.planning import plan, population_key
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.scheduled import Clock, settings_of
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.engine.train import train
from harness.models import DropoutNet, Model
from harness.optimizers import SGD, Adam, AdamW
from harness.settings import InvalidStudy
from harness.settings.levels import label
from harness.settings.schedules import Late, Linear
from harness.tasks import Images, Tensors

CPU = torch.device("cpu")
RULES = [
    rule
    for name in clipping.__all__
    if issubclass(rule := getattr(clipping, name), ClippingRule) and rule is not ClippingRule
]
SETTINGS: dict[type[ClippingRule], list[ClippingRule]] = {
    GlobalNorm: [GlobalNorm(0.5), GlobalNorm(3.0), GlobalNorm(inf)],
    PerTensorNorm: [PerTensorNorm(0.3), PerTensorNorm(1.0), PerTensorNorm(inf)],
    Value: [Value(0.1), Value(0.7), Value(inf)],
    Normalized: [Normalized(0.2), Normalized(1.0), Normalized(7.0)],
    AGC: [AGC(0.01), AGC(0.3), AGC(inf)],
    AutoClip: [AutoClip(10.0), AutoClip(50.0), AutoClip(100.0)],
    ZClip: [ZClip(z=1.0, alpha=0.8, warmup=3), ZClip(z=2.5, warmup=5), ZClip(z=inf, warmup=2)],
}
"""Three members of a rule, the last one clipped least."""

SCHEDULED: dict[type[ClippingRule], list[ClippingRule]] = {
    GlobalNorm: [GlobalNorm(Linear(0.1, 2.0))],
    Value: [Value(Linear(0.01, 0.5))],
}

SHAPES = {
    "first.weight": (3, 5), "first.bias": (3,), "conv.kernel": (2, 3, 2, 2), "norm.gain": (), "last.weight": (2, 3),
    "last.bias": (2,),
}  # fmt: skip

SEEDS, SCALES = st.integers(0, 2**32 - 1), st.floats(-6, 6).map(lambda power: 10**power)
some = settings(max_examples=15, deadline=None)
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def members_of(rule: type[ClippingRule]) -> list[ClippingRule]:
    return SETTINGS.get(rule, [rule()] * 3)


class Normed(nn.Module):
    """One layer, whose weight torch computes from two parameters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.utils.parametrizations.weight_norm(nn.Linear(inputs, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(x.flatten(1))
        return found


class Members:
    """Members with the parameters of SHAPES, as the engine lays them out, whose gradients a rule clips step by step."""

    def __init__(self, rules: list[ClippingRule], weights: dict[str, torch.Tensor], steps: int = 20) -> None:
        self.rules, self.weights, (some, *_) = rules, weights, weights.values()
        starts = np.cumsum([0] + [-(-w[0].numel() // ALIGNMENT) * ALIGNMENT for w in weights.values()])
        self.starts, self.width = dict(zip(weights, starts.tolist(), strict=False)), int(starts[-1])
        self.settings = {
            name: c.now().to(some.dtype) for name, c in settings_of(rules, Clock(1, len(rules), CPU)).items()
        }
        self.state = rules[0].initial_state(some.new_zeros(len(rules), 1), steps)

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: flat[:, a : a + w[0].numel()].view_as(w) for (name, w), a in zip(self.weights.items(), self.starts.values(), strict=True)}  # fmt: skip

    def flat(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        flat = next(iter(tensors.values())).new_zeros(len(self.rules), self.width)
        for name, view in self.views(flat).items():
            view.copy_(tensors[name])
        return flat

    def clip(self, tensors: dict[str, torch.Tensor]) -> SimpleNamespace:
        flat = self.flat(tensors)
        norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        gradient = Gradient(flat, norm, self.flat(self.weights), self.views, only_scaled=True)
        acted = self.rules[0].clip(gradient, *self.state, **self.settings)
        length = torch.linalg.vector_norm(flat, dim=1)
        torch.testing.assert_close(gradient.clipped_norm()[:, 0], length, equal_nan=True)
        return SimpleNamespace(flat=flat, tensors=self.views(flat), acted=acted[:, 0].tolist(), before=norm[:, 0], norm=length)  # fmt: skip


def draw(seed: int, members: int, steps: int, scale: float = 1.0) -> tuple[dict[str, torch.Tensor], list[dict[str, torch.Tensor]]]:  # fmt: skip
    """Weights, with zeros among them, and heavy-tailed gradients of several steps, float64."""
    random = torch.Generator().manual_seed(seed)

    def tensors(factor: torch.Tensor) -> dict[str, torch.Tensor]:
        drawn = {
            name: torch.randn(members, *shape, generator=random, dtype=torch.float64) for name, shape in SHAPES.items()
        }
        return {name: tensor * factor.view(-1, *[1] * (tensor.dim() - 1)) for name, tensor in drawn.items()}

    weights = tensors(torch.ones(members, dtype=torch.float64))
    weights["first.bias"].zero_()
    spread = torch.randn(steps, members, generator=random, dtype=torch.float64).exp()
    return weights, [tensors(scale * factor) for factor in spread]


def one(
    tensors: dict[str, list[object]], rule: ClippingRule, weights: dict[str, list[object]] | None = None
) -> Members:
    named = {name: torch.tensor([value], dtype=torch.float64) for name, value in (weights or tensors).items()}
    return Members([rule], named)


def as_tensors(tensors: dict[str, list[object]]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in tensors.items()}


BY_HAND = {
    "none": (NoClipping(), {"a.w": [3.0, 4.0]}, {"a.w": [3.0, 4.0]}, False),
    "global norm": (GlobalNorm(1.0), {"a.w": [3.0], "b.w": [4.0]}, {"a.w": [0.6], "b.w": [0.8]}, True),
    "global norm, short": (GlobalNorm(6.0), {"a.w": [3.0], "b.w": [4.0]}, {"a.w": [3.0], "b.w": [4.0]}, False),
    "global norm, at the bound": (GlobalNorm(5.0), {"a.w": [3.0], "b.w": [4.0]}, {"a.w": [3.0], "b.w": [4.0]}, False),
    "per tensor, at the bound": (
        PerTensorNorm(5.0),
        {"a.w": [3.0, 4.0], "b.w": [5.0]},
        {"a.w": [3.0, 4.0], "b.w": [5.0]},
        0.0,
    ),
    "value, at the bound": (Value(1.0), {"a.w": [1.0, -1.0], "b.w": [0.5]}, {"a.w": [1.0, -1.0], "b.w": [0.5]}, 0.0),
    "agc, at the bound": (AGC(1.0), {"a.w": [3.0, 4.0], "b.w": [9.0]}, {"a.w": [3.0, 4.0], "b.w": [9.0]}, 0.0),
    "agc, one layer, which is the last": (AGC(0.1), {"a.w": [3.0, 4.0]}, {"a.w": [3.0, 4.0]}, 0.0),
    "agc, one unit": (AGC(0.1), {"a.w": [3.0, 4.0], "b.w": [9.0]}, {"a.w": [0.3, 0.4], "b.w": [9.0]}, 1.0),
    "agc, a parametrized last layer": (
        AGC(0.1),
        {"a.w": [3.0, 4.0], "b.bias": [9.0], "b.parametrizations.weight.original0": [7.0]},
        {"a.w": [0.3, 0.4], "b.bias": [9.0], "b.parametrizations.weight.original0": [7.0]},
        1.0,
    ),
    "agc, a parametrized layer": (
        AGC(0.1),
        {"a.parametrizations.w.original": [3.0, 4.0], "bias": [9.0], "parametrizations.w.original": [7.0]},
        {"a.parametrizations.w.original": [0.3, 0.4], "bias": [9.0], "parametrizations.w.original": [7.0]},
        1.0,
    ),
    "per tensor": (PerTensorNorm(1.0), {"a.w": [3.0, 4.0], "b.w": [0.5]}, {"a.w": [0.6, 0.8], "b.w": [0.5]}, 0.5),
    "value": (Value(1.0), {"a.w": [3.0, -0.5], "b.w": [-2.0]}, {"a.w": [1.0, -0.5], "b.w": [-1.0]}, 2 / 3),
    "normalized, long": (Normalized(2.0), {"a.w": [3.0, 4.0]}, {"a.w": [1.2, 1.6]}, True),
    "normalized, short": (Normalized(2.0), {"a.w": [0.3, 0.4]}, {"a.w": [1.2, 1.6]}, True),
    "normalized, tiny": (Normalized(2.0), {"a.w": [3e-13, 4e-13]}, {"a.w": [0.6, 0.8]}, True),  # as if of norm 1e-12
    "global norm, tiny": (GlobalNorm(5e-7), {"a.w": [1e-6]}, {"a.w": [2.5e-7]}, True),  # 5e-7 / (1e-6 + 1e-6)
    "normalized, zero": (Normalized(2.0), {"a.w": [0.0, 0.0]}, {"a.w": [0.0, 0.0]}, False),
    "finite": (SkipNonfinite(), {"a.w": [3.0, 1e200]}, {"a.w": [3.0, 1e200]}, False),
    "infinite": (SkipNonfinite(), {"a.w": [3.0, inf]}, {"a.w": [3.0, inf]}, True),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    rule, before, after, acted = BY_HAND[name]
    found = one(before, rule).clip(as_tensors(before))
    assert found.acted == pytest.approx([acted])
    for key, value in after.items():
        assert found.tensors[key][0].tolist() == pytest.approx(value, rel=1e-5)


def test_defaults_are_those_of_the_papers_or_change_nothing() -> None:
    """AGC: Brock et al. 2021; AutoClip: Seetharaman et al. 2020; ZClip: Kumar et al. 2025."""
    assert AGC().values() == {"clip_factor": 0.01}
    assert AutoClip().values() == {"percentile": 10.0}
    assert ZClip().values() == {"z": 2.5, "alpha": 0.97, "warmup": 25}
    assert [rule().values() for rule in (GlobalNorm, PerTensorNorm, Value)] == [
        {"max_norm": inf}, {"max_norm": inf}, {"max_value": inf}
    ]  # fmt: skip
    assert Normalized().values() == {"norm": 1.0}


def test_agc_by_hand() -> None:
    weights = {"a.weight": [[3.0, 4.0], [0.6, 0.8]], "a.bias": [0.0, 0.0], "b.weight": [[1.0, 0.0]]}
    gradient = {"a.weight": [[6.0, 8.0], [0.03, 0.04]], "a.bias": [0.0, 2.0], "b.weight": [[100.0, 0.0]]}
    found = one(gradient, AGC(0.1), weights).clip(as_tensors(gradient))
    # rows of norm 5 and 1 allow 0.5 and 0.1; a bias of 0 allows 0.1 · 1e-3; the last layer everything
    np.testing.assert_allclose(found.tensors["a.weight"][0], [[0.3, 0.4], [0.03, 0.04]])
    np.testing.assert_allclose(found.tensors["a.bias"][0], [0.0, 1e-4])
    np.testing.assert_allclose(found.tensors["b.weight"][0], [[100.0, 0.0]])
    assert found.acted == pytest.approx([2 / 3])  # one of two rows, and the bias


@pytest.mark.parametrize("bound", [1e-6, inf, Late(0.1, after=1, before=inf), Sweep(inf, 1.0)], ids=str)
@pytest.mark.parametrize("model", [DropoutNet(hidden=()), Model(Normed)], ids=["one layer", "parametrized"])
def test_agc_of_a_net_of_one_layer_is_refused(model: Model, bound: object) -> None:
    """It leaves the last layer out: any two bounds would be the same run."""
    study = {"name": "x", "task": SETUP.task, "model": model, "steps": 2, "batch_size": 32}
    with pytest.raises(InvalidStudy, match=r"has nothing to clip: the net has one layer, the last, which AGC"):
        Study(**study, clipping=AGC(bound))
    Study(**study | {"model": DropoutNet(hidden=(4,))}, clipping=AGC(bound))


class Idle(nn.Module):
    """Its last layer has no part in the output."""

    def __init__(self, inputs: int, outputs: int, idle_first: bool = False) -> None:
        super().__init__()
        if idle_first:
            self.idle = nn.Linear(2, 2)
        self.hidden, self.output = nn.Linear(inputs, 4), nn.Linear(4, outputs)
        if not idle_first:
            self.idle = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.output(torch.relu(self.hidden(x.flatten(1))))
        return y


def test_agc_of_a_net_whose_last_layer_nothing_uses_is_refused() -> None:
    """It would clip the layer that is the last."""
    study = {"name": "x", "task": SETUP.task, "steps": 2, "batch_size": 32, "clipping": AGC(0.1)}
    with pytest.raises(InvalidStudy, match=r"takes for it `idle.weight`, which has no part in the output"):
        Study(**study, model=Model(Idle))
    Study(**study, model=Model(Idle, idle_first=True))


def test_a_warm_up_that_training_ends_in_is_told_of() -> None:
    def notes(rule: ClippingRule) -> list[str]:
        return Study(name="x", task=SETUP.task, model=SETUP.model, clipping=rule, steps=25, batch_size=32).notes

    assert notes(ZClip()) == ["clipping: training ends with step 25, in its warm-up of 25 steps: it clips nothing"]
    assert notes(ZClip(warmup=24)) == notes(ZClip(z=inf)) == []


def test_autoclip_by_hand() -> None:
    members = one({"a.w": [0.0]}, AutoClip(50.0))
    found = [members.clip(as_tensors({"a.w": [value]})) for value in (1.0, -3.0, 8.0, 0.5)]
    # medians of {1}, {1, 3}, {1, 3, 8}, {0.5, 1, 3, 8}
    assert [f.flat[0, 0].item() for f in found] == pytest.approx([1.0, -2.0, 3.0, 0.5], rel=1e-5)
    assert [f.acted[0] for f in found] == [False, True, True, False]
    whole = Members([AutoClip(50.0)], as_tensors({"a.w": [0.0]}), steps=4)  # as many as there are
    found = [whole.clip(as_tensors({"a.w": [value]})) for value in (1.0, -3.0, 0.5, 8.0)]
    assert [f.flat[0, 0].item() for f in found] == pytest.approx([1.0, -2.0, 0.5, 2.0], rel=1e-5)


@pytest.mark.parametrize("long", [1, 1_000])
def test_norms_stay_in_order_whatever_comes(long: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks and in one, beside `sort`: growing, falling, equal and infinite norms, to the last one that fits."""
    monkeypatch.setattr(order_statistics, "LONG", long)
    for steps in (1, 2, 3, 10, 101):
        rng = np.random.default_rng(steps)
        norms = rng.random((5, steps))
        norms[0].sort()
        norms[1] = norms[0][::-1]
        norms[2] = norms[2].round(1)
        norms[3, ::7] = inf
        given = torch.tensor(norms)
        blocks, starts = order_statistics.empty(torch.zeros(5, 1, dtype=torch.float64), steps)
        for t in range(steps):
            order_statistics.insert(given[:, t : t + 1], blocks, starts)
            ranks = [torch.full((5, 1), float(rank)) for rank in range(t + 1)]
            found = torch.cat([order_statistics.at(rank, blocks, starts) for rank in ranks], 1)
            assert torch.equal(found, given[:, : t + 1].sort(1).values)


@pytest.mark.parametrize("long", [1, 1_000])
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_of_more_norms_than_there_is_room_for_the_least_stay(
    steps: int, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a step is timed again and again."""
    monkeypatch.setattr(order_statistics, "LONG", long)
    blocks, starts = order_statistics.empty(torch.zeros(3, 1, dtype=torch.float64), steps)
    room = blocks[0].numel()
    norms = torch.tensor(np.random.default_rng(steps).random((3, 4 * room)))
    norms[0] = norms[0].sort().values
    norms[1] = norms[1].sort(descending=True).values
    for norm in norms.split(1, 1):
        order_statistics.insert(norm, blocks, starts)
    ranks = [torch.full((3, 1), float(rank)) for rank in range(room)]
    found = torch.cat([order_statistics.at(rank, blocks, starts) for rank in ranks], 1)
    assert torch.equal(found, norms.sort(1).values[:, :room])


def test_norms_of_long_training_are_held_in_about_as_many_blocks_as_one_has_entries() -> None:
    """√20,000 is 141.4; there is room for no block more than is needed."""
    shapes = [tuple(order_statistics.empty(torch.zeros(2, 1), steps)[0].shape) for steps in (1, 19_999, 20_000)]
    assert shapes == [(2, 1, 1), (2, 1, 19_999), (2, 142, 141)]


def test_zclip_by_hand() -> None:
    members = one({"a.w": [0.0]}, ZClip(z=2.0, alpha=0.9, warmup=2))
    found = [members.clip(as_tensors({"a.w": [value]})) for value in (1.0, 3.0, 6.0, 3.0)]
    # after 1 and 3: mean 2, deviation 1; 6 has z = 4 and becomes 2 + 1·2²/4 = 3
    assert [f.flat[0, 0].item() for f in found] == pytest.approx([1.0, 3.0, 3.0, 3.0], rel=1e-5)
    assert [f.acted[0] for f in found] == [False, False, True, False]
    _, mean, variance = (tensor.item() for tensor in members.state)
    first, spread = 0.9 * 2 + 0.1 * 3, 0.9 * 1 + 0.1 * (3 - 2.1) ** 2
    assert mean == pytest.approx(0.9 * first + 0.1 * 3, rel=1e-5)
    assert variance == pytest.approx(0.9 * spread + 0.1 * (3 - mean) ** 2, rel=1e-5)


@every_rule
@some
@given(seed=SEEDS, scale=SCALES)
def test_a_member_equals_the_oracle_at_every_step(rule: type[ClippingRule], seed: int, scale: float) -> None:
    rules = members_of(rule)
    weights, steps = draw(seed, len(rules), 12, scale)
    members, oracles = Members(rules, weights), [plain(r) for r in rules]
    for tensors in steps:
        found = members.clip(tensors)
        for i, oracle in enumerate(oracles):
            model = parameters_with_gradients(
                {n: t[i] for n, t in tensors.items()}, {n: w[i] for n, w in weights.items()}
            )
            assert oracle(model) is not (rule.skips and found.acted[i])
            for name, parameter in model.named_parameters():
                np.testing.assert_allclose(found.tensors[name][i], parameter.grad, rtol=1e-9, err_msg=name)


@every_rule
@some
@given(seed=SEEDS, scale=SCALES)
def test_rows_are_apart_padding_stays_zero_and_what_is_not_clipped_stays(
    rule: type[ClippingRule], seed: int, scale: float
) -> None:
    rules = members_of(rule)
    weights, steps = draw(seed, len(rules), 8, scale)
    together = Members(rules, weights)
    alone = [Members([r], {n: w[i : i + 1] for n, w in weights.items()}) for i, r in enumerate(rules)]
    for tensors in steps:
        found, before = together.clip(tensors), together.flat(tensors)
        inside = together.flat({n: torch.ones_like(t) for n, t in tensors.items()})
        assert bool((found.flat[inside == 0] == 0).all())
        for i, member in enumerate(alone):
            own = member.clip({n: t[i : i + 1] for n, t in tensors.items()})
            assert torch.equal(own.flat[0], found.flat[i])
            assert own.acted == [found.acted[i]]
            if not found.acted[i]:
                np.testing.assert_allclose(found.flat[i], before[i], rtol=2e-6 / min(1.0, float(found.before[i])))
            elif rule is not Normalized:
                assert float(found.norm[i]) <= float(found.before[i])


@some
@given(seed=SEEDS, scale=SCALES, bound=st.floats(1e-3, 1e3))
def test_bounds_hold(seed: int, scale: float, bound: float) -> None:
    weights, (tensors,) = draw(seed, 1, 1, scale)

    def clipped(rule: ClippingRule) -> SimpleNamespace:
        return Members([rule], weights).clip(tensors)

    above = 1 + 1e-12
    assert float(clipped(GlobalNorm(bound)).norm) <= bound * above
    assert float(clipped(Value(bound)).flat.abs().max()) <= bound
    assert max(float(t.norm()) for t in clipped(PerTensorNorm(bound)).tensors.values()) <= bound * above
    assert float(clipped(Normalized(bound)).norm) == pytest.approx(bound)
    agc = clipped(AGC(bound)).tensors
    for row, weight in zip(agc["first.weight"][0], weights["first.weight"][0], strict=True):
        assert float(row.norm()) <= bound * max(float(weight.norm()), 1e-3) * above
    assert torch.equal(agc["last.weight"], tensors["last.weight"])


@pytest.mark.parametrize("rule", [GlobalNorm, AutoClip, ZClip, Normalized], ids=lambda rule: rule.__name__)
@some
@given(seed=SEEDS)
def test_rules_of_the_norm_keep_the_direction(rule: type[ClippingRule], seed: int) -> None:
    rules = members_of(rule)
    weights, steps = draw(seed, len(rules), 8)
    members = Members(rules, weights)
    for tensors in steps:
        found, before = members.clip(tensors), members.flat(tensors)
        np.testing.assert_allclose(torch.cosine_similarity(found.flat, before), 1.0, rtol=1e-12)


BOUNDED = {GlobalNorm: "max_norm", PerTensorNorm: "max_norm", Value: "max_value", AGC: "clip_factor", ZClip: "z"}
bounded = pytest.mark.parametrize("rule", BOUNDED, ids=lambda rule: rule.__name__)


@bounded
@some
@given(seed=SEEDS, scale=SCALES)
def test_an_infinite_bound_changes_nothing_and_a_larger_one_never_clips_more(
    rule: type[ClippingRule], seed: int, scale: float
) -> None:
    bounds = [0.01, 0.1, 1.0, 10.0, inf]
    weights, steps = draw(seed, 1, 1 if rule is not ZClip else 40, scale)
    weights, steps = ([{n: t.expand(5, *t.shape[1:]).clone() for n, t in d.items()} for d in ds] for ds in ([weights], steps))  # fmt: skip
    members = Members([rule(**{BOUNDED[rule]: bound}) for bound in bounds], weights[0])
    for tensors in steps:
        found = members.clip(tensors)
        assert torch.equal(found.flat[-1], members.flat(tensors)[-1])
        assert not found.acted[-1]
        if rule is not ZClip:  # whose average moves with what it has clipped
            assert found.norm.diff().ge(-1e-12 * found.before[0]).all()
            assert found.acted == sorted(found.acted, reverse=True)


@pytest.mark.parametrize("rule", [NoClipping, GlobalNorm, PerTensorNorm, Value, AGC, Normalized], ids=lambda rule: rule.__name__)  # fmt: skip
@some
@given(seed=SEEDS)
def test_clipping_twice_is_clipping_once(rule: type[ClippingRule], seed: int) -> None:
    weights, (tensors,) = draw(seed, 3, 1)
    members = Members(members_of(rule), weights)
    once = members.clip(tensors)
    twice = members.clip({name: t.clone() for name, t in once.tensors.items()})
    np.testing.assert_allclose(twice.flat, once.flat, rtol=1e-5)


@pytest.mark.parametrize("rule", [GlobalNorm, PerTensorNorm, Value, AGC, Normalized, AutoClip, ZClip], ids=lambda rule: rule.__name__)  # fmt: skip
@some
@given(seed=SEEDS, factor=st.floats(1.0, 1e4))
def test_rules_are_equivariant_to_scale(rule: type[ClippingRule], seed: int, factor: float) -> None:
    """A gradient `factor` times as large, with a bound as many times as large, is clipped to one as many times as large.

    The bound of AGC grows with the weights, those of AutoClip and ZClip with the gradients before.
    """
    rules = members_of(rule)
    weights, steps = draw(seed, 3, 12)
    for name in ("first.bias", "norm.gain"):
        weights[name].abs_().add_(1)  # off AGC's ε
    name = {AGC: None, AutoClip: None, ZClip: None, Normalized: "norm"}.get(rule, BOUNDED.get(rule))
    larger = [r.replace(**{name: r.values()[name] * factor}) if name else r for r in rules]
    small = Members(rules, weights)
    large = Members(larger, {n: factor * w for n, w in weights.items()})
    for tensors in steps:
        a, b = small.clip(tensors), large.clip({n: factor * t for n, t in tensors.items()})
        assert a.acted == b.acted
        np.testing.assert_allclose(b.flat, factor * a.flat, rtol=1e-4)


X = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
SETUP = Setup(
    task=Tensors(X, (X.sum(1) > 0).long()),
    model=DropoutNet(hidden=(16,), dropout=0.0),
    optimizer=SGD(0.3),
    batch_size=32,
    steps=40,
)


@every_rule
def test_a_member_equals_the_textbook_loop(rule: type[ClippingRule]) -> None:
    setup = SETUP.replace(optimizer=SGD(0.3, momentum=0.9), steps=25)
    runs = [Run(trial, trial, setup.replace(clipping=r)) for trial, r in enumerate(members_of(rule))]
    curves = curves_of(runs, dtype=torch.float64)
    for run in runs:
        losses, norms = textbook(run.setup, run.seed, torch.float64)
        mine = curves.loc[run.trial, run.seed]
        np.testing.assert_allclose(mine["loss"], losses, rtol=1e-9)
        np.testing.assert_allclose(mine["grad_norm"], norms, rtol=1e-9)


@every_rule
def test_memory_follows_when_diverged_members_are_left_out(rule: type[ClippingRule]) -> None:
    setups = [SETUP.replace(clipping=r, optimizer=Adam(1e-2), steps=60) for r in members_of(rule)]
    good = [Run(trial, seed, setup) for trial, setup in enumerate(setups) for seed in (0, 1)]
    wild = [Run(9, seed, setups[0].with_value("optimizer.lr", 1e38)) for seed in (0, 1)]
    runs, curves = train([*wild, *good], evaluations=4, device=CPU)
    assert runs.set_index("trial")["status"].to_dict() == {0: "finished", 1: "finished", 2: "finished", 9: "diverged"}
    assert runs.loc[runs["trial"] == 9, "steps_done"].le(40).all()
    alone_runs, alone = train(good, evaluations=4, device=CPU)
    pd.testing.assert_frame_equal(curves[curves["trial"] < 9].reset_index(drop=True), alone, check_exact=True)
    pd.testing.assert_frame_equal(runs[runs["trial"] < 9].reset_index(drop=True), alone_runs, check_exact=True)


LOOSE = [GlobalNorm(1e6), GlobalNorm(inf), PerTensorNorm(1e6), Value(1e6), AGC(1e6), ZClip(z=1e6), SkipNonfinite()]


@pytest.mark.parametrize("rule", LOOSE, ids=repr)
def test_a_bound_above_everything_is_no_clipping(rule: ClippingRule) -> None:
    free, bound = (curves_of([Run(0, s, SETUP.replace(clipping=r)) for s in (0, 1)]) for r in (NoClipping(), rule))
    pd.testing.assert_frame_equal(free, bound, check_exact=True)
    assert bound["clipped"].eq(0).all()


@pytest.mark.parametrize("rule", [GlobalNorm, PerTensorNorm, Value, AGC, Normalized], ids=lambda rule: rule.__name__)
def test_a_tight_bound_clips_every_step(rule: type[ClippingRule]) -> None:
    (field,) = rule().values()
    free, tight = (SETUP.replace(clipping=r) for r in (NoClipping(), rule(**{field: 1e-4})))
    curves, unclipped = curves_of([Run(0, 0, tight), Run(0, 1, tight)]), curves_of([Run(0, 0, free), Run(0, 1, free)])
    assert curves["clipped"].eq(1).all()
    assert not np.allclose(curves["loss"], unclipped["loss"])


@pytest.mark.parametrize(
    ("rule", "field"), [(GlobalNorm, "max_norm"), (PerTensorNorm, "max_norm"), (Normalized, "norm")]
)
def test_sgd_that_always_clips_depends_on_lr_times_bound_only(rule: type[ClippingRule], field: str) -> None:
    setup = SETUP.replace(clipping=rule(**{field: 1e-2}))
    other = SETUP.replace(clipping=rule(**{field: 1e-3}), optimizer=SGD(3.0))
    curves = curves_of([Run(0, 0, setup), Run(1, 0, other)], dtype=torch.float64)
    assert curves["clipped"].eq(1).all()
    np.testing.assert_allclose(
        curves["loss"].loc[0], curves["loss"].loc[1], rtol=2e-3 if rule is PerTensorNorm else 1e-5
    )


@pytest.mark.parametrize(("rule", "field"), [(GlobalNorm, "max_norm"), (Normalized, "norm")])
def test_adam_without_epsilon_that_always_clips_does_not_depend_on_the_bound(
    rule: type[ClippingRule], field: str
) -> None:
    setup = SETUP.replace(optimizer=Adam(1e-3, eps=1e-30))
    setups = [setup.replace(clipping=rule(**{field: bound})) for bound in (1e-2, 1e-3)]
    curves = curves_of([Run(trial, 0, s) for trial, s in enumerate(setups)], dtype=torch.float64)
    assert curves["clipped"].eq(1).all()
    np.testing.assert_allclose(curves["loss"].loc[0], curves["loss"].loc[1], rtol=1e-3)


class Root(nn.Module):
    """Its gradient is not a number wherever an example is 0, while its loss is finite: √|u| has no slope at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.readout = nn.Linear(4, 6, bias=False), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.readout(self.inner(x).abs().sqrt())
        return logits


OPTIMIZERS = [SGD(0.1, momentum=0.9, weight_decay=0.01), Adam(1e-2, weight_decay=0.01), AdamW(1e-2)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "adam", "adamw"])
def test_a_skipped_step_changes_nothing_at_all(optimizer: SGD | Adam) -> None:
    x = torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(1) > 0).long()
    x[::10] = 0
    setup = Setup(task=Tensors(x, y), model=Model(Root), clipping=SkipNonfinite(), optimizer=optimizer, batch_size=6, steps=60)  # fmt: skip
    runs = [Run(0, seed, setup) for seed in (0, 1, 2)]
    table, curves = train(runs, evaluations=2, device=CPU, dtype=torch.float64)
    assert table["nonfinite"].eq(0).all()
    assert table["clip_fraction"].between(0.2, 0.8).all()
    curves = curves.set_index(["trial", "seed", "step"])
    skipped = ~np.isfinite(curves["grad_norm"])
    assert curves["clipped"].eq(skipped).all()
    assert curves.loc[skipped, "update_ratio"].eq(0).all()
    assert curves.loc[~skipped, "update_ratio"].gt(0).all()
    for run in runs:
        losses, _ = textbook(setup, run.seed, torch.float64)
        np.testing.assert_allclose(curves.loc[0, run.seed]["loss"], losses, rtol=1e-9)
    without, _ = train([Run(0, 0, setup.replace(clipping=NoClipping()))], evaluations=2, device=CPU)
    assert without["status"].eq("diverged").all()


ROOTS = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
ROOTS[::50] = 0


@pytest.mark.parametrize(
    ("optimizer", "block_bytes", "long_row_bytes"),
    [(OPTIMIZERS[0], 2**12, 2**20), (OPTIMIZERS[1], 2**24, 2**20), (OPTIMIZERS[2], 2**14, 1)],
    ids=["blocks of some", "one block", "one by one"],
)
def test_in_a_population_of_all_rules_each_member_has_the_bits_of_a_population_of_its_own_rule(
    optimizer: SGD | Adam, block_bytes: int, long_row_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(clip, "LONG_ROW_BYTES", long_row_bytes)
    task = Tensors(ROOTS, (ROOTS.sum(1) > 0).long())
    setup = Setup(task=task, model=Model(Root), optimizer=optimizer, batch_size=8, steps=40)
    groups = [[setup.replace(clipping=r) for r in [*members_of(rule), *SCHEDULED.get(rule, [])]] for rule in RULES]
    runs = [[Run(10 * g + i, seed, own) for seed in (0, 1) for i, own in enumerate(group)] for g, group in enumerate(groups)]  # fmt: skip
    mixed = sorted(itertools.chain(*runs), key=lambda run: run.seed)
    table, curves = train(mixed, evaluations=5, device=CPU)
    assert table["steps_done"].nunique() > 2, "members leave the population at several steps"
    assert table.loc[table["clip_fraction"].between(0.01, 0.99), "trial"].floordiv(10).nunique() > 4
    tables, all_curves = zip(*(train(own, evaluations=5, device=CPU) for own in runs), strict=True)
    by = ["trial", "seed", "step"]
    for one, several in ((table, pd.concat(tables)), (curves, pd.concat(all_curves))):
        columns = [name for name in by if name in one]
        pd.testing.assert_frame_equal(
            one.sort_values(columns, ignore_index=True),
            several.sort_values(columns, ignore_index=True),
            check_exact=True,
        )


class Own(GlobalNorm):
    """A rule of a user's."""


class BoundsTheMean(GlobalNorm):
    """Wrong: what it does to a member depends on the others."""

    __module__ = GlobalNorm.__module__

    def clip(self, gradient: Gradient, *, max_norm: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        gradient.scale(shrinkage(gradient.norm.mean(0, keepdim=True).expand_as(gradient.norm), max_norm))
        return gradient.norm > max_norm


def test_rules_share_a_population_and_a_users_own_has_one_of_its_own() -> None:
    setups = [SETUP.replace(clipping=r) for rule in RULES for r in members_of(rule)]
    own = [SETUP.replace(clipping=Own(bound)) for bound in (0.1, 1.0)]
    populations = plan([Run(trial, 0, setup) for trial, setup in enumerate([*setups, *own])], width(64))
    assert [{type(run.setup.clipping) for run in runs} for runs in populations] == [set(RULES), {Own}]


def test_every_rule_of_a_population_is_proven() -> None:
    rules = [NoClipping(), GlobalNorm(1e-3), BoundsTheMean(1e-3), Value(1e-3)]
    runs = [Run(trial, seed, SETUP.replace(clipping=r)) for trial, r in enumerate(rules) for seed in (0, 1)]
    assert len(set(map(population_key, runs))) == 1
    assert "what clipping leaves of the gradient at step 1" in way(runs, CPU, memory_bytes=2**30).why
    sound = [run for run in runs if run.setup.clipping != rules[2]]
    assert not way(sound, CPU, memory_bytes=2**30).why


def test_rules_are_levels_of_a_sweep() -> None:
    def study(**claim: object) -> Study:
        levels = Sweep(NoClipping(), GlobalNorm(1.0), AGC(0.02))
        claims = [Claim("x", metric="test_loss", better="lower", smallest_effect=0.1, **claim)]  # type: ignore[arg-type]
        return Study(
            name="rules", task=Images(), model=DropoutNet(hidden=(8,)), clipping=levels, claims=claims, steps=5
        )

    good = study(treatment={"clipping": AGC(0.02)}, baseline={"clipping": NoClipping()})
    assert [good.setup(cell).clipping for cell in good.cells()] == [NoClipping(), GlobalNorm(1.0), AGC(0.02)]
    with pytest.raises(InvalidStudy, match=r"claims\[0\].treatment.clipping: is not a level of Sweep"):
        study(treatment={"clipping": AGC(0.5)}, baseline={"clipping": NoClipping()})


class Does(ClippingRule):
    """Several things to a gradient, one after another; leaves half of it, its first entry 0 where it is cut."""

    order: str = "scale scale"

    def clip(self, gradient: Gradient, **settings: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        for word in self.order.split():
            if word == "scale":
                gradient.scale(torch.full_like(gradient.norm, 0.5))
            elif word == "cut":
                gradient.flat[:, :40] = 0.0
            elif word == "hidden":
                gradient.flat.data[:, :40] = 0.0
            else:
                gradient.flat = gradient.flat * 0.5
        return torch.ones_like(gradient.norm)


@pytest.mark.parametrize(
    "order",
    ["scale", "scale scale", "cut scale", "scale cut", "cut scale scale", "another scale", "another", "scale hidden"],
)
def test_what_is_recorded_of_a_rule_is_what_it_leaves_whatever_it_does(order: str) -> None:
    """By a step of SGD at rate 1, whose length is the norm of what the rule leaves."""
    runs = [Run(0, seed, SETUP.replace(clipping=Does(order=order), optimizer=SGD(1.0), steps=1)) for seed in (0, 1)]
    data = examples(runs)
    for members in ([runs[0]], runs):
        own = data[: len(members)]
        population = PlainMember(runs[0], data[0], device=CPU, dtype=torch.float64) if len(members) == 1 else Population(
            runs, data, device=CPU, dtype=torch.float64)  # fmt: skip
        feed = Feed(members, own, device=CPU, dtype=torch.float64)
        before = population.parameters.clone()
        record = Stepper(members, population).step(*feed.gather(feed.indices(1)[0]))
        left = torch.linalg.vector_norm(population.parameters - before, dim=1)
        torch.testing.assert_close(record.clipped_norm[:, 0], left, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (NoClipping(), "NoClipping"),
        (GlobalNorm(1.0), "GlobalNorm(max_norm=1)"),
        (GlobalNorm(inf), "GlobalNorm(max_norm=∞)"),
        (AGC(), "AGC(clip_factor=0.01)"),
        (ZClip(warmup=50), "ZClip(z=2.5, warmup=50)"),
        (DropoutNet(hidden=(16,), dropout=0.2), "DropoutNet(hidden=(16,), dropout=0.2)"),
        (DropoutNet(), "DropoutNet(hidden=(256, 128))"),
    ],
)
def test_levels_that_are_components_read_as_in_the_study(level: object, text: str) -> None:
    assert label("clipping", level) == text


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Normalized(inf), "norm: "),
        (AutoClip(101.0), "percentile: input should be less than or equal to 100"),
        (AGC(0.0), "clip_factor: input should be greater than 0"),
        (ZClip(alpha=1.0), "alpha: input should be less than 1"),
        (ZClip(warmup=0), "warmup: input should be greater than or equal to 1"),
        (PerTensorNorm(math.nan), "max_norm: must be a number"),
    ],
)
def test_settings_are_checked(rule: ClippingRule, message: str) -> None:
    (problem,) = rule.problems()
    assert str(problem).startswith(message)


class Returns(ClippingRule):
    """What its `clip` returns, by name."""

    what: str = "None"

    def clip(self, gradient: Gradient) -> object:  # type: ignore[override]
        norm = gradient.norm
        return {
            "None": None, "True": True, "flat": norm[:, 0] > 0, "ratio": norm / norm * 4.87, "negative": norm - norm - 0.5,
            "by layer": torch.cat([norm > 0, norm > 1], 1),
        }[self.what]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "here"),
    [
        ("None", "here a NoneType"),
        ("True", "here a bool"),
        ("flat", "here one of shape (1,) for 1 member"),
        ("by layer", "here one of shape (1, 2) for 1 member"),
        ("ratio", "here 4.87"),
        ("negative", "here -0.5"),
    ],
)
def test_what_a_rule_returns_must_be_a_number_for_each_member(what: str, here: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        Study(name="x", task=SETUP.task, model=SETUP.model, clipping=Returns(what), steps=2, batch_size=32)
    (problem,) = caught.value.problems
    assert str(problem).startswith("clipping: `clip` of Returns must return for each member whether it acted")
    assert here in problem.message


class Later(ClippingRule):
    """Calls something a share that is none once it has taken a step."""

    def initial_state(self, zeros: torch.Tensor, steps: int) -> list[torch.Tensor]:
        return [zeros.clone()]

    def clip(self, gradient: Gradient, count: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        count += 1
        return count - 1


def test_what_comes_to_be_no_share_in_training_ends_it() -> None:
    with pytest.raises(Misfit, match=r"`clip` of Later must return .* within \[0, 1\], here 2"):
        train([Run(0, 0, SETUP.replace(clipping=Later(), steps=3))], evaluations=1, device=CPU)


class Remembers(ClippingRule):
    """Something whose first axis is not that of the members, by name."""

    what: str = "ten"

    def initial_state(self, zeros: torch.Tensor, steps: int) -> list[torch.Tensor]:
        return {"ten": [torch.zeros(10)], "one": [torch.zeros(1)], "a tensor": zeros, "a number": [0.0]}[self.what]  # type: ignore[return-value]

    def clip(self, gradient: Gradient, memory: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient.norm > 0


@pytest.mark.parametrize(
    ("what", "here"),
    [
        ("ten", "one of shape (10,) for 2 members"),
        ("one", "one of shape (1,) for 2 members"),
        ("a tensor", "a Tensor"),
        ("a number", "one holds a float"),
    ],
)
def test_what_a_rule_remembers_must_be_of_each_member(what: str, here: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        Study(name="x", task=SETUP.task, model=SETUP.model, clipping=Remembers(what), steps=2, batch_size=32)
    (problem,) = caught.value.problems
    assert str(problem).startswith("clipping: `initial_state` of Remembers must return a list of tensors (member, …)")
    assert problem.message.endswith(f"here {here}")


class Named(ClippingRule):
    """Clamps the entries of one parameter.

    Args:
        layer: its name.
    """

    layer: str = "net.0.weight"

    def clip(self, gradient: Gradient) -> torch.Tensor:  # type: ignore[override]
        layer = gradient.views(gradient.flat)[self.layer]
        layer.clamp_(-0.1, 0.1)
        return gradient.norm > 0


def test_every_level_of_what_is_no_number_is_tried() -> None:
    first = next(iter(dict(SETUP.model.build(SETUP.task.sizes(SETUP.task.data(0)), 2).named_parameters())))
    rule = Named(Sweep(first, "net.9.weight"))
    with pytest.raises(InvalidStudy, match=r"clipping: cannot take a step: KeyError: 'net\.9\.weight'"):
        Study(name="x", task=SETUP.task, model=SETUP.model, clipping=rule, steps=2, batch_size=32)
