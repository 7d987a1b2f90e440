"""What the table of metrics says of each, against what training and measuring make of it."""

import functools
import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, textbook_model

from harness import Diagnostics, Study, Tune
from harness.clipping import GlobalNorm
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.ledger.trials import Trial
from harness.models import DropoutNet, Model
from harness.optimizers import SGD
from harness.settings.metrics import BOUNDED, METRICS, RATE, Metric, not_comparable
from harness.settings.randomness import stream_seed
from harness.tasks import Tensors

X = torch.randn(240, 5, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
OTHER = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
POINTS = Tensors(X, Y, test=(OTHER, (OTHER[:, 0] > 0).long()), target_error=0.3, label_noise=0.2)
SETUP = Setup(
    task=POINTS,
    model=DropoutNet(hidden=(8,), dropout=0.2), clipping=GlobalNorm(0.5), optimizer=SGD(0.3), batch_size=16, steps=30,
    metrics=Diagnostics("full"),
)  # fmt: skip

BEST = {f"best_{name}" for name in ("step", "validation_loss", "train_loss", "test_loss", "test_error", "gap")}
ON_TRAINING, ON_TEST = (
    {"train_loss", "train_error", "validation_loss", "validation_error"}, {"test_loss", "test_error", "gap"}
)  # fmt: skip
DIAGNOSED = {
    "standard": {"brier", "calibration_error", "noise_error", "memorization", "churn", "recurrent_radius", "recurrent_gain"},
    "full": {"sharpness", "gradient_noise_scale", "gradient_flow", "weight_rank"},
}  # fmt: skip
OF_SEVERAL_RUNS = {"churn", "largest_lr", "lr_sensitivity"}


@functools.cache
def row(setup: Setup = SETUP, *, confirm: bool = True) -> pd.Series:
    runs, _ = train([Run(0, 0, setup, confirm=confirm)], evaluations=3, device=CPU)
    return runs.loc[0, list(METRICS)].astype(float)


def test_tuning_may_use_what_other_test_data_do_not_change_and_runs_that_are_not_tested_have() -> None:
    here = row()
    moved = row(SETUP.with_value("task.test", (OTHER + 3, SETUP.task.test[1])))
    changed = {name for name in METRICS if here[name] != moved[name] and not math.isnan(here[name])}
    assert changed == ON_TEST | (BEST & {"best_test_loss", "best_test_error", "best_gap"}) | {"brier", "calibration_error", "noise_error"}  # fmt: skip
    tunable = {name for name, metric in METRICS.items() if metric.tunable}
    assert not changed & tunable
    untested = row(confirm=False)
    by_now = set(untested[untested.notna()].index) | {"recovery_steps"}  # missing without spikes
    assert tunable == by_now - BEST - {"guess_loss"}


@pytest.mark.parametrize("confirm", [True, False])
def test_losses_are_those_of_the_textbook_loop_on_their_own_examples(confirm: bool) -> None:
    """A run that is not tested is measured on the first 256 training examples, another on as many as it is tested on."""
    x = torch.randn(420, 5, generator=torch.Generator().manual_seed(2))
    setup = Setup(task=Tensors(x, (x[:, 0] > 0).long(), test_size=40, validation_size=60), model=DropoutNet(hidden=(8,)),
                  optimizer=SGD(0.5), batch_size=16, steps=20)  # fmt: skip
    found, _ = train([Run(0, 0, setup, confirm=confirm)], evaluations=2, device=CPU, dtype=torch.float64)
    model, data = textbook_model(setup, 0, torch.float64)[0].eval(), setup.task.data(0)
    assert len(data.train) == 320
    splits = {"train": data.train[: 40 if confirm else 256], "validation": data.validation} | ({"test": data.test} if confirm else {})  # fmt: skip
    for split, chosen in splits.items():
        scores, y = model(data.x[chosen].double()).detach(), data.y[chosen]
        assert found[f"{split}_loss"][0] == pytest.approx(float(F.cross_entropy(scores, y)), rel=1e-9)
        assert found[f"{split}_error"][0] == pytest.approx(float((scores.argmax(1) != y).double().mean()), abs=1e-12)
    assert found["test_loss"].notna()[0] == confirm


@pytest.mark.parametrize("tune", ["within", "shared"])
def test_runs_are_untested_where_values_are_shared_and_there_alone(tune: Any) -> None:
    """So that `train_loss` is of as many examples as `test_loss` wherever seeds are tuned by themselves."""
    study = Study(name="x", task=POINTS, model=DropoutNet(hidden=(8,)), optimizer=SGD(Tune(0.1, 1.0)), batch_size=16, steps=2, tune=tune)  # fmt: skip
    assert Trial(0, 0, False, {"optimizer.lr": 0.1}).tested(study) is (tune == "within")
    assert "(256 in shared tuning)" in METRICS["train_loss"].meaning


class Embedded(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embedding, self.last = nn.Embedding(inputs, 6, max_norm=1.0), nn.Linear(6, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.embedding(x).mean(1))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_an_update_holds_what_the_forward_pass_renormalises(seeds: tuple[int, ...]) -> None:
    """A rate of next to nothing moves no weight; of the first batch's tokens all rows that are too long get the norm 1."""
    x = torch.stack([torch.roll(torch.arange(5), i % 5) for i in range(60)])
    setup = Setup(task=Tensors(x, x[:, 0] % 2), model=Model(Embedded), optimizer=SGD(1e-300), batch_size=16, steps=1)
    _, curves = train([Run(0, seed, setup) for seed in seeds], evaluations=1, device=CPU, dtype=torch.float64)
    for seed, found in zip(seeds, curves["update_ratio"], strict=True):
        torch.manual_seed(stream_seed(seed, "init"))
        module = Embedded(5, 2).double()
        excess = (module.embedding.weight.detach().norm(dim=1) - 1).clamp(min=0).norm()
        whole = nn.utils.parameters_to_vector(module.parameters()).detach().norm()
        assert found == pytest.approx(float(excess / whole), rel=1e-5) and found > 0.1


def test_of_a_run_that_became_non_finite_what_measures_generalization_is_infinite() -> None:
    wild = SETUP.replace(optimizer=SGD(1e38), clipping=GlobalNorm(math.inf))
    of_generalization = ON_TRAINING | ON_TEST | BEST | DIAGNOSED["standard"] - {"recurrent_radius", "recurrent_gain"}
    for confirm, expected in ((True, of_generalization), (False, ON_TRAINING)):
        found = row(wild, confirm=confirm).drop("update_ratio")  # so long was its only step
        assert {name for name in found.index if math.isinf(found[name])} == expected


def test_which_direction_is_good() -> None:
    by_direction = {way: {name for name, m in METRICS.items() if m.better == way} for way in ("lower", "higher", None)}
    assert by_direction["higher"] == {"solved", "largest_lr"}
    assert by_direction[None] == {
        "best_step", "grad_norm_mean", "grad_norm_median", *(n for n in METRICS if n.startswith("clipped_norm")),
        "clip_fraction", "clipped_units", "mean_shrink", "update_ratio", "guess_loss", "train_noise", "eval_noise",
        "recurrent_radius", "recurrent_gain", *DIAGNOSED["full"],
    }  # fmt: skip


def test_what_the_levels_measure_and_what_a_single_run_has() -> None:
    light, standard, full = (set(Diagnostics(level).metrics()) for level in ("light", "standard", "full"))
    assert (standard - light, full - standard, full) == (DIAGNOSED["standard"], DIAGNOSED["full"], set(METRICS))
    assert {name for name, metric in METRICS.items() if metric.across_runs} == OF_SEVERAL_RUNS
    assert (
        row().isna()[["solved", "solve_step", "memorization", *sorted(OF_SEVERAL_RUNS)]].tolist()
        == [False] * 3 + [True] * 3
    )


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs])
def test_what_a_metric_needs_is_why_it_is_missing(name: str) -> None:
    path, value = METRICS[name].needs or ("", None)
    assert math.isnan(row(SETUP.with_value(path, value))[name])
    assert [n for n, metric in METRICS.items() if metric.needs] == ["solved", "solve_step", "memorization"]


