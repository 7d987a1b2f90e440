"""Every diagnostic against an independent computation; and that measuring changes nothing."""

import contextlib
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import brier_score_loss
from test_train import CPU
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness import Claim, Diagnostics, InvalidStudy, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.engine.diagnostics.churn import churn, with_churn
from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.engine.diagnostics.predictions import calibration_error
from harness.engine.history import LoggingSteps
from harness.engine.obstacles import Unbatchable, measured_costs
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.stability import solving
from harness.engine.train import train
from harness.engine.training import Training
from harness.execution.trainer import Trained, failed
from harness.inference.intervals.interval import t_interval
from harness.lead.leader import finish
from harness.ledger.asking import Portion
from harness.ledger.run_table import run_table
from harness.ledger.trials import Trial
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD
from harness.settings.metrics import DETAIL, METRICS
from harness.settings.randomness import stream, stream_seed
from harness.settings.schedules import Late
from harness.study.input_deviations import unlike_inputs
from harness.tasks import AddingProblem, CharLM, Images, Tabular, Task, Tensors
from harness.tasks.task import Data

F64 = torch.float64
X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
POINTS = Tensors(X, (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long())
SMALL_SUM = AddingProblem(length=6, train_size=100, validation_size=20, test_size=30)
SMALL_TEXT = CharLM(length=5, train_size=40, validation_size=10, test_size=20)


def untrained(
    task: Task, model: Model, level: str, *, batch_size: int = 16, dtype: torch.dtype = F64
) -> tuple[pd.Series, nn.Module, Setup]:
    """Metrics of seed 1 after steps so small that the weights stay the initial ones, and the plain module with these."""
    setup = Setup(
        task=task, model=model, optimizer=SGD(1e-300), batch_size=batch_size, steps=2, metrics=Diagnostics(level)
    )
    runs, _ = train([Run(0, 0, setup), Run(0, 1, setup)], evaluations=1, device=CPU, dtype=dtype)
    torch.manual_seed(stream_seed(1, "init"))
    return runs.loc[1], model.build(task.sizes(task.data(1))).to(F64).eval(), setup


def trained(runs: list[Run], steps: int, dtype: torch.dtype) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Metrics and weights of the last of some runs, which train together."""
    with measured_costs():
        training = Training(runs, LoggingSteps(steps, 1), device=CPU, dtype=dtype, capture=False)
        for step, batch in enumerate(training.draw_batches(steps), start=1):
            training.log(step, training.step(batch), None)
        training.evaluate(steps)
        found = {name: values[-1] for name, values in training.final_metrics().items() if name in METRICS}
    return found, training.population.weights(len(runs) - 1)


def examples(task: Task, split: str, count: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    data = task.data(1)
    index = getattr(data, split)[:count]
    x, y = data.x[index], data.y[index]
    return x.to(F64) if x.is_floating_point() else x, y.to(F64) if y.is_floating_point() else y


def test_norms_after_clipping_and_shrink_follow_from_the_curve() -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(8,)), clipping=GlobalNorm(0.3), optimizer=SGD(0.3), steps=60)
    runs, curves = train([Run(0, s, setup) for s in (0, 1)], evaluations=1, device=CPU, dtype=F64)
    for seed, curve in curves.groupby("seed"):
        before, row = curve["grad_norm"], runs.set_index("seed").loc[seed]
        after = before.where(before <= 0.3, before * (0.3 / (before + 1e-6)))
        assert 0 < row["clip_fraction"] < 1
        assert row["mean_shrink"] == pytest.approx((after / before).mean())
        for kind, norms in (("grad", before), ("clipped", after)):
            assert row[f"{kind}_norm_mean"] == pytest.approx(norms.mean())
            assert row[f"{kind}_norm_median"] == pytest.approx(norms.quantile(0.5))
            assert row[f"{kind}_norm_q95"] == pytest.approx(norms.quantile(0.95))
            assert row[f"{kind}_norm_q99"] == pytest.approx(norms.quantile(0.99))
            assert row[f"{kind}_norm_max"] == pytest.approx(norms.max())


def ece(confidence: np.ndarray, correct: np.ndarray) -> float:
    bins = pd.cut(confidence, np.linspace(0, 1, 16))
    groups = pd.DataFrame({"confidence": confidence, "correct": correct}).groupby(bins, observed=True)
    return float(sum(len(g) * abs(g["correct"].mean() - g["confidence"].mean()) for _, g in groups) / len(correct))


@pytest.mark.parametrize(
    ("task", "model"),
    [(POINTS, DropoutNet(hidden=(8,))), (SMALL_TEXT, SimpleRNN(hidden=8, readout="every"))],
    ids=["classes", "a class at every step"],
)
def test_brier_score_and_calibration_error_are_those_of_scikit_learn_and_pandas(task: Task, model: Model) -> None:
    row, module, _ = untrained(task, model, "standard")
    x, y = examples(task, "test")
    p = module(x).softmax(-1).detach().flatten(0, -2).numpy()
    y = y.flatten().numpy()
    classes = np.arange(p.shape[1])
    assert row["brier"] == pytest.approx(brier_score_loss(y, p, labels=classes, scale_by_half=False))
    assert row["calibration_error"] == pytest.approx(ece(p.max(1), p.argmax(1) == y))


class OneLogit(Tensors):
    """Two classes by one number, the logarithm of their odds."""

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(output[:, 0], y.to(output.dtype), reduction="none")

    def errors(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((output[:, 0] > 0) != y.bool()).to(output.dtype)


class Probabilities(Tensors):
    """Outputs that are probabilities already, of which a softmax would make others."""

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -output.clamp(min=1e-6).log().gather(1, y.unsqueeze(1))[:, 0]


class Logit(nn.Module):
    def __init__(self, inputs: int, dropout: float = 0.2, width: int = 1) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Softmax(Logit):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).softmax(-1)


TWO = X, (X[:, 0] > 0).long()


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]], ids=["alone", "together"])
@pytest.mark.parametrize(
    ("task", "model", "missing"),
    [
        (OneLogit(*TWO), Model(Logit), {"brier", "calibration_error", "churn"}),
        (Probabilities(*TWO), Model(Softmax, width=2), {"brier", "calibration_error"}),
        (Tensors(*TWO), Model(Logit, width=2), set()),
    ],
    ids=["one logit", "probabilities", "logits"],
)
def test_what_is_of_scores_of_classes_is_missing_and_refused_where_outputs_are_something_else(
    task: Task, model: Model, missing: set[str], seeds: list[int]
) -> None:
    settings = {
        "name": "x",
        "task": task,
        "model": model,
        "batch_size": 16,
        "steps": 30,
        "metrics": Diagnostics("full"),
    }
    study = Study(**settings)
    assert {
        name for name in ("brier", "calibration_error", "churn") if any(f"no {name}" in n for n in study.notes)
    } == missing
    runs = with_churn(train([Run(0, s, study.setup({})) for s in seeds], evaluations=2, device=CPU)[0])
    for name in ("brier", "calibration_error", "churn"):
        there = name in runs and bool(runs[name].notna().all())
        assert there is (name not in missing and (name != "churn" or len(seeds) > 2))
    assert runs[["noise_error", "test_error", "sharpness"]].notna().all(axis=None)
    claim = {
        "better": "lower",
        "smallest_effect": 0.1,
        "treatment": {"model.dropout": 0.5},
        "baseline": {"model.dropout": 0.0},
    }
    swept = model.replace(dropout=Sweep(0.0, 0.5))
    for name in ("brier", "churn"):
        claimed = settings | {"model": swept, "claims": [Claim("so", metric=name, **claim)], "seeds": 5}
        if name not in missing:
            Study(**claimed)
            continue
        with pytest.raises(
            InvalidStudy, match=r"claims\[0\].metric: is measured of scores of classes, and by the task's own"
        ):
            Study(**claimed)


def test_an_error_that_is_the_usual_one_needs_scores_of_classes_whatever_the_loss() -> None:
    """Of one logit the largest is always the first: its error would be the share of the other class."""

    class WithoutErrors(OneLogit):
        errors = Task.errors

    with pytest.raises(InvalidStudy, match=r"has 1 outputs for 2 classes; .* needs `errors` of its own"):
        Study(name="x", task=WithoutErrors(*TWO), model=Model(Logit), batch_size=16, steps=2)


def test_calibration_error_counts_each_members_own_predictions_only() -> None:
    generator = np.random.default_rng(0)
    confidence, correct = generator.uniform(0.1, 1, (2, 50)), generator.integers(0, 2, (2, 50)).astype(float)
    found = calibration_error(confidence, correct, np.array([50, 20]))
    np.testing.assert_allclose(found, [ece(confidence[0], correct[0]), ece(confidence[1, :20], correct[1, :20])])


def test_noise_error_is_the_mean_error_on_noisy_inputs() -> None:
    row, module, setup = untrained(POINTS, DropoutNet(hidden=(8,)), "standard")
    x, y = examples(POINTS, "test")
    scale, generator = examples(POINTS, "train", 256)[0].std(), stream(1, "input noise")
    noise = torch.cat([torch.randn(part.shape, generator=generator) for part in x.split(setup.batch_size)])
    noise = torch.cat([noise, torch.zeros(0, 5)])[: len(x)]
    errors = [(module(x + s * scale * noise).argmax(1) != y).double().mean() for s in (0, 0.1, 0.2, 0.3, 0.4, 0.5)]
    assert row["noise_error"] == pytest.approx(float(torch.stack(errors).mean()))


def unlike(task: Task, level: str = "standard") -> list[str]:
    """What is said before training of inputs that get one noise."""
    model = SimpleRNN(hidden=4) if task.data(0).x.dim() > 2 else DropoutNet(hidden=(4,))
    study = Study(name="x", task=task, model=model, batch_size=8, steps=2, metrics=Diagnostics(level))
    return [note for note in study.notes if note.startswith("metrics: ")]


ONES, RARE = torch.ones(300, 1), (torch.arange(300) % torch.tensor([[2], [50], [60], [70]]) == 0).float().T
"""Inputs that are constant, and that are 0 or 1."""


@pytest.mark.parametrize(
    ("x", "apart"),
    [
        (X, False),
        (X + torch.tensor([0, 0, 0, 0, 100.0]), True),
        (X * torch.tensor([1, 1, 1, 1, 1000.0]), True),
        (X * 1000 + 500, False),
        (X * torch.tensor([1, 1, 1, 1, 3.0]), False),
        (torch.cat([X, ONES], 1), False),
        (torch.cat([X, 1000 * ONES], 1), True),
        (torch.cat([X, RARE], 1), False),
        (torch.cat([X / 1000, RARE], 1), True),
        (torch.cat([RARE, 1 - RARE], 1), False),
        (torch.stack([X, X + 100], 2), True),
    ],
    ids=[
        "alike",
        "offset",
        "size",
        "all large",
        "a little",
        "constant",
        "far",
        "0 or 1",
        "small",
        "all 0 or 1",
        "steps",
    ],
)
def test_inputs_of_unlike_sizes_are_told_of_where_noise_is_measured(x: torch.Tensor, apart: bool) -> None:
    task = Tensors(x, POINTS.y)
    found = unlike(task)
    assert len(found) == apart and unlike(task, "full") == found and not unlike(task, "light")
    if apart:
        sample = x[task.data(0).train[:256]]
        assert f"in deviations of all numbers together, {float(sample.std()):.3g}; those of single" in found[0]


@pytest.mark.parametrize(
    "task",
    [
        Images(), Images(train_size=10), Images(layout="rows"), *(Tabular(name) for name in ("breast_cancer", "wine", "diabetes")),
        SMALL_SUM, SMALL_TEXT,
    ],
    ids=lambda task: type(task).__name__,
)  # fmt: skip
def test_shipped_images_tables_and_sequences_are_not_told_of(task: Task) -> None:
    assert not unlike_inputs(task.data(0))


def test_categories_of_a_table_are_not_told_of(tmp_path: Path) -> None:
    kinds = ["often"] * 250 + ["rare", "rarer"] * 10 + [f"{i}" for i in range(30)]
    table = pd.DataFrame({"kind": kinds, "size": 1000 + 50 * X[:, 0].numpy(), "y": POINTS.y.numpy()})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert not unlike_inputs(Tabular(tmp_path / "t.csv", target="y").data(0))


SPREAD = Tensors(X * torch.tensor([1.0, 1.0, 3.0, 1.0, 1.0]), POINTS.y, validation_size=30)


def test_noise_error_is_of_each_members_own_examples_whoever_its_companions_are() -> None:
    """Few training examples, among which the first has no weight of its own, and test sets that end within a batch."""
    choices = {"train_size": (10, 150, 10), "test_size": (90, 90, 73)}
    setups = [
        Setup(task=SPREAD.replace(train_size=n, test_size=k), model=DropoutNet(hidden=(8,)), optimizer=SGD(0.3),
              batch_size=8, steps=60, metrics=Diagnostics("standard")) for n, k in zip(*choices.values(), strict=True)
    ]  # fmt: skip
    seeds = (0, 1)
    together, _ = train(
        [Run(t, s, setup) for t, setup in enumerate(setups) for s in seeds], evaluations=1, device=CPU, dtype=F64
    )
    for t, setup in enumerate(setups):
        for seed in seeds:
            alone = train([Run(t, seed, setup)], evaluations=1, device=CPU, dtype=F64)[0].loc[0]
            (row,) = together[(together["trial"] == t) & (together["seed"] == seed)].to_dict("records")
            for name in ("noise_error", "brier", "calibration_error", "test_error"):
                assert row[name] == pytest.approx(alone[name], rel=1e-9), name


@pytest.mark.parametrize("level", DETAIL)
def test_best_weights_are_those_that_a_shorter_training_ends_with(level: str) -> None:
    setup = Setup(
        task=POINTS, model=DropoutNet(hidden=(16,), dropout=0.1), optimizer=SGD(3.0), batch_size=16, steps=60,
        metrics=Diagnostics(level),
    )  # fmt: skip
    runs, curves = train([Run(0, s, setup) for s in range(4)], evaluations=12, device=CPU)
    for row in runs.itertuples():
        validation = curves[curves["seed"] == row.seed].set_index("step")["validation_loss"]
        assert row.best_step == validation.idxmin()
        assert row.best_validation_loss == validation.min()
    assert runs["best_step"].min() < 60
    assert not runs["best_test_loss"].equals(runs["test_loss"])
    early = runs.loc[runs["best_step"].idxmin()]
    short = setup.replace(steps=int(early["best_step"]))
    ended, _ = train([Run(0, s, short) for s in range(4)], evaluations=1, device=CPU)
    at_end = ended.set_index("seed").loc[early["seed"]]
    assert early["best_test_loss"] == pytest.approx(at_end["test_loss"], rel=1e-6)
    assert early["best_test_error"] == at_end["test_error"]
    assert early["best_gap"] == pytest.approx(at_end["gap"], abs=1e-6)


class DropsAlways(nn.Module):
    """Also in evaluation (Gal & Ghahramani 2016), which therefore gives something else each time; counts its steps."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a, self.b, self.steps = nn.Linear(inputs, 16), nn.Linear(16, outputs), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        return self.b(F.dropout(self.a(x).tanh(), 0.3))


def test_what_is_measured_of_the_best_weights_does_not_depend_on_the_best_steps_of_others() -> None:
    setup = Setup(task=POINTS, model=Model(DropsAlways), optimizer=SGD(1.0), batch_size=16, steps=60)
    seeds = [Run(0, seed, setup) for seed in range(6)]
    together, _ = train(seeds, evaluations=6, device=CPU)
    assert together["best_step"].nunique() > 2 and (together["best_step"] == 60).any()
    alone = pd.concat([train([run], evaluations=6, device=CPU)[0] for run in seeds], ignore_index=True)
    best = ["best_step", "best_train_loss", "best_test_loss", "best_test_error", "best_gap"]
    pd.testing.assert_frame_equal(together[best], alone[best], rtol=1e-4)


class Annealed(nn.Module):
    """Logits that grow with the steps taken, which evaluation reads, too."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, outputs))
        self.steps, self.scale, self.seen = 0, 1.0, [0]

    def count(self) -> float:
        self.steps += self.training
        return 1 + self.steps / 10

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * self.count()


class AnnealedByAFloat(Annealed):
    def count(self) -> float:
        self.scale *= 1.05 if self.training else 1.0
        return self.scale


class AnnealedByAList(Annealed):
    def count(self) -> float:
        self.seen[0] += self.training
        return 1 + self.seen[0] / 10


NOISY_SEQUENCES = Tensors(X.view(300, 5, 1), (X[:, 0] + 3 * X[:, 1].roll(1) > 0).long(), train_size=60)


@pytest.mark.parametrize(
    ("task", "model", "lr"),
    [
        *((POINTS, Model(module), 0.5) for module in (Annealed, AnnealedByAFloat, AnnealedByAList)),
        (NOISY_SEQUENCES, SimpleRNN(hidden=8, zoneout=Late(0.6, after=30)), 1.0),
    ],
    ids=["counter", "number", "list", "zoneout by a schedule"],
)
def test_what_evaluation_reads_besides_weights_is_that_of_the_best_step_of_each_run(
    task: Task, model: Model, lr: float
) -> None:
    """As the plain loop has it that ends there; the members of one population have best steps of their own."""
    setup = Setup(task=task, model=model, optimizer=SGD(lr), batch_size=16, steps=60)
    seeds = [Run(0, seed, setup) for seed in range(6)]
    assert obstacle(seeds[:2], CPU) == ""
    runs, _ = train(seeds, evaluations=12, device=CPU)
    assert runs["best_step"].nunique() > 2 and runs["best_step"].min() < 30
    for _, row in runs.iterrows():
        short = setup.replace(steps=int(row["best_step"]))
        ended = train([Run(0, int(row["seed"]), short)], evaluations=1, device=CPU)[0].loc[0]
        for name in ("train_loss", "test_loss", "test_error", "gap"):
            assert row[f"best_{name}"] == pytest.approx(ended[name], rel=1e-4, abs=1e-6)


def eigenvalues(task: Task, module: nn.Module) -> torch.Tensor:
    """Of the Hessian of the loss of the first 256 training examples of seed 1, ascending."""
    x, y = examples(task, "train", 256)
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([p.numel() for p in parameters.values()])
        own = {n: part.view(p.shape) for (n, p), part in zip(parameters.items(), parts, strict=True)}
        with sdpa_kernel(SDPBackend.MATH):
            return task.losses(torch.func.functional_call(module, own, (x,)), y).mean()

    flat = torch.cat([p.flatten() for p in parameters.values()])
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))


class Attending(nn.Module):
    """Attention and a convolution, dropout between them."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 5, dropout, batch_first=True)
        self.spread, self.out = nn.Conv1d(1, 4, 3, padding=1), nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(self.spread(x.unsqueeze(1)).transpose(1, 2)).mean(1))


