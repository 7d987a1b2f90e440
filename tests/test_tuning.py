"""Tuning within the replicate and once for all seeds: who chooses what, and what is said of it."""

import subprocess
import sys
import time
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from own_study import MINE, harness_run, no_drawing, tables

import harness
from harness import Claim, Equivalence, Study, Sweep, Tune
from harness.inference.exploration.learning_rates import with_rates
from harness.inference.exploration.shared_points import shared_points
from harness.inference.plan import Plan
from harness.inference.selection import selected, tried
from harness.inference.verdict import Verdict
from harness.inference.verdicts import judge
from harness.ledger.design import Design
from harness.ledger.records.finished import WORST
from harness.ledger.trial_runs import n_runs, n_steps, runs_of
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.reporting.tuning import at_shared_values, remarks
from harness.settings import InvalidStudy
from harness.tasks import Images

CLAIM = Claim("dropout helps", metric="test_loss", better="lower", smallest_effect=0.1,
              treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0})  # fmt: skip


def make(**settings: object) -> Study:
    base = {"name": "x", "task": Images(), "model": DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5)), "tune_trials": 4,
            "optimizer": SGD(lr=Tune(0.01, 1.0, log=True)), "steps": 5, "seeds": 3, "claims": [CLAIM]}  # fmt: skip
    return Study(**(base | settings))


