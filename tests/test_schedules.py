"""Numbers that change over training: against torch's schedulers, and in populations against the textbook loop."""

import copy
from collections.abc import Callable
from math import inf
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
from test_train import CPU, curves_of, textbook
from torch.optim import lr_scheduler

from harness import Study, Sweep, Tune
from harness.clipping import AGC, AutoClip, ClippingRule, GlobalNorm, PerTensorNorm, Value, ZClip
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Run, build
from harness.engine.setup import Setup
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSprop
from harness.settings import InvalidStudy
from harness.settings.schedules import Cosine, Early, Function, Late, Linear, Schedule, Step
from harness.study.changes import Changes, apply_changes
from harness.study.trial_run import trial_run
from harness.tasks import Images

TASK = Images(train_size=200)
STEPS = 30

Scheduler = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def torchs(peak: float, scheduler: Scheduler, steps: int) -> list[float]:
    """The learning rates in front of each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    of_torch, found = scheduler(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        of_torch.step()
    return found


def warmup_cosine(warmup: int, end: float) -> Scheduler:
    def made(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        rising = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
        falling = lr_scheduler.CosineAnnealingLR(optimizer, STEPS - warmup, eta_min=end)
        return lr_scheduler.SequentialLR(optimizer, [rising, falling], [warmup])

    return made


@pytest.mark.parametrize(
    ("schedule", "peak", "scheduler"),
    [
        (Cosine(0.3), 0.3, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
        (Cosine(0.3, end=0.1), 0.3, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1)),
        (Cosine(0.3, warmup=7), 0.3, warmup_cosine(7, 0.0)),
        (Cosine(0.3, end=0.05, warmup=1), 0.3, warmup_cosine(1, 0.05)),
        (Linear(0.3, 0.06, until=21), 0.3, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=20)),
        (Linear(0.3, 0.06), 0.3, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=STEPS - 1)),
        (Step(0.3, 0.5, every=8), 0.3, lambda o: lr_scheduler.StepLR(o, 8, 0.5)),
        (Function(lambda t, steps: 0.3 / t), 0.3, lambda o: lr_scheduler.LambdaLR(o, lambda i: 1 / (i + 1))),
    ],
    ids=lambda v: repr(v) if isinstance(v, Schedule) else "",
)  # fmt: skip
def test_a_schedule_has_the_values_of_torchs(schedule: Schedule, peak: float, scheduler: Scheduler) -> None:
    found = schedule.sequence(STEPS)
    assert found.shape == (STEPS,) and found.dtype == np.float64
    np.testing.assert_allclose(found, torchs(peak, scheduler, STEPS), rtol=1e-12, atol=1e-15)


OPTIMIZERS: dict[str, list[Optimizer]] = {
    "sgd": [
        SGD(Cosine(0.3, warmup=5), momentum=0.9, weight_decay=Linear(0.1, 0.0)),
        SGD(0.1, momentum=Linear(0.5, 0.9)),
        SGD(Step(0.3, 0.5, every=10), weight_decay=0.01),
        SGD(Linear(0.1, 0.0), momentum=0.5),
    ],
    "nesterov": [SGD(Cosine(0.3), momentum=0.9, nesterov=True), SGD(0.1, momentum=Step(0.9, 0.9, 5), nesterov=True)],
    "adam": [
        Adam(Cosine(0.01, warmup=5)), Adam(3e-3), Adam(Function(lambda t, steps: 0.01 / t**0.5), weight_decay=0.1),
        Adam(Linear(0.01, 0.0), weight_decay=Early(0.1, until=20)),
    ],
    "adamw": [AdamW(Cosine(0.01, end=1e-3)), AdamW(3e-3, weight_decay=Late(0.3, after=20)), AdamW(Linear(0.01, 0.0))],
    "rmsprop": [RMSprop(Cosine(0.01, warmup=5), momentum=0.5), RMSprop(3e-3, alpha=Linear(0.9, 0.99))],
    "lion": [Lion(Cosine(0.003, warmup=5), weight_decay=Linear(0.1, 0.0)), Lion(1e-3, beta1=Linear(0.8, 0.95))],
}  # fmt: skip

RULES: dict[str, list[ClippingRule]] = {
    "global norm": [GlobalNorm(Linear(2.0, 0.2)), GlobalNorm(0.5), GlobalNorm(Early(0.3, until=20, then=inf))],
    "per tensor": [PerTensorNorm(Cosine(1.0, end=0.1)), PerTensorNorm(0.5)],
    "value": [Value(Step(0.1, 0.5, every=10)), Value(0.05)],
    "agc": [AGC(Linear(0.01, 0.3)), AGC(0.05)],
    "autoclip": [AutoClip(Linear(90.0, 5.0)), AutoClip(10.0)],
    "zclip": [ZClip(Linear(3.0, 0.1), warmup=5), ZClip(1.0, alpha=Linear(0.9, 0.99), warmup=5)],
}


def assert_textbook(setups: list[Setup], rtol: float = 1e-9) -> None:
    """In one population of two seeds each run equals the textbook loop's, and the last one also alone."""
    runs = [Run(trial, seed, setup) for trial, setup in enumerate(setups) for seed in (0, 1)]
    assert len(groups(runs)) == 1
    assert not [str(problem) for setup in setups for problem in setup.problems()]
    curves = curves_of(runs, dtype=torch.float64)
    alone = curves_of(runs[-1:], dtype=torch.float64)
    for run in runs[1::2]:
        losses, norms = textbook(run.setup, run.seed, torch.float64)
        for found in [curves] + [alone] * (run is runs[-1]):
            mine = found.loc[run.trial, run.seed]
            steps = mine.index.to_numpy() - 1
            np.testing.assert_allclose(mine["loss"], np.array(losses)[steps], rtol=rtol)
            np.testing.assert_allclose(mine["grad_norm"], np.array(norms)[steps], rtol=rtol)