@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=str)
@pytest.mark.parametrize(
    ("task", "model"),
    [
        (POINTS, DropoutNet(hidden=(8,))),
        (SMALL_SUM, SimpleRNN(hidden=4)),
        (SMALL_SUM, SimpleRNN(hidden=3, cell="lstm", zoneout=0.3)),
        (SMALL_SUM, SimpleRNN(hidden=3, cell="gru", layers=2, dropout=0.3)),
        (SMALL_TEXT, SimpleRNN(hidden=3, cell="lstm", readout="every", embedding=2)),
        (POINTS, Model(Attending)),
    ],
    ids=["ReLU", "RNN", "LSTM, zoneout", "GRU", "LSTM of tokens", "attention"],
)
def test_sharpness_is_the_hessians_largest_eigenvalue(task: Task, model: Model, dtype: torch.dtype) -> None:
    row, module, _ = untrained(task, model, "full", dtype=dtype)
    exact = eigenvalues(task, module)
    assert row["sharpness"] == pytest.approx(float(exact[-1]), abs=1e-3 * float(exact.abs().max()))


def test_sharpness_of_a_trained_net_of_kinks_is_exact_in_single_precision() -> None:
    """Where gradients jump next to the weights, differences of these are no second derivatives."""
    setup = Setup(
        task=POINTS, model=DropoutNet(hidden=(8,), dropout=0.3), optimizer=SGD(0.3), batch_size=16, steps=400,
        metrics=Diagnostics("full"),
    )  # fmt: skip
    found, weights = trained([Run(0, s, setup) for s in (0, 1)], 400, torch.float32)
    module = setup.model.build(POINTS.sizes(POINTS.data(1)))
    module.load_state_dict(weights)
    assert found["sharpness"] == pytest.approx(float(eigenvalues(POINTS, module.to(F64).eval())[-1]), rel=1e-3)


