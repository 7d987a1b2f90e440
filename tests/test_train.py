"""The engine against the textbook loop (invariant 2), and what must hold in a population (invariants 1, 3 to 6)."""

import random
from collections import Counter
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from plain_clipping import plain
from reference import GivenGaussian, given_functions, train_plain, with_given_noise
from threadpoolctl import threadpool_limits
from torch.optim import lr_scheduler
from ways import width

from harness.clipping import GlobalNorm, Value
from harness.engine.feed import Order
from harness.engine.member_float import MemberFloat
from harness.engine.noise import Noise
from harness.engine.planning import plan
from harness.engine.runs import Run, build
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.way import Way
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSprop
from harness.settings.machine import threads_restored
from harness.settings.randomness import stream, stream_seed
from harness.settings.schedules import Cosine, Early, Function, Late, Linear, Schedule, Step
from harness.tasks import AddingProblem, CharLM, Images, Task, Tensors
from harness.tasks.task import Data

CPU = torch.device("cpu")
DEVICES = [CPU] + ([torch.device("cuda")] if torch.cuda.is_available() else [])


class Norm(nn.Module):
    """A user's module: a dropout layer used twice, layer norm, no argument taken from the task."""

    def __init__(self, dropout: float = 0.0, width: int = 16) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, width)
        self.norm, self.drop, self.out = nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.drop(F.gelu(self.first(x)))
        return self.out(self.drop(self.norm(self.second(x))))


