"""`--widen`: values beyond the end of a tuned range where a best one lies at it, in all cells and seeds alike."""

import json
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from own_study import MINE, harness_run, no_drawing, tables
from test_crashes import Forks
from test_design import make, tell
from test_tuning import CLAIM

import harness
from harness import Measure, Model, Study, Sweep, Tune, report, verify
from harness.clipping import GlobalNorm
from harness.engine.diagnostics import Diagnostics
from harness.inference.range_ends import still_to_try
from harness.inference.selection import selected
from harness.ledger.claim_record import ClaimRecord
from harness.ledger.design import Design
from harness.ledger.listing import listed
from harness.ledger.records.finished import WORST, outcomes
from harness.ledger.stores import open_stores
from harness.ledger.trials import Trial, Trials, rounds
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.reporting.build import expected_runs
from harness.reporting.tuning import remarks
from harness.settings import InvalidStudy
from harness.study.changes import Changes, parse_changes
from harness.study.claim_chain import Chain, Declared, extended, problems
from harness.study.registration import registrations

LR = "optimizer.lr"
HOW = ["within", "shared"]


def study(how: str = "within", n: int = 4, **settings: object) -> Study:
    """Two cells, rates from .01 to 1; four seeds."""
    return make(**({"tune": how, "tune_trials": n, "seeds": 4, "widen": True} | settings))


def trials(of: Study, loss: Callable[[Trial, int], float]) -> list[Trial]:
    """The trials of a study whose runs have this loss, by trial and seed."""
    seeds = range(of.seeds if of.tunes_within() else of.shared_tune_seeds())
    return Trials(of, lambda trial: {seed: [loss(trial, seed)] for seed in seeds}).all()


def rates(found: list[Trial], cell: int = 0) -> list[float]:
    return [trial.values[LR] for trial in found if trial.cell == cell and not trial.confirm]


def away_from(best: float) -> Callable[[Trial, int], float]:
    return lambda trial, seed: abs(np.log10(trial.values[LR] / best))


# --- Which values


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (0.1, []),
        (2.5, [100**0.25, 10.0]),  # at 3.16 it is best, which only one more value shows
        (1e9, [100**0.25, 100**0.5, 100**0.75]),
        (1e-9, [0.01 / 100**0.25, 0.01 / 100**0.5, 0.01 / 100**0.75]),
    ],
)
def test_values_follow_beyond_an_end_at_the_ratio_of_the_points_until_none_is_best_there(
    how: str, best: float, expected: list[float]
) -> None:
    narrow = rates(trials(study(how, widen=False), away_from(best)))
    for cell in (0, 1):
        wide = rates(trials(study(how), away_from(best)), cell)
        assert wide[:4] == narrow, "the points of the range stay as they are"
        assert wide[4:] == pytest.approx(expected, rel=1e-12)


def test_a_linear_range_goes_on_by_the_difference_of_its_points() -> None:
    linear = study(optimizer=SGD(lr=Tune(0.2, 1.0)))
    assert rates(trials(linear, away_from(1e9)))[4:] == pytest.approx([1.2, 1.4, 1.6])


def test_values_are_decimals_and_a_range_as_wide_as_numbers_are_ends_with_them() -> None:
    assert rates(trials(study(optimizer=SGD(lr=Tune(0.1, 10.0, log=True)), n=6), away_from(1e9)))[6:] == [
        21.5443469003, 46.4158883361, 100.0,
    ]  # fmt: skip
    enormous = study(optimizer=SGD(lr=Tune(1e-300, 1e15, log=True)), n=2)
    assert len(rates(trials(enormous, lambda trial, seed: -trial.values[LR]))) == 2
    assert len(rates(trials(enormous, lambda trial, seed: trial.values[LR]))) == 2


def test_both_ends_go_on_where_cells_are_best_at_different_ones_and_all_cells_get_all_values() -> None:
    def loss(trial: Trial, seed: int) -> float:
        return away_from(30.0 if trial.cell else 1e-9)(trial, seed)

    found = trials(study(), loss)
    assert rates(found, 0) == rates(found, 1)
    r = 100**0.25
    assert rates(found)[4:] == pytest.approx([0.01 / r, r, 0.01 / r**2, r**2, 0.01 / r**3, r**3])
    assert [trial.number for trial in found] == list(range(20))


