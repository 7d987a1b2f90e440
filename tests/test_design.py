"""The design in a real Optuna journal: rounds, sampling, continuing, refusing a changed study."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pandas as pd
import pytest

from harness import Study, Sweep, Tune
from harness.ledger.asking import Portion
from harness.ledger.design import AlreadyLed, Design
from harness.ledger.forgetting import Forgetting, Records
from harness.ledger.listing import listed
from harness.ledger.records.finished import WORST
from harness.ledger.storage import StorageError, open_storage
from harness.ledger.stores import open_stores
from harness.ledger.trials import Trial
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.reporting.build import expected_runs
from harness.settings import InvalidStudy
from harness.tasks import Images


def make(sampler: str = "qmc", tune_trials: int = 4, **settings: object) -> Study:
    base = {"name": "x", "task": Images(), "model": DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5)),
            "optimizer": SGD(lr=Tune(0.01, 1.0, log=True)), "steps": 5}  # fmt: skip
    return Study(**(base | {"sampler": sampler, "tune": "shared", "tune_trials": tune_trials} | settings))


def loss(trial: Trial) -> float:
    """Best at lr .1 in the first cell and at lr .5 in the others."""
    return abs(trial.values.get("optimizer.lr", 0.1) - (0.1 if trial.cell == 0 else 0.5))


def tell(design: Design, portion: Portion, value: Callable[[Trial], float] = loss) -> None:
    """Tell a portion the same value for all objectives and seeds."""
    objectives = design.study.objectives()
    outcomes = {seed: [value(portion.trial)] * len(objectives) for seed in portion.seeds}
    design.tell(
        portion.number, outcomes, metrics=dict.fromkeys(objectives, [value(portion.trial)] * len(portion.seeds))
    )


def tell_all(design: Design, stop_after: int | None = None) -> list[Trial]:
    """Trains what is missing, in name; returns the study's trials, or those up to where it stopped."""
    seen: list[Trial] = []
    for name in design.rounds():
        asked = design.ask(name)
        missing = {portion.trial.number: portion for wave in asked.waves for portion in wave if not portion.told}
        for wanted in asked.trials:
            if stop_after is not None and len(seen) >= stop_after:
                return seen
            if wanted.trial.number in missing:
                tell(design, missing[wanted.trial.number])
            seen.append(wanted.trial)
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
def test_tuning_points_do_not_depend_on_the_studys_name(sampler: str, tmp_path: Path) -> None:
    tried = []
    for name in ("x", "renamed"):
        design = Design(make(sampler, name=name), str(tmp_path / "j"))
        tried.append([(trial.number, trial.cell, trial.values) for trial in tell_all(design)])
        design.close()
    assert tried[0] == tried[1]
    tuned = {number: values["optimizer.lr"] for number, _, values in tried[0][:8]}
    assert len(set(tuned.values())) > 2, "rounds and cells still draw points of their own"


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
@pytest.mark.parametrize("stop_after", [0, 1, 3, 8])
def test_interrupted_design_continues_as_if_it_had_not_been(sampler: str, stop_after: int, tmp_path: Path) -> None:
    whole = tell_all(Design(make(sampler), str(tmp_path / "whole")))
    tell_all(Design(make(sampler), str(tmp_path / "j")), stop_after)
    rest = tell_all(Design(make(sampler), str(tmp_path / "j")))
    assert [(t.number, t.cell, t.values) for t in rest] == [(t.number, t.cell, t.values) for t in whole]


def test_what_changed_since_the_launch_before_is_said_once(tmp_path: Path) -> None:
    changes = []
    for steps in (5, 6, 6):
        design = Design(make(steps=steps), str(tmp_path / "j"))
        changes.append(design.changes())
        design.close()
    assert changes == [[], ["steps: 5 → 6"], []]


def test_diverged_trial_is_told_a_finite_worst_value(tmp_path: Path) -> None:
    design = Design(make(tune_seeds=1), str(tmp_path / "j"))
    (portion, *_), *_ = design.ask(design.rounds()[0]).waves
    design.tell(portion.number, {portion.seeds[0]: [WORST]}, diverged=1)
    stored = optuna.load_study(study_name="x", storage=open_storage(str(tmp_path / "j"))).trials[portion.number]
    assert stored.value == WORST
    assert stored.user_attrs["diverged"] == 1
    assert stored.params["model.dropout"] == 0.0


def test_several_objectives_confirm_the_pareto_front(tmp_path: Path) -> None:
    study = make(objective=("validation_loss", "grad_norm_q99"), model=DropoutNet(hidden=(8,)), tune_trials=3)
    design = Design(study, str(tmp_path / "j"))
    tune, confirm = design.rounds()
    for portion, values in zip(design.ask(tune).waves[0], [[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]], strict=True):
        metrics = {name: [value] * 5 for name, value in zip(study.objectives(), values, strict=True)}
        design.tell(portion.number, dict.fromkeys(portion.seeds, values), metrics=metrics)
    assert len(design.ask(confirm).trials) == 2


