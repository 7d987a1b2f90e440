"""Records of a study, on a real MLflow: SQLite files, and once a server."""

import dataclasses
import errno
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from services import MlflowServer, free_port
from test_design import make

from harness.ledger.design import Design
from harness.ledger.records.finished import CURVES_FILE, MAX_STEPS, WORST, FinishedTrial, curves_over_seeds, seed_means
from harness.ledger.records.populations import joined_populations, no_populations, part_name, population_table
from harness.ledger.records.reader import LostRecords, Share
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
from harness.ledger.records.tracking import RecordError, connect, default_tracking_uri, own_errors
from harness.ledger.stores import open_records
from harness.settings import files
from harness.settings.files import disk_error
from harness.settings.patience import Unreachable

FACTORS = {"clipping.max_norm": inf, "model.dropout": 0.2}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with an empty database."""
    connect(default_tracking_uri(tmp_path / "my results"))
    return tmp_path / "my results"


def recorder(results: Path, name: str = "rnn_clip", identity: str | None = "mine") -> Recorder:
    return Recorder(name, default_tracking_uri(results), identity=identity, artifact_folder=results / "mlartifacts")


@pytest.fixture
def launched(results: Path) -> Recorder:
    launched = recorder(results)
    launched.start_launch({"seeds": 3}, tags={"version": "0.1"})
    return launched


def trial(number: int, *, n_steps: int = 4) -> FinishedTrial:
    """A trial of three seeds: the second has diverged, the third failed."""
    status = ["finished", "diverged", "failed"]
    runs = pd.DataFrame({"trial": number, "seed": range(3), "phase": "confirm", **FACTORS, "status": status})
    runs = runs.assign(
        steps_done=[n_steps, 2, 0], nonfinite=[0.0, 1.0, nan], test_loss=[0.5, inf, nan], grad_norm_q99=[1.0, 2.0, nan]
    )
    seeds, steps = np.divmod(np.arange(3 * n_steps), n_steps)
    curves = pd.DataFrame({"trial": number, "seed": seeds, "step": steps, "loss": (1.0 + seeds) / (1 + steps)})
    curves = curves.assign(grad_norm=curves["loss"].astype("float32"), clipped=(seeds == 0))
    curves.loc[(seeds == 1) & (steps >= 2), ["loss", "grad_norm"]] = nan
    return FinishedTrial(
        number=number,
        key=f"key {number}",
        name=f"trial {number}",
        phase="confirm",
        params=FACTORS,
        runs=runs,
        curves=curves,
        started_at_s=5.25,
    )


def mlflow_client(results: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=default_tracking_uri(results))


def active_runs(results: Path, name: str = "rnn_clip"):
    client = mlflow_client(results)
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def trials_in(results: Path) -> list[int]:
    return sorted(
        int(run.data.tags["harness.trial"]) for run in active_runs(results) if "harness.trial" in run.data.tags
    )


def everything(recorder: Recorder) -> list[Share]:
    """All that is recorded, each entry as a trial of its number."""
    return [Share(entry.number, entry.number, entry.key, frozenset(entry.seeds)) for entry in recorder.entries()]


def numbers(recorder: Recorder) -> set[int]:
    return {entry.number for entry in recorder.entries()}


def shares(*numbers: int) -> list[Share]:
    return [Share(number, number, f"key {number}", frozenset(range(3))) for number in numbers]


def assert_reads(recorder: Recorder, *trials: FinishedTrial) -> None:
    with TemporaryDirectory() as folder:
        runs = recorder.read(Path(folder) / CURVES_FILE, everything(recorder))
        curves = pd.read_parquet(Path(folder) / CURVES_FILE)
    pd.testing.assert_frame_equal(
        runs, pd.concat([trial.runs for trial in trials], ignore_index=True), check_exact=True
    )
    pd.testing.assert_frame_equal(
        curves, pd.concat([trial.curves for trial in trials], ignore_index=True), check_exact=True
    )


def test_curves_are_written_some_tables_at_a_time(
    launched: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [trial(number) for number in range(5)]
    for each in trials:
        launched.record(each)
    monkeypatch.setattr("harness.ledger.records.tables.TABLES_AT_ONCE", 2)
    launched.read(tmp_path / CURVES_FILE, everything(launched))
    groups = pq.ParquetFile(tmp_path / CURVES_FILE).metadata
    lengths = [len(each.curves) for each in trials]
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [
        lengths[0] + lengths[1], lengths[2] + lengths[3], lengths[4],
    ]  # fmt: skip
    assert_reads(launched, *trials)


# --- The public contract: what MLflow shows


def test_a_trial_is_nested_in_its_launch_and_shows_factors_means_and_curves(launched: Recorder, results: Path) -> None:
    launched.record(trial(7))
    launched.finish_launch("FINISHED")
    parent, child = active_runs(results)  # newest start first
    assert (parent.data.params, parent.data.tags["version"], parent.info.status) == ({"seeds": "3"}, "0.1", "FINISHED")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (child.data.tags["harness.trial"], child.data.tags["harness.phase"]) == ("7", "confirm")
    assert (child.info.run_name, child.info.start_time, child.info.status) == ("trial 7", 5250, "FINISHED")
    assert child.data.params == {"clipping.max_norm": "inf", "model.dropout": "0.2"}
    assert child.data.metrics == pytest.approx(  # no grad_norm_q99: infinite, as one of the runs diverged
        {
            "runs/steps_done": 2.0,
            "stability/nonfinite": 0.5,
            "runs/seeds": 3,
            "runs/finished": 1,
            "runs/diverged": 1,
            "runs/collapsed": 0,
            "runs/failed": 1,
        }
        | {"curve/loss_median": 0.75, "curve/grad_norm_median": 0.75, "curve/clip_fraction": 1 / 3}
    )
    history = mlflow_client(results).get_metric_history(child.info.run_id, "curve/loss_median")
    # Of 1, 2, 3 over the steps; the second seed is worse than both from the third step on, where it is non-finite.
    assert [(point.step, point.value) for point in history] == [(0, 2.0), (1, 1.0), (2, 1.0), (3, 0.75)]
    artifacts = [artifact.path for artifact in mlflow_client(results).list_artifacts(child.info.run_id)]
    assert artifacts == ["curves.parquet", "populations.parquet", "runs.parquet", "settings.json"]
    assert (results / "mlartifacts/rnn_clip" / child.info.run_id / "artifacts/runs.parquet").is_file()


def test_an_infinite_seed_makes_the_mean_infinite_and_a_missing_one_does_not_count() -> None:
    means = seed_means(
        pd.DataFrame({"seed": [0, 1], "status": "finished", "a": [1, inf], "b": [1, nan], "c": [nan, nan]})
    )
    assert means["a"] == inf
    assert means["b"] == 1
    assert np.isnan(means["c"])
    assert (means["n_seeds"], means["n_finished"], means["n_diverged"]) == (2, 2, 0)


def test_a_run_that_diverged_counts_in_its_trial_as_in_its_cell() -> None:
    """Whatever numbers it had: its loss ranks worst, and so do the share of steps with a spike and the norms of its gradient."""
    numbers = {"test_loss": [1.0, 120.0], "gap": [0.5, 0.8], "grad_norm_q99": [2.0, 443.0], "spike_rate": [0.2, 0.0]}
    means = seed_means(
        pd.DataFrame({"seed": [0, 1], "status": ["finished", "diverged"], "learning_rate": 0.5, **numbers})
    )
    assert {name: means[name] for name in numbers} == {
        "test_loss": inf, "gap": inf, "grad_norm_q99": inf, "spike_rate": pytest.approx((0.2 + 1) / 2)
    }  # fmt: skip
    assert (means["learning_rate"], means["n_diverged"]) == (0.5, 1)


@pytest.mark.parametrize("n_steps", [1, MAX_STEPS, MAX_STEPS + 1, 1000])
def test_curves_keep_both_ends_and_no_more_points_than_allowed(n_steps: int) -> None:
    steps = curves_over_seeds(trial(0, n_steps=n_steps).curves)["loss_median"].index
    assert len(steps) == min(n_steps, MAX_STEPS)
    assert (steps[0], steps[-1]) == (0, n_steps - 1)


def test_more_metrics_and_parameters_than_mlflow_takes_at_once(launched: Recorder, results: Path) -> None:
    big = trial(0)
    runs = pd.concat([big.runs, pd.DataFrame(1.0, index=range(3), columns=[f"m{i}" for i in range(2100)])], axis=1)
    params = {f"p{i}": i for i in range(230)} | {"long": "x" * 7000}
    launched.record(dataclasses.replace(big, runs=runs, params=params))
    child = active_runs(results)[-1]
    assert sum(name.removeprefix("runs/m").isdigit() for name in child.data.metrics) == 2100
    assert len(child.data.params) == 231
    assert child.data.params["long"] == "x" * 6000


# --- Reading back


def test_tables_come_back_to_the_byte_sorted_by_trial(launched: Recorder, results: Path) -> None:
    for number in (2, 0, 1):
        launched.record(trial(number))
    assert_reads(recorder(results), trial(0), trial(1), trial(2))
    assert numbers(recorder(results)) == {0, 1, 2}


def test_a_factor_may_have_levels_of_different_types(launched: Recorder, results: Path) -> None:
    levels = [1, "a", None, 0.5, True]
    trials = [dataclasses.replace(trial(i), runs=trial(i).runs.assign(x=[x] * 3)) for i, x in enumerate(levels)]
    for one in trials:
        launched.record(one)
    assert recorder(results).read(results / CURVES_FILE, everything(recorder(results)))["x"].tolist() == [
        level for level in levels for _ in range(3)
    ]


def test_records_are_found_after_all_results_were_moved(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    launched.write_documents({"study.py": "x"})
    moved = results.rename(results.parent / "elsewhere")
    assert_reads(recorder(moved), trial(0))
    assert recorder(moved).read_document("study.py") == "x"


def test_a_copy_of_all_results_writes_nothing_beside_the_original(launched: Recorder, results: Path) -> None:
    """MLflow's addresses of artifacts are absolute, and the place that they name is still there."""
    launched.write_documents({"study.py": "first"})
    copy = Path(shutil.copytree(results, results.parent / "copy"))
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    copied = recorder(copy)
    copied.start_launch({"seeds": 3}, tags={"version": "0.1"})
    copied.write_documents({"study.py": "second"})
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before
    assert (copied.read_document("study.py"), recorder(results).read_document("study.py")) == ("second", "first")


