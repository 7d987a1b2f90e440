"""A study grows: what it has of its runs stays, what it lacks is asked for, and nothing else decides.

At the design, in a real Optuna journal or database, and as a user would, through the whole flow.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from own_study import MINE, harness_run, no_drawing, tables
from test_crashes import SEAMS, Forks
from test_design import loss, make, tell, tell_all

from harness import Diagnostics, Measure, Study, Sweep, Tune
from harness.lead import flow
from harness.lead.flow import beginning
from harness.ledger.asking import Portion
from harness.ledger.design import Design
from harness.ledger.entries import MACHINE, RUN
from harness.ledger.listing import listed
from harness.ledger.records.finished import WORST
from harness.ledger.trials import Trial, tune_batches
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.settings.metrics import METRICS

Asked = list[tuple[int, tuple[int, ...]]]
"""Trial and seeds of what is to be trained."""


def small(**settings: object) -> Study:
    """Two cells, nothing tuned, three seeds."""
    return make(**({"tune": "within", "tune_trials": 8, "optimizer": SGD(lr=0.1), "seeds": 3} | settings))


@contextmanager
def opened(study: Study, storage: Path | str, *, retry_failed: bool = False) -> Iterator[Design]:
    design = Design(study, str(storage), retry_failed=retry_failed)
    yield design
    design.close()


def missing(design: Design, name: str = "confirm") -> list[Portion]:
    return [portion for wave in design.ask(name).waves for portion in wave if not portion.told]


def asked(design: Design, name: str = "confirm") -> Asked:
    return [(portion.trial.number, portion.seeds) for portion in missing(design, name)]


def done(study: Study, storage: Path | str) -> None:
    """Train all that is missing, in name."""
    with opened(study, storage) as design:
        tell_all(design)


def counts(study: Study, storage: Path | str) -> tuple[int, int, int]:
    """Runs wanted, there, and others."""
    with opened(study, storage) as design:
        there = design.there()
    return there.wanted, there.done, there.others


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "journal") if request.param == "journal" else f"sqlite:///{tmp_path}/optuna.db"


# --- What is asked for


def test_seeds_that_join_are_asked_for_alone_and_those_that_leave_stay_on_record(storage: str) -> None:
    done(small(), storage)
    assert counts(small(seeds=5), storage) == (10, 6, 0)
    with opened(small(seeds=5), storage) as design:
        assert asked(design) == [(0, (3, 4)), (1, (3, 4))]
        tell_all(design)
    assert counts(small(seeds=[1, 4]), storage) == (4, 4, 6)
    assert counts(small(seeds=5), storage) == (10, 10, 0)


def test_a_level_that_joins_is_asked_for_alone_wherever_it_stands(storage: str) -> None:
    done(small(), storage)
    grown = small(model=DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.2, 0.5)))
    with opened(grown, storage) as design:
        assert asked(design) == [(1, (0, 1, 2))]
        tell_all(design)
    assert counts(grown, storage) == (9, 9, 0)
    assert counts(small(), storage) == (6, 6, 3)


def test_a_setting_that_becomes_a_sweep_keeps_the_runs_at_its_old_value(storage: str) -> None:
    done(small(), storage)
    grown = small(batch_size=Sweep(32, 64))  # 64 is the default
    assert counts(grown, storage) == (12, 6, 0)
    with opened(grown, storage) as design:
        assert asked(design) == [(0, (0, 1, 2)), (2, (0, 1, 2))]


@pytest.mark.parametrize("change", [{"steps": 6}, {"label_smoothing": 0.1}, {"evaluations": 3}])
def test_what_changes_results_makes_new_runs_and_leaves_the_old_ones_alone(
    change: dict[str, object], storage: str
) -> None:
    done(small(), storage)
    assert counts(small(**change), storage) == (6, 0, 6)
    done(small(**change), storage)
    assert counts(small(**change), storage) == (6, 6, 6)
    assert counts(small(), storage) == (6, 6, 6), "and going back finds them"


def test_more_that_is_measured_makes_new_runs_and_less_does_not(storage: str) -> None:
    done(small(metrics=Diagnostics("standard")), storage)
    assert counts(small(), storage) == (6, 6, 0)
    assert counts(small(metrics=Diagnostics("full")), storage) == (6, 0, 6)


def test_a_metric_that_is_measured_otherwise_now_makes_new_runs_where_it_is_wanted_alone(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sharpness is, which runs of before have by another definition; a record of before has no version of any metric."""
    with monkeypatch.context() as before:
        before.setitem(METRICS, "sharpness", replace(METRICS["sharpness"], version=1))
        done(small(metrics=Diagnostics("full")), storage)
        assert counts(small(metrics=Diagnostics("full")), storage) == (6, 6, 0)
    assert METRICS["sharpness"].version == 2
    for level in ("light", "standard"):
        assert counts(small(metrics=Diagnostics(level)), storage) == (6, 6, 0)
    assert counts(small(metrics=Diagnostics("full")), storage) == (6, 0, 6)
    done(small(metrics=Diagnostics("full")), storage)
    assert counts(small(metrics=Diagnostics("full")), storage) == (6, 6, 6)