def test_what_several_objectives_choose_counts_as_lacking_until_it_is_there(tmp_path: Path) -> None:
    """Three values tried, two of them on the front: the second one's runs of the confirm phase are missing, too."""
    study = make(objective=("validation_loss", "grad_norm_q99"), model=DropoutNet(hidden=(8,)), tune_trials=3)
    design = Design(study, str(tmp_path / "j"))
    tune, confirm = design.rounds()
    tried = design.ask(tune).waves[0]
    runs = [run_row(p.trial.number, seed, "tune") for p in tried for seed in p.seeds]
    values = {p.number: pair for p, pair in zip(tried, [[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]], strict=True)}
    table = pd.DataFrame(runs)
    for portion in tried:
        own = values[portion.number]
        table.loc[table["trial"] == portion.trial.number, list(study.objectives())] = own
        metrics = {name: [value] * len(portion.seeds) for name, value in zip(study.objectives(), own, strict=True)}
        design.tell(portion.number, dict.fromkeys(portion.seeds, own), metrics=metrics)
    first = design.ask(confirm).waves[0][0]
    tuned, seeds = len(table), len(study.confirm_seeds())
    assert (design.there().done, design.there().wanted) == (tuned, tuned + 2 * seeds)
    design.tell(first.number, {seed: [1.0, 3.0] for seed in first.seeds})
    assert (design.there().done, design.there().wanted) == (tuned + seeds, tuned + 2 * seeds)
    assert not design.there().complete
    table = pd.concat([table, pd.DataFrame([run_row(first.trial.number, seed, "confirm") for seed in first.seeds])])
    assert expected_runs(study, table) == tuned + 2 * seeds
    half = table[table["trial"] != tried[0].trial.number]
    assert expected_runs(study, half) == tuned + seeds, "at least, while no one knows what is chosen"
    design.keep_summary()
    design.close()
    (found,) = listed(tmp_path, str(tmp_path / "j"))
    assert (found.done, found.wanted) == (tuned + seeds, tuned + 2 * seeds)


def run_row(trial: int, seed: int, phase: str) -> dict[str, object]:
    return {"trial": trial, "seed": seed, "phase": phase, "status": "finished"}


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


# --- What is given as a storage is looked at first


def test_a_list_of_studies_counts_the_seeds_that_the_newest_launch_wants(tmp_path: Path) -> None:
    """Seeds 0 to 3 are there of each of two cells; of 2 to 5 these are two in each, and the other two are others."""
    storage = str(tmp_path / "j")
    settings = {"optimizer": SGD(lr=0.1), "model": DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5))}
    for seeds, done, others in (([0, 1, 2, 3], 8, 0), ([2, 3, 4, 5], 4, 4), ([0, 1], 4, 4)):
        design = Design(make(seeds=seeds, **settings), storage)
        if len(seeds) == 4 and others == 0:
            tell_all(design)
        design.keep_summary()
        design.close()
        (found,) = listed(tmp_path, storage)
        assert (found.done, found.wanted, found.others) == (done, 2 * len(seeds), others)


def test_a_list_of_studies_says_which_verdicts_are_on_claims_that_are_withdrawn_or_exploratory(tmp_path: Path) -> None:
    storage = str(tmp_path / "j")
    Design(make(name="mine"), storage).close()
    (tmp_path / "mine").mkdir()
    claims = [
        {"verdict": "supported", "registered": True, "registration": "registered", "withdrawn": False},
        {"verdict": "supported", "registered": True, "registration": "registered; withdrawn", "withdrawn": True},
        {"verdict": "inconclusive", "registered": False, "registration": "exploratory: added", "withdrawn": False},
        {"verdict": "supported"},  # as of before claims were registered
    ]
    (tmp_path / "mine" / "claims.json").write_text(json.dumps(claims))
    (found,) = listed(tmp_path, storage)
    assert found.verdicts == {"supported": 2, "supported (withdrawn)": 1, "undecided (exploratory)": 1}