def test_missing_and_damaged_records_are_named(launched: Recorder, results: Path) -> None:
    for number in range(4):
        launched.record(trial(number))
    gone, cut = (folder_of(results, number) for number in (1, 2))
    (gone / "runs.parquet").unlink()
    content = (cut / "curves.parquet").read_bytes()
    (cut / "curves.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(LostRecords) as lost:
        launched.read(results / CURVES_FILE, shares(*range(6)))
    assert lost.value.entries == {1, 2, 4, 5}
    for number in (1, 2, 4, 5):
        launched.record(trial(number))
    assert_reads(launched, *map(trial, range(6)))
    assert trials_in(results) == list(range(6))


def folder_of(results: Path, number: int) -> Path:
    """Where the artifacts of a trial are."""
    run = next(run for run in active_runs(results) if run.data.tags.get("harness.trial") == str(number))
    return Path(url2pathname(urlsplit(run.info.artifact_uri).path))


def test_a_study_without_records_is_told_from_those_that_have_some(launched: Recorder, results: Path) -> None:
    other = recorder(results, "rnn_clop")
    assert numbers(other) == set()
    with pytest.raises(RecordError, match=r"rnn_clop.*experiments.*rnn_clip"):
        other.read(results / CURVES_FILE, everything(other))


def test_documents_come_back_from_the_newest_launch_that_has_them(launched: Recorder, results: Path) -> None:
    launched.write_documents({"study.py": "# ü", "environment.json": "{}"})
    again = recorder(results)
    again.start_launch({})
    again.write_documents({"study.py": "# newer"})
    assert recorder(results).read_document("study.py") == "# newer"
    assert recorder(results).read_document("environment.json") == "{}"
    assert recorder(results).read_document("nothing") is None


def test_the_newest_launch_is_the_last_one_whatever_the_clocks_say(
    launched: Recorder, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched.write_documents({"study.py": "# older"})
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s - 3600)  # set back, or that of another machine
    for text in ("# newer", "# newest"):
        again = recorder(results)
        again.start_launch({})
        again.write_documents({"study.py": text})
        again.finish_launch("FINISHED")
        assert recorder(results).read_document("study.py") == text
    assert [run.info.run_name for run in active_runs(results)] == ["launch 3", "launch 2", "launch 1"]
    assert all(run.info.end_time >= run.info.start_time for run in active_runs(results))


def test_the_report_is_kept_with_the_last_launch(launched: Recorder, results: Path, tmp_path: Path) -> None:
    launched.finish_launch("FINISHED")
    (tmp_path / "report/figures").mkdir(parents=True)
    for name in ("summary.md", "runs.csv", "figures/gap.png"):
        (tmp_path / "report" / name).write_text(name)
    recorder(results).log_report(tmp_path / "report")
    [parent] = active_runs(results)
    assert [file.path for file in mlflow_client(results).list_artifacts(parent.info.run_id, "report")] == [
        "report/figures",
        "report/summary.md",
    ]


# --- Nothing is recorded twice, nothing is lost


def test_recording_a_trial_again_replaces_its_record(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    changed = dataclasses.replace(trial(0), curves=trial(0, n_steps=9).curves)
    launched.record(changed)
    assert trials_in(results) == [0]
    assert_reads(launched, changed)


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated", "delete_run"])
def test_a_record_cut_short_anywhere_is_replaced(
    launched: Recorder, results: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    from mlflow import MlflowClient

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    launched.record(trial(0))
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, killed)
        with pytest.raises(KeyboardInterrupt):
            launched.record(trial(0))
    assert_reads(recorder(results), trial(0))
    for start in (launched, recorder(results)):  # the same process tries again; another one starts
        start.start_launch({})
        start.keep_only({0})
        start.record(trial(0))
        assert trials_in(results) == [0]
        assert_reads(recorder(results), trial(0))


def test_only_told_trials_are_kept(launched: Recorder, results: Path) -> None:
    for number in range(4):
        launched.record(trial(number))
    again = recorder(results)
    again.start_launch({})
    again.keep_only({0, 2, 5})
    assert trials_in(results) == [0, 2]
    again.record(trial(3))
    assert numbers(again) == {0, 2, 3}


def test_a_killed_launch_is_marked_by_the_next_one(launched: Recorder, results: Path) -> None:
    again = recorder(results)
    again.start_launch({})
    again.finish_launch("FAILED")
    assert {run.info.run_name: run.info.status for run in active_runs(results)} == {
        "launch 1": "KILLED",
        "launch 2": "FAILED",
    }


def test_a_deleted_experiment_is_restored(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    client = mlflow_client(results)
    client.delete_experiment(client.get_experiment_by_name("rnn_clip").experiment_id)
    assert numbers(recorder(results)) == set()
    again = recorder(results)
    again.start_launch({})
    again.record(trial(1))
    assert_reads(recorder(results), trial(0), trial(1))


def test_forgetting_deletes_all_that_was_recorded_here_and_nothing_else(launched: Recorder, results: Path) -> None:
    client = mlflow_client(results)
    experiment = client.get_experiment_by_name("rnn_clip")
    foreign = client.create_run(experiment.experiment_id, tags={"owner": "someone else"}).info
    launched.record(trial(0))
    launched.forget()
    assert [run.info.run_id for run in active_runs(results)] == [foreign.run_id]
    assert client.get_run(foreign.run_id).info.status == "RUNNING"
    launched.start_launch({})
    launched.record(trial(1))
    assert_reads(launched, trial(1))


# --- Databases and servers


def test_first_use_of_a_database_prints_nothing(tmp_path: Path) -> None:
    code = "from harness.ledger.records.recorder import Recorder; Recorder('x', 'sqlite:///results/mlflow.db', identity='x').start_launch({})"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_curves_are_sorted_and_have_the_columns_of_all_trials(
    launched: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, more = trial(0), trial(1)
    wider = more.curves.assign(extra=1.5)
    launched.record(dataclasses.replace(first, curves=first.curves.sample(frac=1, random_state=0)))
    launched.record(dataclasses.replace(more, curves=wider.sample(frac=1, random_state=0)))
    monkeypatch.setattr("harness.ledger.records.tables.TABLES_AT_ONCE", 1)
    launched.read(tmp_path / CURVES_FILE, everything(launched))
    expected = pd.concat([first.curves, wider], ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / CURVES_FILE), expected, check_exact=True)


def test_records_that_are_all_lost_are_named_and_leave_no_file(launched: Recorder, tmp_path: Path) -> None:
    with pytest.raises(LostRecords) as error:
        launched.read(tmp_path / CURVES_FILE, shares(*range(3)))
    assert error.value.entries == {0, 1, 2}
    assert not list(tmp_path.glob("*curves*"))


def test_a_database_whose_maker_died_half_way_is_made_anew(tmp_path: Path) -> None:
    uri = default_tracking_uri(tmp_path)
    code = (
        "import os, mlflow.store.db.utils as utils; utils._upgrade_db = lambda engine: os._exit(7); "
        f"from harness.ledger.records.recorder import Recorder; Recorder('x', {uri!r}).connect()"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "nothing kept")}
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], env=environment).returncode == 7
    assert not (tmp_path / "mlflow.db").exists()
    again = Recorder("x", uri, identity="x", artifact_folder=tmp_path / "mlartifacts")
    again.start_launch({})
    again.finish_launch("FINISHED")
    assert {path.name for path in tmp_path.glob("*mlflow.db*")} == {".mlflow.db.lock", "mlflow.db"}


