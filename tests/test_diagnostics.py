"""Every diagnostic against an independent computation; and that measuring changes nothing."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import brier_score_loss
from test_train import CPU

from harness import Claim, Diagnostics, InvalidStudy, Study, Sweep
from harness.clipping import GlobalNorm
from harness.diagnostics.predictions import calibration_error
from harness.executors import failed
from harness.metrics import LEVELS, METRICS
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD
from harness.population import Run
from harness.randomness import stream, stream_seed
from harness.setup import Setup
from harness.tasks import AddingProblem, CharLM, Images, Task, Tensors
from harness.train import train

F64 = torch.float64
X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
POINTS = Tensors(X, (X[:, 0] > 0).long() + (X[:, 1] > 0.5).long())
SMALL_SUM = AddingProblem(length=6, train_size=100, validation_size=20, test_size=30)
SMALL_TEXT = CharLM(length=5, train_size=40, validation_size=10, test_size=20)


def untrained(task: Task, model: Model, level: str, *, batch_size: int = 16) -> tuple[pd.Series, nn.Module, Setup]:
    """Metrics of seed 1 after steps so small that the weights stay the initial ones, and the plain module with these."""
    setup = Setup(
        task=task, model=model, optimizer=SGD(1e-300), batch_size=batch_size, steps=2, metrics=Diagnostics(level)
    )
    runs, _ = train([Run(0, 0, setup), Run(0, 1, setup)], evaluations=1, device=CPU, dtype=F64)
    torch.manual_seed(stream_seed(1, "init"))
    return runs.loc[1], model.build(task.sizes(task.data(1))).to(F64).eval(), setup


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


def test_best_weights_are_those_that_a_shorter_training_ends_with() -> None:
    setup = Setup(
        task=POINTS, model=DropoutNet(hidden=(16,), dropout=0.1), optimizer=SGD(3.0), batch_size=16, steps=60,
        metrics=Diagnostics("standard"),
    )  # fmt: skip
    runs, curves = train([Run(0, s, setup) for s in range(4)], evaluations=12, device=CPU)
    for row in runs.itertuples():
        validation = curves[curves["seed"] == row.seed].set_index("step")["validation_loss"]
        assert row.best_step == validation.idxmin()
    assert runs["best_step"].min() < 60
    assert not runs["best_test_loss"].equals(runs["test_loss"])
    early = runs.loc[runs["best_step"].idxmin()]
    short = setup.replace(steps=int(early["best_step"]))
    ended, _ = train([Run(0, s, short) for s in range(4)], evaluations=1, device=CPU)
    at_end = ended.set_index("seed").loc[early["seed"]]
    assert early["best_test_loss"] == pytest.approx(at_end["test_loss"], rel=1e-6)
    assert early["best_test_error"] == at_end["test_error"]


@pytest.mark.parametrize(
    ("task", "model"),
    [(POINTS, DropoutNet(hidden=(4,))), (SMALL_SUM, SimpleRNN(hidden=4))],
    ids=["perceptron", "recurrent net"],
)
def test_sharpness_is_the_hessians_top_eigenvalue(task: Task, model: Model) -> None:
    row, module, _ = untrained(task, model, "full")
    x, y = examples(task, "train", 256)
    count = len(x)
    x, y = x[torch.arange(256) % count], y[torch.arange(256) % count]
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([p.numel() for p in parameters.values()])
        own = {n: part.view(p.shape) for (n, p), part in zip(parameters.items(), parts, strict=True)}
        output = torch.func.functional_call(module, own, (x,))
        return F.mse_loss(output.view_as(y), y) if y.is_floating_point() else F.cross_entropy(output, y)

    flat = torch.cat([p.flatten() for p in parameters.values()])
    eigenvalues = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    assert row["sharpness"] == pytest.approx(float(eigenvalues.max()), rel=0.02)
    assert eigenvalues.max() > -eigenvalues.min()


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
    wild = setup.with_value("optimizer.lr", 1e6).with_value("clipping.max_norm", 1e6)
    setups = [setup, setup.with_value("model.dropout", 0.0), setup.with_value("optimizer.lr", 0.1), wild]
    return [Run(trial, seed, s, confirm=confirm) for trial, s in enumerate(setups) for seed in range(8)]


def test_measuring_changes_neither_training_nor_other_metrics() -> None:
    tables = {level: train(some(level), evaluations=3, device=CPU) for level in LEVELS}
    light = tables["light"][0]
    for level, (runs, curves) in tables.items():
        assert [*runs.columns[4:]] == list(Diagnostics(level).metrics())
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
    assert np.isfinite(calm[ranked]).all(axis=None)


def test_the_tune_phase_is_not_diagnosed() -> None:
    runs, _ = train(some("full", confirm=False), evaluations=1, device=CPU)
    assert runs[[n for n, m in METRICS.items() if m.level != "light"]].isna().all(axis=None)


def test_a_failed_run_has_the_columns_of_its_level() -> None:
    run = some("standard")[0]
    assert list(failed(run, "").runs.columns) == list(train([run], evaluations=1, device=CPU)[0].columns)


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
