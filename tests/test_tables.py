"""The results folder: all files, same bytes for same tables, whatever the study sweeps and however runs ended."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from synthetic import FakeStudy, fail, rnn_clip, roles_of, simulate

from harness import Published, Threshold
from harness.clipping import GlobalNorm, Value
from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.inference.plan import Plan
from harness.inference.published import ours
from harness.inference.ranks import as_ranked
from harness.inference.verdicts import judge
from harness.ledger.records.naming import cell_key
from harness.ledger.trial_runs import factor_values, swept_values
from harness.ledger.trials import Trial
from harness.models import SimpleRNN
from harness.reporting import formats, notebook, report, tables
from harness.reporting.comparison_tables import legend
from harness.reporting.page.published import beside_published
from harness.reporting.page.run_table import run_table
from harness.reporting.page_tables import readable
from harness.reporting.plots.points import point_data, reading
from harness.reporting.report import Subject, remove_stale, write_report
from harness.reporting.tables import summarize
from harness.reporting.tracking_page import _note_of_cell
from harness.reporting.whole import check_marked, making, put_together
from harness.settings import InvalidStudy, Sweep, Tune
from harness.settings.levels import SHORT, WRITTEN, Labels, at, in_words, label, spelled, stored
from harness.settings.measured_on import MEASURED_ON, measured_on
from harness.settings.metrics import METRICS, shipped
from harness.study import Claim, Study
from harness.study.scope import scope
from harness.tasks import Images


def write(
    study: FakeStudy, runs: pd.DataFrame, curves: pd.DataFrame, folder: Path, *, expected_runs: int | None = None
) -> list:
    expected = len(runs) if expected_runs is None else expected_runs
    subject = Subject(study, "Why?", {"device": "cpu"}, ["python -m harness.run s.py"], expected)
    with making(folder) as made:
        curves.to_parquet(made / "curves.parquet", index=False)
        return write_report(subject, runs, made, folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def one_sweep(**settings: object) -> FakeStudy:
    return FakeStudy(name="small", settings=settings | {"steps": 40}, seeds=4)


@pytest.mark.slow
def test_same_tables_in_any_order_give_the_same_bytes(tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path / "a")
    write(study, runs.sample(frac=1, random_state=1), curves, tmp_path / "b")
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    assert first == second
    assert {
        "runs.parquet",
        "runs.csv",
        "curves.parquet",
        "summary.csv",
        "claims.json",
        "summary.md",
        "report.html",
    } < set(first)
    figures = [name for name in first if name.startswith("figures/") and name != "figures/drawn.json"]
    assert len(figures) % 4 == 0
    assert {Path(name).suffix for name in figures} == {".svg", ".png", ".pdf", ".csv"}


def test_gradients_by_time_step_are_in_a_figure_and_not_in_the_table_of_runs(tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    profile = np.exp(np.arange(5.0)).tobytes()
    write(study, runs.assign(**{PROFILE: [profile] * len(runs)}), curves, tmp_path / "with")
    write(study, runs, curves, tmp_path / "without")
    first, second = content(tmp_path / "with"), content(tmp_path / "without")
    assert {"figures/gradient_flow.csv", "figures/gradient_flow.svg"} <= first.keys() - second.keys()
    assert all(
        first[name] == second[name]
        for name in ("runs.parquet", "runs.csv", "summary.csv", "summary.parquet", "pairs.csv")
    )


def test_runs_are_sorted_by_factors_then_seed_and_read_back(tmp_path: Path):
    study = rnn_clip()
    runs = tables.sort_runs(study, simulate(study)[0].sample(frac=1, random_state=0))
    keys = runs[[*study.factors(), "seed"]]
    assert keys.equals(keys.sort_values(list(keys.columns), ignore_index=True))
    report.write(tmp_path / "runs.parquet", formats.parquet(runs))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), runs)
    report.write(tmp_path / "runs.csv", formats.csv(runs))
    csv = pd.read_csv(tmp_path / "runs.csv")
    np.testing.assert_array_equal(csv["test_loss"], runs["test_loss"])  # every digit, NaN and infinity


def test_columns_mixing_numbers_and_text_become_text_in_parquet(tmp_path: Path):
    study = FakeStudy(settings={"model.rate": Sweep(0.5, "auto")})
    runs = pd.DataFrame({"model.rate": [0.5, "auto"], "seed": 0, "phase": "confirm", "trial": 0})
    report.write(tmp_path / "runs.parquet", formats.parquet(tables.sort_runs(study, runs)))
    assert list(pd.read_parquet(tmp_path / "runs.parquet")["model.rate"]) == ["0.5", "auto"]


def test_summary_has_counts_tuned_values_and_intervals():
    study = rnn_clip()
    runs, _ = simulate(study)
    runs = fail(runs, (runs["phase"] == "confirm") & (runs["seed"] == 3) & (runs["clipping.max_norm"] == 1.0))
    summary = tables.summarize(study, runs)
    assert len(summary) == len(study.cells())
    assert set(summary.loc[summary["clipping.max_norm"] == 1.0, "n_failed"]) == {1}
    confirm = runs[runs["phase"] == "confirm"]
    for _, row in summary.iterrows():
        inside = confirm[
            (confirm["model.dropout"] == row["model.dropout"])
            & (confirm["clipping.max_norm"] == row["clipping.max_norm"])
        ]
        assert row["n_diverged"] == (inside["status"] == "diverged").sum()
        assert row["optimizer.lr"] == inside["optimizer.lr"].iloc[0]
        assert math.isinf(row["test_loss_mean"]) == (row["n_diverged"] > 0)
        losses = sorted(inside["test_loss"].dropna())
        assert len(losses) in (9, 10)  # in both the second least and the second largest make 95 %
        assert (row["test_loss_low"], row["test_loss_high"]) == (losses[1], losses[-2])
        assert 0 <= row["diverged_low"] <= row["diverged_mean"] <= row["diverged_high"] <= 1


def test_a_run_that_diverged_ranks_worst_in_cells_as_in_claims():
    """Six of ten runs of a cell diverged with numbers that look good, and lack one that others have."""
    study = rnn_clip()
    runs, _ = simulate(study)
    cell = (runs["phase"] == "confirm") & (runs["clipping.max_norm"] == 1.0) & (runs["model.dropout"] == 0.0)
    runs.loc[cell, ["status", "diverged", "gap", "test_loss", "grad_norm_q99", "spike_rate"]] = (
        "finished",
        0.0,
        0.2,
        2.0,
        3.0,
        0.1,
    )
    bad = cell & (runs["seed"] < 6)
    runs.loc[bad, ["status", "diverged", "gap", "grad_norm_q99", "spike_rate"]] = "diverged", 1.0, 0.01, np.nan, np.nan
    before = runs.copy()
    found = summarize(study, runs).query("`clipping.max_norm` == 1.0 and `model.dropout` == 0.0").iloc[0]
    for metric in ("gap", "test_loss", "grad_norm_q99"):
        assert (found[f"{metric}_median"], found[f"{metric}_mean"], found[f"{metric}_n"]) == (math.inf, math.inf, 10)
    assert (found["spike_rate_mean"], found["spike_rate_n"]) == (pytest.approx((6 * 1.0 + 4 * 0.1) / 10), 10)
    pd.testing.assert_frame_equal(runs, before)
    levels = {"clipping.max_norm": 1.0, "model.dropout": 0.0}
    against = Threshold("less", metric="gap", better="lower", value=0.5, smallest_effect=0.1, arm=levels)
    (verdict,) = judge([against], runs, Plan.of(study))
    assert verdict.estimate == 0.5 - found["gap_median"]
    there = Published("g", "gap", "1", "A", at=levels, differs="all")
    ours_here, n = ours(runs[runs["phase"] == "confirm"], there, study.sweeps())
    assert (ours_here.estimate, n) == (found["gap_median"], 10)


def test_how_a_run_that_diverged_ranks_is_said_in_one_sentence_wherever_its_numbers_are(tmp_path: Path):
    """The sentence against what a run counts that measured .25, and one that lacks the metric."""
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    write(study, runs.assign(status="diverged"), curves, tmp_path)
    said = (
        "A run that diverged ranks worst where a direction is good, in shares of steps and units as 1; metrics that say what became of "
        "it, such as rates, are as measured where it has them."
    )
    page, short = ((tmp_path / name).read_text() for name in ("report.html", "summary.md"))
    assert said in page[page.index('id="metrics"') :] and said in short
    (row,) = summarize(study, runs).iloc[:1].to_dict("records")
    assert said in _note_of_cell(row, study) and said in legend(("A", "B")) and said in notebook.CELLS
    both = {name: [0.25, math.nan] for name in shipped()}
    counted = as_ranked(pd.DataFrame({"status": ["diverged", "diverged"]} | both))
    for name, metric in shipped().items():
        bad = 1.0 if metric.unit in ("share of steps", "share of units", "share of runs") else math.inf
        worst = {"lower": bad, "higher": 0.0 if bad == 1.0 else -math.inf, None: math.nan}[metric.better]
        says_what_became_of_it = metric.unit == "share of runs" or name in ("solve_step", "largest_lr")
        measured = 0.25 if metric.better is None or says_what_became_of_it else worst
        np.testing.assert_array_equal(counted[name], [measured, worst], name)


def test_the_page_shows_rates_by_kind_and_final_beside_best_and_says_what_is_missing(tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    runs = runs.assign(
        status="finished", diverged=0.0, nonfinite=0.0, collapsed=0.0, test_loss=1.0, best_test_loss=0.5, spike_rate=0.1
    )
    first = runs.index[(runs["model.dropout"] == 0.0) & (runs["seed"] < 3)]
    runs.loc[first[:2], ["status", "diverged"]] = "diverged", 1.0
    runs.loc[first[0], "nonfinite"], runs.loc[first[2], "collapsed"], runs.loc[first[2], "status"] = (
        1.0,
        1.0,
        "collapsed",
    )
    runs.loc[first[2], ["spike_rate"]] = math.nan
    summary = tables.summarize(study, runs)
    assert summary[["n", "n_diverged", "n_collapsed", "n_failed"]].values.tolist() == [[4, 2, 1, 0], [4, 0, 0, 0]]
    assert summary["spike_rate_n"].tolist() == [3, 4]
    write(study, runs, curves, tmp_path)
    lines = [
        line.strip("| ").split(" | ")
        for line in (tmp_path / "summary.md").read_text().splitlines()
        if line.startswith("|")
    ]
    cells = dict(zip(lines[0], lines[2], strict=True))
    assert (
        cells["diverged"].startswith("2/4 [")
        and cells["of these non-finite"].startswith("1/4 [")
        and cells["collapsed"].startswith("1/4 [")
    )
    assert lines[0].index("best_test_loss") == lines[0].index("test_loss") + 1
    assert cells["spike_rate (not comparable across dropout)"].endswith("(of 3 runs)")
    assert "rate (not comparable across dropout)" in (tmp_path / "report.html").read_text()


STUDIES = {
    "no sweep, tuned": one_sweep(**{"optimizer.lr": Tune(0.1, 1.0), "model.dropout": 0.1}),
    "nothing swept or tuned": one_sweep(**{"optimizer.lr": 0.1}),
    "learning rate only": one_sweep(**{"optimizer.lr": Sweep(0.01, 0.1, 1.0)}),
    "components": one_sweep(clipping=Sweep(GlobalNorm(1.0), Value(0.5), GlobalNorm())),
    "three factors": one_sweep(**{"task.train_size": Sweep(100, 1000), "model.dropout": Sweep(0.0, 0.5), "model.act": Sweep("tanh", "relu")}),
    "mixed levels": one_sweep(**{"model.rate": Sweep(0.5, "auto")}),
    "two objectives": FakeStudy(name="pareto", settings={"optimizer.lr": Tune(0.1, 1.0), "steps": 40}, objective=("validation_loss", "update_ratio")),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_any_study_gives_a_report(name: str, tmp_path: Path):
    study = STUDIES[name]
    runs, curves = simulate(study, tune_trials=3, every=4)
    assert write(study, runs, curves, tmp_path) == []
    assert len(pd.read_csv(tmp_path / "summary.csv")) == len(study.cells())
    assert (tmp_path / "figures" / "training.svg").exists()
    assert (tmp_path / "figures" / "generalization.svg").exists() == bool(study.sweeps())
    assert len(list(tmp_path.glob("figures/tuning_*.svg"))) == len(study.tunes())


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["diverged", "failed", "one seed", "tune only", "nothing ran"])
def test_any_ending_gives_a_report(ending: str, tmp_path: Path):
    paths = {"clipping.max_norm": Sweep(1.0, math.inf), "optimizer.lr": Tune(0.1, 1.0)}
    claims = (
        Claim("clipping helps", metric="test_loss", better="lower", smallest_effect=0.1,
              treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": math.inf}),
    )  # fmt: skip
    study = FakeStudy(
        name="ending", settings=paths | {"steps": 40}, seeds=1 if ending == "one seed" else 3, claims=claims
    )
    runs, curves = simulate(study, tune_trials=2, every=4)
    if ending == "diverged":
        lost = runs["status"].notna()
        runs.loc[lost, "status"] = "diverged"
        runs["diverged"] = 1.0
        runs.loc[runs["phase"] == "confirm", ["test_loss", "test_error", "gap"]] = math.inf
        runs[["train_loss", "validation_loss"]] = math.inf
        curves.loc[curves["step"] > 10, "loss":"validation_loss"] = np.nan
    if ending == "failed":
        runs = fail(runs, runs["phase"] == "confirm")
    if ending == "tune only":
        runs = runs[runs["phase"] == "tune"]
    if ending == "nothing ran":
        runs, curves = runs.iloc[:0], curves.iloc[:0]
    found = write(study, runs, curves, tmp_path)
    assert [one.verdict for one in found] == ["inconclusive"]
    assert json.loads((tmp_path / "claims.json").read_text())[0]["verdict"] == "inconclusive"


def test_figures_of_an_earlier_report_do_not_stay(tmp_path: Path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "surface.svg").write_text("old")
    study = STUDIES["nothing swept or tuned"]
    write(study, *simulate(study, every=4), tmp_path)
    assert not (tmp_path / "figures" / "surface.svg").exists()


@pytest.mark.parametrize("ended", [OSError("no space left"), KeyboardInterrupt()])
def test_a_report_that_is_cut_short_leaves_the_one_before(
    ended: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    study = STUDIES["nothing swept or tuned"]
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path)
    before = content(tmp_path)

    def cut_short(page: object) -> str:
        raise ended

    monkeypatch.setattr("harness.reporting.html.render", cut_short)  # the last that is made
    with pytest.raises(type(ended)):
        write(study, runs.assign(test_loss=runs["test_loss"] + 1), curves, tmp_path)
    drawn = "figures/drawn.json"
    assert {**content(tmp_path), drawn: b""} == {**before, drawn: b""}


def test_a_result_has_its_mark_only_while_its_files_are_of_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = STUDIES["nothing swept or tuned"]
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path)
    before, replace, n_files = content(tmp_path), os.replace, 0

    def counting(source: Path, target: Path) -> None:
        nonlocal n_files
        n_files += 1
        assert not (tmp_path / "counts.json").exists(), target
        replace(source, target)

    monkeypatch.setattr("harness.reporting.whole.os.replace", counting)
    with making(tmp_path) as made:
        for name in before:
            report.write(made / name, b"another state")
        put_together(made, tmp_path)
    assert n_files == len(before) and set(content(tmp_path).values()) == {b"another state"}
    with pytest.raises(InvalidStudy, match=r"has no counts\.json, which is written last"):
        check_marked(tmp_path / "figures")


def test_a_share_whose_median_is_shown_is_named_so_beside_those_whose_mean_is():
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, _ = simulate(study, every=4)
    runs = runs.assign(churn=runs["seed"] / 7, clip_fraction=runs["seed"] / 7)
    head = readable(study, summarize(study, runs), ["churn", "clip_fraction"]).head
    assert "churn (median)" in head and "clip_fraction" in head
    table = point_data(runs, roles_of(study, runs), ["churn", "clip_fraction"])
    assert "median over seeds, of rates and of shares of steps or units the mean" in reading(table)
    (beside,) = beside_published(runs, [Published("t", "churn", at={}, theirs="1", source="s")], study.sweeps())
    assert "in every cell, of rates and of shares of steps or units means" in beside.caption


def test_report_says_what_each_measured_metric_means_and_shows_diagnostics(tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path / "light")
    write(study, runs.assign(sharpness=np.where(runs["phase"] == "confirm", 12.5, np.nan)), curves, tmp_path / "full")
    for name in ("summary.md", "report.html"):
        light, full = ((tmp_path / level / name).read_text() for level in ("light", "full"))
        assert "test_loss − train_loss" in light
        assert "Hessian" not in light
        assert "Diagnostics" not in light
        assert "largest eigenvalue of the Hessian" in full
        assert "12.5" in full.partition("Diagnostics")[2]


def test_a_report_says_what_it_is_conditional_on_and_on_which_examples_each_number_is_measured(tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path)
    text, page = ((tmp_path / name).read_text() for name in ("summary.md", "report.html"))
    sentence = (
        "Numbers hold for tests on one fixed test set of 359 examples; seeds differ in initial weights, order of batches, dropout "
        "and which of the other 1,438 they train and validate on."
    )
    claimed = replace(study, claims=rnn_clip().claims)
    assert scope(claimed) == [sentence.replace("Numbers", "Verdicts")], "there are none without claims"
    for shown, after in ((text, "Why?"), (page, "<main>")):
        assert shown.index(sentence) < shown.index(after)
        assert "Runs train for 40 steps, 2.37 epochs." in shown
    cells = {
        row.split(" | ")[0].strip("| "): row.split(" | ")[2]
        for row in text.partition("## Metrics")[2].splitlines()
        if " | " in row
    }
    assert cells["test_loss"] == "359 test" and cells["validation_error"] == "359 validation"
    assert cells["gap"] == "359 test, 359 training" and cells["spike_rate"] == "training, batch by batch"
    assert page.count("Examples: 359 test, 359 validation, 1,079 training.") >= len(plots(tmp_path))


def plots(folder: Path) -> list[Path]:
    return list((folder / "figures").glob("*.svg"))


def test_of_every_metric_it_is_known_on_which_examples_it_is_measured():
    named = [name for group in MEASURED_ON.values() for name in group]
    assert sorted(named) == sorted(METRICS)
    there = {"test": "1", "validation": "2", "gap": "3"}
    for name in METRICS:
        words = measured_on(name, there)
        for split in ("test", "validation", "train"):
            assert split in words or split not in name.split("_")


@pytest.mark.parametrize("name", ["report.html", "summary.md"])
def test_a_report_of_some_of_the_runs_says_so_before_all_else(name: str, tmp_path: Path):
    study = one_sweep(**{"model.dropout": Sweep(0.0, 0.5)})
    runs, curves = simulate(study, every=4)
    write(study, runs, curves, tmp_path / "whole", expected_runs=8)
    write(study, runs.iloc[:5], curves, tmp_path / "part", expected_runs=8)
    whole, part = ((tmp_path / folder / name).read_text() for folder in ("whole", "part"))
    assert "Incomplete" not in whole
    assert 'class="notice"' not in whole
    said = part.index("Incomplete: 5 of 8 runs. A claim has no verdict before its planned seeds have run.")
    assert said < min(part.index(word) for word in ("confirm runs", "Cells", "Why?"))


def test_figures_of_an_earlier_report_go_and_a_users_own_stay(tmp_path: Path) -> None:
    for name in ("tuning_optimizer.lr.svg", "seeds_old.csv", "surface.png", "mine.png", "notes.txt"):
        (tmp_path / name).touch()
    remove_stale(tmp_path, {"surface"})
    assert {path.name for path in tmp_path.iterdir()} == {"surface.png", "mine.png", "notes.txt"}


def test_levels_that_are_whole_models_are_complete_in_tables_and_found_by_either_spelling():
    nets = [SimpleRNN(hidden=4, recurrent_dropout=p) for p in (0.0, 0.5)]
    study = FakeStudy(settings={"model": Sweep(*nets), "optimizer.lr": Sweep(0.12345, 0.12346)}, seeds=2)
    whole = [repr(net) for net in nets]
    assert min(map(len, whole)) > 200 and [stored(net) for net in nets] == [stored(text) for text in whole]
    assert [spelled(stored(net)) for net in nets] == list(map(spelled, whole))
    runs, _ = simulate(study, every=12)
    runs["model"] = runs["model"].map(dict(zip(map(stored, nets), whole, strict=True)))  # as recorded runs have it
    assert sorted(summarize(study, runs)["model"].unique()) == sorted(whole)
    assert at(runs, {"model": nets[0]}).sum() == at(runs, {"model": stored(nets[0])}).sum() == len(runs) / 2
    named = Labels(study.sweeps())
    assert [named("model", text) for text in whole] == [
        "SimpleRNN(hidden=4)",
        "SimpleRNN(hidden=4, recurrent_dropout=0.5)",
    ]
    assert named("optimizer.lr", 0.12345) == "0.12345", "in four digits it would read like the other one"
    rows = {tuple(row[:2]) for row in run_table(study, runs, []).table.rows}
    assert len(rows) == 4 and not any("…" in text for row in rows for text in row)


@pytest.mark.parametrize(
    ("level", "of_numpy"),
    [(True, np.True_), (False, np.False_), (3, np.int64(3)), (0.1, np.float64(0.1)), ("tanh", np.str_("tanh"))],
)
def test_a_level_from_a_column_of_a_table_is_that_of_the_study(level: object, of_numpy: object):
    """A column of booleans gives NumPy's, which are no numbers of Python's: one cell would have two names."""
    assert type(stored(of_numpy)) is type(level) and stored(of_numpy) == level
    assert spelled(of_numpy) == spelled(level) and label("a.b", of_numpy) == label("a.b", level)
    assert cell_key({"a.b": of_numpy}) == cell_key({"a.b": level})


@given(some.floats(0, 1e6), some.integers(1, WRITTEN))
def test_a_level_that_somebody_wrote_is_shown_as_that_number(value: float, n: int):
    level = float(f"{value:.{n}g}")
    assert float(label("optimizer.lr", level)) == level


@given(some.floats(1e-6, 1e6))
def test_a_level_of_more_digits_is_shown_as_no_number_that_somebody_writes(level: float):
    shown = label("optimizer.lr", level)
    assert (
        float(shown) == level
        or len(shown.partition("e")[0].replace(".", "").strip("0")) >= SHORT
        or abs(level - float(shown)) < 1e-11 * level
    )


@given(some.floats(1e-6, 1e6), some.integers(0, 30))
def test_a_level_that_was_computed_is_not_shown_as_a_rounder_number(value: float, power: int):
    """To four digits it is itself, also of what it lacks to 1: 1 − 2⁻ⁿ is never shown as 1."""
    assert float(label("optimizer.lr", value)) == pytest.approx(value, rel=5e-4)
    assert len(label("optimizer.lr", 0.05758123456789)) == len("0.05758")
    assert label("optimizer.beta2", 1 - 2.0**-power) != "1"
    assert in_words({"optimizer.beta2": 0.99999}) == "optimizer.beta2 = 0.99999"


def test_trials_have_the_whole_level():
    net = SimpleRNN(hidden=4, readout="last")
    study = Study(
        name="own", task=Images("digits", layout="rows"), model=Sweep(net, net.replace(zoneout=0.5)), steps=5, seeds=2
    )
    trial = Trial(0, 0, True, study.cells()[0])
    assert factor_values(study, trial)["model"] == swept_values(study, trial)["model"] == repr(net)
