"""Metrics and figures of a user's own: values against plain PyTorch and hand computation, and everywhere that others are."""

import json
import math
import pickle
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from click.testing import CliRunner
from matplotlib.figure import Figure
from own_study import harness_run
from synthetic import rnn_clip, simulate
from test_train import CPU, textbook_model

from harness import Claim, Diagnostics, Exact, Measure, Study, Sweep, Tune, verify
from harness.engine.evaluation import mean
from harness.engine.own_measures import mean_of_present
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.inference.plan import Plan
from harness.inference.samples import sample
from harness.inference.verdicts import judge
from harness.ledger.run_table import run_table
from harness.ledger.trials import Trial
from harness.models import DropoutNet, Model
from harness.optimizers import SGD
from harness.reporting import plots
from harness.reporting.page_tables import cell_text
from harness.settings import InvalidStudy
from harness.settings.measured_on import measured_on
from harness.settings.metrics import METRICS, RATE
from harness.study.changes import Changes, apply_changes
from harness.tasks import Images, Tensors
from harness.tasks.task import Task

F64 = torch.float64


def top2_error(outputs, targets):
    """Whether the class is none of the two most likely ones.

    The second paragraph is for nobody.
    """
    return (outputs.topk(2).indices != targets[:, None]).all(1).to(outputs.dtype)


def nll(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="none")


def late_loss(curve):
    """Mean loss of the second half of the logged steps."""
    return curve["loss"][len(curve) // 2 :].mean()


def diagnostics(*functions: Callable[..., Any], unit: str = "loss", better: Any = "lower") -> Diagnostics:
    return Diagnostics(measures=[Measure(function, unit=unit, better=better) for function in functions])


def setup_of(**settings: Any) -> Setup:
    given = {"task": Images(train_size=200), "model": DropoutNet(hidden=(16,), dropout=0.3), "optimizer": SGD(0.2),
             "batch_size": 30, "steps": 20, "metrics": diagnostics(top2_error, nll, late_loss)}  # fmt: skip
    setup = Setup(**given | settings)
    assert not setup.problems()
    return setup


def trained(*setups: Setup, dtype: torch.dtype = F64, confirm: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = [Run(i, 0, setup, confirm=confirm) for i, setup in enumerate(setups)]
    return train(runs, evaluations=5, device=CPU, dtype=dtype)


def small(**settings: Any) -> Study:
    given = {"name": "small", "task": Images(train_size=100), "model": DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5)),
             "steps": 8, "batch_size": 20, "seeds": 3}  # fmt: skip
    return Study(**given | settings)


def said(**settings: Any) -> str:
    with pytest.raises(InvalidStudy) as refused:
        small(**settings)
    return str(refused.value)


# --- values


def test_outputs_are_measured_as_plain_pytorch_does() -> None:
    """Splits of unlike sizes share a population here, whose short ones are filled up: what fills does not count."""
    setups = [
        setup_of(task=Images(train_size=size, test_size=test)) for size, test in ((200, 359), (40, 359), (200, 60))
    ]
    runs, _ = trained(*setups)
    for setup, row in zip(setups, runs.to_dict("records"), strict=True):
        model, data = textbook_model(setup, 0, F64)[0].eval(), setup.task.data(0)
        splits = {"test": data.test, "validation": data.validation, "train": data.train[: len(data.test)]}
        for split, chosen in splits.items():
            scores, y = model(data.x[chosen].to(F64)).detach(), data.y[chosen]
            rank = (scores > scores.gather(1, y[:, None])).sum(1)
            assert row[f"{split}_top2_error"] == pytest.approx(float((rank > 1).double().mean()), abs=1e-12)
            assert row[f"{split}_nll"] == pytest.approx(float(F.cross_entropy(scores, y)), rel=1e-9)
    assert len(set(runs["train_top2_error"])) == 3