def test_an_empty_database_is_kept_for_the_next_one_which_has_its_own_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "ablation-harness" / f"mlflow-{mlflow.__version__}.db"
    found = []
    for name in ("first", "second", "third"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        connect(default_tracking_uri(folder))
        with closing(sqlite3.connect(folder / "mlflow.db")) as database:
            found.append(list(database.execute("SELECT experiment_id, name, artifact_location FROM experiments")))
        assert kept.stat().st_size > 100_000
        if name == "second":
            kept.write_bytes(kept.read_bytes()[:50_000])  # a damaged one is no use, and no harm
    assert [[row[:2] for row in rows] for rows in found] == [[(0, "Default")]] * 3
    assert [Path(rows[0][2]).parts[-3] for rows in found] == ["first", "second", "third"]


def test_an_unreachable_server_is_known_soon_and_its_password_not_shown() -> None:
    port = free_port()
    with pytest.raises(Unreachable, match=rf"\*\*\*@127\.0\.0\.1:{port}") as error:
        Recorder("rnn_clip", f"http://me:secret@127.0.0.1:{port}").connect()
    assert "secret" not in str(error.value)


@pytest.fixture
def server(results: Path) -> Iterator[str]:
    server = MlflowServer(default_tracking_uri(results), results / "served").start()
    yield server.uri
    server.kill()


def test_a_server_keeps_records_and_their_artifacts(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = Recorder("rnn_clip", server, identity="mine")
    here.start_launch({"seeds": 3})
    here.write_documents({"study.py": "x"})
    here.record(trial(1))
    here.record(trial(0))
    here.record(trial(0))
    here.finish_launch("FINISHED")
    elsewhere = Recorder("rnn_clip", server)
    assert_reads(elsewhere, trial(0), trial(1))
    assert elsewhere.read_document("study.py") == "x"
    assert elsewhere.read_document("nothing") is None
    assert capsys.readouterr() == ("", "")


# --- Whose records: two people with one server and one study name


def test_studies_of_one_name_live_side_by_side(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    launched.write_documents({"study.py": "mine"})
    theirs = recorder(results, identity="theirs")
    theirs.start_launch({})
    theirs.write_documents({"study.py": "theirs"})
    theirs.keep_only(set())  # nothing of theirs is told yet
    for number in (0, 1):
        theirs.record(trial(number, n_steps=9))
    assert_reads(recorder(results), trial(0))
    assert_reads(recorder(results, identity="theirs"), trial(0, n_steps=9), trial(1, n_steps=9))
    assert recorder(results).read_document("study.py") == "mine"
    launched.record(trial(0))  # replaced: mine alone
    launched.keep_only({0})
    assert trials_in(results) == [0, 0, 1]
    assert [run.info.status for run in active_runs(results) if "harness.trial" not in run.data.tags] == ["RUNNING"] * 2
    launched.forget()
    assert {run.data.tags["harness.identity"] for run in active_runs(results)} == {"theirs"}
    assert numbers(recorder(results, identity="theirs")) == {0, 1}


def test_records_of_an_older_version_are_neither_read_nor_deleted(launched: Recorder, results: Path) -> None:
    client = mlflow_client(results)
    experiment = client.get_experiment_by_name("rnn_clip").experiment_id
    tags = {"harness.kind": "trial", "harness.trial": "0"}
    old = client.create_run(experiment, tags=tags).info.run_id
    client.set_terminated(old)
    assert numbers(launched) == set()
    with pytest.raises(RecordError, match="belong to another one, or to an older version"):
        launched.read(results / CURVES_FILE, everything(launched))
    launched.keep_only(set())
    launched.record(trial(0))
    launched.forget()
    assert [run.info.run_id for run in active_runs(results)] == [old]


def test_a_reader_who_knows_no_identity_gets_the_newest_launch_and_is_told(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    assert open_records("rnn_clip", results, None)[1] == ""
    theirs = recorder(results, identity="theirs")
    theirs.start_launch({})
    theirs.record(trial(0, n_steps=9))
    found, note = open_records("rnn_clip", results, None)
    assert "2 studies named 'rnn_clip'; this is that of the newest launch (theirs)" in note
    assert_reads(found, trial(0, n_steps=9))
    assert_reads(recorder(results, identity=None), trial(0, n_steps=9))


def test_an_identity_in_the_journal_of_the_results_is_preferred(results: Path) -> None:
    design = Design(make(), str(results / "optuna.journal"))
    for identity in (design.identity, "theirs"):
        started = recorder(results, "x", identity)
        started.start_launch({})
        started.record(trial(0, n_steps=4 if identity == design.identity else 9))
    journal = (results / "optuna.journal").read_bytes()
    found, note = open_records("x", results, None)
    assert f"this is the one in {results / 'optuna.journal'} ({design.identity})" in note
    assert_reads(found, trial(0))
    assert (results / "optuna.journal").read_bytes() == journal
    design.close()


# --- Populations


def parts_of(*members: tuple[int, int]) -> tuple[tuple[str, int], ...]:
    return tuple((f"key {number}", seed) for number, seed in members)


def test_a_trial_knows_the_members_of_every_part_that_trained_it_in_their_order() -> None:
    together, alone, foreign = parts_of((3, 1), (0, 0), (2, 5)), parts_of((0, 1)), parts_of((3, 0))
    table = population_table("key 0", [together, alone, foreign])
    assert list(table.columns) == ["part", "key", "seed", "recorded"]
    assert table[["key", "seed", "recorded"]].values.tolist() == [
        ["key 3", 1, False], ["key 0", 0, True], ["key 2", 5, False], ["key 0", 1, True],
    ]  # fmt: skip
    digest = hashlib.sha256(b'[["key 3", 1], ["key 0", 0], ["key 2", 5]]').hexdigest()
    assert table["part"].tolist() == [digest[:16]] * 3 + [part_name(alone)]


def test_the_record_of_a_run_that_trained_twice_came_from_the_last_part() -> None:
    table = population_table("key 0", [parts_of((0, 0), (1, 0)), parts_of((0, 0))])
    assert table["recorded"].tolist() == [False, False, True]


def test_populations_of_all_trials_come_back_joined_whatever_their_order(launched: Recorder, tmp_path: Path) -> None:
    shared, own = parts_of((1, 2), (0, 0), (1, 0)), parts_of((1, 1))
    tables = {number: population_table(f"key {number}", [shared, own]) for number in (0, 1)}
    for number in (1, 0, 2):
        populations = tables.get(number, no_populations())
        launched.record(dataclasses.replace(trial(number), populations=populations))
    launched.read(tmp_path / CURVES_FILE, everything(launched))
    found = pd.read_parquet(tmp_path / "populations.parquet")
    members = {name: tuple(zip(rows["key"], rows["seed"], strict=True)) for name, rows in found.groupby("part")}
    assert members == {part_name(part): part for part in (shared, own)}
    assert found["recorded"].all()
    assert found["part"].is_monotonic_increasing
    assert (found["key"] == "key " + found["trial"].astype(str)).all()
    kinds = dict(no_populations().dtypes.astype(str)) | {"trial": "int64"}
    assert dict(found.dtypes.astype(str)) == kinds
    again = joined_populations([tables[1], no_populations(), tables[0]], {"key 0": 0, "key 1": 1})
    pd.testing.assert_frame_equal(again, found)


def test_members_that_are_no_runs_of_the_study_any_more_are_marked_so(launched: Recorder, tmp_path: Path) -> None:
    together = population_table("key 0", [parts_of((0, 0), (7, 0), (0, 1))])
    launched.record(dataclasses.replace(trial(0), populations=together))
    launched.read(tmp_path / CURVES_FILE, [Share(0, 4, "key 0", frozenset({1}))])
    found = pd.read_parquet(tmp_path / "populations.parquet")
    assert found[["trial", "seed", "recorded"]].values.tolist() == [[4, 0, False], [-1, 0, False], [4, 1, True]]


# --- What a study takes from a record


def test_some_seeds_of_several_records_are_read_as_one_trial(launched: Recorder, tmp_path: Path) -> None:
    launched.record(trial(0))
    later = trial(1)
    runs, curves = (table.assign(seed=table["seed"] + 3) for table in (later.runs, later.curves))
    launched.record(dataclasses.replace(later, key="key 0", runs=runs, curves=curves))
    wanted = [Share(1, 5, "key 0", frozenset({3, 5})), Share(0, 5, "key 0", frozenset({1}))]
    found = launched.read(tmp_path / CURVES_FILE, wanted)
    assert found[["trial", "seed", "status"]].values.tolist() == [
        [5, 1, "diverged"],
        [5, 3, "finished"],
        [5, 5, "failed"],
    ]
    read = pd.read_parquet(tmp_path / CURVES_FILE)
    assert read[["trial", "seed"]].drop_duplicates().values.tolist() == [[5, 1], [5, 3], [5, 5]]
    assert len(read) == 3 * 4 and read["seed"].is_monotonic_increasing


def test_one_record_may_serve_two_trials(launched: Recorder, tmp_path: Path) -> None:
    launched.record(trial(0))
    found = launched.read(tmp_path / CURVES_FILE, [Share(0, number, "key 0", frozenset(range(3))) for number in (0, 1)])
    assert found["trial"].tolist() == [0, 0, 0, 1, 1, 1]
    pd.testing.assert_series_equal(found["status"][:3], found["status"][3:].reset_index(drop=True))


def test_recorded_entries_say_whose_runs_they_are_and_what_was_measured(launched: Recorder, results: Path) -> None:
    kept = dataclasses.replace(trial(0), level="full", measures={"own": "digest"}, failed={2: "machine"}, phase="tune")
    launched.record(kept)
    (found,) = recorder(results).entries()
    assert (found.number, found.key, found.seeds) == (0, "key 0", (0, 1, 2))
    assert (found.level, found.measures, found.failed, found.outcomes) == (
        "full",
        {"own": "digest"},
        {2: "machine"},
        {},
    )
    (found,) = recorder(results).entries(phases=["tune"])
    assert found.outcomes["grad_norm_q99"] == [1.0, WORST, WORST]  # finite, diverged, failed


def test_a_trial_without_its_populations_counts_as_lost(launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    (folder_of(results, 0) / "populations.parquet").unlink()
    with pytest.raises(LostRecords):
        launched.read(results / CURVES_FILE, everything(launched))


# --- The spool


def test_a_spooled_trial_comes_back_with_everything_and_spools_do_not_mix(tmp_path: Path) -> None:
    kept = dataclasses.replace(
        trial(4),
        populations=population_table("key 4", [parts_of((4, 1), (4, 0))]),
        ended_at_s=9.5,
        errors={2: "why"},
        level="standard",
        measures={"own": "digest"},
        failed={2: "run"},
    )
    mine, theirs = Spool(tmp_path / "waiting", "mine"), Spool(tmp_path / "waiting", "theirs")
    mine.save(kept)
    theirs.save(trial(4, n_steps=9))
    theirs.clear()
    found = mine.load(4)
    assert found is not None and theirs.load(4) is None
    assert found.files == kept.files
    tables = {name: getattr(kept, name) for name in ("runs", "curves", "populations")}
    assert dataclasses.replace(found, **tables, kept={}) == kept
    for damaged in ("", "[]", "{}"):
        next((tmp_path / "waiting").rglob("trial.json")).write_text(damaged)
        assert mine.load(4) is None
    mine.close(told=[3])
    assert (tmp_path / "waiting" / "mine" / "4").exists(), "it waits still"
    (tmp_path / "waiting" / "mine" / "5.partial").mkdir()
    mine.close(told=[4])
    assert not (tmp_path / "waiting").exists()
    mine.save(kept)
    mine.clear()
    assert not (tmp_path / "waiting").exists()


def test_mlflow_shows_when_a_trial_trained(launched: Recorder, results: Path) -> None:
    launched.record(dataclasses.replace(trial(0), started_at_s=1000.0, ended_at_s=1090.5))
    info = active_runs(results)[-1].info
    assert (info.start_time, info.end_time) == (1_000_000, 1_090_500)


# --- What is given as an address


def test_a_database_or_file_of_something_else_stays_as_it_was(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db")) as database:
        database.execute("CREATE TABLE customers (name)")
        database.commit()
    (tmp_path / "notes.txt").write_text("my notes")
    (tmp_path / "folder").mkdir()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    addresses = {
        f"sqlite:///{tmp_path}/app.db": "is a database of something else, not of MLflow; its tables are customers",
        f"sqlite:///{tmp_path}/notes.txt": "file is not a database",
        f"sqlite:///{tmp_path}/folder": "is a folder",
        str(tmp_path / "notes.txt"): "is a file; give the address of a SQLite database, sqlite:///",
        str(tmp_path / "app.db"): "is a file; give the address, sqlite:///",
        "sqlite://": "in memory would be lost",
    }
    for address, message in addresses.items():
        with pytest.raises(RecordError, match=message):
            Recorder("x", address, identity="x").connect()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("another", [False, True])
def test_an_experiment_that_is_renamed_is_found_by_its_runs(another: bool, launched: Recorder, results: Path) -> None:
    launched.record(trial(0))
    client = connect(default_tracking_uri(results))
    renamed = client.get_experiment_by_name("rnn_clip")
    client.rename_experiment(renamed.experiment_id, "my nice name")
    if another:
        client.create_experiment("rnn_clip")
    before = {each.name for each in client.search_experiments()}
    later = recorder(results)
    later.start_launch({})
    later.keep_only({0})
    later.record(trial(1))
    assert {each.name for each in client.search_experiments()} == before
    assert [share.entry for share in everything(recorder(results))] == [0, 1]


@pytest.mark.parametrize(
    ("statement", "number", "words"),
    [
        ("max_page_count = 1", errno.ENOSPC, "MLflow's database: No space left on device"),
        ("query_only = 1", errno.EROFS, "MLflow's database: it cannot be written"),
    ],
)
def test_a_database_whose_disk_is_full_or_read_only_is_not_waited_for(
    statement: str, number: int, words: str, launched: Recorder
) -> None:
    """SQLite itself says it, of a database that may not grow, or not be written."""
    import sqlalchemy

    def limited(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA {statement}")

    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "checkout", limited)
    try:
        with pytest.raises(OSError, match="MLflow's database") as raised:
            launched.record(trial(0, n_steps=3000))
    finally:
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "checkout", limited)
    assert raised.value.errno == number and disk_error(raised.value) == words


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("write", [files.write, lambda path, content: files.write_durably(content, path)])
def test_a_full_disk_is_named_by_the_file_that_had_no_room(write: Callable[[Path, bytes], None]) -> None:
    with pytest.raises(OSError, match="No space left") as raised:
        write(Path("/dev/full"), b"some")
    assert disk_error(raised.value) == "/dev/full: No space left on device"


def test_a_full_or_missing_disk_is_no_server_that_does_not_answer(tmp_path: Path) -> None:
    import requests

    with pytest.raises(OSError, match="No space left"), own_errors():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(RecordError, match="No such file"), own_errors():
        raise OSError("No such file: x")  # as MLflow says it, without errno
    with pytest.raises(Unreachable, match=r"does not answer: .*127\.0\.0\.1"), own_errors():
        requests.get(f"http://127.0.0.1:{free_port()}/x", timeout=1)