@pytest.mark.parametrize(("seeds_at_the_end", "more"), [(1, 0), (2, 3)])
def test_half_the_seeds_of_one_cell_decide_for_all(seeds_at_the_end: int, more: int) -> None:
    def loss(trial: Trial, seed: int) -> float:
        return away_from(1e9 if trial.cell == 1 and seed < seeds_at_the_end else 0.1)(trial, seed)

    found = trials(study(), loss)
    assert len(rates(found, 0)) == len(rates(found, 1)) == 4 + more


@pytest.mark.parametrize("how", HOW)
def test_where_everything_diverges_nothing_is_best(how: str) -> None:
    """Of equals the first trial is taken, which of two lies at an end."""
    assert len(rates(trials(study(how, n=2), lambda trial, seed: 1.0))) > 2
    assert len(rates(trials(study(how, n=2), lambda trial, seed: WORST))) == 2


def test_the_best_of_the_widened_range_is_confirmed() -> None:
    found = trials(study("shared"), away_from(2.5))
    assert [trial.values[LR] for trial in found if trial.confirm] == pytest.approx([100**0.25] * 2)
    assert [trial.number for trial in found if trial.confirm] == [12, 13]


class Own(torch.nn.Module):
    """Torch itself refuses a p above 1."""

    def __init__(self, inputs: int, outputs: int, p: float = 0.5) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(inputs, 4), torch.nn.Dropout(p), torch.nn.Linear(4, outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize(
    ("settings", "path", "why"),
    [
        ({"model": DropoutNet(hidden=(4,), dropout=Tune(0.1, 0.9))}, "model.dropout", "model.dropout: "),
        ({"model": Model(Own, p=Tune(0.2, 0.95))}, "model.p", "cannot be built"),
        ({"optimizer": SGD(lr=0.1, momentum=Tune(0.5, 0.95))}, "optimizer.momentum", "optimizer.momentum: "),
    ],
)
def test_what_the_setting_does_not_take_is_not_tried_and_that_is_said(
    settings: dict[str, object], path: str, why: str
) -> None:
    base = {"optimizer": SGD(lr=0.1), "model": DropoutNet(hidden=(4,)), "clipping": GlobalNorm(Sweep(1.0, inf))}
    of = study(**(base | settings))
    found = trials(of, lambda trial, seed: -trial.values[path])
    assert [t.values[path] for t in found if t.cell == 0] == [
        t.values[path] for t in trials(of.replace(widen=False), lambda trial, seed: 0.0) if t.cell == 0
    ]
    runs = table(of, found, lambda trial, seed: -trial.values[path])
    assert still_to_try(of, runs) == []
    (sentence,) = [line for line in remarks(of, runs) if line.startswith(f"The largest {path}")]
    assert "the setting takes no value beyond" in sentence and why in sentence


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": SGD(lr=0.1)}, "nothing is tuned"),
        (
            {"optimizer": SGD(lr=Tune(0.1, 1.0), momentum=Tune(0.0, 0.9))},
            "optimizer.lr and optimizer.momentum are tuned",
        ),
        ({"optimizer": SGD(lr=0.1), "batch_size": Tune(8, 16)}, "batch_size is tuned in whole ones"),
        ({"tune": "shared", "sampler": "tpe"}, "sampler tpe adapts"),
        ({"tune_trials": 1}, "needs two values tried or more"),
        ({"tune": "shared", "objective": ("validation_loss", "update_ratio")}, "several objectives"),
    ],
)
def test_what_has_no_meaning_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidStudy, match=f"widen: .*{said}"):
        study(**settings)


def test_what_follows_from_curves_is_no_objective_to_widen_by_within_seeds() -> None:
    def first(curve):
        return curve["loss"].iloc[0]

    own = {"objective": "first", "metrics": Diagnostics(measures=[Measure(first, unit="loss", better="lower")])}
    with pytest.raises(InvalidStudy, match=r"widen: .*first follows from its curves"):
        study(**own)
    study("shared", **own)


# --- The table says the same as the ledger


def table(of: Study, found: list[Trial], loss: Callable[[Trial, int], float]) -> pd.DataFrame:
    """The runs of these trials, as the report has them."""
    rows = [
        {"trial": trial.number, "seed": seed, "phase": "confirm" if trial.confirm else "tune", "status": "finished",
         "validation_loss": loss(trial, seed), "test_loss": 1.0, "guess_loss": 2.0} | trial.values
        for trial in found for seed in range(of.seeds if trial.tested(of) else 5)
    ]  # fmt: skip
    return selected(of, pd.DataFrame(rows))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("part", range(10))