def test_a_population_measures_what_each_run_alone_measures() -> None:
    setups = [setup_of(model=DropoutNet(hidden=(16,), dropout=p)) for p in (0.0, 0.6)]
    together, _ = trained(*setups)
    for i, setup in enumerate(setups):
        alone, _ = train([Run(i, 0, setup)], evaluations=5, device=CPU, dtype=F64)
        names = list(setup.metrics.metrics())
        pd.testing.assert_frame_equal(alone[names], together[names][i : i + 1].reset_index(drop=True), rtol=1e-9)


def test_final_weights_are_meant_and_with_patience_the_best_ones() -> None:
    """An own loss is the built-in one, whenever and on whatever that is measured."""
    setup = setup_of(steps=60, optimizer=SGD(4.0))
    for patience in (None, 1):
        runs, curves = trained(setup.replace(patience=patience), setup.replace(patience=patience, optimizer=SGD(0.1)))
        for split in ("train", "validation", "test"):
            np.testing.assert_allclose(runs[f"{split}_nll"], runs[f"{split}_loss"], rtol=1e-12)
        for trial, done in zip(runs["trial"], runs["steps_done"], strict=True):
            loss = curves[(curves["trial"] == trial) & (curves["step"] <= done)]["loss"].to_numpy()
            assert np.isfinite(loss).all()
            assert runs["late_loss"][trial] == pytest.approx(loss[len(loss) // 2 :].mean(), rel=1e-12)
    assert (runs["steps_done"] < 60).any()


def test_a_curve_is_of_the_logged_steps_that_its_run_has_trained() -> None:
    seen = []

    def of_curve(curve):
        seen.append(curve)
        return float(curve["step"].max())

    setup = setup_of(steps=60, metrics=diagnostics(of_curve))
    runs, curves = trained(setup.replace(patience=1, optimizer=SGD(4.0)), setup.replace(patience=1, optimizer=SGD(0.1)))
    assert runs["of_curve"].tolist() == runs["steps_done"].tolist() and min(runs["steps_done"]) < 60
    for trial, curve in enumerate(seen):
        own = curves[(curves["trial"] == trial) & (curves["step"] <= runs["steps_done"][trial])]
        pd.testing.assert_frame_equal(curve, own.drop(columns=["trial", "seed"]).reset_index(drop=True))


def test_a_run_that_only_tunes_is_not_tested() -> None:
    runs, _ = trained(setup_of(), confirm=False)
    assert runs["test_nll"].isna().all()
    np.testing.assert_allclose(runs["train_nll"], runs["train_loss"], rtol=1e-12)
    np.testing.assert_allclose(runs["validation_nll"], runs["validation_loss"], rtol=1e-12)


def test_outputs_of_any_shape_come_as_the_module_returns_them() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 3)

        def forward(self, x):
            scores = self.net(x)
            return {"scores": scores, "parts": (scores.sum(), x)}

    class Own(Task):
        def data(self, seed):
            return Tensors(inputs, classes).data(seed)

        def losses(self, output, y):
            return F.cross_entropy(output["scores"], y, reduction="none")

        def errors(self, output, y):
            return (output["scores"].argmax(-1) != y).to(output["scores"].dtype)

    def of_dict(outputs, targets):
        assert outputs["parts"][0].shape == ()
        outputs["parts"][1].zero_()  # what it is given is its own
        return F.cross_entropy(outputs["scores"], targets, reduction="none")

    inputs = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    classes = inputs.argmax(1).clamp(max=2)
    setup = setup_of(task=Own(), model=Model(Both), metrics=diagnostics(of_dict))
    runs, _ = trained(setup, setup.replace(optimizer=SGD(0.4)))
    np.testing.assert_allclose(runs["test_of_dict"], runs["test_loss"], rtol=1e-12)


def test_a_run_that_became_non_finite_ranks_worst() -> None:
    def mine(outputs, targets):
        assert outputs.isfinite().all()
        return outputs[:, 0]

    def of_curve(curve):
        return curve["loss"].iloc[-1]

    for better, worst in (("lower", inf), ("higher", -inf), (None, nan)):
        metrics = diagnostics(mine, of_curve, better=better)
        setup = setup_of(metrics=metrics)
        runs, _ = trained(setup, setup.replace(optimizer=SGD(1e38)), dtype=torch.float32)
        for name in ("train_mine", "validation_mine", "test_mine", "of_curve"):
            assert np.isfinite(runs[name][0])
            np.testing.assert_equal(runs[name][1], worst)

    def trains(curve):
        return float(curve["loss"].iloc[-1] < 100)

    setup = setup_of(metrics=diagnostics(trains, unit=RATE, better="higher"))
    runs, _ = trained(setup, setup.replace(optimizer=SGD(1e38)), dtype=torch.float32)
    assert runs["trains"].tolist() == [1.0, 0.0], "a rate is never infinite"
    row = {f"test_loss_{key}": -inf for key in ("mean", "median")} | {
        f"test_loss_{key}": nan for key in ("low", "high")
    }
    assert cell_text(row | {"test_loss_n": 2, "n": 2}, "test_loss") == "−∞"


def test_what_lies_before_a_run_became_non_finite_is_its_own_and_nothing_else_is() -> None:
    def first_loss(curve):
        return curve["loss"].iloc[0]

    def first_validation(curve):
        return curve["validation_loss"].dropna().iloc[0]

    def mean_loss(curve):
        return curve["loss"].mean()

    def least_loss(curve):
        return curve["loss"].min()

    def late_grad(curve):
        return curve["grad_norm"].tail(3).mean()

    def above(curve):
        return float((curve["loss"] > 3).mean())

    def refuses(curve):
        if curve["loss"].max() > 1e6:
            raise ValueError("no such loss")
        return curve["loss"].iloc[0]

    functions = first_loss, first_validation, mean_loss, least_loss, late_grad, above, refuses
    setup = setup_of(metrics=diagnostics(*functions))
    runs, curves = trained(setup, setup.replace(optimizer=SGD(1e38)), dtype=torch.float32)
    assert runs["nonfinite"].tolist() == [0.0, 1.0]
    first = curves[(curves["trial"] == 1)]["loss"].iloc[0]
    assert runs["first_loss"].tolist() == [first, first], "of equal weights, before the first update"
    for function in functions[1:]:
        assert math.isinf(runs[function.__name__][1]) and math.isfinite(runs[function.__name__][0])


@pytest.mark.parametrize("unit", ["error", "share of words"])
def test_both_ends_of_a_share_belong_to_it_and_nothing_beyond(unit: str) -> None:
    def given(outputs, targets):
        return outputs

    measure = Measure(given, unit=unit)
    assert measure.of_examples(torch.tensor([0.0, 1.0]), torch.zeros(2)).tolist() == [0.0, 1.0]
    for beyond in (-0.001, 1.001):
        with pytest.raises(ValueError, match=f"its unit, {unit}, is one from 0 to 1"):
            measure.of_examples(torch.tensor([0.5, beyond]), torch.zeros(2))


def test_nan_is_a_missing_value() -> None:
    def missing(outputs, targets):
        return outputs[:, 0] * nan

    runs, _ = trained(setup_of(metrics=diagnostics(missing)))
    assert runs["test_missing"].isna().all()
    assert (runs["status"] == "finished").all()


def missed_threes(outputs, targets):
    """Share of threes that are taken for something else."""
    return torch.where(targets == 3, (outputs.argmax(1) != 3).to(outputs.dtype), nan)


def missed(outputs, targets):
    return ((targets == 3) & (outputs.argmax(1) != 3)).to(outputs.dtype)


def threes(outputs, targets):
    return (targets == 3).to(outputs.dtype)


def test_a_mean_is_over_the_examples_that_have_a_value() -> None:
    """As in a recall; where all have one it is the plain mean to the bit."""
    setup = setup_of(metrics=diagnostics(missed_threes, missed, threes), optimizer=SGD(0.05))
    runs, _ = trained(setup)
    for split in ("train", "validation", "test"):
        of_threes = runs[f"{split}_missed"] / runs[f"{split}_threes"]
        assert 0 < of_threes.iloc[0] <= 1
        assert runs[f"{split}_missed_threes"].tolist() == pytest.approx(of_threes.tolist())
    values = np.array([[[1.0, nan, 4.0, nan], [nan, nan, 3.0, 9.0], [1.0, 2.0, 4.0, inf]]])
    counts, answered = np.array([3, 2, 4]), np.ones_like(values)
    np.testing.assert_array_equal(mean_of_present(values, answered, counts), [[2.5, nan, inf]])
    answered[0, 0, 1] = 0  # by outputs that are not finite: its NaN is no missing value
    np.testing.assert_array_equal(mean_of_present(values, answered, counts), [[nan, nan, inf]])
    full, counts = np.random.default_rng(0).normal(size=(2, 3, 700)), np.array([700, 9, 333])
    assert mean_of_present(full, np.ones_like(full), counts).tolist() == mean(full, counts).tolist()


def test_measuring_changes_nothing_and_draws_are_each_runs_own() -> None:
    def random(outputs, targets):
        return torch.rand(len(targets))

    plain = [setup_of(metrics=Diagnostics(), optimizer=SGD(lr)) for lr in (0.2, 0.3)]
    own = [setup.replace(metrics=diagnostics(random, nll)) for setup in plain]
    (before, curves), (after, same) = trained(*plain), trained(*own)
    pd.testing.assert_frame_equal(curves, same)
    pd.testing.assert_frame_equal(before, after[before.columns])
    alone, _ = trained(own[0].replace(metrics=diagnostics(random)))
    assert alone["test_random"][0] == after["test_random"][0]


# --- what a study makes of them


def test_a_claim_on_an_own_metric_has_a_verdict_whatever_was_written_first() -> None:
    arms = {"treatment": {"model.dropout": 0.0}, "baseline": {"model.dropout": 0.5}}
    claims = [Claim("less", metric="train_nll", better="lower", smallest_effect=0.001, **arms),
              Exact("one", metric="of_curve", equals=1.0)]  # fmt: skip

    def of_curve(curve):
        return 1.0

    study = small(claims=claims, objective="validation_nll", metrics=diagnostics(nll, of_curve), steps=60,
                  optimizer=SGD(0.3))  # fmt: skip
    members = [Run(i, seed, study.setup(cell), cell) for i, cell in enumerate(study.cells()) for seed in range(6)]
    runs, _ = train(members, evaluations=2, device=CPU)
    runs = runs.assign(phase="confirm", **{"model.dropout": [run.values["model.dropout"] for run in members]})
    first, second = judge(study.claims, runs, Plan.of(study))
    differences = runs["train_loss"][runs["model.dropout"] == 0.5].to_numpy() - runs["train_loss"][:6].to_numpy()
    assert first.estimate == pytest.approx(np.median(differences), rel=1e-6)
    assert first.verdict == "supported"
    assert second.verdict == "supported"


def test_where_more_is_better_a_claim_gives_non_finite_runs_the_least_value() -> None:
    diagnostics(late_loss, better="higher")
    claim = Claim("t", metric="late_loss", better="higher", smallest_effect=0.1, treatment={"model.dropout": 0.0},
                  baseline={"model.dropout": 0.5})  # fmt: skip
    rows = [(0, 0, 0.0, "finished", 5.0), (0, 1, 0.0, "finished", 6.0), (1, 0, 0.5, "diverged", -inf),
            (1, 1, 0.5, "finished", 4.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["trial", "seed", "model.dropout", "status", "late_loss"])
    swept = {"model.dropout": Sweep(0.0, 0.5)}
    (contrast,) = claim.contrasts(swept)
    assert sample(claim, contrast, table, swept).differences.tolist() == [inf, 2.0]


def test_each_study_knows_its_own_metrics_only() -> None:
    study = small(metrics=diagnostics(nll, late_loss))
    assert {"train_nll", "validation_nll", "test_nll", "late_loss"} <= set(study.metrics.metrics())
    assert "test_nll" not in Diagnostics().metrics()
    claim = Claim("t", metric="test_nll", better="lower", smallest_effect=0.1, treatment={"model.dropout": 0.0},
                  baseline={"model.dropout": 0.5})  # fmt: skip
    assert "claims[0].metric: unknown metric; did you mean test_loss? (got test_nll)" in said(claims=[claim])
    assert "objective: cannot be tuned for" in said(objective="validation_nll", optimizer=SGD(Tune(0.1, 1.0)))
    assert "did you mean test_nll?" in said(claims=[claim.replace(metric="test_nl")], metrics=study.metrics)


def test_tuning_may_use_what_is_measured_on_no_test_data() -> None:
    own = diagnostics(nll, late_loss)
    for name in ("train_nll", "validation_nll", "late_loss"):
        assert small(objective=name, optimizer=SGD(Tune(0.1, 1.0)), metrics=own).objective == name
    assert "objective: cannot be tuned for" in said(objective="test_nll", optimizer=SGD(Tune(0.1, 1.0)), metrics=own)


def test_a_metric_defined_anew_takes_the_place_of_the_old_one() -> None:
    diagnostics(nll, unit="loss")
    assert METRICS["test_nll"].unit == "loss"
    assert (METRICS["test_nll"].meaning, METRICS["test_nll"].tunable) == ("nll; mean over examples, dropout off", False)
    anew = diagnostics(nll, unit="bits", better=None)
    assert (METRICS["test_nll"].unit, METRICS["validation_nll"].tunable) == ("bits", True)
    diagnostics(nll, unit="loss")
    anew.register()
    assert METRICS["test_nll"].unit == "bits"
    del METRICS["test_nll"]
    assert pickle.loads(pickle.dumps(anew)) == anew
    assert METRICS["test_nll"].unit == "bits", "another process knows it too"


def test_reports_say_what_it_means_and_on_which_examples() -> None:
    diagnostics(top2_error, late_loss)
    there = {"test": "20", "validation": "30", "gap": "10"}
    meaning = "Whether the class is none of the two most likely ones; mean over examples, dropout off"
    assert METRICS["test_top2_error"].meaning == meaning
    assert METRICS["late_loss"].meaning == "Mean loss of the second half of the logged steps"
    assert measured_on("test_top2_error", there) == measured_on("test_error", there) == "20 test"
    assert measured_on("train_top2_error", there) == measured_on("train_error", there)
    assert measured_on("validation_top2_error", there) == "30 validation"
    assert measured_on("late_loss", there) == "training, batch by batch, 30 validation"


def test_studies_with_other_functions_are_other_studies() -> None:
    def version(factor: float, text: str) -> Callable[..., Any]:
        names: dict[str, Any] = {}
        exec(f"def mine(outputs, targets):\n    return outputs[:, 0] * {text or 0}", names)

        def mine(outputs, targets):
            return outputs[:, 0] * factor

        return mine if text == "" else names["mine"]

    def study(*made: Any) -> Study:
        return small(metrics=diagnostics(version(*made)))

    one = study(1.0, "")
    assert one.digest() == study(1.0, "").digest()
    assert len({one.digest(), study(2.0, "").digest(), study(1.0, "1").digest(), study(1.0, "2").digest()}) == 4

    def drawn(runs):
        return Figure()

    with_figure = small(metrics=diagnostics(version(1.0, "")), figures=[drawn])
    assert with_figure.description() == one.description()
    assert " at 0x" not in repr(with_figure) + repr(one.description())
    assert apply_changes(with_figure, Changes(("steps=4",))).figures == [drawn]


def bad_shape(outputs, targets):
    return outputs[:, 0].mean()


def no_tensor(outputs, targets):
    return [0.0] * len(targets)


def raises(outputs, targets):
    return outputs["scores"]


def of_batch(outputs, targets):
    return outputs[:, 0].mean().expand(len(targets)) + torch.arange(len(targets)).sum()


def squeezed(outputs, targets):
    return outputs[:, 0].squeeze()


def percent(outputs, targets):
    return torch.full((len(targets),), 40.0)


def three(a, b, c):
    return a


def keyword(outputs, *, targets):
    return outputs


def gap(outputs, targets):
    return outputs


def loss(outputs, targets):
    return outputs


def seed(curve):
    return 0.0


def steps(curve):
    return 0.0


def table(curve):
    return curve


def no_column(curve):
    return curve["lss"].mean()


def half(curve):
    return 0.5


BAD = [
    (bad_shape, "loss", "metrics.measures[0]: cannot be measured: ValueError: `bad_shape` must return a tensor (batch,), here of shape (20,), not torch.float32 of shape ()"),
    (no_tensor, "loss", "metrics.measures[0]: cannot be measured: ValueError: `no_tensor` must return a tensor (batch,)"),
    (raises, "loss", "metrics.measures[0]: cannot be measured: IndexError: "),
    (of_batch, "loss", "metrics.measures[0]: gives an example "),
    (squeezed, "loss", "metrics.measures[0]: cannot be measured: ValueError: `squeezed` must return a tensor (batch,), here of shape (1,)"),
    (percent, "error", "metrics.measures[0]: cannot be measured: ValueError: `percent` gives 40.0, and its unit, error, is one from 0 to 1"),
    (half, RATE, "metrics.measures[0]: cannot be measured: ValueError: `half` gives 0.5, and its unit, share of runs, is 0 or 1 for a run"),
    (table, "loss", "metrics.measures[0]: cannot be measured: ValueError: `table` must return one number, not a DataFrame"),
    (no_column, "loss", "metrics.measures[0]: cannot be measured: KeyError: 'lss'"),
    (three, "loss", "metrics.measures[0].function: must take two arguments, (outputs, targets), or one, the curve of a run"),
    (keyword, "loss", "metrics.measures[0].function: must take two arguments"),
    (lambda outputs, targets: outputs, "loss", "metrics.measures[0].function: must be a function with a name"),
    (np.mean, "loss", "metrics.measures[0].function: must be a function with a name"),
    (gap, "loss", "metrics.measures[0].function: has the name of something that every study records"),
    (loss, "loss", "metrics.measures[0].function: has the name of something that every study records"),
    (seed, "loss", "metrics.measures[0].function: has the name of something that every study records"),
    (steps, "loss", "metrics.measures[0].function: has the name of a setting; rename it (got steps)"),
    (nll, "", "metrics.measures[0].unit: must not be empty"),
    (nll, RATE, "metrics.measures[0].unit: is that of what a run does or does not"),
    (nll, Sweep("a", "b"), "metrics.measures.0.unit: cannot be swept or tuned"),
    ("nll", "loss", "metrics.measures[0].function: "),
]  # fmt: skip


@pytest.mark.parametrize(("function", "unit", "message"), BAD)
def test_functions_that_do_not_serve_are_refused(function: Any, unit: Any, message: str) -> None:
    assert message in said(metrics=diagnostics(function, unit=unit))
    assert (
        not [name for name in METRICS if METRICS[name].own]
        or message.startswith("metrics.measures[0]: ")
        or "setting" in message
    )


def test_what_else_is_refused() -> None:
    def mine(outputs, targets):
        return outputs[:, 0]

    assert "metrics.measures[1]: gives test_mine, as another one does" in said(metrics=diagnostics(mine, mine))
    broken = Diagnostics(measures=[Measure(mine, unit="x", better="up")])
    claim = Exact("t", metric="test_mine")
    problems = said(metrics=broken, claims=[claim])
    assert "metrics.measures[0].better" in problems
    assert "claims[0]" not in problems, "what a broken measure would have measured is not known"
    by_better = Diagnostics(measures=[Measure(mine, unit="x", better=Sweep("lower", "higher"))])
    assert "metrics.measures.0.better: cannot be swept or tuned" in said(metrics=by_better)
    assert "metrics.level: cannot be swept or tuned" in said(metrics=Diagnostics(Sweep("light", "full")))
    assert "figures[0]: must take one argument, the table of runs" in said(figures=[mine])
    assert "figures[1]: has the name of another figure" in said(figures=[late_loss, late_loss])
    assert "figures[0]: must be a function with a name" in said(figures=[lambda runs: runs])
    assert "figures: " in said(figures=["mine"])


# --- figures


def test_own_figures_come_last_and_one_that_fails_says_so(tmp_path: Path) -> None:
    def scatter(runs):
        """Norm against loss.

        One point a run."""
        assert len(runs) == len(table)
        figure, ax = plt.subplots()
        ax.scatter(runs["grad_norm_q99"], runs["test_loss"] + np.random.rand(len(runs)))
        runs["test_loss"] = 0.0
        return figure

    def failing(runs):
        raise ValueError("no $column$ \x1b\nof that name")

    def nothing(runs):
        pass

    def unprintable(runs):
        figure = Figure()
        figure.text(0, 0, r"$\nonsense$")
        return figure

    study = rnn_clip(figures=(scatter, failing, nothing, unprintable))
    table, curves = simulate(study, every=6)
    before = table.copy()
    curves.to_parquet(tmp_path / "curves.parquet")
    drawn = list(plots.plots(table, tmp_path / "curves.parquet", study, []))[-4:]
    assert [plot.name for plot in drawn] == ["own_scatter", "own_failing", "own_nothing", "own_unprintable"]
    assert drawn[0].caption == "Norm against loss. One point a run. Examples: 359 test, 359 validation, 1,079 training."
    assert "failing. `failing` could not be drawn: ValueError: no $column$ \\x1b." in drawn[1].caption
    assert "it must return a matplotlib Figure, not a NoneType" in drawn[2].caption
    assert "`unprintable` could not be drawn: " in drawn[3].caption
    assert plots.render_all(drawn) == [plot.drawn for plot in drawn]
    for plot in drawn:
        pd.testing.assert_frame_equal(plot.data, before)
        assert plot.drawn is not None
        assert plot.drawn.svg.startswith(b"<?xml")
        assert plot.drawn.png.startswith(b"\x89PNG")
        assert plot.drawn.pdf.startswith(b"%PDF")
    assert not plt.get_fignums()
    assert next(plots.own.plots(table, study)).drawn == drawn[0].drawn, "the same table gives the same bytes"


STUDY = '''"""Which nets put the class second?"""
import matplotlib.pyplot as plt
from harness import Claim, Diagnostics, Measure, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

def top2_error(outputs, targets):
    """Whether the class is none of the two <most> likely ones."""
    return (outputs.topk(2).indices != targets[:, None]).all(1).float()

def late_loss(curve):
    """Mean loss of the second half of the logged steps."""
    return curve["loss"][len(curve) // 2 :].mean()

def against(runs):
    """Top-2 error against the error."""
    figure, ax = plt.subplots()
    ax.scatter(runs["test_error"], runs["test_top2_error"])
    return figure

def broken(runs):
    return runs["nothing"]

study = Study(
    name="top2", task=Images(train_size=100), model=DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5)),
    claims=[Claim("Dropout hurts", metric="test_top2_error", better="lower", smallest_effect=0.001,
                  treatment={"model.dropout": 0.0}, baseline={"model.dropout": 0.5})],
    optimizer=SGD(lr=Sweep(0.3, 1e38)), steps=40, batch_size=20, seeds=3, evaluations=4, figures=[against, broken],
    metrics=Diagnostics(measures=[Measure(top2_error, unit="error", better="lower"), Measure(late_loss, unit="loss")]),
)
'''


@pytest.mark.slow
def test_a_study_with_own_metrics_and_figures_from_the_command_line_to_verify(tmp_path: Path) -> None:
    file, results = tmp_path / "mine.py", tmp_path / "results"
    file.write_text(STUDY)
    done = harness_run(file, results=results)
    assert done.exit_code == 0, done.output
    folder = results / "top2"
    runs, curves = pd.read_parquet(folder / "runs.parquet"), pd.read_parquet(folder / "curves.parquet")
    fine = runs[runs["optimizer.lr"] == 0.3]
    assert len(fine) == 6
    for row in fine.to_dict("records"):
        loss = curves[(curves["trial"] == row["trial"]) & (curves["seed"] == row["seed"])].sort_values("step")["loss"]
        assert row["late_loss"] == pytest.approx(loss.to_numpy()[len(loss) // 2 :].mean())
        assert 0 < row["test_top2_error"] < row["test_error"]
    assert (runs[runs["optimizer.lr"] > 1]["test_top2_error"] == inf).all()
    assert runs[runs["optimizer.lr"] > 1]["late_loss"].isna().all()
    (claim,) = json.loads((folder / "claims.json").read_text())
    assert claim["metric"] == "test_top2_error"
    assert claim["verdict"] in ("supported", "refuted", "inconclusive")
    page = (folder / "report.html").read_text()
    for text in (
        "the two &lt;most&gt; likely ones",
        "late_loss",
        "Top-2 error against the error.",
        "`broken` could not be drawn: KeyError",
    ):
        assert text in page
    assert "test_top2_error" in (folder / "summary.md").read_text()
    for name in ("own_against", "own_broken"):
        for kind in ("svg", "png", "pdf", "csv"):
            assert (folder / "figures" / f"{name}.{kind}").stat().st_size
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("top2").experiment_id
    children = client.search_runs([experiment], "tags.`harness.kind` = 'trial'")
    for child in children:
        rows = runs[runs["trial"] == int(child.data.tags["harness.trial"])]
        if np.isfinite(rows["test_top2_error"]).all():
            assert child.data.metrics["generalization/test_top2_error"] == pytest.approx(rows["test_top2_error"].mean())
            assert child.data.metrics["stability/late_loss"] == pytest.approx(rows["late_loss"].mean())
    (launch,) = client.search_runs([experiment], "tags.`harness.kind` = 'launch'")
    kept = [file.path for file in client.list_artifacts(launch.info.run_id, "report/figures")]
    assert {"report/figures/own_against.png", "report/figures/own_broken.png"} <= set(kept)
    again = CliRunner().invoke(verify.main, [str(folder), "--sample", "12"])
    assert again.exit_code == 0, again.output
    assert "12 of 12 runs agree" in again.output

    file.write_text(STUDY.replace("figures=[against, broken]", "figures=[against]"))
    anew = harness_run(file, results=results)
    assert anew.exit_code == 0, anew.output
    assert not (folder / "figures" / "own_broken.png").exists()
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "runs.parquet"), runs)
    file.write_text(STUDY.replace("topk(2)", "topk(3)"))
    other = harness_run(file, results=results)
    assert other.exit_code == 0, other.output
    trained = pd.read_parquet(folder / "runs.parquet")  # anew: what it measures is another function
    pd.testing.assert_series_equal(trained["test_loss"], runs["test_loss"])
    at_rate = runs["optimizer.lr"] == 0.3
    assert (trained.loc[at_rate, "test_top2_error"] < runs.loc[at_rate, "test_top2_error"]).all()


# --- what follows from recorded curves


def test_a_measure_of_curves_is_that_of_its_function_as_it_is_now(tmp_path: Path) -> None:
    """Runs stay when it is edited or joins: it follows from their curves."""
    losses = [4.0, 2.0, 8.0, 6.0, 9.0, np.nan]
    curves = pd.DataFrame({"trial": 0, "seed": [0, 0, 1, 1, 2, 2], "step": [1, 2, 1, 2, 1, 2], "loss": losses})
    curves.to_parquet(tmp_path / "curves.parquet")
    recorded = pd.DataFrame(
        {"trial": 0, "seed": range(3), "status": ["finished", "finished", "diverged"], "steps_done": [2, 2, 1],
         "nonfinite": [0.0, 0.0, 1.0], "ours": [-1.0, np.nan, np.nan]}
    )  # fmt: skip

    def ours(curve):
        return curve["loss"].iloc[-1]

    def joined(curve):
        return curve["loss"].mean()

    measured = Study(name="x", task=Images(), model=DropoutNet(hidden=(4,)), steps=4, metrics=diagnostics(ours, joined))
    recorded = recorded.assign(**{name: np.nan for name, metric in METRICS.items() if metric.across_runs})
    found = run_table(measured, [Trial(0, 0, True, measured.cells()[0])], recorded, tmp_path / "curves.parquet")
    assert found["ours"].tolist() == [2.0, 6.0, math.inf]
    assert found["joined"].tolist() == [3.0, 7.0, math.inf]