def curves_of(runs: list[Run], *, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> pd.DataFrame:
    _, curves = train(runs, evaluations=2, device=device, dtype=dtype)
    return curves.set_index(["trial", "seed", "step"])


def textbook(setup: Setup, seed: int, dtype: torch.dtype) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of the run by `reference.train_plain`."""
    return textbook_model(setup, seed, dtype)[1:]


def textbook_model(setup: Setup, seed: int, dtype: torch.dtype) -> tuple[nn.Module, list[float], list[float]]:
    """The run by `reference.train_plain`, from the streams' documented names alone, and the model it leaves behind."""
    data = setup.task.data(seed)
    begin(stream_seed(seed, "init"))
    model = setup.model.build(setup.task.sizes(data), setup.steps)
    drops = with_given_noise(model)
    scheduled = [
        (own, key, p) for own in map(vars, model.modules()) for key, p in own.items() if isinstance(p, Schedule)
    ]
    if dtype == torch.float64:
        model._apply(
            lambda t: t.to(torch.promote_types(t.dtype, dtype)) if t.is_floating_point() or t.is_complex() else t
        )
    order = Order(data.train, setup.batch_size * setup.accumulate, stream(seed, "order")).take(setup.steps)
    x = data.x.to(dtype) if data.x.is_floating_point() else data.x
    y = data.y.to(dtype) if data.y.is_floating_point() else data.y
    batches = [(x[index], y[index]) for index in order]
    noise = Streams(seed)
    for layer in drops.values():
        layer.draw = noise.normal if isinstance(layer, GivenGaussian) else noise.uniform

    def before_step(step: int) -> None:
        for own, key, p in scheduled:
            own[key] = value_at(p, step + 1, setup.steps)
        for name, level in setup.clipping.values().items():
            bounds[name] = value_at(level, step + 1, setup.steps)
        for group in optimizer.param_groups:
            group |= numbers_at(setup.optimizer, step + 1, setup.steps, decays=group["decays"])

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if target.is_floating_point():
            return F.mse_loss(output.reshape(target.shape), target)
        classes = output.flatten(0, -2), target.flatten()
        return F.cross_entropy(*classes, label_smoothing=setup.label_smoothing)

    bounds = setup.clipping.values()
    optimizer, clip = torch_optimizer(setup.optimizer, list(model.parameters())), plain(setup.clipping, bounds)
    begin(stream_seed(seed, "module"))  # for what a module draws itself
    with given_functions(noise.uniform):
        losses, norms = train_plain(
            model, batches, loss, optimizer, before_step=before_step, before_pass=noise.calls.clear, clip=clip,
            accumulate=setup.accumulate, bf16=setup.precision == "bf16",
        )  # fmt: skip
        return model, losses, norms


def begin(seed: int) -> None:
    """Seed every global generator."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


class Streams:
    """The noise of dropout: a stream for each shape and each place of a call among those with that shape.

    Attributes:
        calls: how many there were, by shape, in the forward pass that is on.
    """

    def __init__(self, seed: int) -> None:
        self.calls = Counter[str]()
        self._stream = cache(partial(stream, seed))

    def _next(self, shape: torch.Size) -> torch.Generator:
        name = "x".join(map(str, shape))
        self.calls[name] += 1
        return self._stream(f"dropout {name} {self.calls[name] - 1}")

    def uniform(self, shape: torch.Size) -> torch.Tensor:
        return uniform(shape, self._next(shape))

    def normal(self, shape: torch.Size) -> torch.Tensor:
        return normal(shape, self._next(shape))


def uniform(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Multiples of 2^-16 in [0, 1), four from each 64-bit number."""
    words = torch.empty(-(-shape.numel() // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    parts = (words.unsqueeze(1) >> torch.tensor([0, 16, 32, 48])).flatten()[: shape.numel()] & 0xFFFF
    signed = torch.where(parts >= 2**15, parts - 2**16, parts)
    return (signed.double().view(shape) + 2**15) / 2**16


def normal(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Standard normals in single precision."""
    return torch.empty(shape, dtype=torch.float32).normal_(generator=generator)


def value_at(level: float | Schedule, step: int, steps: int) -> float:
    """The value of a number at a step that is counted from 1."""
    match level:
        case Early():
            return level.value if step <= level.until else level.then
        case Late():
            return level.value if step > level.after else level.before
        case Linear():
            return float(np.interp(step, [1, level.until or steps], [level.start, level.end]))
        case Cosine():
            return torchs_values(level, steps)[step - 1]
        case Step():
            return level.start * level.factor ** ((step - 1) // level.every)
        case Function():
            return level.function(step, steps)
        case _:
            return level


@cache
def torchs_values(cosine: Cosine, steps: int) -> list[float]:
    """The learning rates that torch's schedulers give, in front of each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cosine.peak)
    warmup = cosine.warmup
    falling = lr_scheduler.CosineAnnealingLR(optimizer, steps - warmup, eta_min=cosine.end)
    scheduler: lr_scheduler.LRScheduler = falling
    if warmup:
        rising = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
        scheduler = lr_scheduler.SequentialLR(optimizer, [rising, falling], [warmup])
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


class PlainLion(torch.optim.Optimizer):
    """Chen et al. 2023, Algorithm 2, a parameter after another."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            one, two = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = one * m + (1 - one) * p.grad
                p -= group["lr"] * (c.sign() + group["weight_decay"] * p)
                m.copy_(two * m + (1 - two) * p.grad)


def numbers_at(optimizer: Optimizer, step: int, steps: int, *, decays: bool) -> dict[str, Any]:
    """Torch's names for an optimizer's settings at a step; `decays`: whether weight decay acts on these parameters."""
    v = {n: value_at(level, step, steps) for n, level in optimizer.values().items() if n != "decay"}
    if "beta1" in v:
        v["betas"] = v.pop("beta1"), v.pop("beta2")
    return v if decays else v | {"weight_decay": 0.0}


def torch_optimizer(optimizer: Optimizer, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    weights = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() < 2]
    all_decay = optimizer.values()["decay"] == "all"
    groups = [
        {"params": p, "decays": decays} | numbers_at(optimizer, 1, 1, decays=decays)
        for p, decays in ((weights, True), (others, all_decay)) if p
    ]  # fmt: skip
    kinds = {
        SGD: torch.optim.SGD,
        Adam: torch.optim.Adam,
        AdamW: torch.optim.AdamW,
        RMSprop: torch.optim.RMSprop,
        Lion: PlainLion,
    }
    return kinds[type(optimizer)](groups)


SETUPS = {
    "mlp, adam, global norm": (
        Images(),
        DropoutNet(hidden=(32, 16), dropout=0.5),
        GlobalNorm(1.0),
        Adam(weight_decay=0.01),
    ),
    "mlp, sgd momentum, value": (
        Images(),
        DropoutNet(dropout=0.2),
        Value(0.05),
        SGD(0.1, momentum=0.9, weight_decay=1e-3),
    ),
    "user's module, adamw": (Images(), Model(Norm, dropout=0.3), GlobalNorm(), AdamW(lr=1e-2)),
    "rnn on rows": (Images(layout="rows"), SimpleRNN(hidden=16, dropout=0.2), GlobalNorm(0.5), SGD(0.5)),
    "rnn relu, regression": (
        AddingProblem(length=8),
        SimpleRNN(hidden=16, nonlinearity="relu"),
        GlobalNorm(0.1),
        Adam(),
    ),
    "char rnn": (CharLM(length=12), SimpleRNN(hidden=16, dropout=0.5, readout="every"), Value(0.01), SGD(1.0)),
}


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 1e-4)], ids=["float64", "float32"])
@pytest.mark.parametrize("name", SETUPS)
def test_member_equals_the_textbook_loop(
    name: str, dtype: torch.dtype, rtol: float, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device.type == "cuda":
        pytest.skip("the noise streams of a GPU are its own")
    task, model, clipping, optimizer = SETUPS[name]
    setup = Setup(task=task, model=model, clipping=clipping, optimizer=optimizer, batch_size=20, steps=50)
    assert not setup.problems()
    other = setup.replace(optimizer=optimizer.replace(lr=optimizer.values()["lr"] / 3))
    runs = [Run(trial, seed, s) for trial, s in enumerate([setup, other]) for seed in (3, 4)]
    curves = curves_of(runs, dtype=dtype)
    for run in runs:
        losses, norms = textbook(run.setup, run.seed, dtype)
        mine = curves.loc[run.trial, run.seed]
        steps = mine.index.to_numpy() - 1
        np.testing.assert_allclose(mine["loss"], np.array(losses)[steps], rtol=rtol)
        np.testing.assert_allclose(mine["grad_norm"], np.array(norms)[steps], rtol=100 * rtol if rtol > 1e-6 else rtol)


def some_runs(task: Task, model: Model) -> list[Run]:
    setup = Setup(task=task, model=model, clipping=GlobalNorm(1.0), optimizer=SGD(0.3), batch_size=16, steps=30)
    changes = [{}, {"optimizer.lr": 0.1}, {"clipping.max_norm": 0.2}, {"model.dropout": 0.4}]
    setups = [setup, *(setup.with_value(path, value) for change in changes[1:] for path, value in change.items())]
    return [Run(trial, seed, s) for trial, s in enumerate(setups) for seed in (0, 1)]


ARCHITECTURES = {
    "mlp": (Images(), DropoutNet(hidden=(32, 16), dropout=0.2)),
    "odd mlp": (Images(), DropoutNet(hidden=(33, 7), dropout=0.2)),
    "user's": (Images(), Model(Norm, dropout=0.2)),
    "rnn": (CharLM(length=16), SimpleRNN(hidden=16, dropout=0.2, readout="every")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_curve_does_not_depend_on_companions(name: str) -> None:
    runs = some_runs(*ARCHITECTURES[name])
    together = curves_of(runs)
    pairs = [curves_of(runs[i : i + 2]) for i in range(0, len(runs), 2)]
    pd.testing.assert_frame_equal(together, pd.concat(pairs), rtol=1e-4)
    if name != "odd mlp":
        pd.testing.assert_frame_equal(together, pd.concat(pairs), check_exact=True)
        shuffled = curves_of(runs[::-1]).loc[together.index]
        pd.testing.assert_frame_equal(together, shuffled, check_exact=True)


def test_a_narrow_population_does_not_depend_on_the_number_of_threads() -> None:
    """One member alone, and one that is left alone by the others' divergence."""
    setup = Setup(task=Images(), model=DropoutNet(hidden=(32, 16)), optimizer=SGD(0.1), batch_size=16, steps=60)
    wild = setup.with_value("optimizer.lr", 1e38)
    found = []
    for threads in (1, 2):
        with threads_restored():
            torch.set_num_threads(threads)
            found.append(
                [
                    train(runs, evaluations=6, device=CPU)
                    for runs in ([Run(0, 0, setup)], [Run(0, 0, setup), Run(1, 0, wild)])
                ]
            )
            assert torch.get_num_threads() == threads
    for one, two in zip(*found, strict=True):
        for mine, other in zip(one, two, strict=True):
            pd.testing.assert_frame_equal(mine, other, check_exact=True)


class Factored(Images):
    """Its examples are those of the digits, and in place of pixels a factor of them, or of noise."""

    def draw(self, seed: int) -> Data:
        data = super().draw(seed)
        noise = np.random.default_rng(seed).normal(size=(len(data.x), 400))
        by_numpy = torch.from_numpy(np.linalg.svd(noise, full_matrices=False)[0]).float()
        return replace(data, x=torch.cat([torch.linalg.qr(data.x.flatten(1))[0], by_numpy], dim=1))


def test_initial_weights_and_examples_do_not_depend_on_the_number_of_threads() -> None:
    """Torch's own decomposition does, which an orthogonal matrix is drawn by, and NumPy's."""
    setup = Setup(task=Factored(), model=SimpleRNN(hidden=64, init="orthogonal"), optimizer=SGD(0.1), steps=1)
    run, text = Run(0, 0, setup), CharLM()
    found = []
    for threads in (1, 2):
        with threads_restored(), threadpool_limits(threads):
            torch.set_num_threads(threads)
            weights = build(setup.replace(task=text), text.data(0), run.init_seed).state_dict()
            found.append({"x": Factored().data(0).x, **weights})
            assert torch.get_num_threads() == threads
    assert all(torch.equal(one, two) for one, two in zip(found[0].values(), found[1].values(), strict=True))


def test_seeds_share_randomness_across_settings_and_nothing_across_seeds() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,), dropout=0.5), steps=5)
    runs = [Run(0, 0, setup), Run(1, 0, setup.with_value("optimizer.lr", 1e-9)), Run(2, 1, setup)]
    curves = curves_of(runs)["loss"].unstack("step")
    assert curves.loc[(0, 0), 1] == curves.loc[(1, 0), 1]
    assert curves.loc[(0, 0), 1] != curves.loc[(2, 1), 1]


def test_dropout_masks_are_nested_in_p() -> None:
    ps = MemberFloat([0.0, 0.2, 0.5, 0.9])
    noise = Noise({0: slice(0, 4)}, steps=5, device=CPU, dtype=torch.float32)
    noise.begin(train=True)
    masks = noise.mask("bernoulli", ps, (16, 64))
    assert bool((masks[0] == 1).all())
    dropped = masks == 0
    assert all(bool((dropped[i] <= dropped[i + 1]).all()) for i in range(3))
    for i, p in enumerate([0.2, 0.5, 0.9], start=1):
        assert abs(float(dropped[i].float().mean()) - p) < 4 * (p * (1 - p) / dropped[i].numel()) ** 0.5
        assert torch.allclose(masks[i][~dropped[i]], torch.tensor(1 / (1 - p)))


def test_a_further_dropout_layer_of_another_shape_leaves_the_noise_of_the_others_as_it_is() -> None:
    found = []
    for shapes in ([(16, 64), (16, 8)], [(16, 64), (16, 4), (16, 8)]):
        noise = Noise({0: slice(0, 1)}, steps=5, device=CPU, dtype=torch.float32)
        noise.begin(train=True)
        found.append({shape: noise.mask("bernoulli", 0.5, shape).clone() for shape in shapes})
    assert all(torch.equal(mask, found[1][shape]) for shape, mask in found[0].items())


def test_divergence_is_a_result_and_leaves_companions_alone() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,)), optimizer=SGD(0.1), steps=60)
    wild = setup.with_value("optimizer.lr", 1e38)
    good = [Run(0, 0, setup), Run(0, 1, setup)]
    runs, curves = train([good[0], Run(1, 0, wild), Run(1, 1, wild), good[1]], evaluations=6, device=CPU)
    alone_runs, alone = train(good, evaluations=6, device=CPU)
    assert runs["status"].tolist() == ["finished", "finished", "diverged", "diverged"]
    bad = runs[runs["status"] == "diverged"]
    assert np.isinf(bad[["train_loss", "validation_loss", "test_loss", "test_error", "gap"]]).all(axis=None)
    assert bad["steps_done"].between(1, 59).all()
    assert bad[["diverged", "nonfinite"]].eq(1).all(axis=None)
    stop = bad.set_index("seed")["steps_done"]
    late = curves[(curves["trial"] == 1) & (curves["step"] > curves["seed"].map(stop))]
    assert late[["loss", "grad_norm", "validation_loss"]].isna().all(axis=None)
    assert not late.empty
    pd.testing.assert_frame_equal(curves[curves["trial"] == 0].reset_index(drop=True), alone, check_exact=True)
    pd.testing.assert_frame_equal(runs[runs["trial"] == 0].reset_index(drop=True), alone_runs, check_exact=True)


