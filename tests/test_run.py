"""The whole path as a user takes it: a study file of one's own, in another folder, from the command line to the report."""

import fnmatch
import html
import json
import os
import signal
import subprocess
import sys
import time
from math import inf
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest
from click.testing import CliRunner
from own_study import MINE, harness_run, tables

from harness import Diagnostics, report
from harness.__main__ import main as everything
from harness.ledger.stores import leadership
from harness.reporting.folder import FILES, meaning


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(MINE)
    return tmp_path / "elsewhere" / "mine.py"


@pytest.mark.slow
def test_a_study_of_ones_own_leaves_everything_the_contract_names(study_file: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    done = harness_run(study_file, results=results)
    assert done.exit_code == 0, done.output
    assert "Training on cpu" in done.output
    assert "mlflow ui --backend-store-uri sqlite:///" in done.output
    folder = results / "mine"

    runs = pd.read_parquet(folder / "runs.parquet")
    assert len(runs) == 4 * (2 + 4)
    assert list(runs.columns[:3]) == ["trial", "seed", "phase"]
    assert {
        "model.dropout",
        "clipping.max_norm",
        "optimizer.lr",
        "status",
        "steps_done",
        *Diagnostics().metrics(),
    } <= set(runs.columns)
    assert not runs.duplicated(["trial", "seed"]).any()
    confirm, tune = (runs[runs["phase"] == phase] for phase in ("confirm", "tune"))
    assert set(confirm["seed"]) == {0, 1, 2, 3}
    assert not set(confirm["seed"]) & set(tune["seed"])
    assert tune["test_loss"].isna().all()
    assert confirm["test_loss"].notna().all()
    assert set(runs["clipping.max_norm"]) == {0.5, inf}
    assert len(pd.read_csv(folder / "runs.csv")) == len(runs)

    curves = pd.read_parquet(folder / "curves.parquet")
    assert len(curves) == len(runs) * 40
    assert curves["validation_loss"].notna().sum() == len(runs) * 4

    claims = json.loads((folder / "claims.json").read_text())
    assert [claim["verdict"] in ("supported", "refuted", "inconclusive") for claim in claims] == [True, True]
    assert claims[1]["verdict"] == "supported"
    page = (folder / "report.html").read_text()
    assert "Does my net like dropout?" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    for kind in ("svg", "png", "pdf", "csv"):
        assert len(list((folder / "figures").glob(f"*.{kind}"))) >= 5
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in there if meaning(name) is None and not name.startswith(".")]
    assert not [
        name for name in FILES if name not in ("weights/*", "tables/baseline.csv") and not fnmatch.filter(there, name)
    ]
    runs_of = runs.set_index(["trial", "seed"])[["model.dropout", "clipping.max_norm"]]
    for path in runs_of:
        at = runs_of[path].loc[pd.MultiIndex.from_frame(curves[["trial", "seed"]])]
        assert curves[path].tolist() == at.tolist()
    assert (folder / "study.py").read_text() == MINE
    assert "torch" in json.loads((folder / "environment.json").read_text())

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    children = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'trial'")
    assert len(children) == 4 * (2 + 1)
    child = next(c for c in children if c.data.tags["harness.phase"] == "confirm")
    assert {"model.dropout", "clipping.max_norm", "optimizer.lr"} <= set(child.data.params)
    assert "generalization/test_loss" in child.data.metrics
    assert len(client.get_metric_history(child.info.run_id, "curve/loss_median")) > 10

    trials = optuna.load_study(study_name="mine", storage=run_storage(results)).trials
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    assert len(trials) == 12

    before = tables(folder)
    again = harness_run(study_file, results=results)
    assert again.exit_code == 0, again.output
    assert tables(folder) == before, "a finished study, run again, changes nothing"
    for file in folder.glob("*.parquet"):
        file.unlink()
    rebuilt = CliRunner().invoke(report.main, [str(study_file), "--results", str(results)])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert tables(folder) == before
    shown = f"python -m harness.run {study_file} --results {results}"
    assert shown in html.unescape((folder / "report.html").read_text(encoding="utf-8"))


