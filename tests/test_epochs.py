"""`epochs` in place of `steps`: as many steps as every training example is seen so often, in every cell."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from harness import Claim, InvalidStudy, Study, Sweep, Tune, run
from harness.engine.planning import groups
from harness.engine.train import train
from harness.engine.way import Way
from harness.execution.costs import Costs
from harness.lead.terminal.overview import overview
from harness.ledger.trial_runs import factor_values, n_steps, runs_of, sample_runs
from harness.ledger.trials import Trial
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.reporting.page_tables import readable
from harness.reporting.plots import training
from harness.reporting.plots.factors import Roles
from harness.reporting.tables import summarize
from harness.settings.schedules import Linear
from harness.study.changes import Changes, apply_changes
from harness.study.experiment import steps_of
from harness.study.scope import budget, setups
from harness.tasks import Data, Images, Task

CPU = torch.device("cpu")


def study(**settings):
    given = {
        "name": "x",
        "task": Images(train_size=Sweep(100, 1000)),
        "model": DropoutNet(hidden=(4,)),
        "batch_size": 64,
    }
    return Study(**(given | settings))


def steps(of):
    return [setup.steps for setup in setups(of)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"epochs": 64.0}, [100, 1000]),
        ({"epochs": 64}, [100, 1000]),
        ({"epochs": 0.1}, [1, 2]),
        ({"epochs": 3.3}, [math.ceil(330 / 64), math.ceil(3300 / 64)]),
        ({"epochs": 5.0, "batch_size": Sweep(10, 30)}, [50, 17, 500, 167]),
        ({"epochs": Sweep(1.0, 2.0)}, [2, 4, 16, 32]),
        ({"steps": Sweep(7, 9)}, [7, 9, 7, 9]),
        ({"steps": 12}, [12, 12]),
        ({}, [1000, 1000]),
        ({"steps": None, "epochs": None}, [1000, 1000]),
        ({"epochs": 2.0, "task": Images()}, [math.ceil(2 * 1079 / 64)]),
        ({"epochs": 2.0, "task": Images(train_size=100, resample="bootstrap")}, [4]),
    ],
)
def test_every_cell_trains_for_as_many_steps_as_its_epochs_are(settings, expected):
    assert steps(study(**settings)) == expected


@given(st.decimals("0.01", "20", places=2), st.integers(1, 3000), st.integers(1, 200))
def test_steps_are_the_least_that_see_as_much(epochs, examples, batch):
    found = steps_of(float(epochs), examples, batch)
    assert Decimal(found * batch) >= epochs * examples > Decimal((found - 1) * batch)


def test_epochs_that_a_float_cannot_hold_are_meant_as_they_are_written():
    assert steps_of(1.1, 100, 10) == 11 and 1.1 * 100 / 10 > 11


class Uneven(Task):
    """Ten more training examples for odd seeds."""

    def draw(self, seed):
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        train, rest = torch.arange(60).split([20, 40])
        return Data(
            x, torch.arange(60) % 2, torch.cat([train, rest[20 : 20 + 10 * (seed % 2)]]), rest[:10], rest[10:20]
        )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 2.0, "steps": 5}, "epochs: takes the place of steps: give one of the two (got 2.0)"),
        ({"epochs": Sweep(1.0, 2.0), "steps": Sweep(5, 6)}, "epochs: takes the place of steps: give one of the two"),
        ({"epochs": 0.0}, "epochs: input should be greater than 0 (got 0.0)"),
        ({"epochs": -1.0}, "epochs: input should be greater than 0"),
        ({"epochs": math.inf}, "epochs: input should be a finite number"),
        ({"epochs": math.nan}, "epochs: must be a number"),
        ({"epochs": "3"}, "epochs: input should be a valid number; leave out the quotes (got '3')"),
        ({"epochs": Sweep(1.0, 0.0)}, "epochs: input should be greater than 0 (got 0.0)"),
        ({"epochs": 1e7}, "steps: input should be less than or equal to 10000000"),
        ({"epochs": 2.0, "task": Uneven(), "batch_size": 5}, "epochs: needs as many training examples for every seed, and this task has 20 "
         "for one and 30 for another; use steps"),
        ({"epoch": 3}, "epoch: unknown setting; did you mean epochs? (got 3)"),
        ({"steps": 0}, "steps: input should be greater than or equal to 1 (got 0)"),
    ],
)  # fmt: skip
def test_what_epochs_cannot_be_is_refused(settings, said):
    with pytest.raises(InvalidStudy) as raised:
        study(**settings)
    assert any(str(problem).startswith(said) for problem in raised.value.problems), raised.value.problems


def test_a_task_without_data_is_what_is_refused_and_not_its_epochs():
    with pytest.raises(InvalidStudy) as raised:
        study(task=Images(train_size=10**6), epochs=2.0)
    assert [problem.path for problem in raised.value.problems] == ["task.train_size"]


def test_what_a_study_is_known_by_names_the_one_that_is_given():
    in_steps, in_epochs = study(steps=12), study(epochs=2.0)
    assert in_steps.description()["steps"] == "12" and "epochs" not in in_steps.description()
    assert in_epochs.description()["epochs"] == "2.0" and "steps" not in in_epochs.description()
    assert "epochs" in in_epochs.factors() and "epochs" not in in_steps.factors()
    assert study().description()["steps"] == "1000"
    assert study(epochs=Sweep(1.0, 2.0)).cells()[1] == {"task.train_size": 100, "epochs": 2.0}


def test_runs_of_one_population_take_the_same_number_of_steps():
    of = study(epochs=2.0, seeds=3, batch_size=20)
    runs = sample_runs(of)
    found = list(groups(runs).values())
    assert sorted({run.setup.steps for run in group} == {n} for group, n in zip(found, (10, 100), strict=True)) == [
        True,
        True,
    ]
    alike = study(epochs=Sweep(2.0, 2.001), seeds=3, batch_size=20, task=Images(train_size=100))
    assert len(groups(sample_runs(alike))) == 2 and steps(alike) == [10, 11]


@pytest.mark.parametrize("schedule", [0.5, Linear(0.5, 0.0)])
def test_a_run_of_epochs_is_the_run_of_as_many_steps(schedule):
    """Curves, metrics and a schedule over the whole training."""
    model = DropoutNet(hidden=(4,), dropout=schedule)
    tables = [
        train(runs_of(of, Trial(0, 0, True, of.cells()[1])), evaluations=3, device=CPU)
        for of in (study(model=model, epochs=2.0, seeds=2), study(model=model, steps=32, seeds=2))
    ]
    for one, other in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(one, other)
    runs, curves = tables[0]
    assert runs["steps_done"].tolist() == [32, 32] and curves["step"].max() == 32


def test_progress_and_cost_count_the_steps_of_each_cell():
    of = study(epochs=2.0, seeds=3)
    assert n_steps(of) == 3 * (4 + 32)
    searched = study(epochs=2.0, seeds=3, optimizer=SGD(Tune(0.1, 1.0)), tune="shared", tune_trials=5, tune_seeds=2)
    assert n_steps(searched) == (5 * 2 + 3) * (4 + 32)
    tuned = study(epochs=Tune(1.0, 3.0), task=Images(train_size=64), seeds=3, tune_trials=5)
    assert n_steps(tuned) == 5 * 3 * (1 + 3) // 2

    ways = dict.fromkeys(groups(sample_runs(of)), Way(16, 1.0))
    runs = {run.setup.steps: run for run in sample_runs(of)}
    costs = Costs(ways, evaluations=0)
    assert costs.of(runs[32]) - costs.of(runs[4]) == pytest.approx(28.0), "the same evaluations at the end"
    assert (
        costs.seconds(of, 1) == pytest.approx(costs.of_study(of)) == pytest.approx(sum(map(costs.of, sample_runs(of))))
    )


def test_tables_and_mlflow_hold_epochs_and_the_steps_that_they_are():
    for of, values in ((study(epochs=2.0), {}), (study(epochs=Sweep(2.0, 4.0)), {"epochs": 2.0})):
        trial = Trial(0, 0, True, {"task.train_size": 1000} | values)
        found = factor_values(of, trial)
        assert found["epochs"] == 2.0 and found["steps"] == 32
    assert "epochs" not in factor_values(study(), Trial(0, 0, True, {"task.train_size": 100}))
    tuned = study(epochs=Tune(1.0, 3.0))
    found = factor_values(tuned, Trial(0, 0, False, {"task.train_size": 1000, "epochs": 2.5}))
    assert found["epochs"] == 2.5 and found["steps"] == math.ceil(2500 / 64)


def test_the_command_line_changes_one_into_the_other():
    assert steps(apply_changes(study(steps=12), Changes(("epochs=2",)))) == [4, 32]
    assert steps(apply_changes(study(epochs=2.0), Changes(("steps=5",)))) == [5, 5]
    assert steps(apply_changes(study(epochs=2.0), Changes(("epochs=Sweep(1, 2)",)))) == [2, 4, 16, 32]
    with pytest.raises(InvalidStudy, match="steps: given as --set steps=5 and as --set epochs=2"):
        apply_changes(study(), Changes(("steps=5", "epochs=2")))
    with pytest.raises(InvalidStudy, match="did you mean epochs"):
        apply_changes(study(), Changes(("epoch=2",)))
    assert steps(apply_changes(study(epochs=50.0), Changes(quick=True))) == [60, 60]
    assert steps(apply_changes(study(steps=12), Changes(quick=True))) == [12, 12]


def test_the_overview_and_the_report_say_steps_and_epochs_of_each_cell():
    text = overview(study(epochs=2.0), verbose=True)
    assert "20 runs in all, of 4 to 32 steps, 2.05 to 2.56 epochs" in text
    assert "cell 0: {'task.train_size': 100}, 4 steps, 2.56 epochs" in text and "32 steps, 2.05 epochs" in text
    assert "of 300 steps, 17.8 epochs" in overview(study(steps=300, task=Images()), verbose=False)
    of = study(epochs=2.0, seeds=2)
    assert budget(of, [setups(of)[0]]) == "4 steps, 2.56 epochs"
    patient = [setup.replace(patience=1) for setup in setups(of)[:1]]
    assert budget(of, patient) == "at most 4 steps, 2.56 epochs", "patience may end them before"
    runs = pd.DataFrame(
        [
            {"trial": i, "seed": seed, "phase": "confirm", "task.train_size": size, "status": "finished", "test_loss": 1.0,
             "diverged": 0.0}
            for i, size in enumerate((100, 1000)) for seed in (0, 1)
        ]
    )  # fmt: skip
    table = readable(of, summarize(of, runs), ["test_loss"])
    assert table.head[:2] == ["task.train_size", "training"]
    assert [row[1] for row in table.rows] == ["4 steps, 2.56 epochs", "32 steps, 2.05 epochs"]
    same = study(steps=5, seeds=2, task=Images(label_noise=Sweep(0.0, 0.1)))
    assert "training" not in readable(same, summarize(same, runs.rename(columns={"task.train_size": "task.label_noise"})
                                                      .replace({100: 0.0, 1000: 0.1})), ["test_loss"]).head  # fmt: skip


def test_curves_of_runs_of_different_lengths_end_where_the_runs_do():
    of = study(steps=Sweep(50, 400), seeds=3, task=Images(train_size=Sweep(100, 1000)))
    runs = pd.DataFrame(
        [
            {"trial": trial, "seed": seed, "phase": "confirm", "status": "finished", "nonfinite": 0.0, **cell}
            for trial, cell in enumerate(of.cells()) for seed in range(3)
        ]
    )  # fmt: skip
    curves = pd.concat(
        pd.DataFrame({"trial": t, "seed": s, "step": np.arange(1, n + 1, n // 50), "loss": float(t), "grad_norm": 1.0,
                      "validation_loss": np.nan})
        for t, n in ((0, 50), (1, 400), (2, 50), (3, 400)) for s in range(3)
    )  # fmt: skip
    data = training.data(runs, curves, Roles(of, tuple(of.sweeps()), {}))
    losses = data[data["quantity"] == "loss"]
    for (group, facet), line in losses.groupby(["group", "facet"]):
        assert line["step"].max() == (48 if "50" in (group, facet) else 393), "bins of three steps, by their first"
        assert (line["n"] == 3).all() and line["median"].nunique() == 1


@pytest.mark.slow
def test_a_study_of_epochs_runs_resumes_and_is_verified(tmp_path):
    from harness import load
    from harness.verify import main as verify

    (tmp_path / "mine.py").write_text(
        "from harness import Claim, Study, Sweep\nfrom harness.models import DropoutNet\nfrom harness.tasks import Images\n"
        "study = Study(name='mine', task=Images(train_size=Sweep(64, 128)), model=DropoutNet(hidden=(4,), dropout=Sweep(0.0, 0.5)),\n"
        "              batch_size=32, epochs=Sweep(1.5, 4.0), seeds=2, evaluations=2)\n"
    )
    command = [str(tmp_path / "mine.py"), "--results", str(tmp_path / "results"), "--devices", "cpu", "--workers", "1"]
    for _ in range(2):
        done = CliRunner().invoke(run.main, command)
        assert done.exit_code == 0, done.output
    assert "Nothing to train" in done.output
    runs = load(tmp_path / "results/mine").runs
    wanted = {(64, 1.5): 3, (64, 4.0): 8, (128, 1.5): 6, (128, 4.0): 16}
    found = runs.groupby(["task.train_size", "epochs"])[["steps", "steps_done"]]
    assert {key: set(rows.to_numpy().ravel()) for key, rows in found} == {key: {n} for key, n in wanted.items()}
    page = (tmp_path / "results/mine/summary.md").read_text()
    assert "Numbers hold for tests on one fixed test set of 359 examples" in page and "3 steps, 1.5 epochs" in page
    checked = CliRunner().invoke(verify, [str(tmp_path / "results/mine"), "--sample", "4"])
    assert checked.exit_code == 0, checked.output


def test_a_claim_may_name_epochs():
    of = study(
        epochs=Sweep(1.0, 2.0),
        claims=[Claim("longer is better", metric="test_loss", better="lower", smallest_effect=0.1,
                      treatment={"epochs": 2}, baseline={"epochs": 1})],
    )  # fmt: skip
    assert of.claims[0].treatment == {"epochs": 2.0}