def grid(losses: dict[tuple[float, float, int], float], **columns: object) -> pd.DataFrame:
    """Runs at (dropout, rate, seed), one trial for each dropout and rate."""
    trials = {key: number for number, key in enumerate(dict.fromkeys((p, lr) for p, lr, _ in losses))}
    rows = [
        {"trial": trials[p, lr], "seed": seed, "phase": "tune", "model.dropout": p, "optimizer.lr": lr, "status": "finished",
         "validation_loss": loss, "test_loss": 10 * loss, "guess_loss": 2.0} | columns
        for (p, lr, seed), loss in losses.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


TWO = {
    (p, lr, seed): abs(np.log10(lr) + 1 + p * seed) for p in (0.0, 0.5) for lr in (0.01, 0.1, 1.0) for seed in (0, 1)
}
"""Seed 0 is best at rate .1; seed 1 likewise without dropout, and halfway to .01 with it."""


def chosen(runs: pd.DataFrame) -> dict[tuple[float, int], float]:
    confirm = selected(make(), runs)
    confirm = confirm[confirm["phase"] == "confirm"]
    return {(p, seed): lr for p, seed, lr in confirm[["model.dropout", "seed", "optimizer.lr"]].itertuples(index=False)}


def test_every_seed_gets_the_value_that_its_own_validation_data_prefer() -> None:
    runs = grid(TWO | {(0.5, 0.01, 1): 0.1})
    assert chosen(runs) == {(0.0, 0): 0.1, (0.0, 1): 0.1, (0.5, 0): 0.1, (0.5, 1): 0.01}
    assert set(runs["phase"]) == {"tune"}


def test_test_data_choose_nothing() -> None:
    runs = grid(TWO)
    assert chosen(runs) == chosen(runs.assign(test_loss=np.random.default_rng(0).random(len(runs))))


@pytest.mark.parametrize(
    ("status", "loss"), [("diverged", 0.0), ("diverged", nan), ("failed", 0.0), ("finished", nan), ("finished", inf)]
)
def test_what_diverged_failed_or_was_not_measured_is_chosen_last(status: str, loss: float) -> None:
    runs = grid(TWO)
    best = (runs["optimizer.lr"] == 0.1) & (runs["model.dropout"] == 0.0)
    runs.loc[best, ["validation_loss", "status"]] = [loss, status]
    assert chosen(runs)[0.0, 0] == 0.01  # of two equals the earlier trial


def test_a_failed_run_is_chosen_only_where_all_failed_so_that_its_seed_counts_as_missing() -> None:
    runs = grid(TWO)
    runs.loc[runs["seed"] == 1, "status"] = "failed"
    runs.loc[(runs["seed"] == 1) & (runs["optimizer.lr"] == 1.0), "status"] = "diverged"
    assert chosen(runs)[0.0, 1] == 1.0
    runs.loc[runs["seed"] == 1, "status"] = "failed"
    assert len(chosen(runs)) == 4


def test_what_tuning_chose_from_are_all_runs_of_the_grid_that_did_not_fail_or_those_of_the_tune_phase() -> None:
    runs = grid(TWO)
    runs.loc[0, "status"] = "failed"
    both = selected(make(), runs)
    assert tried(make(), both).index.tolist() == list(range(1, len(runs)))
    assert set(tried(make(tune="shared"), both)["phase"]) == {"tune"}
    assert len(tried(make(tune="shared"), both)) == (both["phase"] == "tune").sum() - 1


def tell_by_point(design: Design, tune: str, outcomes: dict[int, list[list[float]]]) -> None:
    """Tell two cells the same (seed, objective) outcomes at each point."""
    (wave,) = design.ask(tune).waves
    for portion in wave:
        values = outcomes[portion.trial.number // 2]
        metrics = dict(zip(design.study.objectives(), map(list, zip(*values, strict=True)), strict=True))
        design.tell(portion.number, dict(zip(portion.seeds, values, strict=True)), metrics=metrics)


def test_a_shared_choice_is_by_the_median_of_ranks_so_that_one_lucky_seed_decides_nothing(tmp_path: Path) -> None:
    design = Design(make(tune="shared", tune_trials=3), str(tmp_path / "journal"))
    (tune, confirm) = design.rounds()
    outcomes = {0: [[0.0], [5.0], [5.0], [5.0], [5.0]], 1: [[1.0]] * 5, 2: [[2.0], [0.9], [2.0], [2.0], [2.0]]}
    tell_by_point(design, tune, outcomes)
    tried = {wanted.trial.number: wanted.trial.values for wanted in design.ask(tune).trials}
    assert [wanted.trial.values for wanted in design.ask(confirm).trials] == [tried[2], tried[3]]


def test_a_diverged_trial_is_on_no_pareto_front(tmp_path: Path) -> None:
    study = make(tune="shared", tune_trials=3, objective=("validation_loss", "update_ratio"))
    design = Design(study, str(tmp_path / "journal"))
    (tune, confirm) = design.rounds()
    outcomes = {0: [[1.0, 1.0]] * 5, 1: [[0.9, 2.0]] * 5, 2: [[WORST, WORST]] * 3 + [[1.1, 1e-9]] * 2}
    tell_by_point(design, tune, outcomes)
    tried = {wanted.trial.number: wanted.trial.values for wanted in design.ask(tune).trials}
    assert [wanted.trial.values for wanted in design.ask(confirm).trials] == [tried[0], tried[2], tried[1], tried[3]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sampler": "tpe"}, "sampler: learns from results"),
        ({"objective": ("validation_loss", "grad_norm_q99")}, "objective: every seed is tuned by one metric"),
        ({"tune_seeds": 3}, "tune_seeds: has no meaning"),
    ],
)
def test_what_only_shared_values_can_have_is_refused_with_the_way_out(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said) as refused:
        make(**settings)
    assert 'tune="shared"' in str(refused.value)
    make(tune="shared", **settings)


def test_every_seed_trains_at_the_same_values_in_all_cells_whatever_the_studys_name(tmp_path: Path) -> None:
    tried = []
    for name in ("x", "renamed"):
        study = make(name=name)
        design = Design(study, str(tmp_path / "journal"))
        (only,) = design.rounds()
        trials = [wanted.trial for wanted in design.ask(only).trials]
        tried.append([(trial.cell, trial.values["optimizer.lr"]) for trial in trials])
        runs = [run for trial in trials for run in runs_of(study, trial)]
        assert len(runs) == n_runs(study) == 2 * 4 * 3 and n_steps(study) == 5 * len(runs)
        assert {run.seed for run in runs} == {0, 1, 2} and all(run.confirm for run in runs)
        design.close()
    assert tried[0] == tried[1]
    assert [lr for cell, lr in tried[0] if cell == 0] == [lr for cell, lr in tried[0] if cell == 1]


def test_the_largest_rate_that_trains_and_the_sensitivity_to_the_rate_are_those_of_the_definition() -> None:
    losses = {(p, lr, 0): loss for p in (0.0, 0.5) for lr, loss in ((0.01, 1.5), (0.1, 0.5), (1.0, 9.0))}
    runs = grid(losses)
    runs.loc[runs["optimizer.lr"] == 1.0, "status"] = "diverged"
    runs.loc[runs["model.dropout"] == 0.5, "status"] = "diverged"
    found = with_rates(make(), selected(make(), runs)).query("phase == 'confirm'").set_index("model.dropout")
    assert found["largest_lr"].to_dict() == {0.0: 0.1, 0.5: 0.0}
    assert found.loc[0.0, "lr_sensitivity"] == pytest.approx((1.5 + 0.5 + 2.0) / 3 - 0.5)  # at 1.0 as bad as guessing
    assert np.isnan(
        found.loc[0.5, "lr_sensitivity"]
    )  # always as bad as guessing: of rates none of which trains none is the best


def largest(trains: dict[float, float], claim: type = Claim, seeds: int = 12, **settings: object) -> Verdict:
    """The verdict on `largest_lr` at rates .001, .01, .1 and 1, the second of which is best, where each level of dropout trains up to some rate."""
    rates = (0.001, 0.01, 0.1, 1.0)
    losses = {
        (p, lr, seed): abs(np.log10(lr) + 2) / 3 + (p + seed) / 100
        for p in trains for lr in rates for seed in range(seeds)
    }  # fmt: skip
    runs = grid(losses)
    runs.loc[runs["optimizer.lr"] > runs["model.dropout"].map(trains), "status"] = "diverged"
    better = {"better": "higher"} if claim is Claim else {}
    arms = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}
    claims = [claim("larger rates", metric="largest_lr", **better, **arms, **settings)]
    study = make(seeds=seeds, claims=claims)
    (verdict,) = judge(claims, with_rates(study, selected(study, runs)), Plan.of(study))
    return verdict