def test_dropout_acts_in_training_only() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,)), steps=5)
    runs, _ = train([Run(0, 0, setup), Run(1, 0, setup.with_value("model.dropout", 0.0))], evaluations=1, device=CPU)
    assert runs["eval_noise"].eq(0).all()
    assert runs["train_noise"][0] > 0
    assert runs["train_noise"][1] == 0


def test_test_data_is_touched_by_the_confirm_phase_only() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,)), steps=5)
    runs, _ = train([Run(0, 0, setup, confirm=False), Run(0, 1, setup, confirm=False)], evaluations=1, device=CPU)
    assert runs[["test_loss", "test_error", "gap"]].isna().all(axis=None)
    assert runs[["train_loss", "validation_loss"]].notna().all(axis=None)


def test_final_metrics_equal_those_of_the_textbook_model() -> None:
    """Train with a learning rate so small that the weights stay the initial ones, then evaluate by hand."""
    setup = Setup(task=Images(), model=DropoutNet(), optimizer=SGD(1e-12), steps=2)
    runs, _ = train([Run(0, s, setup) for s in (0, 1)], evaluations=1, device=CPU)
    for row in runs.itertuples():
        data = setup.task.data(row.seed)
        torch.manual_seed(stream_seed(row.seed, "init"))
        model = setup.model.build(setup.task.sizes(data)).eval()
        found = {}
        for name in ("train", "validation", "test"):
            index = getattr(data, name)[: len(data.test)]
            output = model(data.x[index]).detach()
            found[name] = float(F.cross_entropy(output, data.y[index]))
            assert getattr(row, f"{name}_loss") == pytest.approx(found[name], rel=1e-5)
            assert getattr(row, f"{name}_error") == pytest.approx(
                float((output.argmax(1) != data.y[index]).float().mean())
            )
        assert row.gap == pytest.approx(found["test"] - found["train"], abs=1e-5)