def run_storage(results: Path) -> object:
    from harness.ledger.storage import open_storage

    return open_storage(str(results / "optuna.journal"))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_same_bytes_after_interruptions_and_with_two_workers(
    study_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    whole = tables(undisturbed / "mine")
    stopped = harness_run(study_file, "--timeout", "0", results=tmp_path / "stopped")
    assert stopped.exit_code == 130, stopped.output
    assert "the same command continues" in stopped.output
    killed = 0
    for after in (signal.SIGINT, signal.SIGKILL):
        killed += kill_when_trials_are_told(study_file, tmp_path / "stopped", after)
    assert killed
    assert harness_run(study_file, results=tmp_path / "stopped").exit_code == 0
    assert tables(tmp_path / "stopped" / "mine") == whole

    assert harness_run(study_file, "--workers", "2", results=tmp_path / "two").exit_code == 0
    assert tables(tmp_path / "two" / "mine") == whole


def kill_when_trials_are_told(study_file: Path, results: Path, how: signal.Signals) -> bool:
    """Start the study in a process of its own and stop it once something more is told; whether it was stopped in time."""
    journal = results / "optuna.journal"
    lines = journal.read_bytes().count(b"\n")
    command = [sys.executable, "-m", "harness.run", str(study_file), "--results", str(results), "--devices", "cpu"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent
    )
    while process.poll() is None and journal.read_bytes().count(b"\n") < lines + 1:
        time.sleep(0.005)
    process.send_signal(how)
    process.communicate()
    return process.returncode in (130, -9)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_changed_setting_makes_new_runs_and_leaves_the_old_ones_alone(study_file: Path, tmp_path: Path) -> None:
    assert harness_run(study_file, "--quick", results=tmp_path).exit_code == 0
    changed = harness_run(study_file, "--quick", "--set", "model.width=4", results=tmp_path)
    assert changed.exit_code == 0, changed.output
    assert (
        "model.width: 8 → 4" in changed.output
        and "20 recorded runs are none of the study as it is now" in changed.output
    )
    runs = pd.read_parquet(tmp_path / "mine-quick" / "runs.parquet")
    assert set(runs["model.width"]) == {4}
    assert len(runs) == 4 * (2 + 3)
    back = harness_run(study_file, "--quick", results=tmp_path)
    assert "Nothing to train: 20 of 20 runs are recorded" in back.output
    assert set(pd.read_parquet(tmp_path / "mine-quick" / "runs.parquet")["model.width"]) == {8}
    command = ["list", str(tmp_path)]
    assert "mine-quick  20 of 20  20  " in CliRunner().invoke(everything, command).output
    unused = ["forget", "mine-quick", "--unused", "--results", str(tmp_path)]
    refused = CliRunner().invoke(everything, unused, input="n\n")
    assert refused.exit_code == 130 and "delete 20 runs" in refused.output
    assert "20 runs of mine-quick forgotten" in CliRunner().invoke(everything, [*unused, "--yes"]).output
    assert "mine-quick  20 of 20  0  " in CliRunner().invoke(everything, command).output
    whole = CliRunner().invoke(everything, ["forget", "mine-quick", "--yes", "--results", str(tmp_path)])
    assert whole.exit_code == 0, whole.output
    assert "No studies in" in CliRunner().invoke(everything, command).output
    absent = CliRunner().invoke(everything, ["forget", "mine-quick", "--yes", "--results", str(tmp_path)])
    assert absent.exit_code == 2 and "mine-quick: no study of this name in " in absent.output


def test_dry_run_says_what_it_would_cost_and_writes_nothing(study_file: Path, tmp_path: Path) -> None:
    said = harness_run(study_file, "--dry-run", results=tmp_path / "results")
    assert said.exit_code == 0
    for part in ("4 cells", "24 runs", "Training would take "):
        assert part in said.output
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_study_says_beforehand_what_trains_by_the_plain_loop_and_why(study_file: Path, tmp_path: Path) -> None:
    study_file.write_text(MINE.replace("return self.net(x)", "return self.net(x) / self.net[0].weight.norm().item()"))
    said = harness_run(study_file, "--dry-run", results=tmp_path / "results")
    assert said.exit_code == 0, said.output
    (note,) = [line for line in said.output.splitlines() if line.startswith("  note:")]
    assert "model: trains by the plain loop" in note
    assert "its forward pass reads values of a tensor (`.item()`" in note


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_failing_run_is_recorded_and_its_companions_finish(study_file: Path, tmp_path: Path) -> None:
    """A module that raises for one configuration, once training has begun."""
    source = MINE.replace(
        "return self.net(x)",
        """if self.training and self.width == 9:
            self.seen.add(float(x.sum()))  # no measurement takes so many different batches
            if len(self.seen) > 9:
                raise RuntimeError('no more')
        return self.net(x)""",
    ).replace("super().__init__()", "super().__init__()\n        self.width, self.seen = width, set()")
    study_file.write_text(source.replace("dropout=Sweep(0.0, 0.5)", "width=Sweep(8, 9)").replace('"model.dropout": 0.5', '"model.width": 9')
                          .replace('"model.dropout": 0.0', '"model.width": 8'))  # fmt: skip
    done = harness_run(study_file, results=tmp_path)
    assert done.exit_code == 1, done.output
    runs = pd.read_parquet(tmp_path / "mine" / "runs.parquet")
    said = done.stderr.splitlines()
    assert said[-2].startswith(
        f"Mend the cause and run the same command with --retry-failed: {len(runs) // 2} runs failed;"
    )
    assert said[-1] == f"  RuntimeError: no more ({len(runs) // 2} runs)"
    assert set(runs.loc[runs["model.width"] == 9, "status"]) == {"failed"}
    assert "failed" not in set(runs.loc[runs["model.width"] == 8, "status"])
    errors = list((tmp_path / "mlartifacts").rglob("error_seed_*.txt"))
    assert len(errors) == len(runs) / 2
    assert "no more" in errors[0].read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "tpu"], "--devices: no such device here"),
        (["--seeds", "x"], "seeds: needs a number of seeds"),
        (["--tracking-uri", "nonsense://me:secret@host/x"], "--tracking-uri: "),
        (["--storage", "nonsense://me:secret@host/x"], "--storage: "),
        (["--set", "model.widht=3"], "model.widht: unknown setting; did you mean model.width?"),
    ],
)
def test_bad_arguments_exit_with_2_and_a_path(
    options: list[str], message: str, study_file: Path, tmp_path: Path
) -> None:
    refused = harness_run(study_file, *options, results=tmp_path / "results")
    assert refused.exit_code == 2
    assert message in refused.output
    assert "Traceback" not in refused.output
    assert "secret" not in refused.output