def setup_of(**settings: Any) -> Setup:
    usual = {"task": TASK, "model": DropoutNet(hidden=(12,), dropout=0.2), "batch_size": 20, "steps": STEPS}
    return Setup(**(usual | settings))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizers_numbers_change_as_in_the_textbook_loop(name: str) -> None:
    assert_textbook([setup_of(optimizer=optimizer) for optimizer in OPTIMIZERS[name]])


@pytest.mark.parametrize("name", RULES)
def test_a_clipping_rules_numbers_change_as_in_the_textbook_loop(name: str) -> None:
    assert_textbook([setup_of(clipping=rule, optimizer=SGD(0.3)) for rule in RULES[name]])


def test_p_the_rate_and_the_bound_change_in_one_population() -> None:
    p = [Cosine(0.5, warmup=10), 0.2, Function(lambda t, steps: 0.5 * (t % 2))]
    setups = [
        setup_of(model=DropoutNet(hidden=(12,), dropout=p[i]), optimizer=SGD(Linear(0.3, 0.1 * i)),
                 clipping=GlobalNorm(Linear(0.1 + i, 1.0)))
        for i in range(3)
    ]  # fmt: skip
    assert_textbook(setups)
    assert obstacle([Run(0, 0, setups[0]), Run(1, 1, setups[2])], CPU) == ""


def test_a_recurrent_nets_p_may_be_any_schedule() -> None:
    rows = Images(train_size=200, layout="rows")
    net = SimpleRNN(hidden=8, layers=2, dropout=Cosine(0.5), zoneout=Step(0.5, 0.5, every=3))
    assert_textbook([setup_of(task=rows, model=net, optimizer=SGD(0.1), steps=8)])