def sqlite_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE customers (name)")
        database.commit()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"my notes\nof years, the last line unfinished", "is no journal of Optuna"),
        (b"no line end at all", "is no journal of Optuna"),
        (b"a,b\n1,2\n3,4", "is no journal of Optuna"),
        (b'{"name": "x"}\n{"na', "is no journal of Optuna"),
        (b'["op_code"]\n', "is no journal of Optuna"),
        (b'{"op_code":0,"study_name":"x","directions":[1],"worker_id":"x"}\nnotes\nmore', "is damaged in line 2"),
        (None, "is no journal of Optuna but a SQLite database; give sqlite:///"),
    ],
)
def test_a_file_that_is_no_journal_stays_as_it_was(content: bytes | None, message: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    if content is None:
        sqlite_database(given)
    else:
        given.write_bytes(content)
    before = given.read_bytes()
    with (
        pytest.raises(InvalidStudy, match=f"--storage: {given} {message}"),
        open_stores(make(), tmp_path / "results", str(given), None),
    ):
        pass
    assert given.read_bytes() == before
    assert list(tmp_path.iterdir()) == [given]


def test_a_database_of_something_else_or_a_folder_is_no_storage(tmp_path: Path) -> None:
    sqlite_database(tmp_path / "app.db")
    (tmp_path / "folder").mkdir()
    before = (tmp_path / "app.db").read_bytes()
    addresses = {
        f"sqlite:///{tmp_path}/app.db": "is a database of something else, not of Optuna; its tables are customers",
        f"sqlite:///{tmp_path}/folder": "is a folder",
        str(tmp_path / "folder"): "is a folder",
        "sqlite://": "in memory would be lost",
    }
    for address, message in addresses.items():
        with pytest.raises(StorageError, match=message):
            Design(make(), address)
    assert {path.name for path in tmp_path.iterdir()} == {"app.db", "folder"}
    assert (tmp_path / "app.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b'{"op_co', b'{"op_code":0,"study_name":"x","dir'])
def test_an_empty_journal_and_one_torn_in_its_first_line_are_begun(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(content)
    design = Design(make(), str(tmp_path / "j"))
    assert design.told() == set()
    design.close()


# --- Identity


def forget(storage: str, records: Records) -> None:
    with Forgetting("x", storage) as study:
        study.delete(study.doomed(unused=False), records)


def test_an_identity_is_kept_until_the_study_is_forgotten(tmp_path: Path) -> None:
    forgotten: list[tuple[str, object]] = []
    identities = []
    for again in (False, False, True, True):
        if again:
            forget(str(tmp_path / "j"), lambda *records: forgotten.append(records))
        design = Design(make(), str(tmp_path / "j"))
        identities.append(design.identity)
        design.close()
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3
    assert forgotten == [(identity, None) for identity in identities[1:3]]


def test_what_cannot_be_forgotten_elsewhere_is_not_forgotten_here(tmp_path: Path) -> None:
    design = Design(make(), str(tmp_path / "j"))
    tell_all(design, stop_after=3)
    design.close()

    def away(identity: str, entries: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        forget(str(tmp_path / "j"), away)
    again = Design(make(), str(tmp_path / "j"))
    assert (len(again.told()), again.identity) == (3, design.identity)
    again.close()


def test_a_study_that_is_led_is_not_forgotten(tmp_path: Path) -> None:
    design = Design(make(), str(tmp_path / "j"))
    with pytest.raises(AlreadyLed, match=f"process {os.getpid()}"):
        forget(str(tmp_path / "j"), lambda *_: None)
    design.close()


def test_an_identity_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    design = Design(make(), str(tmp_path / "j"))
    design._optuna.set_user_attr("identity", "../..")
    design.close()
    with pytest.raises(StorageError, match="identity is not one that was made here"):
        Design(make(), str(tmp_path / "j"))
    with pytest.raises(StorageError, match="identity is not one that was made here"):
        forget(str(tmp_path / "j"), lambda *_: None)


# --- One leader per storage

LEADER = """
import sys, time
from test_design import make
from harness.ledger.design import Design
design = Design(make(), sys.argv[1])
print("leads", flush=True)
time.sleep(600)
"""


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process that leads the study in a storage."""
    started: list[subprocess.Popen[str]] = []
    root = Path(__file__).parent

    def start(storage: str) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root.parent)])}
        command = [sys.executable, "-c", LEADER, storage]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        assert started[-1].stdout is not None and started[-1].stdout.readline() == "leads\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_storage_has_one_leader_whatever_the_results_folder(
    kind: str, leader: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "trials"
    path.parent.mkdir()
    (tmp_path / "link").symlink_to(path)
    process = leader(str(path) if kind == "journal" else f"sqlite:///{path}")
    for given in (path, tmp_path / "link"):
        storage = str(given) if kind == "journal" else f"sqlite:///{given}"
        with (
            pytest.raises(InvalidStudy, match=f"this study is being run by process {process.pid} on "),
            open_stores(make(), tmp_path / "other results", storage, None),
        ):
            pass
    other = Design(make(name="y"), storage)  # another study there has another leader
    other.close()
    process.kill()
    process.wait()
    design = Design(make(), storage)
    design.close()
