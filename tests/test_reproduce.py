"""`harness reproduce`: a study run anew beside its published results."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from own_study import MINE, no_drawing, without_digests

from harness.__main__ import main
from harness.audit.reproduce import differences
from harness.reporting.results import Results

pytestmark = pytest.mark.slow


def reproduced(folder: Path, *options: str) -> Result:
    with no_drawing():
        folders = {"--against": folder / "results", "--results": folder / "again"}
        places = [part for name, place in folders.items() if name not in options for part in (name, str(place))]
        return CliRunner().invoke(main, ["reproduce", str(folder / "mine.py"), "-q", *places, *options])


def test_a_study_is_run_anew_and_set_beside_what_was_published(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    published = tmp_path / "results" / "mine"
    published.mkdir(parents=True)
    for file in (undisturbed / "mine").glob("*.*"):
        if file.is_file() and file.name != "curves.parquet":
            (published / file.name).write_bytes(file.read_bytes())
    first = reproduced(tmp_path)
    n = len(pd.read_parquet(published / "runs.parquet"))
    assert first.exit_code == 0, first.output
    assert f"mine: 2 verdicts the same; {n} of {n} runs the same in every bit." in first.output
    assert "REPRODUCED: 1 of 1 study with the same verdicts." in first.output

    runs = pd.read_parquet(published / "runs.parquet")
    without_digests(published)
    runs.loc[0, "test_loss"] += 1e-3
    runs.to_parquet(published / "runs.parquet", index=False)
    claims = json.loads((published / "claims.json").read_text())
    claims[1]["verdict"] = "refuted"
    (published / "claims.json").write_text(json.dumps(claims))
    again = reproduced(tmp_path)
    assert again.exit_code == 1, again.output
    assert "“dropout acts in training only” is supported, was refuted" in again.output
    assert f"{n - 1} of {n} runs the same in every bit" in again.output and "DIFFERS: 0 of 1" in again.output


def test_a_study_that_was_published_with_changes_is_found_by_its_name_and_run_with_them(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    changed = ["--set", "name=other", "--set", "steps=7"]
    with no_drawing():
        done = CliRunner().invoke(
            main, ["run", str(tmp_path / "mine.py"), *changed, "-q", "--results", str(tmp_path / "results")]
        )
    assert done.exit_code == 0, done.output
    found = reproduced(tmp_path, "--set", "name=other")
    n = len(pd.read_parquet(tmp_path / "results" / "other" / "runs.parquet"))
    assert (
        found.exit_code == 0 and f"other: 2 verdicts the same; {n} of {n} runs the same in every bit." in found.output
    )
    assert set(pd.read_parquet(tmp_path / "again" / "other" / "runs.parquet")["steps"]) == {7}

    environment = without_digests(tmp_path / "results" / "other") / "environment.json"
    environment.write_text(json.dumps(json.loads(environment.read_text()) | {"instructions": "NEON"}))
    shorter = reproduced(tmp_path, "--set", "name=other", "--set", "steps=6", "--results", str(tmp_path / "shorter"))
    assert f"0 of {n} runs the same in every bit, which need not be: instructions: NEON there" in shorter.output
    assert set(pd.read_parquet(tmp_path / "shorter" / "other" / "runs.parquet")["steps"]) == {6}

    (tmp_path / "results" / "other" / "changes.json").write_text("[1")
    damaged = reproduced(tmp_path, "--set", "name=other")
    assert damaged.exit_code == 2 and "changes.json: " in damaged.output and "damaged" in damaged.output


def test_what_cannot_be_compared_is_refused_before_anything_trains(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "results").mkdir()
    lacking = reproduced(tmp_path)
    assert lacking.exit_code == 2 and "no such folder" in lacking.output and not (tmp_path / "again").exists()
    same = reproduced(tmp_path, "--results", str(tmp_path / "results"))
    assert same.exit_code == 2 and "--results: must be another folder than" in same.output


def test_of_two_claims_of_one_title_each_is_set_beside_its_own() -> None:
    def of(*verdicts: str, registered: bool) -> Results:
        runs = pd.DataFrame({"trial": [], "seed": []})
        standing = {"registered": registered, "registration": "…", "withdrawn": False}
        return Results(Path(), runs, runs, pd.DataFrame({"title": "x", "verdict": verdicts} | standing), {})

    published, again = of("supported", "refuted", registered=False), of("inconclusive", "refuted", registered=True)
    assert differences(published, again) == (
        False,
        ["“x” is undecided, was supported (exploratory)", "0 of 0 runs the same in every bit"],
    )
