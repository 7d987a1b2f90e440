"""Label smoothing, accumulated gradients, bf16, dropout by layer, early stopping: against plain loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_capture import host_traffic
from test_schedules import assert_textbook, setup_of
from test_train import CPU, curves_of, textbook

from harness import Study, Sweep, Tune
from harness.clipping import AGC, GlobalNorm
from harness.engine import update
from harness.engine.diagnostics import Diagnostics
from harness.engine.functions.cross_entropy import cross_entropy, smoothed
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW, Lion
from harness.settings import InvalidStudy
from harness.settings.schedules import Cosine, Early, Linear
from harness.study.changes import Changes, apply_changes
from harness.tasks import AddingProblem, CharLM, Images

TASK = Images(train_size=200)


def pair(one: Setup, other: Setup) -> list[Run]:
    return [Run(0, 0, one), Run(1, 1, other)]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_torchs(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(7, 4, 9, generator=generator, dtype=torch.float64)).requires_grad_()
    y = torch.randint(9, (7, 4), generator=generator)
    mine = cross_entropy(logits.flatten(0, 1), y.flatten()).mean() + smoothed(
        logits, y, torch.tensor(smoothing, dtype=torch.float64)
    )
    torchs = F.cross_entropy(logits.flatten(0, 1), y.flatten(), label_smoothing=smoothing)
    torch.testing.assert_close(mine, torchs, rtol=1e-12, atol=1e-12)
    gradients = (torch.autograd.grad(loss, logits)[0] for loss in (mine, torchs))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_label_smoothing_acts_on_the_training_loss_alone() -> None:
    setups = [setup_of(label_smoothing=smoothing, optimizer=SGD(0.3), steps=10) for smoothing in (0.0, 0.1, 0.5)]
    assert_textbook(setups)
    assert obstacle(pair(setups[1], setups[2]), CPU) == ""
    still = [setup.replace(optimizer=SGD(1e-12), steps=2) for setup in setups]
    runs, _ = train([Run(i, 0, setup) for i, setup in enumerate(still)], evaluations=1, device=CPU)
    for name in ("train_loss", "validation_loss", "test_loss"):
        np.testing.assert_allclose(runs[name], runs[name][0], rtol=1e-6)
    text = CharLM(length=6)
    net = SimpleRNN(hidden=8, readout="every")
    assert_textbook(
        [setup_of(task=text, model=net, label_smoothing=s, optimizer=SGD(0.5), steps=6) for s in (0.2, 0.0)]
    )


def test_label_smoothing_needs_a_cross_entropy() -> None:
    with pytest.raises(InvalidStudy, match="label_smoothing: smooths the classes of a cross-entropy"):
        Study(name="x", task=AddingProblem(length=5), model=SimpleRNN(hidden=4), steps=5, label_smoothing=0.1)


def test_accumulated_gradients_are_clipped_and_applied_once() -> None:
    settings = {"accumulate": 4, "batch_size": 10, "label_smoothing": 0.1, "steps": 12}
    setups = [
        setup_of(optimizer=optimizer, clipping=clipping, **settings)
        for optimizer, clipping in ((AdamW(0.01), GlobalNorm(0.3)), (AdamW(Cosine(0.03)), GlobalNorm(Linear(1.0, 0.1))))
    ]
    assert_textbook(setups)
    assert_textbook([setup_of(clipping=AGC(0.02), optimizer=SGD(0.3, momentum=0.9), **settings)])
    assert obstacle(pair(*setups), CPU) == ""


def test_accumulating_equals_one_large_batch_where_examples_do_not_meet() -> None:
    """Without dropout or batch norm the mean gradient of four batches is that of the four together."""
    net = DropoutNet(hidden=(12,), dropout=0.0)
    parts, whole = (
        setup_of(model=net, optimizer=SGD(0.3), batch_size=b, accumulate=k, steps=10) for b, k in ((8, 4), (32, 1))
    )
    one, other = (curves_of([Run(0, s, setup) for s in (0, 1)], dtype=torch.float64) for setup in (parts, whole))
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)
    assert len(groups([Run(0, 0, parts), Run(1, 0, whole)])) == 2
    with pytest.raises(InvalidStudy, match="accumulate: a step of 9 × 32 must not exceed the 200 training examples"):
        Study(name="x", task=TASK, model=net, batch_size=32, accumulate=9, steps=5)


class Branches(nn.Module):
    """Its second layer takes part in the first forward pass of four only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self.first(x)
        if self.training:
            self.calls += 1
            if self.calls % 4 == 1:
                output = output + self.second(x)
        return output