def test_trials_of_equal_content_train_once(storage: str) -> None:
    """Two levels that make the same setup: one of a whole number, searched more often than it has values."""
    study = small(batch_size=Tune(8, 9), tune_trials=6, seeds=2)
    with opened(study, storage) as design:
        wanted = design.ask(design.rounds()[0]).trials
        assert len(wanted) == 12 and len({trial.key for trial in wanted}) == 4
        assert len(missing(design, design.rounds()[0])) == 4
        tell_all(design)
        assert design.there().complete and len(design.held()) == 12


# --- Tuning


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_more_tune_trials_try_the_old_points_and_new_ones(sampler: str, storage: str) -> None:
    few, more = (make(sampler, n, tune="within", seeds=2) for n in (3, 5))
    done(few, storage)
    assert counts(more, storage) == (20, 12, 0)
    with opened(more, storage) as design:
        trials = [wanted.trial for wanted in design.ask("tune 0-5").trials]
        assert [number for number, _ in asked(design, "tune 0-5")] == [6, 7, 8, 9]
    rates = [trial.values["optimizer.lr"] for trial in trials]
    assert rates[::2] == rates[1::2] and len(set(rates)) == 5, "all cells have the same points"


@pytest.mark.parametrize("sampler", ["qmc", "random", "tpe"])
def test_a_search_that_grew_is_the_search_that_was_whole(sampler: str, tmp_path: Path) -> None:
    few, more = make(sampler, 6), make(sampler, 21)
    done(few, tmp_path / "grown")
    found = []
    for place in ("grown", "whole"):
        with opened(more, tmp_path / place) as design:
            found.append([(trial.number, trial.cell, trial.confirm, trial.values) for trial in tell_all(design)])
    assert found[0] == found[1]


def test_another_best_value_is_confirmed_and_the_old_one_stays_on_record(storage: str) -> None:
    few, more = make("qmc", 2, seeds=2), make("qmc", 8, seeds=2)
    done(few, storage)
    with opened(more, storage) as design:
        tell_all(design)
        chosen = {wanted.trial.cell: wanted.trial.values for wanted, _ in design.held() if wanted.trial.confirm}
        tried = [wanted.trial for wanted, _ in design.held() if not wanted.trial.confirm]
        there = design.there()
    for cell in (0, 1):
        assert chosen[cell] == min((trial for trial in tried if trial.cell == cell), key=loss).values
    assert (there.wanted, there.done) == (2 * (8 * 5 + 2),) * 2
    assert there.others in (2, 4), "confirm runs at values that are the best no more"


def test_a_new_level_gets_the_same_search(storage: str) -> None:
    done(make("qmc", 3), storage)
    grown = make("qmc", 3, model=DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.2, 0.5)))
    with opened(grown, storage) as design:
        trials = [wanted.trial for wanted in design.ask("tune 0-3").trials]
        new = missing(design, "tune 0-3")
    rates = {cell: [t.values["optimizer.lr"] for t in trials if t.cell == cell] for cell in range(3)}
    assert rates[0] == rates[1] == rates[2]
    assert {portion.trial.cell for portion in new} == {1}


def test_another_objective_chooses_anew_among_the_runs_that_are_there(storage: str) -> None:
    """What every tune run was by all that may be an objective is kept."""
    by_loss, by_error = (make("qmc", 4, seeds=1, objective=f"validation_{name}") for name in ("loss", "error"))

    def told(design: Design) -> None:
        for portion in missing(design, "tune 0-4"):
            values = {"validation_loss": loss(portion.trial), "validation_error": -loss(portion.trial)}
            metrics = {name: [value] * 5 for name, value in values.items()}
            design.tell(portion.number, {seed: [loss(portion.trial)] for seed in portion.seeds}, metrics=metrics)

    chosen: list[list[Trial]] = []
    for study in (by_loss, by_error):
        with opened(study, storage) as design:
            told(design)
            chosen.append([wanted.trial for wanted in design.ask("confirm").trials])
            tried = [wanted.trial for wanted in design.ask("tune 0-4").trials]
    for cell in (0, 1):
        of_cell = [trial for trial in tried if trial.cell == cell]
        assert chosen[0][cell].values == min(of_cell, key=loss).values
        assert chosen[1][cell].values == max(of_cell, key=loss).values