class AnnealedAndNormed(Annealed):
    """Its running statistics are each member's own, what it counts is that of all."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__(inputs, outputs, dropout)
        self.net.insert(1, nn.BatchNorm1d(16))


class AnnealedAndLeft(Annealed):
    """Counts, and leaves what it has computed behind."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left = self.net[0](x)
        return super().forward(x)


@pytest.mark.parametrize("module", [Annealed, AnnealedByAFloat, AnnealedByAList, AnnealedAndNormed, AnnealedAndLeft])
def test_sharpness_of_a_module_that_counts_is_that_of_the_module_as_training_left_it(module: type[nn.Module]) -> None:
    setup = Setup(task=POINTS, model=Model(module), optimizer=SGD(0.1), batch_size=16, steps=40, metrics=Diagnostics("full"))  # fmt: skip
    seeds = [Run(0, seed, setup) for seed in (0, 1)]
    assert obstacle(seeds, CPU) == ""
    together = train(seeds, evaluations=4, device=CPU)[0]["sharpness"]
    alone = pd.concat([train([run], evaluations=4, device=CPU)[0] for run in seeds])["sharpness"]
    np.testing.assert_allclose(together, alone, rtol=5e-3)


class AnnealedAndHiding(Annealed):
    """Counts in what no file can hold."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__(inputs, outputs, dropout)
        self.hidden = {("calls",): 0}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden["calls",] += 1
        return super().forward(x)


@pytest.mark.parametrize("level", ["light", "standard", "full"])
def test_of_a_module_that_no_run_can_be_taken_out_of_it_is_known_before_training(level: Any) -> None:
    setup = Setup(task=POINTS, model=Model(AnnealedAndHiding), optimizer=SGD(0.1), batch_size=16, steps=4, metrics=Diagnostics(level))  # fmt: skip
    seeds = [Run(0, seed, setup) for seed in (0, 1)]
    why = f'Diagnostics("{level}") cannot measure a run of it by itself: `hidden` holds a dictionary whose keys are no texts or numbers'
    assert obstacle(seeds, CPU) == ("" if level == "light" else why)
    steps: list[int] = []
    with (
        contextlib.nullcontext()
        if level == "light"
        else pytest.raises(Unbatchable, match="`hidden` holds a dictionary whose keys are no texts or numbers")
    ):
        train(seeds, evaluations=2, device=CPU, progress=lambda taken, _: steps.append(taken))
    assert sum(steps) == (8 if level == "light" else 0)


class Saddle(Tensors):
    """The square of one output less three times that of the other: its Hessian is known by hand."""

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return output[:, 0] ** 2 - 3 * output[:, 1] ** 2

    def errors(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return output[:, 0].abs()


def test_sharpness_is_the_largest_eigenvalue_also_where_a_negative_one_is_of_larger_magnitude() -> None:
    task = Saddle(X, (X[:, 0] > 0).long())
    row, _, _ = untrained(task, DropoutNet(hidden=()), "full")
    x = F.pad(examples(task, "train", 256)[0], (0, 1), value=1.0)
    moments = np.linalg.eigvalsh((x.T @ x / len(x)).numpy())
    assert row["sharpness"] == pytest.approx(2 * moments[-1], abs=6e-3 * moments[-1])


def test_sharpness_is_of_each_members_own_examples_whoever_its_companions_are() -> None:
    """Of all of them once, where they are fewer than others have: 40 are not two parts of six and one of sixteen."""
    setups = [
        Setup(task=POINTS.replace(train_size=size), model=DropoutNet(hidden=(8,)), optimizer=SGD(1e-300), batch_size=16, steps=2,
              metrics=Diagnostics("full")) for size in (40, 170)
    ]  # fmt: skip
    runs, _ = train([Run(i, 1, setup) for i, setup in enumerate(setups)], evaluations=1, device=CPU, dtype=F64)
    for found, setup in zip(runs["sharpness"], setups, strict=True):
        torch.manual_seed(stream_seed(1, "init"))
        module = setup.model.build(setup.task.sizes(setup.task.data(1))).to(F64).eval()
        assert found == pytest.approx(float(eigenvalues(setup.task, module)[-1]), rel=1e-3)


class Once(torch.autograd.Function):
    """A square without a second derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x**2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class Squares(nn.Module):
    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(inputs, 8), nn.Dropout(dropout), nn.Linear(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(Once.apply(self.first(x))))