def test_no_difference_is_seen_that_lies_between_the_rates_tried() -> None:
    same = {0.0: 0.1, 0.5: 0.1}
    found = largest(same, smallest_effect=0.5)
    assert (found.verdict, found.low, found.high) == ("inconclusive", 0, 0)
    assert "Between the rates tried differences up to 0.9 are hidden: a difference of δ = 0.5" in found.sentence
    assert "0.5 could not be seen" in largest(same, Equivalence, smallest_effect=0.5).sentence
    assert largest(same, smallest_effect=1.0).verdict == "refuted", "δ is wider than the rates lie apart"
    assert largest(same, Equivalence, smallest_effect=1.0).verdict == "supported"
    top = largest({0.0: 1.0, 0.5: 1.0}, smallest_effect=5.0)
    assert top.verdict == "inconclusive" and "Most runs train at the largest rate tried" in top.sentence
    assert largest({0.0: 0.01, 0.5: 0.1}, smallest_effect=0.05).verdict == "supported"
    reversed_ = largest({0.0: 0.1, 0.5: 0.01}, smallest_effect=0.01)
    assert (reversed_.verdict, reversed_.label) == ("refuted", "reversed"), "whatever lies between"
    assert largest({0.0: 0.1, 0.5: 0.01}, Equivalence, smallest_effect=0.05).verdict == "refuted"


def test_rates_are_not_judged_where_a_run_of_the_grid_failed_or_something_else_was_tuned_too() -> None:
    runs = grid(TWO)
    runs.loc[0, "status"] = "failed"
    found = with_rates(make(), selected(make(), runs)).query("phase == 'confirm'")
    assert found["largest_lr"].isna().sum() == 1
    both = make(optimizer=SGD(lr=Tune(0.01, 1.0), momentum=Tune(0.0, 0.9)))
    assert "largest_lr" not in with_rates(both, grid(TWO))