@pytest.mark.slow
def test_second_leader_is_told_who_leads(study_file: Path, tmp_path: Path) -> None:
    with leadership(tmp_path / "results" / "mine"):
        refused = harness_run(study_file, results=tmp_path / "results")
    assert refused.exit_code == 2
    assert f"being run by process {os.getpid()}" in refused.output


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_two_studies_share_a_results_folder(study_file: Path, undisturbed: Path, tmp_path: Path) -> None:
    other = study_file.with_name("other.py")
    other.write_text(MINE.replace('name="mine"', 'name="other"').replace("width=8", "width=9"))
    assert harness_run(other, results=tmp_path / "alone").exit_code == 0
    command = [sys.executable, "-m", "harness.run", "--results", str(tmp_path / "shared"), "--devices", "cpu", "-q"]
    both = [subprocess.Popen([*command, str(file)], stderr=subprocess.PIPE, text=True) for file in (study_file, other)]
    for process in both:
        _, said = process.communicate()
        assert process.returncode == 0, said
    for name, alone in {"mine": undisturbed, "other": tmp_path / "alone"}.items():
        assert tables(tmp_path / "shared" / name) == tables(alone / name)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_search_without_sweeps_has_a_report_under_the_name_it_was_given(study_file: Path, tmp_path: Path) -> None:
    named = ["--set", "name=search"]
    settings = [*named, "--set", "model.dropout=Tune(0.0, 0.5)", "--set", "clipping.max_norm=1.0", "--set", "sampler=tpe",
                "--set", "claims=()", "--set", "tune_trials=8"]  # fmt: skip
    done = harness_run(study_file, *settings, results=tmp_path)
    assert done.exit_code == 0, done.output
    runs = pd.read_parquet(tmp_path / "search" / "runs.parquet")
    assert (runs["phase"] == "tune").sum() == 8
    assert runs.loc[runs["phase"] == "confirm", "model.dropout"].nunique() == 1

    before, command = tables(tmp_path / "search"), [str(study_file), "--results", str(tmp_path)]
    for same in (named, settings):
        (tmp_path / "search" / "runs.csv").unlink()
        rebuilt = CliRunner().invoke(report.main, [*command, *same])
        assert rebuilt.exit_code == 0, rebuilt.output
        assert tables(tmp_path / "search") == before
    other = CliRunner().invoke(report.main, [*command, *named, "--set", "tune_trials=9"])
    assert other.exit_code == 0 and "Incomplete: " in (tmp_path / "search" / "summary.md").read_text()


@pytest.mark.slow
def test_a_configuration_that_kills_its_process_takes_nothing_else_with_it(study_file: Path, tmp_path: Path) -> None:
    source = MINE.replace("import torch\n", "import os\nimport torch\n", 1).replace(
        "        return self.net(x)",
        "        self.calls = getattr(self, 'calls', 0) + 1\n"
        "        if len(self.net) == 4 and self.net[0].out_features == 9 and self.calls > 9:\n"
        "            os._exit(3)\n"
        "        return self.net(x)",
    )
    source = source.replace("dropout=Sweep(0.0, 0.5)", "width=Sweep(8, 9)").replace(
        "optimizer=SGD(lr=Tune(0.05, 1.0, log=True))", "optimizer=SGD(0.1)"
    )
    source = source.replace("clipping=GlobalNorm(Sweep(0.5, inf))", "clipping=GlobalNorm(0.5)").replace(
        "seeds=4", "seeds=2"
    )
    study_file.write_text(source[: source.index("    claims=")] + ")\n")
    done = subprocess.run(
        [sys.executable, "-m", "harness.run", str(study_file), "--workers", "2", "--devices", "cpu", "--results", str(tmp_path / "r")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "a worker ended with exit code 3; its run is trained again" in done.stderr
    runs = pd.read_parquet(tmp_path / "r" / "mine" / "runs.parquet")
    assert runs.groupby("model.width")["status"].unique().map(list).to_dict() == {8: ["finished"], 9: ["failed"]}