def test_users_tensors_and_module_train() -> None:
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    task = Tensors(x, (x.sum(1) > 0).long())
    setup = Setup(
        task=task, model=Model(nn.Linear, in_features=5, out_features=2), steps=200, optimizer=SGD(0.5), batch_size=32
    )
    runs, _ = train([Run(0, s, setup) for s in (0, 1)], evaluations=1, device=CPU)
    assert runs["test_error"].lt(0.1).all()


def test_plan_covers_every_run_once_within_the_width() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,)), steps=5)
    wide = setup.with_value("model.hidden", (24,))
    runs = [Run(t, s, setup if t % 2 else wide) for t in range(6) for s in range(5)]
    populations = plan(runs, width(8))
    assert sorted((r.trial, r.seed) for p in populations for r in p) == [(r.trial, r.seed) for r in runs]
    assert max(map(len, populations)) <= 8
    assert all(len({r.setup.model.values()["hidden"] for r in p}) == 1 for p in populations)
    assert populations == plan(runs, width(8))


def test_populations_are_cut_so_that_all_places_work_to_the_end() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(16,)), steps=5)
    runs = [Run(0, seed, setup) for seed in range(100)]
    sizes = {abreast: [*map(len, plan(runs, width(64), abreast))] for abreast in (1, 2, 3, 4, 16)}
    assert {abreast: len(found) for abreast, found in sizes.items()} == {1: 2, 2: 2, 3: 3, 4: 4, 16: 16}
    assert all(max(found) - min(found) <= 1 and sum(found) == 100 for found in sizes.values())
    assert [*map(len, plan(runs[:24], width(32), 2))] == [12, 12], "narrow ones are better than an idle core"
    assert [*map(len, plan(runs[:5], width(32), 4))] == [3, 2], (
        "but none has a single member, which would round otherwise"
    )
    assert [*map(len, plan(runs[:3], width(1), 4))] == [1, 1, 1]
    assert [*map(len, plan(runs[:1], width(32), 4))] == [2], "with a copy"