def test_runs_in_a_table_call_for_the_values_that_the_ledger_asks_for(how: str, part: int) -> None:
    """Random losses, statuses and missing numbers; tables of every length, as an interruption leaves them."""
    rng, of = np.random.default_rng(part), study(how)
    known: dict[int, pd.DataFrame] = {}

    def outcome(trial: Trial) -> dict[int, list[float]]:
        if trial.number not in known:
            seeds = list(range(of.seeds if trial.tested(of) else 5))
            losses = abs(np.log(trial.values[LR] / 10 ** rng.uniform(-3, 2))) + rng.normal(size=len(seeds))
            statuses = rng.choice(["finished", "collapsed", "diverged", "failed"], len(seeds), p=[0.5, 0.2, 0.2, 0.1])
            losses = np.where(statuses == "failed", nan, np.where(rng.random(len(seeds)) < 0.1, inf, losses))
            rows = {"trial": trial.number, "seed": seeds, "status": statuses, "validation_loss": losses} | trial.values
            known[trial.number] = pd.DataFrame(rows | {"phase": "confirm" if trial.confirm else "tune"})
        return outcomes(known[trial.number], of.objectives())

    asked = Trials(of, outcome)
    names = [name for name in rounds(of) if name.startswith("widen")]
    for before, name in zip([rounds(of)[0], *names], names, strict=False):
        of_round = [trial.values[LR] for trial in asked.of(name)[::2]]
        here = pd.concat(known.values())
        if how == "shared":  # the choice that the confirm phase would make now
            ranks = here[["trial", "seed", LR, "model.dropout"]].assign(
                value=here["validation_loss"].where(
                    np.isfinite(here["validation_loss"]) & (here["status"] != "diverged"), WORST
                )
            )
            ranks["rank"] = ranks.groupby(["model.dropout", "seed"])["value"].rank()
            order = ranks.groupby(["model.dropout", "trial"])["rank"].agg(["median", "mean"]).reset_index()
            best = order.sort_values(["median", "mean", "trial"]).groupby("model.dropout").first()["trial"]
            here = pd.concat([here, *(here[here["trial"] == trial].assign(phase="confirm") for trial in best)])
        assert still_to_try(of, selected(of, here.reset_index(drop=True))) == of_round, (before, name)


# --- In a real storage


def told(of: Study, storage: Path | str, loss: Callable[[Trial, int], float]) -> tuple[list[Trial], int]:
    """Train all that is missing, in name; the study's trials, and how many were asked for."""
    design, found, new = Design(of, str(storage)), [], 0
    for name in design.rounds():
        asked = design.ask(name)
        for portion in (p for wave in asked.waves for p in wave if not p.told):
            tell(design, portion, lambda trial: loss(trial, 0))
            new += 1
        found += [wanted.trial for wanted in asked.trials]
    there = design.there()
    assert there.complete and there.done == there.wanted
    design.keep_summary()
    design.close()
    return found, new


@pytest.mark.parametrize("how", HOW)
def test_a_study_widened_later_is_the_one_widened_at_once_and_trains_only_what_is_new(how: str, tmp_path: Path) -> None:
    at_once, _ = told(study(how), tmp_path / "once", away_from(2.5))
    _, before = told(study(how, widen=False), tmp_path / "later", away_from(2.5))
    later, new = told(study(how), tmp_path / "later", away_from(2.5))
    assert later == at_once
    assert (before, new) == ((8, 4) if how == "within" else (8 + 2, 4 + 2))
    assert told(study(how), tmp_path / "later", away_from(2.5)) == (later, 0)


