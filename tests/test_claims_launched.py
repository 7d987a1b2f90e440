"""Claims from launch to launch, in Optuna, in MLflow and in the results: what the command, the report and `verify` say of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from own_study import MINE, harness_run, without_digests

import harness
from harness import report, verify
from harness.__main__ import main
from harness.inference.reading import READ_AS
from harness.ledger.claim_record import REGISTERED
from harness.ledger.records.recorder import Recorder
from harness.study.claim_chain import Chain, problems

pytestmark = pytest.mark.usefixtures("undrawn")

CHANGED = MINE.replace("smallest_effect=0.01", "smallest_effect=0.2")
DROPPED = MINE.replace(
    '        Exact("dropout acts in training only", metric="eval_noise", unless="train_noise"),\n', ""
)
ADDED = MINE.replace("    claims=[", """    claims=[
        Claim("clipping helps", metric="test_error", better="lower", smallest_effect=0.1,
              treatment={"clipping.max_norm": 0.5}, baseline={"clipping.max_norm": inf}),""")  # fmt: skip
RETITLED = MINE.replace('"dropout helps"', '"dropout is good"')
CHANGED_LATE = "exploratory: changed after 16 of its runs were seen; was δ = 0.01"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.fixture
def results(undisturbed: Path, tmp_path: Path) -> Path:
    """Of a study that ran as the file says."""
    return Path(shutil.copytree(undisturbed, tmp_path / "results"))


def launched(file: Path, text: str, results: Path) -> Result:
    file.write_text(text)
    done = harness_run(file, results=results)
    assert done.exit_code == 0, done.output
    return done


def reported(file: Path, text: str, results: Path) -> Result:
    file.write_text(text)
    done = CliRunner().invoke(report.main, [str(file), "--results", str(results)])
    assert done.exit_code == 0, done.output
    return done


def verified(results: Path) -> Result:
    return CliRunner().invoke(verify.main, [str(results / "mine"), "--sample", "1"])


def claims(results: Path) -> list[dict[str, Any]]:
    found = json.loads((results / "mine" / "claims.json").read_text())
    assert isinstance(found, list)
    return found


def in_folder(results: Path) -> Chain:
    chain = json.loads((results / "mine" / REGISTERED).read_text())
    assert problems(chain) == []
    return list(chain)


def optuna_study(results: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(results / "optuna.journal")))
    return optuna.load_study(study_name="mine", storage=storage)


def in_mlflow(results: Path) -> list[Path]:
    """The documents of all launches, newest first."""
    client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "mine"]
    runs = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'launch'")
    written = [Path(run.info.artifact_uri.removeprefix("file://")) for run in runs]  # or moved, with the fixture
    moved = [results / "mlartifacts" / "mine" / run.info.run_id / "artifacts" for run in runs]
    places = zip(written, moved, strict=True)
    return [(at if at.exists() else there) / "study" / REGISTERED for at, there in places]


def same_everywhere(results: Path) -> Chain:
    chain = in_folder(results)
    assert optuna_study(results).user_attrs["claims"] == chain
    assert json.loads(in_mlflow(results)[0].read_text()) == chain
    return chain


@pytest.mark.slow
def test_claims_are_registered_with_the_first_launch_in_all_places(results: Path) -> None:
    (entry,) = same_everywhere(results)
    assert [claim["title"] for claim in entry["claims"]] == ["dropout helps", "dropout acts in training only"]
    assert [claim["seen"] for claim in entry["claims"]] == [0, 0]
    started = pd.Timestamp(optuna_study(results).trials[0].datetime_start).timestamp()
    assert pd.Timestamp(entry["at"]).timestamp() <= started, "before any trial was asked for"
    for claim in claims(results):
        assert (claim["registered"], claim["registration"], claim["registered_at"]) == (True, "registered", entry["at"])
        assert (claim["planned_seeds"], claim["withdrawn"], claim["was"]) == (4, False, None)


@pytest.mark.slow
def test_a_second_launch_adds_nothing(file: Path, results: Path) -> None:
    before = (results / "mine" / "claims.json").read_bytes(), (results / "mine" / REGISTERED).read_bytes()
    done = launched(file, MINE, results)
    assert "claim:" not in done.output and "exploratory" not in done.output
    assert before == ((results / "mine" / "claims.json").read_bytes(), (results / "mine" / REGISTERED).read_bytes())
    assert len(same_everywhere(results)) == 1
    assert len(in_mlflow(results)) == 2


@pytest.mark.slow
def test_a_change_after_the_data_is_said_on_the_command_line_and_in_all_that_is_written(
    file: Path, results: Path
) -> None:
    (before, exact) = claims(results)
    done = launched(file, CHANGED, results)
    assert f"  claim:   “dropout helps”: {CHANGED_LATE}\n" in done.output
    assert "(EXPLORATORY): dropout helps." in done.output and f"[{CHANGED_LATE}]" in done.output
    assert f"  as it was: {READ_AS[before['verdict']].upper()}: dropout helps." in done.output
    first, second = claims(results)
    assert (first["registered"], first["registration"], first["smallest_effect"]) == (False, CHANGED_LATE, 0.2)
    assert first["was"] == before and second == exact
    page, short = ((results / "mine" / name).read_text() for name in ("report.html", "summary.md"))
    assert '<small class="mark">exploratory</small>' in page and "As it was: dropout helps" in page
    assert "(exploratory) | dropout helps" in short
    assert [claim["seen"] for claim in same_everywhere(results)[1]["claims"]] == [16, 16]
    loaded = harness.load(results / "mine")
    assert list(loaded.verdicts["registered"]) == [False, True]
    assert f"1 {READ_AS[first['verdict']]} (exploratory)" in repr(loaded)


@pytest.mark.slow
def test_another_search_after_the_data_is_said(file: Path, results: Path) -> None:
    """Values are shared: which runs are confirmed is not known before the search has ended, and others were seen."""
    done = harness_run(file, "--set", "tune_trials=3", results=results)
    assert done.exit_code == 0, done.output
    words = "exploratory: the search was changed from 2 to 3 trials after 16 of its runs were seen"
    assert f"  claim:   “dropout helps”: {words}\n" in done.output and f"[{words}]" in done.output
    assert [claim["registration"] for claim in claims(results)] == [words] * 2
    assert all(claim["was"]["registered"] for claim in claims(results))
    assert verified(results).exit_code == 0


@pytest.mark.slow
def test_back_to_what_was_registered(file: Path, results: Path) -> None:
    before = claims(results)[0]
    launched(file, CHANGED, results)
    back = launched(file, MINE, results)
    assert "[registered; 1 other form was tried]" in back.output
    assert claims(results)[0] == before | {"registration": "registered; 1 other form was tried"}
    assert len(same_everywhere(results)) == 3


def test_seeds_that_a_study_has_no_more_were_seen_all_the_same(file: Path, results: Path) -> None:
    """Sixteen runs, of four seeds in four cells, were judged before; the study that changes its claim has two seeds left."""
    assert harness_run(file, "--seeds", "2", "--set", "claims=[]", results=results).exit_code == 0
    file.write_text(CHANGED)
    done = harness_run(file, "--seeds", "2", results=results)
    assert done.exit_code == 0 and f"[{CHANGED_LATE}]" in done.output, done.output


@pytest.mark.slow
def test_added_dropped_and_renamed_claims(file: Path, results: Path) -> None:
    exact = claims(results)[1]
    launched(file, ADDED, results)
    assert [claim["registration"] for claim in claims(results)] == [
        "exploratory: added after 16 of its runs were seen", "registered", "registered",
    ]  # fmt: skip
    done = launched(file, DROPPED, results)
    assert "[registered; withdrawn after 16 of its runs were seen]" in done.output
    assert [claim["title"] for claim in claims(results)] == [
        "dropout helps",
        "clipping helps",
        "dropout acts in training only",
    ]
    assert claims(results)[2] == exact | {
        "withdrawn": True,
        "registration": "registered; withdrawn after 16 of its runs were seen",
    }
    launched(file, RETITLED, results)
    assert claims(results)[0]["registration"] == "registered; its title was “dropout helps”"
    assert len(harness.load(results / "mine").verdicts) == 3


@pytest.mark.slow
def test_the_report_enters_claims_too_and_the_next_launch_takes_that_over(file: Path, results: Path) -> None:
    done = reported(file, CHANGED, results)
    assert f"[{CHANGED_LATE}]" in done.output
    assert claims(results)[0]["registration"] == CHANGED_LATE
    assert verified(results).exit_code == 0
    assert [len(optuna_study(results).user_attrs["claims"]), len(in_folder(results))] == [1, 2]
    launched(file, MINE, results)
    assert claims(results)[0]["registration"] == "registered; 1 other form was tried"
    assert len(same_everywhere(results)) == 3


@pytest.mark.slow
def test_a_change_before_any_run_is_recorded_is_registered(file: Path, tmp_path: Path) -> None:
    stopped = harness_run(file, "--timeout", "0", results=tmp_path / "r")
    assert stopped.exit_code == 130, stopped.output
    (first,) = optuna_study(tmp_path / "r").user_attrs["claims"]
    launched(file, CHANGED, tmp_path / "r")
    chain = same_everywhere(tmp_path / "r")
    assert chain[0] == first and len(chain) == 2
    found = claims(tmp_path / "r")[0]
    assert (found["registered"], found["registered_at"], found["was"]) == (True, chain[1]["at"], None)


@pytest.mark.slow
def test_a_change_when_some_of_its_runs_are_recorded_counts_these(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader is stopped after the tenth trial: eight of tuning, whose seeds no claim reads, and two of four cells."""
    kept, record = [], Recorder.record

    def stopping(self: Recorder, finished: Any) -> None:
        record(self, finished)
        kept.append(finished.number)
        if len(kept) == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", stopping)
        assert harness_run(file, results=tmp_path / "r").exit_code == 130
    waiting = {int(path.name) for path in (tmp_path / "r" / "mine" / ".unrecorded").glob("*/*")}
    seen = 4 * len({number for number in {*kept, *waiting} if number >= 8})
    assert 8 <= seen <= 16
    launched(file, CHANGED, tmp_path / "r")
    assert (
        claims(tmp_path / "r")[0]["registration"]
        == f"exploratory: changed after {seen} of its runs were seen; was δ = 0.01"
    )


def without_record(results: Path) -> None:
    """As results of before claims were registered are."""
    optuna_study(results).set_user_attr("claims", [])
    for path in (results / "mine" / REGISTERED, *in_mlflow(results)):
        path.unlink()
    fields = ("registered", "registration", "registered_at", "planned_seeds", "withdrawn", "was")
    old = [{name: value for name, value in claim.items() if name not in fields} for claim in claims(results)]
    (without_digests(results / "mine") / "claims.json").write_text(json.dumps(old))


@pytest.mark.slow
def test_of_results_of_before_nobody_knows_and_their_numbers_stay(file: Path, results: Path) -> None:
    before = claims(results)
    without_record(results)
    assert list(harness.load(results / "mine").verdicts["registration"]) == ["", ""]
    checked = verified(results)
    assert checked.exit_code == 0, checked.output
    assert f"{REGISTERED}: is missing: the results are of before claims were registered" in checked.output
    launched(file, MINE, results)
    words = "not known whether older than its data: 16 of its runs were seen before claims were registered"
    blank = {"registered": None, "registration": words, "registered_at": None}
    assert claims(results) == [claim | blank for claim in before]
    assert verified(results).exit_code == 0


@pytest.mark.slow
def test_a_record_that_was_written_anew_in_one_place_proves_nothing(file: Path, results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert harness_run(file_of(tmp_path / "other.py", CHANGED), "--timeout", "0", results=other).exit_code == 130
    optuna_study(results).set_user_attr("claims", optuna_study(other).user_attrs["claims"])
    launched(file, CHANGED, results)
    words = "the records of claims in Optuna and in MLflow part: one of them was written anew"
    assert claims(results)[0]["registration"] == f"not known whether older than its data: {words}"
    assert claims(results)[0]["registered"] is None
    checked = verified(results)
    assert checked.exit_code == 1 and f"{REGISTERED}: says: {words}" in checked.output
    launched(file, CHANGED, results)
    assert len(same_everywhere(results)) == 2, "said once, and for good"


@pytest.mark.slow
def test_a_study_that_is_begun_anew_beside_its_results_goes_on_with_their_record(file: Path, results: Path) -> None:
    """With Optuna's journal alone gone, or in another storage, the runs were seen all the same."""
    first = in_folder(results)
    (results / "optuna.journal").unlink()
    stopped = harness_run(file, "--timeout", "0", results=results)
    assert stopped.exit_code == 130 and optuna_study(results).user_attrs["claims"] == first, stopped.output
    done = launched(file, CHANGED, results)
    assert f"  claim:   “dropout helps”: {CHANGED_LATE}\n" in done.output
    assert claims(results)[0]["was"]["registered_at"] == first[0]["at"]
    assert same_everywhere(results)[:1] == first


@pytest.mark.slow
def test_of_a_study_that_is_begun_anew_beside_a_damaged_record_nobody_knows(file: Path, results: Path) -> None:
    (results / "optuna.journal").unlink()
    edit(results / "mine", lambda chain: chain[0].update(at="2020-01-01T00:00:00Z"))
    done = launched(file, CHANGED, results)
    words = "not known whether older than its data: the record of claims among the results entry 1 was changed"
    assert f"  claim:   “dropout helps”: {words}" in done.output
    assert claims(results)[0]["registered"] is None


@pytest.mark.slow
def test_a_study_that_was_forgotten_begins_a_new_record_beside_the_report_that_stays(file: Path, results: Path) -> None:
    first = in_folder(results)
    done = CliRunner().invoke(main, ["forget", "mine", "--yes", "--results", str(results)])
    assert done.exit_code == 0, done.output
    assert verified(results).exit_code == 0, "the report that stays is whole"
    assert harness_run(file, "--timeout", "0", results=results).exit_code == 130
    assert "claim:" not in launched(file, CHANGED, results).output
    assert claims(results)[0]["registration"] == "registered"
    assert same_everywhere(results)[0]["previous"] == "0" * 64 and in_folder(results)[:1] != first
    (results / "optuna.journal").unlink()
    assert "exploratory: changed after 16 of its runs were seen" in launched(file, MINE, results).output


def file_of(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.slow
def test_a_damaged_record_in_optuna_is_left_as_it_is_and_said(file: Path, results: Path) -> None:
    chain = optuna_study(results).user_attrs["claims"]
    chain[0]["claims"][0]["smallest_effect"] = 0.2
    optuna_study(results).set_user_attr("claims", chain)
    launched(file, CHANGED, results)
    assert "the record of claims entry 1 was changed" in claims(results)[0]["registration"]
    assert optuna_study(results).user_attrs["claims"] == chain


TAMPERED: list[tuple[Callable[[Path], None], str]] = [
    (lambda folder: edit(folder, lambda c: c[0]["claims"][0].update(smallest_effect=0.3)), "entry 1 was changed"),
    (lambda folder: edit(folder, lambda c: c[0].update(at="2020-01-01T00:00:00Z")), "entry 1 was changed"),
    (lambda folder: edit(folder, lambda c: c.pop(0)), "entry 1 does not follow nothing"),
    (lambda folder: edit(folder, lambda c: c.reverse()), "entry 1 does not follow nothing"),
    (lambda folder: edit(folder, lambda c: c.insert(1, c[0])), "entry 2 does not follow entry 1"),
    (lambda folder: edit(folder, lambda c: c.pop()), "has no “dropout helps” as the study makes it"),
    (lambda folder: (folder / REGISTERED).write_text("[1"), "is no chain of entries"),
    (lambda folder: (folder / REGISTERED).unlink(), "is missing or empty"),
]


def edit(folder: Path, where: Callable[[Chain], object]) -> None:
    chain = json.loads((folder / REGISTERED).read_text())
    where(chain)
    (folder / REGISTERED).write_text(json.dumps(chain))


@pytest.mark.slow
@pytest.mark.parametrize(("where", "words"), TAMPERED)
def test_verify_finds_a_record_that_is_not_as_it_was_written(
    file: Path, results: Path, where: Callable[[Path], None], words: str
) -> None:
    reported(file, CHANGED, results)
    where(results / "mine")
    checked = verified(results)
    assert checked.exit_code == 1, checked.output
    assert f"{REGISTERED}: {words}" in checked.output
    assert "the record of claims is not sound" in checked.output


@pytest.mark.slow
def test_verify_finds_a_claim_that_only_says_that_it_was_registered(file: Path, results: Path) -> None:
    reported(file, CHANGED, results)
    verdicts = claims(results)
    verdicts[0] |= {"registered": True, "registration": "registered", "was": None}
    (results / "mine" / "claims.json").write_text(json.dumps(verdicts))
    checked = verified(results)
    assert checked.exit_code == 1
    assert (
        f"claims.json: dropout helps: registration is registered recorded, {CHANGED_LATE} from the runs"
        in checked.output
    )
