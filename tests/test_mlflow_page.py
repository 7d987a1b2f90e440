"""What MLflow's page shows of a study: a row for each cell, its trials below, what varies and was measured as columns, charts."""

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from own_study import MINE, harness_run, no_drawing, tables
from services import MlflowServer, Postgres, free_port

from harness.engine.content import seed_key
from harness.ledger.records.cells import Cell
from harness.ledger.records.finished import FinishedTrial, curves_over_seeds, until_their_end
from harness.ledger.records.naming import cell_key, cell_name, metric_name
from harness.ledger.records.page import Page
from harness.ledger.records.recorder import OURS, Recorder
from harness.ledger.records.tracking import connect, default_tracking_uri
from harness.ledger.records.view import View, view_key
from harness.settings.metrics import METRICS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="needs Chromium and Playwright"
)

# --- Records


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with an empty database."""
    connect(default_tracking_uri(tmp_path / "results"))
    return tmp_path / "results"


def recorder(results: Path, identity: str = "mine") -> Recorder:
    return Recorder("study", default_tracking_uri(results), identity=identity, artifact_folder=results / "mlartifacts")


@pytest.fixture
def launched(results: Path) -> Recorder:
    launched = recorder(results)
    launched.start_launch({}, data={"Tensors()": "f" * 64})
    return launched


def trial(number: int, p: float, *, at_s: float, knows_its_cell: bool = True) -> FinishedTrial:
    """A trial of two seeds that trained for a second."""
    runs = pd.DataFrame(
        {
            "trial": number,
            "seed": [0, 1],
            "status": "finished",
            "steps_done": 3,
            "nonfinite": 0.0,
            "test_loss": [1.0, 2.0],
        }
    )
    curves = pd.DataFrame({"trial": number, "seed": [0, 0, 1, 1], "step": [0, 1, 0, 1], "loss": [4.0, 1, 8, 2]})
    return FinishedTrial(
        number=number, key=f"key {number}", name=f"trial {number}", phase="confirm",
        params={"model.dropout": p, "optimizer.lr": 0.1, "batch_size": 32},
        cell={"model.dropout": p} if knows_its_cell else None, tuned=("optimizer.lr",),
        runs=runs, curves=curves, started_at_s=at_s, ended_at_s=at_s + 1,
    )  # fmt: skip


def cell(p: float, *numbers: int, **metrics: float) -> Cell:
    levels = {"model.dropout": p}
    return Cell(
        key=cell_key(levels), name=cell_name(levels), params=levels, metrics={"generalization/test_loss": 1.5} | metrics,
        curves={"curve/loss_median": pd.Series({0: 6.0, 1: 1.5})}, note="two seeds", seeds=b"seed,test_loss\n0,1\n1,2\n",
        runs=frozenset(seed_key(f"key {number}", seed) for number in numbers for seed in (0, 1)),
    )  # fmt: skip


def page(*cells: Cell) -> Page:
    view = View(["model.dropout"], ["generalization/test_loss"], ["curve/loss_median"], [], len(cells))
    return Page("study", cells, view, "Does it help?")


class Shown:
    """What an experiment shows of one study."""

    def __init__(self, results: Path | str, identity: str = "mine") -> None:
        self.client = connect(results if isinstance(results, str) else default_tracking_uri(results))
        self.experiment = self.client.get_experiment_by_name("study")
        runs = self.client.search_runs([self.experiment.experiment_id], f"tags.`harness.identity` = '{identity}'")
        self.runs = {run.info.run_name: run for run in runs}
        assert len(self.runs) == len(runs), "two runs of one name"

    def parents(self) -> dict[str, str]:
        names = {run.info.run_id: name for name, run in self.runs.items()}
        of = {name: run.data.tags.get("mlflow.parentRunId") for name, run in self.runs.items()}
        return {name: names[parent] for name, parent in of.items() if parent is not None}

    def ids(self) -> dict[str, str]:
        return {name: run.info.run_id for name, run in self.runs.items()}


def test_each_cell_is_a_run_with_its_trials_below_it_from_their_first_record_on(
    launched: Recorder, results: Path
) -> None:
    for number, p in enumerate((0.0, 0.5, 0.0)):
        launched.record(trial(number, p, at_s=10.0 + number))
    before = Shown(results)
    assert before.parents() == {"trial 0": "dropout=0", "trial 1": "dropout=0.5", "trial 2": "dropout=0"}
    assert before.runs["dropout=0.5"].info.status == "RUNNING"
    assert before.runs["dropout=0.5"].data.params == {"model.dropout": "0.5"}
    assert before.runs["trial 0"].data.params == {"model.dropout": "0.0", "optimizer.lr": "0.1"}  # what varies
    assert before.runs["trial 0"].data.tags["harness.launch"] == "launch 1"
    launched.show(page(cell(0.0, 0, 2), cell(0.5, 1)))
    launched.finish_launch("FINISHED")
    after = Shown(results)
    assert (after.ids(), after.parents()) == (before.ids(), before.parents())  # filled, not made again
    run = after.runs["dropout=0"]
    assert run.data.metrics == {"generalization/test_loss": 1.5, "curve/loss_median": 1.5}
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 10_000, 13_000)
    assert run.data.tags["mlflow.note.content"] == "two seeds"
    assert [file.path for file in after.client.list_artifacts(run.info.run_id)] == ["seeds.csv"]
    history = after.client.get_metric_history(run.info.run_id, "curve/loss_median")
    assert [(point.step, point.value) for point in history] == [(0, 6.0), (1, 1.5)]


def test_the_launch_has_all_tables_of_a_report_and_none_that_it_has_no_more(
    launched: Recorder, results: Path, tmp_path: Path
) -> None:
    (tmp_path / "tables").mkdir()
    for name in ("summary.parquet", "counts.json", "tables/cells.tex", "tables/baseline.csv"):
        (tmp_path / name).write_text(name)
    launched.log_report(tmp_path)
    (tmp_path / "tables" / "baseline.csv").unlink()
    launched.log_report(tmp_path)
    kept = {
        str(path.relative_to(path.parents[path.parts[::-1].index("report") - 1]))
        for path in results.rglob("report/**/*.*")
    }
    assert kept == {"summary.parquet", "counts.json", "tables/cells.tex"}


def test_a_level_reads_the_same_wherever_it_comes_from(launched: Recorder, results: Path) -> None:
    """A whole number of the study may be a float in a table; and MLflow refuses a parameter that changes."""
    for number, p in enumerate((0, 1)):
        launched.record(trial(number, p, at_s=10.0 + number))
    before = Shown(results)
    assert [before.runs[f"dropout={p}"].data.params for p in (0, 1)] == [{"model.dropout": "0"}, {"model.dropout": "1"}]
    launched.show(page(cell(0.0, 0), cell(1.0, 1)))
    assert Shown(results).ids() == before.ids()


def test_what_ends_in_median_is_one_of_seeds_and_every_metric_has_its_group(launched: Recorder, results: Path) -> None:
    """Also of metrics of a run that are medians themselves: what MLflow shows of these is the mean or the median of seeds."""
    names = {(name, kind): metric_name(name, of_seeds=kind) for name in METRICS for kind in ("mean", "median")}
    assert len(set(names.values())) == len(names)
    for (name, kind), shown in names.items():
        assert shown.startswith(f"{METRICS[name].group}/{name}") and shown.endswith("_median") == (kind == "median")
    medians = {"grad_norm_median": [1.0, 2.0, 9.0]}
    runs = pd.DataFrame(
        {"trial": 0, "seed": [0, 1, 2], "status": "finished", "steps_done": 1, "nonfinite": 0.0, **medians}
    )
    curves = pd.DataFrame({"trial": 0, "seed": [0, 1, 2], "step": 0, "loss": 1.0})
    launched.record(dataclasses.replace(trial(0, 0.5, at_s=1), runs=runs, curves=curves))
    found = Shown(results).runs["trial 0"].data.metrics
    assert found["stability/grad_norm_median_mean"] == pytest.approx(4.0)
    assert not any(name.endswith("grad_norm_median") for name in found)


def test_a_cell_that_was_opened_with_other_words_is_made_anew(
    launched: Recorder, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("harness.ledger.records.cells.level_text", lambda level: f"{level:.3f}")
        launched.record(trial(0, 0.5, at_s=10.0))
    launched.show(page(cell(0.5, 0)))
    shown = Shown(results)
    assert shown.runs["dropout=0.5"].data.params == {"model.dropout": "0.5"}
    assert shown.parents() == {"trial 0": "dropout=0.5"}


def test_the_same_page_again_changes_nothing_and_a_changed_cell_takes_the_place_of_the_older(
    launched: Recorder, results: Path
) -> None:
    for number, p in enumerate((0.0, 0.5)):
        launched.record(trial(number, p, at_s=10))
    launched.show(page(cell(0.0, 0), cell(0.5, 1)))
    first = Shown(results)
    recorder(results).show(page(cell(0.0, 0), cell(0.5, 1)))
    again = Shown(results)
    assert (again.ids(), again.experiment.tags) == (first.ids(), first.experiment.tags)
    assert {name: run.data.to_dictionary() for name, run in again.runs.items()} == {
        name: run.data.to_dictionary() for name, run in first.runs.items()
    }
    recorder(results).show(page(cell(0.0, 0), cell(0.5, 1, **{"runs/seeds": 2.0})))  # fmt: skip
    changed = Shown(results)
    assert changed.ids() | {"dropout=0.5": ""} == first.ids() | {"dropout=0.5": ""}
    assert changed.ids()["dropout=0.5"] != first.ids()["dropout=0.5"]
    assert changed.parents() == first.parents()
    recorder(results).show(page(cell(0.0, 0)))  # the study has lost a level: its trial is one of the launch again
    assert Shown(results).parents() == {"trial 0": "dropout=0", "trial 1": "launch 1"}


def test_records_of_an_older_version_get_cells_and_are_still_read(launched: Recorder, results: Path) -> None:
    for number, p in enumerate((0.0, 0.5)):
        launched.record(trial(number, p, at_s=10, knows_its_cell=False))
    for run in Shown(results).runs.values():
        if "harness.launch" in run.data.tags:
            Shown(results).client.delete_tag(run.info.run_id, "harness.launch")
    assert set(Shown(results).parents().values()) == {"launch 1"}
    recorder(results).show(page(cell(0.0, 0), cell(0.5, 1)))
    shown = Shown(results)
    assert shown.parents() == {"trial 0": "dropout=0", "trial 1": "dropout=0.5"}
    assert shown.runs["trial 0"].data.tags["harness.launch"] == "launch 1"
    assert {entry.number for entry in recorder(results).entries()} == {0, 1}


def test_nothing_of_another_study_and_no_text_of_a_user_is_touched(launched: Recorder, results: Path) -> None:
    theirs = recorder(results, "theirs")
    theirs.start_launch({})
    theirs.record(trial(5, 0.0, at_s=10))
    theirs.show(page(cell(0.0, 5)))
    shown = Shown(results, "theirs")
    shown.client.set_experiment_tag(shown.experiment.experiment_id, "mlflow.note.content", "My own notes.")
    launched.record(trial(0, 0.0, at_s=10))
    launched.show(page(cell(0.0, 0)))
    assert Shown(results).experiment.tags["mlflow.note.content"] == "My own notes."
    launched.forget()
    assert Shown(results).runs == {}
    left = Shown(results, "theirs")
    assert (left.ids(), left.parents()) == (shown.ids(), {"trial 5": "dropout=0"})
    views = [name for name in left.experiment.tags if name.startswith("mlflow.sharedViewState.")]
    assert views == [f"mlflow.sharedViewState.{view_key('theirs')}"]


def test_what_is_forgotten_leaves_no_view_and_no_description(launched: Recorder, results: Path) -> None:
    launched.record(trial(0, 0.0, at_s=10))
    launched.show(page(cell(0.0, 0)))
    launched.forget()
    assert (Shown(results).runs, set(Shown(results).experiment.tags)) == ({}, {"mlflow.experimentKind"})


def test_cells_that_no_report_filled_end_with_their_launch(launched: Recorder, results: Path) -> None:
    launched.record(trial(0, 0.0, at_s=10))
    launched.finish_launch("KILLED")
    assert Shown(results).runs["dropout=0"].info.status == "KILLED"
    again = recorder(results)
    again.start_launch({})
    again.record(trial(1, 0.0, at_s=20))
    assert list(Shown(results).parents().values()) == ["dropout=0"] * 2
    again.show(page(cell(0.0, 0, 1)))
    assert Shown(results).runs["dropout=0"].info.status == "FINISHED"


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated", "delete_run", "set_experiment_tag"])
def test_a_page_cut_short_anywhere_is_whole_after_the_next(
    launched: Recorder, results: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for number, p in enumerate((0.0, 0.5)):
        launched.record(trial(number, p, at_s=10))
    launched.show(page(cell(0.0, 0), cell(0.5, 1)))
    wanted = page(cell(0.0, 0, **{"runs/seeds": 2.0}), cell(0.5, 1, **{"runs/seeds": 2.0}))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, killed)
        with pytest.raises(KeyboardInterrupt):
            recorder(results).show(dataclasses.replace(wanted, title="another"))
    recorder(results).show(wanted)
    shown = Shown(results)  # which has no two runs of one name
    assert shown.parents() == {"trial 0": "dropout=0", "trial 1": "dropout=0.5"}
    assert all(shown.runs[name].data.metrics["runs/seeds"] == 2 for name in ("dropout=0", "dropout=0.5"))


def test_the_launch_names_its_data_and_the_experiment_the_question_and_its_view(
    launched: Recorder, results: Path
) -> None:
    launched.record(trial(0, 0.0, at_s=10))
    launched.show(page(cell(0.0, 0)))
    shown = Shown(results)
    (data,) = shown.runs["launch 1"].inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("Tensors()", "f" * 36)
    assert "Does it help?" in shown.runs["launch 1"].data.tags["mlflow.note.content"]
    tags = shown.experiment.tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"].startswith(f"{OURS}Does it help?")
    assert f"/runs/{shown.ids()['launch 1']}/artifacts/report/report.html" in tags["mlflow.note.content"]
    kept = json.loads(tags[f"mlflow.sharedViewState.{view_key('mine')}"])
    state = json.loads(kept["state"])
    assert (kept["name"], kept["createdAt"]) == ("study", 11_000)
    assert state["selectedColumns"][:2] == ["params.`model.dropout`", "metrics.`generalization/test_loss`"]
    assert [(card["type"], card["metricKey"]) for card in state["compareRunCharts"]] == [
        ("LINE", "curve/loss_median"), ("BAR", "generalization/test_loss"),
    ]  # fmt: skip
    there = shown.client.search_runs([shown.experiment.experiment_id], state["searchFilter"])
    assert {run.info.run_name for run in there} == {"dropout=0", "trial 0"}
    address = f"#/experiments/{shown.experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey="
    assert launched.page_address() == f"http://127.0.0.1:5000/{address}{view_key('mine')}"


def test_a_seed_that_became_non_finite_makes_a_median_worse_and_never_better() -> None:
    steps, losses = [0, 1, 2, 3], {0: [4.0, 3, 2, 1], 1: [5.0, nan, nan, nan], 2: [6.0, 5, nan, nan]}
    rows = [{"seed": seed, "step": step, "loss": x} for seed, own in losses.items() for step, x in zip(steps, own)]  # noqa: B905
    rows += [{"seed": seed, "step": 4, "loss": nan} for seed in losses]  # a step at which nothing was measured
    curve = curves_over_seeds(pd.DataFrame(rows))["loss_median"]
    assert curve.to_dict() == {0: 5.0, 1: 5.0}  # 3, 5, ∞; then two of three are infinite
    alone = curves_over_seeds(pd.DataFrame([row for row in rows if row["seed"] == 0 or row["step"] < 2]))["loss_median"]
    assert list(alone.index) == [0, 1]  # where one seed ended there is no median of all
    assert list(curves_over_seeds(pd.DataFrame(rows).assign(**{"optimizer.lr": 0.1}))) == ["loss_median"]


def test_a_seed_that_patience_ended_has_no_number_after_its_end_and_an_infinite_one_no_more() -> None:
    losses = {0: [4.0, 3, 2, 1], 1: [5.0, 4, nan, nan], 2: [6.0, nan, nan, nan]}
    rows = [
        {"trial": 7, "seed": seed, "step": step, "loss": x}
        for seed, own in losses.items()
        for step, x in enumerate(own)
    ]
    runs = pd.DataFrame({"trial": 7, "seed": [0, 1, 2], "steps_done": [3, 1, 1], "nonfinite": [0.0, 0.0, 1.0]})
    cut = until_their_end(pd.DataFrame(rows), runs)
    assert cut.groupby("seed")["step"].max().to_dict() == {0: 3, 1: 1, 2: 3}
    # Of 3, 4 and ∞ at step 1; from step 2 on there are not all seeds.
    assert curves_over_seeds(cut)["loss_median"].to_dict() == {0: 5.0, 1: 4.0}


def diverged_is_worst(uri: str) -> None:
    """Sorted by a metric, a cell that has none because it diverged is last when the best is first."""
    client = connect(uri)
    experiment = client.create_experiment(f"sorted {time.time()}")
    for name, loss in {"best": 1.0, "diverged": None, "worse": 3.0}.items():
        run = client.create_run(experiment, run_name=name)
        if loss is not None:
            client.log_metric(run.info.run_id, "generalization/test_loss", loss)
    found = client.search_runs([experiment], order_by=["metrics.`generalization/test_loss` ASC"])
    assert [run.info.run_name for run in found] == ["best", "worse", "diverged"]


def test_a_diverged_cell_sorts_worst_on_sqlite(results: Path) -> None:
    diverged_is_worst(default_tracking_uri(results))


# --- Services and browsers


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("pgserver")
    pytest.importorskip("psycopg")
    postgres = Postgres()
    yield postgres
    postgres.remove()


@pytest.mark.slow
def test_pages_are_written_to_postgresql_and_a_diverged_cell_sorts_worst_there(
    postgres: Postgres, tmp_path: Path
) -> None:
    uri = postgres.uri("tracking")
    diverged_is_worst(uri)
    mine = Recorder("study", uri, identity="mine", artifact_folder=tmp_path)
    mine.start_launch({}, data={"Tensors()": "f" * 64})
    for number, p in enumerate((0.0, 0.5)):
        mine.record(trial(number, p, at_s=10))
    for seeds in (1.0, 1.0, 2.0):
        mine.show(page(cell(0.0, 0, **{"runs/seeds": seeds}), cell(0.5, 1)))
    shown = Shown(uri)
    assert shown.parents() == {"trial 0": "dropout=0", "trial 1": "dropout=0.5"}
    assert shown.runs["dropout=0"].data.metrics["runs/seeds"] == 2


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small study that was run, and what the command said."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "mine.py").write_text(MINE)
    with no_drawing():
        done = harness_run(folder / "mine.py", results=folder / "results")
    assert done.exit_code == 0, done.output
    return folder, done.output


@pytest.fixture(scope="module")
def served(study: tuple[Path, str]) -> Iterator[str]:
    folder, _ = study
    server = MlflowServer(default_tracking_uri(folder / "results"), folder / "served").start()
    yield server.uri
    server.kill()


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A page of Chromium, as wide as a screen."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = chromium.new_page(viewport={"width": 1600, "height": 1000})
        tab.set_default_timeout(120_000)
        yield tab
        chromium.close()


@pytest.mark.slow
def test_cells_have_the_numbers_of_the_report(study: tuple[Path, str]) -> None:
    folder, said = study
    runs = pd.read_parquet(folder / "results/mine/runs.parquet")
    curves = pd.read_parquet(folder / "results/mine/curves.parquet")
    client = connect(default_tracking_uri(folder / "results"))
    experiment = client.get_experiment_by_name("mine")
    cells = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'cell'")
    assert len(cells) == 4
    for found in cells:
        at = found.data.params
        inside = runs[(runs["model.dropout"] == float(at["model.dropout"])) & (runs["phase"] == "confirm")]
        inside = inside[inside["clipping.max_norm"] == float(at["clipping.max_norm"])]
        assert len(inside) == 4
        assert found.data.metrics["generalization/test_loss"] == pytest.approx(inside["test_loss"].mean())
        assert found.data.metrics["generalization/test_loss_median"] == pytest.approx(inside["test_loss"].median())
        assert found.data.metrics["stability/diverged"] == inside["diverged"].mean()
        assert float(at["optimizer.lr"]) == pytest.approx(inside["optimizer.lr"].iloc[0], rel=1e-3)
        own = curves.merge(inside[["trial", "seed"]])
        history = client.get_metric_history(found.info.run_id, "curve/loss_median")
        last = own[own["step"] == own["step"].max()]["loss"].median()
        assert (history[-1].step, history[-1].value) == (own["step"].max(), pytest.approx(last))
        below = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{found.info.run_id}'")
        assert sorted(run.data.tags["harness.phase"] for run in below) == ["confirm", "tune", "tune"]
        assert found.info.start_time == min(run.info.start_time for run in below)
        assert found.info.end_time == max(run.info.end_time for run in below)
    assert f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey=" in said
    assert f"optuna-dashboard {folder / 'results/optuna.journal'}" in said


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_second_start_and_a_rebuilt_report_leave_the_page_as_it_is(study: tuple[Path, str]) -> None:
    from click.testing import CliRunner

    from harness import report

    folder, _ = study
    results = folder / "results"
    client = connect(default_tracking_uri(results))
    experiment = client.get_experiment_by_name("mine").experiment_id
    condition = "tags.`harness.kind` != 'launch'"

    def shown() -> dict[str, Any]:
        return {run.info.run_id: run.data.to_dictionary() for run in client.search_runs([experiment], condition)}

    before, files = shown(), tables(results / "mine")
    assert harness_run(folder / "mine.py", results=results).exit_code == 0
    assert (shown(), tables(results / "mine")) == (before, files)
    done = CliRunner().invoke(report.main, [str(folder / "mine.py"), "--results", str(results)])
    assert done.exit_code == 0, done.output
    assert (shown(), tables(results / "mine")) == (before, files)


@pytest.mark.slow
@browser
def test_the_printed_link_opens_a_row_for_each_cell_with_columns(
    study: tuple[Path, str], served: str, tab: Any
) -> None:
    tab.goto(opened(study, served))
    tab.get_by_text("matching runs").wait_for()
    names = tab.locator('[col-id*="run_name"], [role="row"] a').all_inner_texts
    tab.get_by_text("dropout=0.5, max_norm=inf").first.wait_for()
    rows = [name for name in names() if "dropout=" in name]
    assert sorted(set(rows)) == [f"dropout={p}, max_norm={c}" for p in (0, 0.5) for c in (0.5, inf)]
    assert not any("tune" in name or "confirm" in name or "launch" in name for name in names())
    for head in ("model.dropout", "clipping.max_norm", "optimizer.lr", "generalization/test_loss"):
        tab.locator(".ag-header-cell-text, .ag-header-cell", has_text=head).first.wait_for()
    loss = connect(served).search_runs(
        [experiment_in(served)], "tags.`harness.kind` = 'cell'"
    )[0].data.metrics["generalization/test_loss_median"]  # fmt: skip
    tab.get_by_text(f"{loss:.4f}"[:5]).first.wait_for()


@pytest.mark.slow
@browser
def test_a_cell_opens_to_its_trials(study: tuple[Path, str], served: str, tab: Any) -> None:
    tab.goto(opened(study, served))
    tab.get_by_text("dropout=0, max_norm=0.5").first.wait_for()
    row = tab.locator('[role="row"]', has_text="dropout=0, max_norm=0.5").first
    row.locator("button, [role=button]").first.click()
    tab.get_by_text("confirm dropout=0.0, max_norm=0.5").first.wait_for()
    assert tab.get_by_text("tune dropout=0.0, max_norm=0.5").count() == 2


@pytest.mark.slow
@browser
def test_its_charts_are_curves_of_cells(study: tuple[Path, str], served: str, tab: Any) -> None:
    tab.goto(opened(study, served).replace("/runs?", "/runs?compareRunsMode=CHART&"))
    for title in ("curve/loss_median", "curve/grad_norm_median"):
        tab.get_by_text(title, exact=True).first.wait_for()
    tab.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(state="attached")
    names = tab.locator(".js-plotly-plot").first.evaluate("plot => plot.data.map(line => line.name)")
    assert sorted(set(names)) == [f"dropout={p}, max_norm={c}" for p in (0, 0.5) for c in (0.5, inf)]


@pytest.mark.slow
@browser
def test_the_report_is_linked_and_the_launch_has_it(study: tuple[Path, str], served: str, tab: Any) -> None:
    client = connect(served)
    (launch,) = client.search_runs(
        [experiment_in(served)],
        "tags.`harness.kind` = 'launch'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    tab.goto(f"{served}/#/experiments/{experiment_in(served)}/runs/{launch.info.run_id}")
    tab.get_by_text("Does my net like dropout?").first.wait_for()
    tab.get_by_text("Show more").first.click()
    link = tab.get_by_role("link", name="The report with all figures").first.get_attribute("href")
    tab.goto(f"{served}/{link}")
    tab.get_by_text("report.html").first.wait_for()


@pytest.mark.slow
@browser
def test_optuna_dashboard_shows_the_tuning(study: tuple[Path, str], tab: Any) -> None:
    pytest.importorskip("optuna_dashboard")
    folder, _ = study
    port = free_port()
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
    journal = shutil.copy(folder / "results/optuna.journal", folder / "shown.journal")
    process = subprocess.Popen(
        [*command, str(journal), "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        studies = eventually(lambda: json.load(urllib.request.urlopen(f"{address}/api/studies")))
        (first,) = [each for each in studies["study_summaries"] if each["study_name"] == "mine"]
        tab.goto(f"{address}/dashboard/studies/{first['study_id']}/trials")
        tab.get_by_text("Trial 0").first.wait_for()
        tab.get_by_text("optimizer.lr").first.wait_for()
    finally:
        process.kill()
        process.wait()


def eventually(read: Any) -> Any:
    """What is read once a service answers."""
    until = time.monotonic() + 120
    while True:
        try:
            return read()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


def experiment_in(served: str) -> str:
    return str(connect(served).get_experiment_by_name("mine").experiment_id)


def opened(study: tuple[Path, str], served: str) -> str:
    """The printed link, at the server of the test."""
    (link,) = [word for word in study[1].split() if word.startswith("http://127.0.0.1:5000/")]
    return link.replace("http://127.0.0.1:5000", served)