def test_values_beyond_a_range_are_kept_in_a_database_too(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/optuna.db"
    found, new = told(study(), database, away_from(2.5))
    assert new == 6 * 2 and told(study(), database, away_from(2.5)) == (found, 0)


def test_what_was_widened_stays_so_whatever_the_next_launch_says_as_long_as_it_can(tmp_path: Path) -> None:
    wide, _ = told(study(), tmp_path / "j", away_from(2.5))
    assert told(study(widen=False), tmp_path / "j", away_from(2.5)) == (wide, 0)
    (one,) = listed(tmp_path, str(tmp_path / "j"))
    assert (one.done, one.wanted, one.others) == (6 * 2 * 4,) * 2 + (0,)
    both = study(widen=False, optimizer=SGD(lr=Tune(0.01, 1.0, log=True), momentum=Tune(0.0, 0.9)))
    design = Design(both, str(tmp_path / "j"))
    assert not design.study.widen
    design.close()


def test_a_launch_that_is_refused_before_it_begins_leaves_the_range_as_it_was(tmp_path: Path) -> None:
    told(study(widen=False), tmp_path / "j", away_from(2.5))
    Design(study(), str(tmp_path / "j")).close()
    assert told(study(widen=False), tmp_path / "j", away_from(2.5))[1] == 0


@pytest.mark.parametrize("how", HOW)
def test_seeds_that_join_a_widened_study_decide_with_the_others(how: str, tmp_path: Path) -> None:
    def loss(trial: Trial, seed: int) -> float:
        return away_from(2.5)(trial, seed)

    told(study(how, seeds=2), tmp_path / "grown", loss)
    grown, _ = told(study(how), tmp_path / "grown", loss)
    assert grown == told(study(how), tmp_path / "whole", loss)[0]


# --- What is said


@pytest.mark.parametrize("how", HOW)
def test_how_far_it_went_and_that_it_ends_there_is_said(how: str) -> None:
    of = study(how)
    found = trials(of, away_from(1e9))
    text = " ".join(remarks(of, table(of, found, away_from(1e9))))
    assert "optimizer.lr was widened 3 times at the upper end, in all cells and seeds: 1 → 3.162, 10, 31.62." in text
    assert ("7 values of optimizer.lr" if how == "within" else "from 7 values") in text
    assert "The largest optimizer.lr tried, 31.62" in text and "there are 3 values beyond the range, the most" in text
    text = " ".join(remarks(of, table(of, trials(of, away_from(2.5)), away_from(2.5))))
    assert "widened twice at the upper end, in all cells and seeds: 1 → 3.162, 10." in text and "largest" not in text


def test_a_report_of_a_study_whose_range_is_still_to_be_widened_is_incomplete() -> None:
    of = study()
    narrow = table(of, trials(of.replace(widen=False), away_from(2.5)), away_from(2.5))
    assert expected_runs(of, narrow) == (4 + 1) * 2 * 4 and len(narrow) == 4 * 2 * 4
    assert "the study's command goes on there" in " ".join(remarks(of, narrow))
    assert "`--widen` goes on there" in " ".join(remarks(of.replace(widen=False), narrow))
    assert expected_runs(of, table(of, trials(of, away_from(2.5)), away_from(2.5))) == (4 + 2) * 2 * 4


def test_a_best_value_among_runs_that_all_diverged_is_none() -> None:
    of = study(widen=False)
    runs = table(of, trials(of, away_from(1e9)), away_from(1e9)).assign(status="diverged")
    assert not [line for line in remarks(of, runs) if line.startswith("The largest")]


# --- The record of claims


def entered(chain: Chain, of: Study, runs_of_each_cell: int) -> Chain:
    recorded = [({"model.dropout": p}, runs_of_each_cell) for p in (0.0, 0.5) if runs_of_each_cell]
    return extended(chain, Declared.of(of, recorded, alpha=0.05))


def test_a_range_that_was_widened_after_results_were_seen_is_said_to_be() -> None:
    narrow, wide = study(widen=False, claims=[CLAIM]), study(claims=[CLAIM])
    planned = entered([], wide, 0)
    assert [one.sentence for one in registrations(wide, planned)] == ["registered"]
    assert [one.sentence for one in registrations(wide, entered(planned, wide, 24))] == ["registered"]
    before = entered([], narrow, 0)
    assert "widen" not in before[0] and not problems(before)
    later = entered(before, wide, 16)
    assert len(later) == 2 and later[1]["widen"] is True and not problems(later)
    (one,) = registrations(wide, later)
    assert one.state == "registered"
    assert one.sentence == "registered; the tuned range was widened after 32 of its runs were seen"
    assert "does not widen" in registrations(wide, before)[0].sentence
    hidden = [later[0], {name: value for name, value in later[1].items() if name != "widen"}]
    assert problems(hidden)


@pytest.mark.parametrize(("how", "seen"), [("within", 4 * 4), ("shared", 4)])
def test_runs_that_were_tested_before_the_range_was_widened_count_as_seen(how: str, seen: int, tmp_path: Path) -> None:
    """Where values are shared, others may be confirmed once the range is wider."""
    told(study(how, widen=False), tmp_path / "j", away_from(2.5))
    wide = study(how, claims=[CLAIM])
    with open_stores(wide, tmp_path, str(tmp_path / "j"), None) as stores:
        recorded = pd.DataFrame(
            [
                cell | {"runs": runs}
                for cell, runs in ClaimRecord(wide, *stores, folder=tmp_path / wide.name)._recorded()
            ]
        )
    assert recorded.groupby("model.dropout")["runs"].sum().to_dict() == {0.0: seen, 0.5: seen}


def test_a_plan_without_runs_may_be_widened_freely() -> None:
    narrow, wide = study(widen=False, claims=[CLAIM]), study(claims=[CLAIM])
    (one,) = registrations(wide, entered(entered([], narrow, 0), wide, 0))
    assert one.sentence == "registered"


# --- The setting


def test_a_study_that_is_not_widened_is_described_as_before_there_was_widening() -> None:
    assert "widen" not in study(widen=False).description() and study().description()["widen"] == "True"
    assert study().differences(study(widen=False).description()) == ["widen: absent → True"]


def test_changes_of_before_there_was_widening_can_be_read() -> None:
    assert parse_changes({"settings": [], "seeds": None, "quick": False}) == Changes()
    assert Changes(widen=True).arguments() == ["--widen"] and Changes(widen=True).then(Changes()).widen


# --- Through the whole flow

WIDE = MINE.replace("SGD(lr=Tune(0.05, 1.0, log=True))", "SGD(lr=Tune(0.002, 0.02, log=True))").replace(
    "seeds=4", "seeds=2"
)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_tables_are_the_same_at_once_later_and_after_kills_and_everything_knows_the_range(
    how: str, tmp_path: Path
) -> None:
    text = WIDE if how == "shared" else WIDE.replace('tune="shared", tune_seeds=1, ', "")
    file, once, later = tmp_path / "mine.py", tmp_path / "once", tmp_path / "later"
    file.write_text(text)
    with no_drawing():
        whole = harness_run(file, "--widen", results=once)
        assert whole.exit_code == 0, whole.output
        assert "is tried in all cells and seeds" in whole.output and "at the upper end" in whole.output
        narrow = harness_run(file, results=later)
        assert narrow.exit_code == 0, narrow.output
        widened = harness_run(file, "--widen", results=later)
        assert widened.exit_code == 0, widened.output
        again = harness_run(file, results=later)
        assert "Nothing to train" in again.output and "stays so" in again.output
        assert tables(later / "mine") == tables(once / "mine")
        log = tmp_path / "log"
        with Forks([str(file), "--widen", "--results", str(tmp_path / "killed"), "--devices", "cpu"], log) as forks:
            for told in (3, 7, 2, 1):  # within the range, and beyond it
                assert forks.run(seam="harness.ledger.design.Design.tell:after", count=told)[0] == -9, log.read_text()
            assert forks.run()[0] == 0, log.read_text()
        assert tables(tmp_path / "killed" / "mine") == tables(once / "mine")
        before = tables(once / "mine")
        rebuilt = CliRunner().invoke(report.main, [str(file), "--results", str(once)])
        assert rebuilt.exit_code == 0, rebuilt.output
    assert tables(once / "mine") == before
    assert "Incomplete" not in (once / "mine" / "summary.md").read_text()
    found = harness.load(once / "mine").runs
    beyond = found[found[LR] > 0.02]
    assert len(beyond) and (beyond.groupby([LR])["model.dropout"].nunique() == 2).all()
    checked = CliRunner().invoke(verify.main, [str(later / "mine"), "--sample", "2", "--seed", "0"])
    assert checked.exit_code == 0, checked.output
    claims = json.loads((later / "mine" / "claims.json").read_text())
    assert all(("widened after" in claim["registration"]) for claim in claims)
    verdicts = [claim["sentence"] for claim in claims]
    assert verdicts == [claim["sentence"] for claim in json.loads((once / "mine" / "claims.json").read_text())]
    pd.read_parquet(once / "mine" / "runs.parquet").query(f"`{LR}` <= 0.02").to_parquet(once / "mine" / "runs.parquet")
    assert CliRunner().invoke(verify.main, [str(once / "mine"), "--sample", "1"]).exit_code == 2


@pytest.mark.slow
def test_it_can_be_asked_for_from_python(tmp_path: Path) -> None:
    of = make("qmc", 2, tune="within", seeds=1, steps=2, claims=[], model=DropoutNet(hidden=(4,)),
              optimizer=SGD(lr=Tune(1e-4, 1e-3, log=True)))  # fmt: skip
    with no_drawing():
        found = of.run(results=tmp_path, devices="cpu", widen=True, quiet=True)
    assert sorted(found.runs[LR].round(6))[2:] == pytest.approx([10**-2.5, 10**-2, 10**-1.5], rel=1e-3)