def test_a_parameter_used_in_one_of_the_batches_is_updated() -> None:
    assert_textbook([setup_of(model=Model(Branches), accumulate=4, batch_size=8, optimizer=Adam(0.01), steps=6)])


def test_bf16_is_torchs_autocast_and_trains_plainly() -> None:
    setup = setup_of(precision="bf16", optimizer=SGD(0.1), clipping=GlobalNorm(1.0), steps=10)
    curve = curves_of([Run(0, 3, setup)]).loc[0, 3]
    losses, norms = textbook(setup, 3, torch.float32)
    np.testing.assert_allclose(curve["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(curve["grad_norm"], norms, rtol=1e-4)
    full, _ = textbook(setup.replace(precision="fp32"), 3, torch.float32)
    assert np.abs(np.array(full) / losses - 1).max() > 1e-4
    assert "it computes in bf16" in obstacle(pair(setup, setup), CPU)
    assert len(groups([Run(0, 0, setup), Run(1, 0, setup.replace(precision="fp32"))])) == 2


def test_bf16_keeps_what_lasts_in_single_precision() -> None:
    seen = set()

    class Spy(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.a, self.drop, self.b = nn.Linear(inputs, 8), nn.Dropout(0.5), nn.Linear(8, outputs)
            self.a.weight.register_hook(lambda gradient: seen.add(("gradient", gradient.dtype)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.drop(self.a(x))
            output = self.b(hidden)
            seen.update({("weights", self.a.weight.dtype), ("hidden", hidden.dtype), ("output", output.dtype)})
            return output

    train([Run(0, 0, setup_of(model=Model(Spy), precision="bf16", steps=2))], evaluations=1, device=CPU)
    bf16, fp32 = torch.bfloat16, torch.float32
    assert seen == {("weights", fp32), ("hidden", bf16), ("output", bf16), ("gradient", fp32)}


def test_every_layer_may_have_a_p_of_its_own() -> None:
    levels: list[Any] = [(0.2, 0.5), (0.5, 0.2), 0.3, (0.0, Early(0.5, until=5))]
    setups = [setup_of(model=DropoutNet(hidden=(12, 12), dropout=p), optimizer=SGD(0.3), steps=10) for p in levels]
    assert_textbook(setups)
    assert obstacle(pair(setups[0], setups[1]), CPU) == ""
    rows = Images(train_size=200, layout="rows")
    for layers in (2, 3):
        ps = (0.1, 0.6, 0.3)[:layers]
        nets = [SimpleRNN(hidden=8, layers=layers, dropout=p) for p in (ps, ps[::-1])]
        assert_textbook([setup_of(task=rows, model=net, optimizer=SGD(0.1), steps=5) for net in nets])


def test_where_dropout_acts_is_a_factor() -> None:
    def study(dropout: Any) -> Study:
        return Study(name="x", task=TASK, model=DropoutNet(hidden=(8, 4), dropout=dropout), steps=5)

    each = study((Sweep(0.2, 0.5), Tune(0.1, 0.9)))
    assert set(each.sweeps()) == {"model.dropout.0"} and set(each.tunes()) == {"model.dropout.1"}
    setup = each.setup({"model.dropout.0": 0.5, "model.dropout.1": 0.3})
    assert setup.model.values()["dropout"] == (0.5, 0.3)
    changed = apply_changes(study((0.2, 0.5)), Changes(("model.dropout.0=0.4", "model.dropout.1=Sweep(0.0, 0.1)")))
    assert changed.sweeps() == {"model.dropout.1": Sweep(0.0, 0.1)}
    assert changed.factors()["model.dropout.0"] == 0.4
    whole = study(Sweep((0.2, 0.5), (0.5, 0.2)))
    assert len(groups([Run(i, 0, whole.setup(cell)) for i, cell in enumerate(whole.cells())])) == 1
    assert len({study(d).digest() for d in ((0.2, 0.5), (0.5, 0.2), 0.2)}) == 3
    for dropout, message in (
        ((0.2, 1.0), "model.dropout.1: input should be less than 1"),
        ((0.2, 0.3, 0.4), "dropout must hold one p for each of the 2 hidden layers, but holds 3"),
        ([0.2, 0.5], "can be understood in two ways"),
        ((Sweep(0.2, 1.5), 0.1), "model.dropout.0: input should be less than 1"),
    ):
        with pytest.raises(InvalidStudy, match=message):
            study(dropout)
    with pytest.raises(InvalidStudy, match="unknown setting"):
        apply_changes(study((0.2, 0.5)), Changes(("model.dropout.2=0.4",)))


EVALUATIONS, STEPS = 16, 96
OVERFITTING = {
    "task": Images(train_size=60, label_noise=0.5), "model": DropoutNet(hidden=(32,), dropout=0.2), "batch_size": 20,
    "steps": STEPS, "clipping": GlobalNorm(1.0),
}  # fmt: skip


def stopped_by_hand(validation: list[float], patience: int) -> tuple[int, int]:
    """The index of the least loss, and that of the evaluation after which training ends."""
    best = 0
    for i, loss in enumerate(validation):
        if loss < validation[best]:
            best = i
        if i - best >= patience:
            return best, i
    return best, len(validation) - 1


def test_a_run_that_loses_patience_is_finished_with_the_metrics_of_its_best_step() -> None:
    every = STEPS // EVALUATIONS
    setups = [
        Setup(optimizer=SGD(lr), patience=p, **OVERFITTING) for lr, p in ((0.5, 2), (0.5, 4), (0.02, 3), (1e200, 3))
    ]
    runs = [Run(i, seed, setup) for i, setup in enumerate(setups) for seed in (0, 1)]
    assert len(groups(runs)) == 1
    found, curves = train(runs, evaluations=EVALUATIONS, device=CPU, dtype=torch.float64)
    _, whole = train(
        [Run(r.trial, r.seed, r.setup.replace(patience=None)) for r in runs], evaluations=EVALUATIONS, device=CPU,
        dtype=torch.float64,
    )  # fmt: skip
    ends = set()
    for run, row in zip(runs, found.itertuples(), strict=True):
        mine, theirs = (
            c[(c["trial"] == run.trial) & (c["seed"] == run.seed)].set_index("step") for c in (curves, whole)
        )
        if run.trial == 3:
            assert row.status == "diverged" and row.nonfinite == 1
            continue
        validation = theirs["validation_loss"].dropna().tolist()
        best, end = stopped_by_hand(validation, run.setup.patience or 0)
        ends.add(end)
        assert row.nonfinite == row.diverged == 0 and row.steps_done == every * (end + 1)
        assert mine["validation_loss"].dropna().tolist() == validation[: end + 1]
        assert mine.loc[row.steps_done + 1 :, "loss"].isna().all()
        short = run.setup.replace(steps=every * (best + 1), patience=None)
        (expected,) = train([Run(0, run.seed, short)], evaluations=1, device=CPU, dtype=torch.float64)[0].itertuples()
        for name in (
            "train_loss",
            "validation_loss",
            "test_loss",
            "train_error",
            "validation_error",
            "test_error",
            "gap",
            "best_test_loss",
            "best_gap",
        ):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert EVALUATIONS - 1 in ends and len(ends) > 2
    alone, _ = train(runs[2:3], evaluations=EVALUATIONS, device=CPU, dtype=torch.float64)
    same = found[(found["trial"] == 1) & (found["seed"] == 0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same, rtol=1e-9)


@pytest.mark.slow
def test_what_is_measured_along_a_stopped_run_ends_with_it() -> None:
    rows = Images(train_size=60, test_size=60, layout="rows", label_noise=0.5)
    setup = Setup(rows, SimpleRNN(hidden=4), GlobalNorm(1.0), SGD(1.0), 30, 60, metrics=Diagnostics("full"))
    runs = [Run(i, 0, setup.replace(patience=patience)) for i, patience in enumerate((1, 5))]
    row = train(runs, evaluations=6, device=CPU, dtype=torch.float64)[0].loc[0]
    done, best = int(row["steps_done"]), int(row["best_step"])
    assert best < done < 60
    assert row["test_loss"] == row["best_test_loss"] and row["test_error"] == row["best_test_error"]
    for steps, names in (
        (done, ["gradient_flow", "gradient_noise_scale"]),
        (
            best,
            [
                "sharpness",
                "brier",
                "calibration_error",
                "noise_error",
                "memorization",
                "recurrent_radius",
                "weight_rank",
            ],
        ),
    ):
        short = Run(0, 0, setup.replace(steps=steps))
        expected = train([short], evaluations=steps // 10, device=CPU, dtype=torch.float64)[0].loc[0]
        np.testing.assert_allclose(row[names].astype(float), expected[names].astype(float), rtol=1e-6)


def test_the_zoneout_of_the_best_step_is_that_of_its_p() -> None:
    """In evaluation zoneout holds the share p of a state, and a schedule's p at the best step is not that of the last."""
    rows = Images(train_size=60, layout="rows", label_noise=0.5)
    net = SimpleRNN(hidden=8, zoneout=Early(0.6, until=20))
    setup = Setup(rows, net, GlobalNorm(1.0), SGD(1.0), 20, 60, patience=1)
    validation = train([Run(0, 0, setup.replace(patience=None))], evaluations=6, device=CPU)[1][
        "validation_loss"
    ].dropna()
    row = train([Run(0, 0, setup)], evaluations=6, device=CPU)[0].loc[0]
    best, end = stopped_by_hand(validation.tolist(), 1)
    assert row["steps_done"] == 10 * (end + 1)
    short = setup.replace(steps=10 * (best + 1), patience=None)
    expected = train([Run(0, 0, short)], evaluations=1, device=CPU)[0].loc[0]
    assert row["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-6)


def test_patience_is_swept_tuned_and_checked() -> None:
    study = Study(name="x", task=TASK, model=DropoutNet(), steps=50, patience=Sweep(2, 5), evaluations=10)
    assert len(groups([Run(i, 0, study.setup(cell)) for i, cell in enumerate(study.cells())])) == 1
    never = [Run(i, 0, setup_of(patience=patience)) for i, patience in enumerate((None, 3))]
    assert len(groups(never)) == 2
    for settings in (
        {"patience": 10},
        {"patience": Sweep(2, 10)},
        {"patience": Tune(2, 10)},
        {"patience": 5, "steps": 5},
    ):
        with pytest.raises(InvalidStudy, match=r"patience: must be less than the (10|5) evaluations"):
            Study(**({"name": "x", "task": TASK, "model": DropoutNet(), "steps": 50} | settings))


class Counter(nn.Module):
    """Its output depends on how often it was called."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(inputs, outputs), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.layer(x) / (1 + self.calls)


class Weighing(Counter):
    """By a number with a point, which might be each run's own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.weight = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight *= 0.9 if self.training else 1.0
        return self.layer(x) * self.weight


def test_runs_that_count_their_calls_stop_each_alone() -> None:
    setup = setup_of(model=Model(Counter))
    assert obstacle(pair(setup, setup), CPU) == ""
    stopping = setup.replace(patience=2)
    assert "`calls` changes from call to call" in obstacle(pair(stopping, stopping), CPU)
    weighing = stopping.replace(model=Model(Weighing))
    assert "`weight` changes from call to call" in obstacle(pair(weighing, weighing), CPU)


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate": 3, "label_smoothing": 0.1},
        {"optimizer": AdamW(Cosine(0.1, warmup=2), weight_decay=Linear(0.1, 0.0), decay="weights")},
        {"optimizer": Lion(Cosine(0.1)), "clipping": GlobalNorm(Linear(1.0, 0.1))},
        {"model": DropoutNet(hidden=(8, 8), dropout=(0.2, Cosine(0.5)))},
        {"patience": 2},
    ],
    ids=lambda v: " ".join(v),
)
def test_no_option_makes_the_host_wait(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "FUSED", {})
    assert not host_traffic(setup_of(**settings))


def test_two_studies_that_differ_in_an_option_differ() -> None:
    options: list[dict[str, Any]] = [
        {}, {"accumulate": 2}, {"precision": "bf16"}, {"label_smoothing": 0.1}, {"patience": 3},
        {"optimizer": SGD(0.1, momentum=0.5)}, {"optimizer": SGD(0.1, momentum=0.5, nesterov=True)},
        {"optimizer": SGD(0.1, momentum=0.5, decay="weights")},
    ]  # fmt: skip
    studies = [Study(name="x", task=TASK, model=DropoutNet(), steps=50, **given) for given in options]
    assert len({study.digest() for study in studies}) == len(studies)