class OfTorch(nn.Module):
    """A layer of torch's that has dropout inside, and a readout of its last step."""

    def __init__(self, inputs: int, outputs: int, kind: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.kind, self.p, self.out = kind, dropout, nn.Linear(inputs, outputs)
        if kind in ("LSTM", "GRU", "RNN"):
            self.layer = getattr(nn, kind)(inputs, inputs, 2, batch_first=True, dropout=dropout)
        elif kind == "TransformerEncoderLayer":
            self.layer = nn.TransformerEncoderLayer(inputs, 2, 16, dropout=dropout, batch_first=True)
        elif kind.startswith("MultiheadAttention"):
            self.layer = nn.MultiheadAttention(inputs, 2, dropout=dropout, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "torch.dropout":
            return self.out(torch.dropout(x[:, -1], self.p, self.training))
        if self.kind.startswith("MultiheadAttention"):
            return self.out(self.layer(x, x, x, need_weights="with weights" in self.kind)[0][:, -1])
        if self.kind == "TransformerEncoderLayer":
            return self.out(self.layer(x)[:, -1])
        return self.out(self.layer(x)[0][:, -1])


OF_TORCH = (
    "LSTM",
    "GRU",
    "RNN",
    "TransformerEncoderLayer",
    "MultiheadAttention",
    "MultiheadAttention with weights",
    "torch.dropout",
)


@pytest.mark.parametrize("kind", OF_TORCH)
def test_p_of_torchs_own_layers_may_be_a_schedule(kind: str) -> None:
    rows = Images(train_size=200, layout="rows")
    models = [Model(OfTorch, kind=kind, dropout=p) for p in (Linear(0.5, 0.0), 0.3, Early(0.4, until=3))]
    setups = [setup_of(task=rows, model=model, optimizer=SGD(0.1), steps=8) for model in models]
    assert_textbook(setups)
    assert trial_run(setups[0]) == []
    assert obstacle([Run(0, 0, setups[0]), Run(1, 1, setups[2])], CPU) == ""


def test_what_stands_for_a_float_is_a_schedule_everywhere_else() -> None:
    given, plain = Linear(0.5, 0.0).over(10), Linear(0.5, 0.0)
    assert isinstance(given, float) and not isinstance(plain, float)
    for each in (given, plain):
        for same in (cloudpickle.loads(cloudpickle.dumps(each)), copy.deepcopy(each)):
            assert type(same) is Linear and same == plain and isinstance(same, float) == (each is given)
    with pytest.raises(TypeError):
        float(given)
    with pytest.raises(ValueError, match="dropout should be a number in range"):
        Model(OfTorch, kind="LSTM", dropout=Linear(0.5, 1.5)).build({"inputs": 2, "outputs": 2}, 10)


class Lazy(nn.Module):
    """Its layers find their sizes, or are given them."""

    def __init__(self, outputs: int, lazy: bool, dropout: float) -> None:
        super().__init__()
        sizes = ((64, 8), (8, outputs))
        self.layers = nn.ModuleList(nn.LazyLinear(o) if lazy else nn.Linear(i, o) for i, o in sizes)
        self.p = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[1](torch.dropout(self.layers[0](x).relu(), self.p, self.training))


def test_a_lazy_layer_may_stand_beside_a_p_that_is_a_schedule() -> None:
    lazy, known = (
        setup_of(model=Model(Lazy, lazy=lazy, dropout=Linear(0.5, 0.0)), optimizer=SGD(0.1), steps=8)
        for lazy in (True, False)
    )
    assert_textbook([known])
    pd.testing.assert_frame_equal(*(curves_of([Run(0, 0, setup)]) for setup in (lazy, known)), check_exact=True)


def test_a_rate_of_0_moves_nothing() -> None:
    """Adam divides by the step, which an all-zero gradient's padding must survive."""
    for optimizer in (Adam(Early(0.01, until=1)), AdamW(Early(0.01, until=1)), SGD(Early(0.01, until=1))):
        runs = [Run(0, 0, setup_of(optimizer=optimizer, steps=9))]
        ratio = curves_of(runs).loc[(0, 0)]["update_ratio"]
        assert ratio[1] > 0 and ratio[2:].eq(0).all()


def test_a_step_at_which_the_momentum_is_0_is_remembered_as_at_the_least_one_above() -> None:
    """Torch keeps no velocity of a step at exactly 0."""
    zero, least = (setup_of(optimizer=SGD(0.3, momentum=Linear(first, 0.9))) for first in (0.0, 1e-12))
    losses, _ = textbook(least, 0, torch.float64)
    np.testing.assert_allclose(curves_of([Run(0, 0, zero)], dtype=torch.float64)["loss"], losses, rtol=1e-9)


def test_the_numbers_of_a_schedule_are_swept_and_tuned() -> None:
    study = Study(
        name="x", task=TASK, steps=20, model=DropoutNet(hidden=(4,), dropout=Linear(Sweep(0.0, 0.5), 0.0)),
        optimizer=SGD(Cosine(Tune(0.01, 1.0, log=True), warmup=Sweep(0, 5))),
        clipping=GlobalNorm(Sweep(1.0, Linear(1.0, 0.1), inf)),
    )  # fmt: skip
    assert list(study.sweeps()) == ["model.dropout.start", "clipping.max_norm", "optimizer.lr.warmup"]
    assert list(study.tunes()) == ["optimizer.lr.peak"]
    setups = [study.setup(cell | {"optimizer.lr.peak": 0.1}) for cell in study.cells()]
    assert len(groups([Run(i, 0, setup) for i, setup in enumerate(setups)])) == 1
    assert setups[-1].optimizer == SGD(Cosine(0.1, warmup=5))
    changed = apply_changes(
        study, Changes(("optimizer.lr.peak=Sweep(0.1, 0.2)", "clipping=AGC(Step(0.1, 0.5, every=9))"))
    )
    assert list(changed.sweeps()) == ["model.dropout.start", "optimizer.lr.peak", "optimizer.lr.warmup"]
    assert changed.clipping == AGC(Step(0.1, 0.5, every=9))


def rising(t: int, steps: int) -> float:
    return 0.1 * t / steps


class Rising(Schedule):
    """A user's own."""

    top: float

    def sequence(self, steps: int) -> np.ndarray:
        return np.linspace(0.0, self.top, steps + 1)[1:]


def falling_from(top: float) -> Function:
    return Function(lambda t, steps: top / t)


def test_a_users_function_or_schedule_is_known_by_its_source() -> None:
    def study(lr: Any) -> Study:
        return Study(name="x", task=TASK, steps=20, model=DropoutNet(hidden=(4,)), optimizer=SGD(lr))

    same = [Function(rising), Function(rising), cloudpickle.loads(cloudpickle.dumps(Function(rising)))]
    assert len({study(lr).digest() for lr in same}) == 1
    different = [
        Function(rising),
        falling_from(0.1),
        falling_from(0.2),
        Rising(0.1),
        Rising(0.2),
        Linear(0.1, 0.2),
        0.1,
    ]
    different += [Sweep(Rising(0.1), 0.1), Sweep(Linear(0.1, 0.2), 0.1)]
    assert len({study(lr).digest() for lr in different}) == len(different)
    assert study(Rising(0.1)).description()["optimizer.lr"].startswith("test_schedules.Rising (")
    assert "0x" not in str(study(Function(rising)).description())
    setups = [setup_of(optimizer=SGD(lr), steps=9) for lr in (Rising(0.1), Linear(0.1 / 9, 0.1))]
    curves = curves_of([Run(i, 0, setup) for i, setup in enumerate(setups)], dtype=torch.float64)
    np.testing.assert_allclose(curves.loc[0]["loss"], curves.loc[1]["loss"], rtol=1e-12)


def test_set_takes_a_users_function() -> None:
    study = Study(name="x", task=TASK, steps=20, model=DropoutNet(hidden=(4,)))
    changed = apply_changes(study, Changes(("optimizer.lr=Function(rising)",)), {"rising": rising})
    assert changed.factors()["optimizer.lr.function"] is rising


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"model": DropoutNet(dropout=Linear(0.5, 1.0))}, "model.dropout: input should be less than 1"),
        ({"optimizer": SGD(Linear(0.1, -0.1))}, "optimizer.lr: input should be greater than 0"),
        ({"optimizer": SGD(0.0)}, "optimizer.lr: input should be greater than 0"),
        ({"clipping": GlobalNorm(Early(1.0, until=3))}, "clipping.max_norm: input should be greater than 0; inf means no bound"),
        ({"clipping": GlobalNorm(Function(lambda t, steps: 1 / (t - 1)))}, "gives no values: ZeroDivisionError"),
        ({"optimizer": SGD(Function(lambda t, steps: float("nan")))}, "optimizer.lr: must be a number"),
        ({"optimizer": Adam(Function(lambda t, steps: np.random.rand()))}, "optimizer.lr: gives no values: ValueError: must give the same"),
        ({"optimizer": SGD(momentum=Linear(0.0, 1.0), nesterov=True)}, "optimizer.momentum: input should be less than 1"),
        ({"optimizer": SGD(nesterov=Linear(0.0, 1.0))}, "optimizer.nesterov: input should be a valid boolean"),
        ({"optimizer": SGD(nesterov=True)}, "optimizer.nesterov: needs momentum"),
        ({"optimizer": SGD(Cosine(0.1, warmup=-1))}, "optimizer.lr.warmup: must be 0 or more"),
        ({"optimizer": SGD(Cosine(Tune(0.1, 1.0), end=Tune(-1.0, 0.0)))}, "optimizer.lr: input should be greater than 0"),
        ({"model": DropoutNet(dropout=Linear(Tune(0.5, 2.0), 0.0))}, "model.dropout: input should be less than 1"),
        ({"batch_size": Linear(1, 2)}, "batch_size: input should be a valid integer"),
        ({"optimizer": SGD(Function(3))}, "optimizer.lr.function: input should be callable"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        Study(name="x", **({"task": TASK, "steps": 20, "model": DropoutNet(hidden=(4,))} | settings))
    assert problem in str(caught.value)


class Doubtful(nn.Module):
    """Has dropout only where its p is above 0, as users write it."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.drop = nn.Dropout(dropout) if dropout > 0 else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x if self.drop is None else self.drop(x))


def test_a_module_sees_the_values_of_its_own_training() -> None:
    """Of 2000 steps the last 800 have dropout; of 50 none has, and p at step 1000 would be 18."""
    late, steep = Function(lambda t, steps: 0.5 * (t > 1200)), Function(lambda t, steps: 0.9 * t / 51)
    modules = [setup_of(model=Model(Doubtful, dropout=late), steps=steps) for steps in (2000, 50)]
    assert [build(setup, TASK.data(0), 0).drop is None for setup in modules] == [False, True]
    Study(name="x", task=TASK, steps=50, model=Model(Doubtful, dropout=steep))
    assert_textbook([setup_of(model=Model(Doubtful, dropout=steep), steps=6, optimizer=SGD(0.1))])


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Cosine(Tune(0.1, 1.0), warmup=20), "in its warm-up of 20 steps: it gets to 95 % of its peak"),
        (Linear(1.0, 0.5, until=21), "before its end at step 21: it goes 95 % of the way"),
        (Early(1.0, until=20, then=0.5), "and it would change after step 20: it keeps its first value"),
        (Late(1.0, after=20, before=0.5), "and it would change after step 20: it keeps its first value"),
        (Step(1.0, 0.5, every=20), "and it would change after step 20: it keeps its first value"),
        (Cosine(1.0, warmup=Sweep(18, 19)), ""),
        (Linear(1.0, 0.5, until=20), ""),
        (Linear(1.0, 0.5), ""),
        (Early(1.0, until=19, then=0.5), ""),
        (Late(1.0, after=19, before=0.5), ""),
        (Step(1.0, 0.5, every=19), ""),
    ],
    ids=str,
)
def test_what_of_a_schedule_training_ends_before_is_told_of_once(schedule: Schedule, said: str) -> None:
    study = Study(
        name="x",
        task=TASK,
        model=DropoutNet(hidden=(4,)),
        optimizer=SGD(schedule),
        steps=20,
        clipping=GlobalNorm(Sweep(1.0, 2.0)),
    )
    assert study.notes == ([f"optimizer.lr: training ends with step 20, {said}"] if said else [])
    if isinstance(schedule, Early | Late | Step):
        assert (len(set(schedule.sequence(20))) == 1) == bool(said)


def test_of_schedules_in_a_model_and_a_short_version_is_told_too() -> None:
    study = Study(name="x", task=TASK, model=DropoutNet(hidden=(4, 4), dropout=(Early(0.5, until=300), 0.1)), steps=400)
    assert study.notes == []
    (note,) = apply_changes(study, Changes(quick=True)).notes
    assert note.startswith("model.dropout[0]: training ends with step ") and "after step 300" in note