def test_rounds_of_a_sampler_that_learns_begin_where_they_did_whatever_their_number() -> None:
    batches = {count: tune_batches(make("tpe", count)) for count in (1, 4, 7, 40, 60)}
    for count, found in batches.items():
        assert [first for first, _ in found] == [first for first, _ in batches[60] if first < count]
        assert found[-1][1] == count and all(a[1] == b[0] for a, b in pairwise(found))


def test_a_measure_of_curves_that_tuning_goes_by_makes_new_runs_when_it_is_edited(storage: str) -> None:
    def first(curve):
        return curve["loss"].mean()

    def edited(curve):
        return curve["loss"].max()

    edited.__name__ = edited.__qualname__ = "first"
    studies = [
        make(
            "qmc", 2, objective="first", metrics=Diagnostics(measures=[Measure(function, unit="loss", better="lower")])
        )
        for function in (first, edited)
    ]
    done(studies[0], storage)
    assert [counts(study, storage)[1] for study in studies] == [2 * (2 * 5 + 10), 0]


# --- Interrupted while it grew


def test_what_is_asked_for_trains_with_what_it_was_asked_for_with(storage: str) -> None:
    with opened(small(), storage) as design:
        first, second = missing(design)
        tell(design, first)
    with opened(small(), storage) as design:
        (wave,) = design.ask("confirm").waves
        assert [(portion.number, portion.told) for portion in wave] == [(first.number, True), (second.number, False)]
    with opened(small(seeds=4), storage) as design:
        waves = design.ask("confirm").waves
        assert [[(p.trial.number, p.seeds, p.told) for p in wave] for wave in waves] == [
            [(0, (0, 1, 2), True), (1, (0, 1, 2), False)],
            [(0, (3,), False), (1, (3,), False)],
        ]


def test_what_was_asked_for_and_is_not_wanted_so_any_more_is_given_up(storage: str) -> None:
    with opened(small(), storage) as design:
        assert asked(design) == [(0, (0, 1, 2)), (1, (0, 1, 2))]
    with opened(small(seeds=2), storage) as design:
        assert asked(design) == [(0, (0, 1)), (1, (0, 1))]
        tell_all(design)
    with opened(small(), storage) as design:
        assert asked(design) == [(0, (2,)), (1, (2,))]


def test_lost_records_are_trained_again_with_those_they_trained_with(storage: str) -> None:
    done(small(), storage)
    with opened(small(), storage) as design:
        (number, *_) = sorted(design.told())
        (wave,) = design.ask("confirm", lost={number}).waves
        assert [portion.told for portion in wave] == [False, True]
        assert design.ask("confirm").waves == []


# --- Failed runs


def failing(design: Design, why: str) -> None:
    """Seed 1 of every trial fails."""
    for portion in missing(design):
        outcomes = {seed: [WORST if seed == 1 else 1.0] for seed in portion.seeds}
        design.tell(portion.number, outcomes, failed={seed: why for seed in portion.seeds if seed == 1})


@pytest.mark.parametrize(("why", "retry_failed"), [(MACHINE, False), (RUN, True)])
def test_failed_runs_are_tried_again_once_in_each_launch(why: str, retry_failed: bool, storage: str) -> None:
    with opened(small(), storage) as design:
        failing(design, why)
        assert asked(design) == [], "not in the launch in which they failed"
    for _ in range(2):
        with opened(small(), storage, retry_failed=retry_failed) as design:
            there = design.there()
            assert (there.wanted, there.done, there.tried_again, there.others) == (6, 4, 2, 0)
            assert asked(design) == [(0, (1,)), (1, (1,))]
            failing(design, why)
            assert asked(design) == []
    with opened(small(), storage, retry_failed=retry_failed) as design:
        tell_all(design)
        assert design.there().complete
    with opened(small(), storage, retry_failed=True) as design:
        assert asked(design) == []
        holders = [holders for _, holders in design.held()]
        assert all(not entry.failed for of_trial in holders for entry in (of_trial[1],)), "the good one counts"


def test_runs_that_failed_by_an_error_of_their_own_stay_failed_unless_asked(storage: str) -> None:
    with opened(small(), storage) as design:
        failing(design, RUN)
    with opened(small(), storage) as design:
        assert asked(design) == [] and design.there().complete


# --- Through the whole flow

GROWN = {
    "seeds": ("seeds=4", "seeds=2"),
    "levels": ("Sweep(0.0, 0.5)", "Sweep(0.5)"),
    "tune trials": ("tune_trials=2", "tune_trials=1"),
}
"""What of `MINE` was less before it grew."""


def begun(text: str, whole: str, part: str) -> str:
    """The study before it grew: without the claim whose levels it lacks."""
    assert whole in text
    smaller = text.replace(whole, part)
    if part != "Sweep(0.5)":
        return smaller
    without = re.sub(r'Claim\("dropout helps".*?\}\),\n', "", smaller, flags=re.DOTALL)
    assert without != smaller
    return without