def test_a_group_of_runs_is_cut_by_its_share_of_the_work_and_the_longest_populations_come_first() -> None:
    small = Setup(task=Images(), model=DropoutNet(hidden=(16,)), steps=5)
    large = small.with_value("model.hidden", (24,))
    runs = [Run(t, s, large if t else small) for t in range(2) for s in range(8)]

    def way_of(name: str, group: list[Run]) -> Way:
        return Way(16, 3e-3 if group[0].trial else 1e-3)

    planned = plan(runs, way_of, abreast=4)
    found = [(len(population), population[0].trial) for population in planned]
    assert found == [(3, 1), (3, 1), (8, 0), (2, 1)], "three places of four for three quarters of the work"


class Spy(nn.Module):
    """Notes how CUDA devices would multiply during its forward pass."""

    seen: set[str] = set()

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        backends = torch.backends
        self.seen |= {backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision}
        return self.out(x)


@pytest.mark.parametrize(("asked", "precision"), [(False, "ieee"), (True, "tf32")])
def test_tf32_is_used_only_if_asked_for(asked: bool, precision: str):
    Spy.seen.clear()
    parts = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    before = [part.fp32_precision for part in parts]
    train([Run(0, 0, Setup(task=Images(), model=Model(Spy), steps=2, tf32=asked))], evaluations=1, device=CPU)
    assert Spy.seen == {precision}
    assert [part.fp32_precision for part in parts] == before
    runs = [Run(0, 0, Setup(task=Images(), model=DropoutNet(), tf32=each)) for each in (asked, not asked)]
    assert len(plan(runs, width(8))) == 2