def test_what_is_relative_to_a_noisy_loss_is_not_compared_across_dropout() -> None:
    noisy = {n for n in METRICS if n.startswith(("grad_norm_", "clipped_norm_"))} | {"spike_rate", "recovery_steps", "explosion_rate"}  # fmt: skip
    for paths in (["model.dropout"], ["optimizer.lr", "model.input_dropout"], ["model.zoneout", "steps"]):
        assert {name for name in METRICS if not_comparable(name, paths)} == noisy
    for paths in ([], ["optimizer.lr"], ["model.dropout_net.width"]):
        assert not any(not_comparable(name, paths) for name in METRICS)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("loss", ["test_loss", "gap", "grad_norm_max", "sharpness", "solve_step", "largest_lr", "train_noise"]),
        ("bounded", ["test_error", "brier", "calibration_error", "memorization", "churn", "weight_rank"]),
        ("rate", ["nonfinite", "diverged", "collapsed", "solved"]),
        ("share", ["clip_fraction", "clipped_units", "spike_rate", "explosion_rate"]),
    ],
)
def test_kinds(kind: str, names: list[str]) -> None:
    assert {METRICS[name].kind for name in names} == {kind}


def test_the_ends_of_bounded_units_are_reached() -> None:
    """Of a Brier score where a wrong class is certain: (1 − 0)² + (0 − 1)²."""
    assert BOUNDED == {"error": (0, 1), "probability": (0, 1), "score": (0, (1 - 0) ** 2 + (0 - 1) ** 2)}


def test_the_worst_of_a_users_own() -> None:
    own = Metric("mine", "bits", "lower", "stability", examples="{test}")
    units, ways = ("bits", "share of runs"), ("lower", "higher", None)
    found = [replace(own, unit=unit, better=way).worst for unit, way in product(units, ways)]
    np.testing.assert_array_equal(found, [math.inf, -math.inf, math.nan, 1.0, 0.0, math.nan])
    assert units[1] == RATE
    assert own.own and not METRICS["test_loss"].own