def test_both_arms_are_compared_at_each_shared_value() -> None:
    runs = selected(make(), grid(TWO))
    found = shared_points(make(), runs, [CLAIM])
    expected = [
        np.median([10 * (TWO[0.0, lr, seed] - TWO[0.5, lr, seed]) for seed in (0, 1)]) for lr in (0.01, 0.1, 1.0)
    ]
    np.testing.assert_allclose(found["difference"], expected)
    assert found["optimizer.lr"].tolist() == [0.01, 0.1, 1.0] and set(found["n"]) == {2}


def test_at_a_shared_value_it_is_said_of_how_many_seeds_where_not_of_all() -> None:
    runs = grid(TWO)
    failed = (runs["seed"] == 1) & (runs["optimizer.lr"] == 0.1)
    runs.loc[failed, "status"] = "failed"
    (row,) = at_shared_values(make(), selected(make(), runs)).rows
    assert row[2] == "2" and [" (n 1)" in text for text in row[3:]] == [False, True, False]


def test_two_claims_of_one_title_have_a_row_each() -> None:
    contrary = CLAIM.replace(treatment=CLAIM.baseline, baseline=CLAIM.treatment)
    study = make(claims=[CLAIM, contrary])
    rows = at_shared_values(study, selected(study, grid(TWO))).rows
    assert [row[0] for row in rows] == [CLAIM.title] * 2
    assert rows[0][3].removeprefix("−") == rows[1][3].removeprefix("−") and rows[0][3] != rows[1][3]


def test_at_a_shared_value_a_claim_has_its_own_estimate() -> None:
    """The verdict on the runs at one rate alone has the same number, whatever is claimed of them."""
    rng = np.random.default_rng(0)
    study = make(batch_size=Sweep(8, 16), seeds=12, tune_trials=3)
    losses = {(p, lr, seed): rng.lognormal() for p in (0.0, 0.5) for lr in (0.01, 0.1, 1.0) for seed in range(12)}
    both = [
        grid({key: loss * rng.lognormal() for key, loss in losses.items()}, batch_size=size).assign(
            trial=lambda t, i=i: t["trial"] + 6 * i
        )
        for i, size in enumerate((8, 16))
    ]
    runs = with_rates(
        study, selected(study, pd.concat(both, ignore_index=True).assign(test_error=lambda t: t["test_loss"] / 1e3))
    )
    runs.loc[runs["seed"] == 5, "status"] = "collapsed"
    arms = {"treatment": CLAIM.treatment, "baseline": CLAIM.baseline, "smallest_effect": 0.1}
    claims = [
        CLAIM,
        CLAIM.replace(title="each", across="each"),
        CLAIM.replace(title="rate", above=10.0),
        CLAIM.replace(title="mean", metric="test_error", estimand="mean"),
        CLAIM.replace(title="signed ranks", estimand="hodges_lehmann"),
        Equivalence("same", metric="test_loss", across="each", **arms),
        CLAIM.replace(title="largest", metric="largest_lr", better="higher"),
    ]
    found = shared_points(study, runs, claims)
    assert set(found["claim"]) == {claim.title for claim in claims} - {"largest"}
    for row in found.to_dict("records"):
        claim = next(claim for claim in claims if claim.title == row["claim"])
        there = runs[runs["optimizer.lr"] == row["optimizer.lr"]].assign(phase="confirm")
        (verdict,) = judge([claim], there, Plan(study.sweeps(), list(range(12)), [12], []))
        assert (row["difference"], row["n"]) == (pytest.approx(verdict.estimate), verdict.n)
    assert set(found.loc[found["claim"] == "mean", "n"]) == {11}