class Halfway(Once):
    """A square whose gradient is none in the gradient that it is given."""

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return 2 * ctx.saved_tensors[0] * gradient.detach()


class HalfwaySquares(Squares):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(Halfway.apply(self.first(x))))


class WeightNormed(nn.Module):
    """A smooth function; what torch gives for the second derivative of its normed weights is not symmetric."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.first, self.last = nn.utils.parametrizations.weight_norm(nn.Linear(inputs, 8)), nn.Linear(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Squares, "RuntimeError: trying to differentiate twice"),
        (HalfwaySquares, "the second derivative that it gives is not symmetric"),
        (WeightNormed, "the second derivative that it gives is not symmetric"),
    ],
)
def test_sharpness_is_missing_and_that_is_said_where_a_loss_has_no_second_derivative(
    module: type[nn.Module], why: str
) -> None:
    study = Study(name="x", task=POINTS, model=Model(module), batch_size=16, steps=2, metrics=Diagnostics("full"))
    (note,) = [note for note in study.notes if "sharpness" in note]
    assert f"sharpness will be missing: torch gives no Hessian of its loss ({why}" in note
    runs, _ = train([Run(0, s, study.setup({})) for s in (0, 1)], evaluations=1, device=CPU)
    assert runs["sharpness"].isna().all() and runs["weight_rank"].notna().all()
    assert not any(
        "sharpness" in note
        for note in Study(name="x", task=POINTS, model=DropoutNet(), metrics=Diagnostics("full")).notes
    )


def test_gradient_noise_scale_is_that_of_the_plain_gradients() -> None:
    row, module, setup = untrained(POINTS, DropoutNet(hidden=(8,)), "full")
    x, y = examples(POINTS, "train", 8 * setup.batch_size)
    rows = []
    for part in torch.arange(len(x)).split(setup.batch_size):
        gradients = torch.autograd.grad(F.cross_entropy(module(x[part]), y[part]), list(module.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]).numpy())
    trace = setup.batch_size * np.var(rows, axis=0, ddof=1).sum()
    square = (np.mean(rows, axis=0) ** 2).sum() - trace / len(x)
    assert square > 0
    assert row["gradient_noise_scale"] == pytest.approx(trace / square, rel=1e-6)


def test_matrices_are_measured_as_by_scipy() -> None:
    row, module, _ = untrained(SMALL_SUM, SimpleRNN(hidden=6), "full")
    w = module.rnn.weight_hh_l0.detach().numpy()  # type: ignore[union-attr]
    assert row["recurrent_radius"] == pytest.approx(np.abs(scipy.linalg.eigvals(w)).max())
    assert row["recurrent_gain"] == pytest.approx(scipy.linalg.norm(w, 2))
    ranks = []
    for matrix in (p.detach().numpy() for p in module.parameters() if p.dim() == 2):
        values = scipy.linalg.svdvals(matrix)
        ranks.append(math.exp(scipy.stats.entropy(values / values.sum())) / min(matrix.shape))
    assert row["weight_rank"] == pytest.approx(np.mean(ranks))


class Recurrent(nn.Module):
    """A recurrence whose matrix is made of other parameters, by `parametrize`."""

    def __init__(self, inputs: int, outputs: int, parametrize: str, whole: bool = False, dropout: float = 0.2) -> None:
        super().__init__()
        self.whole = whole
        self.cell = nn.RNN(inputs, 6, batch_first=True) if whole else nn.RNNCell(inputs, 6)
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(6, outputs)
        PARAMETRIZATIONS[parametrize](self.cell, "weight_hh_l0" if whole else "weight_hh")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.whole:
            return self.out(self.drop(self.cell(x)[0][:, -1]))
        h = x.new_zeros(len(x), 6)
        for now in x.unbind(1):
            h = self.cell(now, h)
        return self.out(self.drop(h))


PARAMETRIZATIONS = {
    "orthogonal": nn.utils.parametrizations.orthogonal,
    "weight_norm": nn.utils.parametrizations.weight_norm,
    "weight_norm by a hook": nn.utils.weight_norm,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    ("whole", "alone"), [(False, False), (False, True), (True, True)], ids=["cells together", "a cell", "a layer"]
)
@pytest.mark.parametrize("parametrize", PARAMETRIZATIONS)
def test_matrices_are_those_that_layers_compute_with(parametrize: str, whole: bool, alone: bool) -> None:
    """Known by what the trained layer makes of an identity: W_hh itself, after its tanh is undone."""
    task = Tensors(X.view(300, 5, 1), (X[:, 0] > 0).long())
    setup = Setup(
        task=task, model=Model(Recurrent, parametrize=parametrize, whole=whole), optimizer=SGD(0.3), batch_size=16, steps=30,
        metrics=Diagnostics("full"),
    )  # fmt: skip
    runs = [Run(0, 1, setup)] if alone else [Run(0, s, setup) for s in (0, 1)]
    found, weights = trained(runs, 30, F64)
    module = Recurrent(1, 2, parametrize, whole).to(F64)
    module.load_state_dict(weights)
    states, zeros = 1e-4 * torch.eye(6, dtype=F64), torch.zeros(6, 1, dtype=F64)

    def step(h: torch.Tensor) -> torch.Tensor:
        after = module.cell(zeros.unsqueeze(1), h.unsqueeze(0))[1][0] if whole else module.cell(zeros, h)
        return after.detach().atanh()

    w = ((step(states) - step(0 * states)) / 1e-4).T.numpy()
    assert found["recurrent_radius"] == pytest.approx(np.abs(scipy.linalg.eigvals(w)).max(), rel=1e-6)
    assert found["recurrent_gain"] == pytest.approx(scipy.linalg.norm(w, 2), rel=1e-6)
    if parametrize == "orthogonal":
        assert found["recurrent_gain"] == pytest.approx(1.0)
    ranks = []
    for name, matrix in (("ih", None), ("hh", w), ("out", module.out.weight.detach().numpy())):
        matrix = (
            getattr(module.cell, "weight_ih_l0" if whole else "weight_ih").detach().numpy() if name == "ih" else matrix
        )
        values = scipy.linalg.svdvals(matrix)
        ranks.append(math.exp(scipy.stats.entropy(values / values.sum())) / min(matrix.shape))
    assert found["weight_rank"] == pytest.approx(np.mean(ranks), rel=1e-6)


class StepByStep(nn.Module):
    """The recurrent layers of torch in `nn.RNN`, `nn.LSTM` or `nn.GRU` one step at a time; keeps every h_t and its gradient."""

    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        kinds = {"RNN_TANH": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
        for i in range(rnn.num_layers):
            one = kinds[rnn.mode](rnn.hidden_size if i else rnn.input_size, rnn.hidden_size, batch_first=True)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                setattr(one, f"{name}_l0", getattr(rnn, f"{name}_l{i}"))
            self.layers.append(one.to(F64))
        self.weight_ih_l0 = rnn.weight_ih_l0
        self.states: list[list[torch.Tensor]] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        for one in self.layers:
            hx, states = None, []
            for now in x.split(1, dim=1):
                _, hx = one(now, hx)
                h = hx[0] if isinstance(hx, tuple) else hx
                h.retain_grad()
                states.append(h)
            self.states.append(states)
            x = torch.cat(states).transpose(0, 1)
        return x, None


@pytest.mark.slow
@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gradient_flow_is_the_slope_of_the_gradients_of_every_state(cell: str, readout: str) -> None:
    task: Task = SMALL_SUM if readout == "last" else SMALL_TEXT
    model = SimpleRNN(hidden=5, layers=2, cell=cell, readout=readout, dropout=0.5)
    row, module, setup = untrained(task, model, "full")
    x, y = examples(task, "train", setup.batch_size)
    module.rnn = steps = StepByStep(module.rnn)  # type: ignore[arg-type]
    output = module(x)
    loss = F.cross_entropy(output[:, -1], y[:, -1]) if readout == "every" else F.mse_loss(output[:, 0], y)
    loss.backward()
    norms = np.array([[float(h.grad.norm()) for h in states] for states in steps.states])  # type: ignore[union-attr]
    slopes = [scipy.stats.linregress(range(len(of_layer)), np.log(of_layer)).slope for of_layer in norms]
    assert row["gradient_flow"] == pytest.approx(np.mean(slopes), rel=1e-6)
    np.testing.assert_allclose(np.frombuffer(row[PROFILE]), scipy.stats.gmean(norms), rtol=1e-6)


@pytest.mark.slow
def test_gradients_vanish_below_spectral_radius_one_and_grow_above() -> None:
    flows = []
    for radius in (0.5, 0.9, 1.8):
        model = SimpleRNN(hidden=32, spectral_radius=radius, init="orthogonal")
        row, _, _ = untrained(AddingProblem(length=12, train_size=50, validation_size=5, test_size=5), model, "full")
        flows.append(row["gradient_flow"])
    assert flows[0] > flows[1] > 0 > flows[2]


class PerStep(Task):
    """A loss of its own, of every step."""

    def draw(self, seed: int) -> Data:
        return SMALL_TEXT.draw(seed)

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return super().losses(output, y) * 2


def test_gradient_flow_is_that_of_the_last_steps_loss_in_a_net_that_answers_at_every_step() -> None:
    """An orthogonal recurrence of radius 1.5 without inputs to speak of: gradients grow 1.5 times a step on their way back.

    The losses of all steps together would hide it. Both ways to train, and plain autograd, agree.
    """
    model = SimpleRNN(hidden=5, readout="every", spectral_radius=1.5, init="orthogonal")
    row, module, setup = untrained(SMALL_TEXT, model, "full")
    x, y = examples(SMALL_TEXT, "train", setup.batch_size)
    module.rnn = steps = StepByStep(module.rnn)  # type: ignore[arg-type]
    output = module(x)
    slopes = {}
    for name, loss in {"last": F.cross_entropy(output[:, -1], y[:, -1]),
                       "all": F.cross_entropy(output.flatten(0, -2), y.flatten())}.items():  # fmt: skip
        gradients = torch.autograd.grad(loss, steps.states[0], retain_graph=True)
        slopes[name] = scipy.stats.linregress(range(5), [math.log(float(g.norm())) for g in gradients]).slope
    assert row["gradient_flow"] == pytest.approx(slopes["last"], rel=1e-6)
    assert abs(slopes["last"] - slopes["all"]) > 0.05
    alone, _ = train([Run(0, 1, setup)], evaluations=1, device=CPU, dtype=F64)
    assert alone["gradient_flow"][0] == pytest.approx(slopes["last"], rel=1e-6)


def test_gradient_flow_is_missing_where_a_loss_of_a_users_own_mixes_the_steps() -> None:
    row, _, _ = untrained(PerStep(), SimpleRNN(hidden=4, readout="every"), "full")
    assert math.isnan(row["gradient_flow"])


class PackedOrProjected(nn.Module):
    def __init__(self, inputs: int, outputs: int, kind: str) -> None:
        super().__init__()
        self.kind, self.out = kind, nn.Linear(4, outputs)
        self.rnn = (
            nn.LSTM(inputs, 6, batch_first=True, proj_size=4)
            if kind == "projected"
            else nn.GRU(inputs, 4, batch_first=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind != "packed":
            return self.out(self.rnn(x)[0][:, -1])
        lengths = torch.full((len(x),), x.shape[1])
        return self.out(self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True))[1][0])


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    ("kind", "precision", "why"),
    [
        ("packed", "fp32", "its forward pass runs a recurrent layer on packed sequences"),
        ("projected", "fp32", "an LSTM has projections (proj_size)"),
        ("plain", "bf16", "its forward pass runs a recurrent layer under autocast"),
    ],
)
def test_gradient_flow_is_missing_and_that_is_said_where_no_kernel_computes_a_layer(
    kind: str, precision: Any, why: str
) -> None:
    study = Study(
        name="x", task=SMALL_SUM, model=Model(PackedOrProjected, kind=kind), precision=precision, batch_size=16, steps=4,
        metrics=Diagnostics("full"),
    )  # fmt: skip
    assert f"model: gradient_flow will be missing: {why}" in study.notes
    light, full = (study.setup({}).replace(metrics=Diagnostics(level)) for level in ("light", "full"))
    runs, curves = train([Run(0, 1, full)], evaluations=2, device=CPU)
    expected, at_light = train([Run(0, 1, light)], evaluations=2, device=CPU)
    pd.testing.assert_frame_equal(runs[expected.columns], expected, check_exact=True)
    pd.testing.assert_frame_equal(curves, at_light, check_exact=True)
    assert runs["gradient_flow"].isna().all() and runs["gradient_noise_scale"].notna().all()


NOISY_POINTS = POINTS.replace(label_noise=0.3)


def test_memorization_is_the_accuracy_on_replaced_classes() -> None:
    row, module, _ = untrained(NOISY_POINTS, DropoutNet(hidden=(8,)), "standard")
    data = NOISY_POINTS.data(1)
    assert 0 < len(data.flipped) < len(data.train)
    correct = module(data.x[data.flipped].to(F64)).argmax(1) == data.y[data.flipped]
    assert row["memorization"] == pytest.approx(float(correct.double().mean()))


def test_memorization_counts_each_members_own_replaced_classes() -> None:
    setups = [Setup(task=task, model=DropoutNet(hidden=(8,)), steps=2, metrics=Diagnostics("standard"))
              for task in (POINTS, NOISY_POINTS, POINTS.replace(label_noise=0.7))]  # fmt: skip
    together, _ = train([Run(i, 0, setup) for i, setup in enumerate(setups)], evaluations=1, device=CPU)
    alone, _ = train([Run(1, 0, setups[1])], evaluations=1, device=CPU)
    assert together["memorization"].isna().tolist() == [True, False, False]
    assert together["memorization"][1] == alone["memorization"][0]


def shared_setup(task: Task) -> Setup:
    return Setup(task=task, model=DropoutNet(hidden=(8,)), optimizer=SGD(1e-300), batch_size=16, steps=2,
                 metrics=Diagnostics("standard"))  # fmt: skip


@pytest.mark.parametrize("resample", ["split", "bootstrap", "none"])
def test_churn_is_the_share_of_test_points_on_which_seeds_disagree(resample: str) -> None:
    """Of a trial whose runs trained in two populations, beside runs of another trial."""
    task = POINTS.replace(resample=resample)
    setup, seeds = shared_setup(task), range(5)
    study = Study(
        name="x", task=task, model=setup.model, optimizer=setup.optimizer, batch_size=16, steps=2, seeds=5,
        metrics=setup.metrics,
    )  # fmt: skip
    parts = [
        [Run(0, s, setup) for s in (0, 1)] + [Run(1, s, setup) for s in (1,)],
        [Run(0, s, setup) for s in (2, 3, 4)],
    ]
    trained = [Trained(*train(part, evaluations=1, device=CPU), {}) for part in parts]
    keys = {(run.trial, run.seed): (f"key {run.trial}", run.seed) for part in parts for run in part}
    whole = Trial(0, 0, True, {})
    # Asked for in two portions, as where seeds joined later: compared are all of them.
    finished = [
        finish(study, Portion(number, whole, "key 0", portion, told=False), trained, keys)
        for number, portion in enumerate([(0, 1, 2), (3, 4)])
    ]
    recorded = pd.concat([each.runs for each in finished], ignore_index=True)
    table = run_table(study, [whole], recorded, Path("no curves are read"))
    assert list(table.columns[-len(setup.metrics.metrics()) :]) == list(setup.metrics.metrics())
    data, predicted = task.data(0), []
    for seed in seeds:
        torch.manual_seed(stream_seed(seed, "init"))
        predicted.append(setup.model.build(task.sizes(data)).eval()(data.x[data.test]).argmax(1).numpy())
    pairs = [(a != b).mean() for a, b in itertools.combinations(predicted, 2)]
    assert np.mean(pairs) > 0.1
    assert table["churn"].mean() == pytest.approx(np.mean(pairs))


class OtherTests(Tensors):
    """Tests each seed on other examples."""

    def draw(self, seed: int) -> Data:
        data = super().draw(seed)
        return replace(data, train=data.test, test=data.train) if seed % 2 else data


def test_churn_needs_a_shared_test_split_classes_and_three_seeds() -> None:
    apart = shared_setup(OtherTests(POINTS.x, POINTS.y))
    assert "predictions" not in train([Run(0, 0, apart)], evaluations=1, device=CPU)[0]
    sums = SMALL_SUM.replace(resample="none")
    setup = Setup(task=sums, model=SimpleRNN(hidden=4), steps=2, metrics=Diagnostics("standard"))
    assert "predictions" not in train([Run(0, 0, setup)], evaluations=1, device=CPU)[0]
    setup = shared_setup(POINTS.replace(resample="none"))
    two = with_churn(train([Run(0, 0, setup), Run(0, 1, setup)], evaluations=1, device=CPU)[0])
    assert two["churn"].isna().all() and "predictions" not in two


def test_churn_leaves_out_runs_without_predictions() -> None:
    rows = [np.array([0, 1, 2, 0], np.int32), np.array([0, 1, 1, 1], np.int32), np.array([2, 1, 2, 0], np.int32)]
    table = pd.DataFrame({"seed": range(4), "churn": [np.nan, np.inf, np.nan, np.nan]})
    table["predictions"] = [rows[0].tobytes(), None, rows[1].tobytes(), rows[2].tobytes()]
    found = with_churn(table)["churn"]
    assert found[1] == math.inf
    assert found[[0, 2, 3]].mean() == pytest.approx((2 + 1 + 3) / 4 / 3)


def test_churn_values_are_the_jackknifes() -> None:
    classes = np.random.default_rng(0).integers(0, 3, (6, 40))

    def over_pairs(rows: np.ndarray) -> float:
        return float(np.mean([(a != b).mean() for a, b in itertools.combinations(rows, 2)]))

    expected = [6 * over_pairs(classes) - 5 * over_pairs(np.delete(classes, i, 0)) for i in range(6)]
    np.testing.assert_allclose(churn(classes), expected, rtol=1e-12)


def test_intervals_from_churn_values_cover() -> None:
    """Seeds that flip a share r of the points, r uniform: two of them disagree on 2·E[r](1 − E[r])."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(300):
        shares = generator.uniform(0, 0.4, (20, 1))
        low, high = t_interval(churn((generator.uniform(size=(20, 100)) < shares).astype(int)))
        covered += low <= 2 * 0.2 * 0.8 <= high
    assert 0.92 <= covered / 300 <= 0.98


