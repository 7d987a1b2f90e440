"""A study from Python: `study.run`, `harness.load`, from a script that no command knows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from own_study import MINE, harness_run, tables

import harness
from harness import Study
from harness.engine.content import trial_key
from harness.models import DropoutNet
from harness.settings import InvalidStudy
from harness.settings.randomness import stream
from harness.tasks import Images, Tensors

SCRIPT = (
    MINE
    + """
results = study.run(seeds=3, devices="cpu", results="results", quiet=True)
print(len(results.runs), sorted(set(results.runs["seed"][results.runs["phase"] == "confirm"].tolist())), results.folder)
print(*results.verdicts["verdict"])
"""
)


def script(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """Run a script whose classes are those of `__main__`."""
    (folder / "script.py").write_text(text)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the script has run once."""
    folder = tmp_path_factory.mktemp("python")
    done = script(folder, SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "20 [0, 1, 2] results/mine"
    assert done.stdout.splitlines()[1].split()[1] == "supported"
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_study_from_python_leaves_what_the_command_leaves(ran: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    assert harness_run(tmp_path / "mine.py", "--seeds", "3", results=tmp_path / "results").exit_code == 0
    assert tables(ran / "results" / "mine") == tables(tmp_path / "results" / "mine")


@pytest.mark.slow
def test_the_same_call_again_trains_nothing_and_changes_nothing(ran: Path) -> None:
    before = tables(ran / "results" / "mine")
    again = script(ran, SCRIPT.replace("quiet=True)\nprint", "quiet=False)\nprint"))
    assert again.returncode == 0, again.stderr
    assert "Nothing to train: 20 of 20 runs are recorded" in again.stdout
    assert tables(ran / "results" / "mine") == before


@pytest.mark.slow
def test_a_changed_study_trains_anew_and_says_what_changed(ran: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ran, tmp_path / "copy")
    changed = script(folder, SCRIPT.replace("steps=40", "steps=50").replace("quiet=True)", "quiet=False)"))
    assert changed.returncode == 0, changed.stderr
    assert "steps: 40 → 50" in changed.stdout
    assert "20 recorded runs are none of the study as it is now" in changed.stdout


@pytest.mark.slow
def test_loaded_results_are_tidy_frames(ran: Path) -> None:
    found = harness.load(ran / "results" / "mine")
    assert len(found.runs) == 20 and {"trial", "seed", "phase", "status", "model.dropout"} <= set(found.runs)
    assert len(found.curves) == 20 * 40
    assert list(found.cells["model.dropout"]) == [0.0, 0.0, 0.5, 0.5]
    assert list(found.verdicts["metric"]) == ["test_loss", "eval_noise"]
    assert found.study["steps"] == "40"
    assert isinstance(found.runs, pd.DataFrame)


def small() -> Study:
    return Study(name="x", task=Images(), model=DropoutNet(hidden=(8,)), steps=2, evaluations=1)


def test_devices_may_be_numbers_and_are_checked() -> None:
    with pytest.raises(InvalidStudy, match="no such device here"):
        small().run(devices=[0, 99], quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, r"^--workers: input should be greater than or equal to 1 \(got 0\)$"),
        ({"workers": 1.5}, "^--workers: input should be a valid integer"),
        ({"timeout": -1}, r"^--timeout: input should be greater than or equal to 0 \(got -1\)$"),
        ({"timeout": float("nan")}, r"^--timeout: must be a number \(got nan\)$"),
        ({"memory": 4}, r"^--memory: input should be a valid string; such as '4G' \(got 4\)$"),
        ({"checkpoint_every": "x"}, "^--checkpoint-every: input should be a valid number"),
        (
            {"gpus_per_population": 5.0, "ray": "local"},
            "^--gpus-per-population: input should be less than or equal to 1",
        ),
        ({"results": 3}, "^--results: input"),
        ({"storage": 3}, "^--storage: input should be a valid string"),
        ({"verbose": "yes"}, "^--verbose: input should be a valid boolean"),
        ({"quick": "yes"}, "^--quick: input should be a valid boolean"),
        ({"workers": 0, "timeout": -1}, "^--workers: .*\n--timeout: "),
        ({"device": "cpu"}, r"^device: unknown option; did you mean devices\? \(got 'cpu'\)$"),
        ({"set": {"steps": 3}}, "^set: unknown option; valid names: devices, workers, "),
        ({"started": 0.0}, "^started: unknown option"),
        ({"verbose": True, "quiet": True}, "^--verbose: contradicts --quiet; give one of them$"),
        ({"seeds": "9-5"}, "^seeds: 9-5 ends before it begins; write 5-9"),
        ({"seeds": 2.5}, "^seeds: needs a number of seeds"),
    ],
    ids=str,
)
def test_options_are_checked_as_those_of_the_command(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=message):
        small().run(**{"results": tmp_path / "results"} | options)
    assert not (tmp_path / "results").exists()


def test_a_dry_run_says_what_would_run_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert small().run(dry_run=True, seeds="5-6", devices="cpu", results=tmp_path / "results") is None
    assert "2 seeds a cell; 2 runs in all" in (said := capsys.readouterr().out)
    assert "Nothing was run." in said
    assert not list(tmp_path.iterdir())


def test_what_a_studys_tensors_hold_is_looked_at_whenever_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook may write into them by ways of which torch does not know."""
    x, y = torch.randn(100, 3, generator=stream(0, "test")), torch.arange(100) % 2
    study = Study(name="own", task=Tensors(x, y), model=DropoutNet(hidden=(4,)), batch_size=10, steps=2)
    before = trial_key(study.setup({}), 1, confirm=True)
    study.run(dry_run=True, devices="cpu")
    assert "tells the target" not in capsys.readouterr().out
    x.numpy()[:, 1] = y.numpy()
    study.run(dry_run=True, devices="cpu")
    assert "input 1 alone tells the target" in capsys.readouterr().out
    assert trial_key(study.renewed().setup({}), 1, confirm=True) != before
    x.numpy()[0] = float("nan")
    with pytest.raises(InvalidStudy, match=r"task\.x: all 300 values must be finite"):
        study.run(dry_run=True, devices="cpu")