@pytest.mark.slow
@pytest.mark.parametrize("how", ["within", "shared"])
@pytest.mark.parametrize("what", GROWN)
def test_a_study_that_grew_has_the_tables_of_one_that_was_whole(what: str, how: str, tmp_path: Path) -> None:
    text = MINE if how == "shared" else MINE.replace('tune="shared", tune_seeds=1, ', "")
    file, results = tmp_path / "mine.py", tmp_path / "results"
    file.write_text(begun(text, *GROWN[what]))
    with no_drawing():
        first = harness_run(file, results=results)
        assert first.exit_code == 0, first.output
        file.write_text(text)
        grown = harness_run(file, results=results)
        assert grown.exit_code == 0, grown.output
        assert "there, " in grown.output and " new." in grown.output
        whole = harness_run(file, results=tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    for name, content in tables(tmp_path / "whole" / "mine").items():
        assert content == (results / "mine" / name).read_bytes(), name
    (study,) = listed(results, str(results / "optuna.journal"))
    assert (study.done, study.wanted) == ((24, 24) if how == "shared" else (32, 32))


@pytest.mark.slow
@pytest.mark.parametrize("part", [8, 16], ids=["from half", "more than once"])
def test_kills_while_a_study_grows_leave_what_growing_undisturbed_leaves(part: int, tmp_path: Path) -> None:
    """At each seam of a commit, in a study that gains seeds after each."""
    text = MINE.replace("tune_trials=2", "tune_trials=4")
    file, log = tmp_path / "mine.py", tmp_path / "log"
    file.write_text(text)
    common = [str(file), "--devices", "cpu", "--workers", "1", "--results"]
    seams = [{"seam": seam, "count": random.Random(part).randint(1, 3)} for seam in SEAMS[part % 3 :: 2]]
    with Forks([*common, str(tmp_path / "whole")], log) as forks:
        assert forks.run()[0] == 0, log.read_text()
    with Forks([*common, str(tmp_path / "grown")], log) as forks:
        file.write_text(text.replace("seeds=4", "seeds=2"))
        assert forks.run()[0] == 0, log.read_text()
        for i, order in enumerate(seams):
            file.write_text(text.replace("seeds=4", f"seeds={3 + i % 2}") if part == 16 else text)
            code, _ = forks.run(**order)
            assert code in (-9, 0), log.read_text()
        file.write_text(text)
        assert forks.run()[0] == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert tables(tmp_path / "grown" / "mine") == tables(tmp_path / "whole" / "mine")


@pytest.mark.slow
@pytest.mark.parametrize(("how", "option"), [("os.kill(os.getpid(), 9)", None), ("raise ValueError", "--retry-failed")])
def test_failed_runs_are_trained_by_a_later_launch(
    how: str, option: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed ones by any, those with an error of their own where it is asked for; the tables are those without a failure."""
    fault = tmp_path / "fault"
    text = MINE.replace("import torch\n", "import os\nimport torch\n", 1).replace(
        "        return self.net(x)",
        f"        if os.path.exists({str(fault)!r}) and self.net[2].p == 0.5:\n            {how}\n        return self.net(x)",
    )
    assert how in text
    file, results = tmp_path / "mine.py", tmp_path / "results"
    file.write_text(text)
    plain = ["--set", "optimizer.lr=0.1", "--set", "clipping.max_norm=inf"]
    with no_drawing():
        with monkeypatch.context() as patch:  # after the trial steps, which would meet it too
            patch.setattr(flow, "beginning", lambda design: (fault.touch(), beginning(design))[1])
            first = harness_run(file, *plain, results=results)
        fault.unlink()
        assert first.exit_code == 1 and "4 runs failed" in first.output, first.output
        if option:
            again = harness_run(file, *plain, results=results)
            assert again.exit_code == 1 and "tried again" not in again.output
        dry = harness_run(file, *([option] if option else []), *plain, "--dry-run", results=results)
        assert ", 4 failed and tried again. Training would take " in dry.output
        later = harness_run(file, *([option] if option else []), *plain, results=results)
        assert later.exit_code == 0, later.output
        assert "4 failed and will be tried again" in later.output
        whole = harness_run(file, *plain, results=tmp_path / "whole")
    assert whole.exit_code == 0
    # To rounding: beside failing ones, runs trained in ever smaller parts, down to the plain loop.
    tried, undisturbed = (pd.read_parquet(folder / "mine" / "runs.parquet") for folder in (results, tmp_path / "whole"))
    pd.testing.assert_frame_equal(tried, undisturbed, rtol=1e-4, atol=1e-6)