def test_solved_by_hand() -> None:
    nan = np.nan
    errors = np.array([[0.5, 0.5, 0.5, 0.5], [nan] * 4, [0.04, 0.05, 0.3, 0.04], [0.2, 0.01, 0.3, nan]])
    target, diverged = np.array([0.05, 0.05, 0.05, 0.05]), np.array([False, False, False, True])
    found = solving(errors, [5, 10, 15, 20], target, diverged)
    assert found["solved"].tolist() == [1, 1, 0, 0]
    assert found["solve_step"].tolist() == [15, 20, 20, 20]
    assert np.isnan(solving(errors, [5, 10, 15, 20], np.zeros(4), diverged)["solved"]).all()


def test_runs_are_solved_from_the_evaluation_on_that_is_below_their_own_target() -> None:
    setup = Setup(task=POINTS, model=DropoutNet(hidden=(16,)), optimizer=SGD(0.3), batch_size=16, steps=400)
    targets = [0.0, 1e-9, 0.12, 0.9]
    runs = [Run(i, 0, setup.with_value("task.target_error", target)) for i, target in enumerate(targets)]
    found, _ = train(runs, evaluations=8, device=CPU)
    assert found["solved"].isna().tolist() == [True, False, False, False]
    assert found["solved"][1:].tolist() == [0, 1, 1]
    assert found["solve_step"][1] == 400 > found["solve_step"][2] > found["solve_step"][3] == 50
    until = setup.replace(steps=int(found["solve_step"][2]))
    assert train([Run(0, 0, until)], evaluations=1, device=CPU)[0]["validation_error"][0] < 0.12


