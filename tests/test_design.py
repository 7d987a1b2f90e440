"""The design in a real Optuna journal: rounds, sampling, continuing, refusing a changed study."""

from pathlib import Path

import optuna
import pytest

from harness import Study, Sweep, Tune
from harness.ledger.design import WORST, Design, StudyChanged, Trial
from harness.ledger.storage import open_storage
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images


def make(sampler: str = "qmc", tune_trials: int = 4, **settings: object) -> Study:
    base = {"name": "x", "task": Images(), "model": DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5)),
            "optimizer": SGD(lr=Tune(0.01, 1.0, log=True)), "steps": 5}  # fmt: skip
    return Study(**(base | {"sampler": sampler, "tune_trials": tune_trials} | settings))


def loss(trial: Trial) -> float:
    """Best at lr .1 in cell 0 and at lr .5 in cell 1."""
    return abs(trial.values["optimizer.lr"] - (0.1, 0.5)[trial.cell])


def tell_all(design: Design, stop_after: int | None = None) -> list[Trial]:
    seen: list[Trial] = []
    for name in design.rounds():
        for trial in design.ask(name):
            if stop_after is not None and len(seen) >= stop_after:
                return seen
            if not trial.told:
                design.tell(trial, [loss(trial)] * len(design.study.objectives()), diverged=0)
            seen.append(trial)
    return seen


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
def test_every_cell_gets_the_same_budget_and_its_best_value_is_confirmed(sampler: str, tmp_path: Path) -> None:
    trials = tell_all(Design(make(sampler), str(tmp_path / "j")))
    tuned = [t for t in trials if not t.confirm]
    assert [sum(t.cell == cell for t in tuned) for cell in (0, 1)] == [4, 4]
    confirmed = [t for t in trials if t.confirm]
    assert [t.cell for t in confirmed] == [0, 1]
    for trial in confirmed:
        best = min((t for t in tuned if t.cell == trial.cell), key=loss)
        assert trial.values == best.values


def test_cells_share_quasi_random_points(tmp_path: Path) -> None:
    trials = [t for t in tell_all(Design(make("qmc", 8), str(tmp_path / "j"))) if not t.confirm]
    rates = [[t.values["optimizer.lr"] for t in trials if t.cell == cell] for cell in (0, 1)]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 8
    assert all(0.01 <= rate <= 1 for rate in rates[0])
    assert sum(rate < 0.1 for rate in rates[0]) == 4  # one Sobol' point in each eighth of the log range


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
@pytest.mark.parametrize("stop_after", [0, 1, 3, 8])
def test_interrupted_design_continues_as_if_it_had_not_been(sampler: str, stop_after: int, tmp_path: Path) -> None:
    whole = tell_all(Design(make(sampler), str(tmp_path / "whole")))
    tell_all(Design(make(sampler), str(tmp_path / "j")), stop_after)
    rest = tell_all(Design(make(sampler), str(tmp_path / "j")))
    assert [(t.number, t.cell, t.values) for t in rest] == [(t.number, t.cell, t.values) for t in whole]


def test_changed_study_is_refused_with_the_difference(tmp_path: Path) -> None:
    Design(make(), str(tmp_path / "j"))
    with pytest.raises(StudyChanged) as caught:
        Design(make(steps=6), str(tmp_path / "j"))
    assert caught.value.differences == ["steps: 5 → 6"]
    design = Design(make(steps=6), str(tmp_path / "j"), fresh=True)
    assert design.told() == set()


def test_changed_claims_do_not_change_the_study(tmp_path: Path) -> None:
    from harness import Exact

    Design(make(), str(tmp_path / "j"))
    Design(make(claims=[Exact("t", metric="eval_noise")]), str(tmp_path / "j"))


def test_diverged_trial_is_told_a_finite_worst_value(tmp_path: Path) -> None:
    design = Design(make(), str(tmp_path / "j"))
    trial = design.ask(design.rounds()[0])[0]
    design.tell(trial, [float("inf")], diverged=1)
    stored = optuna.load_study(study_name="x", storage=open_storage(str(tmp_path / "j"))).trials[trial.number]
    assert stored.value == WORST
    assert stored.user_attrs["diverged"] == 1
    assert stored.params["model.dropout"] == 0.0


def test_several_objectives_confirm_the_pareto_front(tmp_path: Path) -> None:
    study = make(objective=("validation_loss", "grad_norm_q99"), model=DropoutNet(hidden=(8,)), tune_trials=3)
    design = Design(study, str(tmp_path / "j"))
    tune, confirm = design.rounds()
    for trial, values in zip(design.ask(tune), [[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]], strict=True):
        design.tell(trial, values, diverged=0)
    assert len(design.ask(confirm)) == 2


def test_torn_journal_tail_is_cut(tmp_path: Path) -> None:
    tell_all(Design(make(), str(tmp_path / "j")), stop_after=3)
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id": "x", "tri')
    assert len(Design(make(), str(tmp_path / "j")).told()) == 3
    tell_all(Design(make(), str(tmp_path / "j")))
    assert len(Design(make(), str(tmp_path / "j")).told()) == 10


def test_first_width_is_remembered(tmp_path: Path) -> None:
    assert Design(make(), str(tmp_path / "j")).remembered("width", lambda: 64) == 64
    assert Design(make(), str(tmp_path / "j")).remembered("width", lambda: 32) == 64