def test_a_choice_at_an_end_of_the_range_and_unfinished_training_are_said() -> None:
    runs = grid({key: -key[1] for key in TWO}, best_step=5, steps_done=5)
    text = " ".join(remarks(make(), selected(make(), runs)))
    assert (
        "The largest optimizer.lr tried, 1, was best in 4 of 4 runs" in text
        and "4 of 4 runs (2 of 2 at model.dropout = 0; 2 of 2 at model.dropout = 0.5): a wider" in text
    )
    assert "the last validation loss was the least in 4 of 4 finished runs" in text
    once = make(evaluations=1)
    assert "Still improving" not in " ".join(remarks(once, selected(once, runs))), "the only one is always the last"


def test_of_a_choice_at_an_end_both_counts_are_said() -> None:
    """Without dropout 1 seed of 4 chooses the largest rate, with it 3."""
    last = {(p, seed): 1.0 if seed < (1 if p == 0.0 else 3) else 0.1 for p in (0.0, 0.5) for seed in range(4)}
    rates = (0.01, 0.1, 1.0)
    runs = grid({(p, lr, s): abs(np.log10(lr / last[p, s])) + s for p in (0.0, 0.5) for lr in rates for s in range(4)})
    study = make(seeds=4)
    text = " ".join(remarks(study, selected(study, runs)))
    assert "was best in 4 of 8 runs (3 of 4 at model.dropout = 0.5): a wider range may change" in text


def test_other_values_in_the_two_arms_are_said() -> None:
    losses = {
        (p, lr, seed): abs(np.log10(lr) + 2 * p) for p in (0.0, 0.5) for lr in (0.01, 0.1, 1.0) for seed in (0, 1)
    }
    text = " ".join(remarks(make(), selected(make(), grid(losses))))
    assert "optimizer.lr is 0.1 in the treatment and 1 in the baseline" in text


def test_verdicts_of_shared_values_are_said_to_be_conditional() -> None:
    runs = pd.concat([grid(TWO), grid(TWO).assign(phase="confirm")])
    assert "conditional on the tuned values" in remarks(make(tune="shared"), runs)[0]


def tuned(how: str) -> str:
    text = MINE.replace('tune="shared", tune_seeds=1', f'tune="{how}"')
    assert text != MINE
    return text


@pytest.mark.slow
def test_a_study_tuned_within_its_seeds_is_the_same_to_the_byte_after_interruptions(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(tuned("within"))
    with no_drawing():
        for results, options in ((tmp_path / "whole", ()), (tmp_path / "stopped", ("--timeout", "0"))):
            harness_run(tmp_path / "mine.py", *options, results=results)
        command = [
            sys.executable,
            "-m",
            "harness.run",
            str(tmp_path / "mine.py"),
            "--results",
            str(tmp_path / "stopped"),
        ]
        journal = tmp_path / "stopped" / "optuna.journal"
        lines = journal.read_bytes().count(b"\n")
        process = subprocess.Popen([*command, "--devices", "cpu", "-q"])
        while process.poll() is None and journal.read_bytes().count(b"\n") < lines + 3:
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert harness_run(tmp_path / "mine.py", results=tmp_path / "stopped").exit_code == 0
    assert tables(tmp_path / "stopped" / "mine") == tables(tmp_path / "whole" / "mine")


@pytest.mark.parametrize("tune", ["within", pytest.param("shared", marks=pytest.mark.slow)])
def test_a_study_is_tuned_reported_and_loaded(tune: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(tuned(tune))
    done = harness_run(tmp_path / "mine.py", results=tmp_path / "results")
    assert done.exit_code == 0, done.output
    found = harness.load(tmp_path / "results" / "mine")
    confirm = found.runs[found.runs["phase"] == "confirm"]
    assert not confirm.duplicated(["model.dropout", "clipping.max_norm", "seed"]).any() and len(confirm) == 16
    assert len(found.runs) == (32 if tune == "within" else 2 * 4 * 5 + 16)
    assert confirm["largest_lr"].notna().any() == (tune == "within")
    page = found.report.read_text()
    assert ("Tuned within each seed" in page) == (tune == "within") and ("conditional on" in page) == (tune == "shared")