def test_what_does_not_apply_is_not_measured() -> None:
    row, _, _ = untrained(SMALL_SUM, SimpleRNN(hidden=4), "standard")
    assert row[["brier", "calibration_error"]].isna().all()
    assert row[["noise_error", "recurrent_radius", "best_test_loss"]].notna().all()
    row, _, _ = untrained(SMALL_TEXT, SimpleRNN(hidden=4, readout="every"), "standard")
    assert math.isnan(row["noise_error"])
    row, _, _ = untrained(POINTS, DropoutNet(hidden=(4,)), "standard")
    assert math.isnan(row["recurrent_gain"])


def some(level: str, *, confirm: bool = True) -> list[Run]:
    setup = Setup(
        task=POINTS, model=DropoutNet(hidden=(32, 16), dropout=0.3), clipping=GlobalNorm(0.5), optimizer=SGD(0.3),
        batch_size=64, steps=60, metrics=Diagnostics(level),
    )  # fmt: skip
    wild = setup.with_value("optimizer.lr", 1e38).with_value("clipping.max_norm", 1e38)
    setups = [setup, setup.with_value("model.dropout", 0.0), setup.with_value("optimizer.lr", 0.1), wild]
    return [Run(trial, seed, s, confirm=confirm) for trial, s in enumerate(setups) for seed in range(8)]


def test_measuring_changes_neither_training_nor_other_metrics() -> None:
    tables = {level: train(some(level), evaluations=3, device=CPU) for level in DETAIL}
    light = tables["light"][0]
    for level, (runs, curves) in tables.items():
        assert [*runs.columns.drop("predictions", errors="ignore")[4:]] == list(Diagnostics(level).metrics())
        pd.testing.assert_frame_equal(runs[light.columns], light, check_exact=True)
        pd.testing.assert_frame_equal(curves, tables["light"][1], check_exact=True)


def test_diagnostics_do_not_depend_on_companions_and_a_diverged_run_ranks_worst() -> None:
    runs = some("full")
    together, _ = train(runs, evaluations=3, device=CPU)
    calm = together[together["status"] == "finished"].reset_index(drop=True)
    fewer, _ = train([run for run in runs if run.trial < 2], evaluations=3, device=CPU)
    pd.testing.assert_frame_equal(calm[calm["trial"] < 2].reset_index(drop=True), fewer, check_exact=True)
    wild = together[together["status"] == "diverged"]
    ranked = [n for n, m in METRICS.items() if m.group == "generalization" and m.better == "lower"]
    assert len(wild) == 8
    assert np.isinf(wild[ranked]).all(axis=None)
    assert np.isfinite(calm[ranked].drop(columns=["memorization", "churn"])).all(axis=None)


def test_the_tune_phase_is_not_diagnosed() -> None:
    runs, _ = train(some("full", confirm=False), evaluations=1, device=CPU)
    assert runs[[n for n, m in METRICS.items() if m.level != "light"]].isna().all(axis=None)


def test_a_failed_run_has_the_columns_of_its_level() -> None:
    run = some("standard")[0]
    assert list(failed(run, "").runs.columns) == list(with_churn(train([run], evaluations=1, device=CPU)[0]).columns)


def test_a_claim_on_what_is_not_measured_is_refused_with_the_way_out() -> None:
    settings = {
        "name": "x", "task": POINTS, "model": DropoutNet(dropout=Sweep(0.0, 0.5)), "claims": [
            Claim("flat", metric="sharpness", better="lower", smallest_effect=0.1,
                  treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0})],
    }  # fmt: skip
    with pytest.raises(InvalidStudy) as caught:
        Study(**settings)
    assert str(caught.value) == 'claims[0].metric: needs metrics=Diagnostics("full") (got sharpness)'
    study = Study(**settings, metrics=Diagnostics("full"))
    assert "metrics.level" not in study.factors()
    assert study.setup(study.cells()[0]).metrics.level == "full"
    for wrong in (3, Sweep(Diagnostics(), Diagnostics("full"))):
        with pytest.raises(InvalidStudy, match="metrics: "):
            Study(**settings, metrics=wrong)
    with pytest.raises(InvalidStudy, match=r"metrics.level: input should be 'light'"):
        Study(**settings, metrics=Diagnostics("huge"))


@pytest.mark.parametrize(
    ("metric", "better", "path", "value", "unmeasured"),
    [("solved", "higher", "target_error", 0.1, "0"), ("solve_step", "lower", "target_error", 0.1, "0"),
     ("memorization", "lower", "label_noise", 0.2, "0")],
)  # fmt: skip
def test_a_claim_on_what_the_task_does_not_allow_is_refused_with_the_way_out(
    metric: str, better: str, path: str, value: object, unmeasured: str
) -> None:
    arms = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}
    settings = {
        "name": "x", "model": DropoutNet(dropout=Sweep(0.0, 0.5)), "metrics": Diagnostics("standard"),
        "claims": [Claim("so", metric=metric, better=better, smallest_effect=0.1, **arms)],
    }  # fmt: skip
    with pytest.raises(InvalidStudy) as caught:
        Study(**settings, task=POINTS)
    assert str(caught.value).startswith(f"claims[0].metric: needs task.{path}: at {unmeasured}")
    Study(**settings, task=POINTS.replace(**{path: value}))
    Study(**settings, task=POINTS.replace(**{path: Sweep(POINTS.values()[path], value)}))


def test_a_claim_on_what_dropout_changes_as_well_gets_a_note_where_its_arms_differ_in_dropout() -> None:
    def notes(metric: str, **arms: object) -> list[str]:
        levels = {
            "treatment": {"model.dropout": 0.5, "optimizer.lr": 0.1},
            "baseline": {"model.dropout": 0.0, "optimizer.lr": 0.1},
        }
        above = 0.01 if metric == "spike_rate" else None
        claim = Claim("so", metric=metric, better="lower", smallest_effect=0.1, above=above, **(levels | arms))
        return Study(
            name="x",
            task=POINTS,
            model=DropoutNet(dropout=Sweep(0.0, 0.5)),
            optimizer=SGD(Sweep(0.1, 0.2)),
            claims=[claim],
        ).notes

    for metric in ("spike_rate", "grad_norm_q99", "recovery_steps"):
        (note,) = notes(metric)
        assert note.startswith(f"claims[0].metric: {metric} is not comparable across dropout: ")
    assert not notes("test_loss")
    assert not notes("spike_rate", treatment={"model.dropout": 0.0, "optimizer.lr": 0.2})


def test_tuning_for_success_is_refused_and_for_the_time_to_it_needs_a_target() -> None:
    settings = {"name": "x", "model": DropoutNet(), "optimizer": SGD(Tune(0.1, 1.0))}
    with pytest.raises(InvalidStudy, match="objective: cannot be tuned for"):
        Study(**settings, task=POINTS.replace(target_error=0.1), objective="solved")
    with pytest.raises(InvalidStudy, match=r"objective: needs task\.target_error"):
        Study(**settings, task=POINTS, objective="solve_step")
    Study(**settings, task=POINTS.replace(target_error=0.1), objective="solve_step")
