"""`harness calibrate`: what its worlds are, what it counts, and that it tells a method that errs."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats

from harness.audit.calibration.counting import Counts, Row, counted, covers, false_words
from harness.audit.calibration.run import simulate
from harness.audit.calibration.table import report, worst
from harness.audit.calibration.worlds import worlds
from harness.calibrate import main
from harness.inference.verdict import Verdict
from harness.reporting.page.calibration import MEASURED, how_often_false
from harness.study import Interaction, Threshold, Trend

WORLDS = worlds()
QUICK = ("normal", "treatment-diverges", "rates", "errors", "interaction", "tuned-within", "hl-lognormal")


# --- what is true in each world: a large sample, by pandas and numpy ------------------------------------------------


def differences(claim, runs):
    """Δ of each seed by what the claim's words say; several columns where all must bear it out."""
    finite = runs.assign(value=runs[claim.metric] if claim.above is None else runs[claim.metric] > claim.above).copy()
    finite["value"] = finite["value"].astype(float)
    factors = [name for name in ("model.hidden", "model.dropout", "task.length") if name in runs]
    table = finite.pivot(index="seed", columns=factors, values="value")
    if isinstance(claim, Trend):
        return np.diff(-table.to_numpy(), axis=1) if claim.shape == "monotone" else -3 * slopes(table.to_numpy())
    if isinstance(claim, Threshold):
        return claim.value - table[claim.arm["model.hidden"]].to_numpy()
    sign = 1.0 if getattr(claim, "better", "higher") == "higher" else -1.0
    (treated,), (control,) = claim.treatment.values(), claim.baseline.values()
    with np.errstate(invalid="ignore"):
        change = sign * (table[treated] - table[control])
        change = np.where(table[treated] == table[control], 0.0, change)  # two that diverged tie
    if isinstance(claim, Interaction):
        return change[:, 0] - change[:, 1]
    return change if claim.across == "each" else change.reshape(len(change), -1).mean(axis=1)


def slopes(table):
    return np.polyfit(np.arange(table.shape[1]), table.T, 1)[0]


def estimated(claim, values, runs):
    if claim.estimated() == "median":
        return np.median(values, axis=0).min()
    if claim.estimated() == "hodges_lehmann":
        half = len(values) // 2
        return np.median((values[:half] + values[half : 2 * half]) / 2)
    bad = set(runs.loc[runs["status"] == "collapsed", "seed"])
    return values[[seed not in bad for seed in range(len(values))]].mean()


def check_truth(name):
    world = WORLDS[name]
    simulated = world.draw(np.random.default_rng(1), 20_000)
    confirm = simulated.runs[(simulated.runs["phase"] == "confirm") & (simulated.runs["status"] != "failed")]
    whole = confirm.groupby("seed")["trial"].count()
    confirm = confirm[confirm["seed"].isin(whole.index[whole == whole.max()])]
    for claim, truth in zip(world.claims, simulated.truths or world.truths, strict=True):
        values = differences(claim, confirm)
        spread = 1.0 if claim.counts_runs() or claim.estimated() == "mean" else 3.0
        assert estimated(claim, values, confirm) == pytest.approx(truth, abs=5 * spread / math.sqrt(20_000))


@pytest.mark.parametrize("name", QUICK)
def test_what_is_said_to_be_true_of_a_world_is(name):
    check_truth(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(WORLDS) - set(QUICK)))
def test_what_is_said_to_be_true_of_every_other_world_is(name):
    check_truth(name)


def test_claims_are_made_where_neither_verdict_is_true_but_of_equal_arms():
    for world in WORLDS.values():
        for claim, truth in zip(world.claims, world.truths, strict=True):
            assert abs(truth) == pytest.approx(claim.smallest_effect) or world.name.startswith("tuned")
        easier = [claim.smallest_effect for claim in world.easier]
        assert all(
            delta > abs(truth) if "equivalence" in world.name else delta < truth
            for delta, truth in zip(easier, world.truths, strict=False)
        )
        assert not [problem for claim in world.claims for problem in (*claim.problems(), *claim.estimand_problems())]


# --- what counts ---------------------------------------------------------------------------------------------------


def verdict(word, label="", kind="Claim", low=None, high=None):
    return Verdict("t", "test_loss", word, label, "", kind=kind, smallest_effect=1.0, low=low, high=high)


@pytest.mark.parametrize(
    ("word", "label", "kind", "truth", "wrong"),
    [
        ("supported", "", "Claim", 1.0, {"supported"}), ("supported", "", "Claim", 1.1, set()),
        ("refuted", "", "Claim", 1.0, {"refuted"}), ("refuted", "", "Claim", 0.9, set()),
        ("refuted", "reversed", "Claim", 0.0, {"reversed"}), ("refuted", "reversed", "Claim", -0.1, set()),
        ("refuted", "no relevant effect", "Claim", -1.0, {"irrelevant"}),
        ("refuted", "no relevant effect", "Claim", 1.0, {"refuted", "irrelevant"}),
        ("refuted", "no relevant effect", "Claim", 0.5, set()), ("inconclusive", "", "Claim", 1.0, set()),
        ("supported", "", "Equivalence", -1.0, {"supported"}), ("supported", "", "Equivalence", 0.9, set()),
        ("refuted", "", "Equivalence", -1.0, {"refuted"}), ("refuted", "", "Equivalence", -1.1, set()),
    ],
)  # fmt: skip
def test_which_verdicts_are_false(word, label, kind, truth, wrong):
    assert false_words(verdict(word, label, kind), truth) == wrong


def test_an_interval_without_an_end_reaches_as_far_as_can_be():
    assert covers(verdict("inconclusive", low=None, high=1.0), -1e9)
    assert covers(verdict("inconclusive", low=1.0, high=1.0), 1.0)
    assert not covers(verdict("inconclusive", low=None, high=1.0), 1.1)


def test_of_a_family_any_false_verdict_counts_once_and_all_intervals_must_cover():
    family = [verdict("supported", low=1.5, high=2.0), verdict("supported", low=1.5, high=2.0), verdict("inconclusive")]
    assert counted(family, [1.0, 1.0, 1.0]) == Counts(1, false=1, supported=1, covered=0)
    assert counted(family, [1.6, 1.7, 1.0]) == Counts(1, covered=1)


def test_rates_have_exact_intervals_and_luck_is_allowed_for():
    row = Row("w", "a world", 10, Counts(100, false=9, covered=91))
    exact = stats.binomtest(9, 100).proportion_ci(0.99)
    assert row.false == pytest.approx((exact.low, exact.high))
    assert row.within_limits  # 9 of 100 may be 5 %
    assert not Row("w", "a world", 10, Counts(2000, false=180, covered=2000)).within_limits
    assert not Row("w", "a world", 10, Counts(2000, covered=1820)).within_limits
    exempt = Row("w", "a world", 10, Counts(2000, false=180, covered=2000), "an option")
    assert exempt.holds and not exempt.within_limits


# --- the whole -----------------------------------------------------------------------------------------------------


def t_verdict(values, delta):
    """By a t interval, whatever the law."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    low, high = values.mean() - half, values.mean() + half
    return verdict("supported" if low > delta else "refuted" if high < delta else "inconclusive", low=low, high=high)


def test_a_method_that_errs_is_told(capsys):
    rng, mean = np.random.default_rng(0), math.exp(0.5)
    counts = Counts()
    for _ in range(500):
        losses = rng.lognormal(size=10) / mean  # of mean 1 = δ
        counts += counted([t_verdict(losses, 1.0)], [1.0])
    rows, code = report([Row("t", "t on lognormal losses", 10, counts)])
    assert code == 1 and not rows[0].holds
    assert counts.refuted > 25
    assert "t does not hold at n = 10." in capsys.readouterr().err


def test_a_few_worlds_hold_and_the_same_seed_gives_the_same_rows():
    once, again, other = (list(simulate(["errors"], 8, seed, processes=1)) for seed in (0, 0, 1))
    assert once == again != other
    assert [row.n for row in once] == [5, 10, 20, 50]
    assert all(row.holds and row.counts.studies == 8 and row.counts.powered == 2 for row in once)


def test_the_command_prints_a_table_and_writes_it(tmp_path):
    file = tmp_path / "table.json"
    done = CliRunner().invoke(main, ["looks", "--studies", "4", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert "| looks at 10, 20, 40, lognormal | 40 |" in done.output
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["world"], row["n"], row["studies"], row["holds"]) == ("looks", 40, 4, True)


def test_quick_simulates_as_many_studies_as_are_asked_for(tmp_path):
    file = tmp_path / "table.json"
    done = CliRunner().invoke(main, ["looks", "--quick", "--studies", "4", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert [row["studies"] for row in json.loads(file.read_text())["rows"]] == [4]


def test_a_world_that_is_none_is_named():
    done = CliRunner().invoke(main, ["lognorml"])
    assert done.exit_code == 2
    assert "worlds: there is none of this name; did you mean lognormal? (got lognorml)" in done.output


def test_the_short_table_has_the_worst_of_each_world():
    rows = [
        Row("a", "one", 10, Counts(100, false=2, covered=97, powered=10, found=5.0)),
        Row("a", "one", 20, Counts(100, false=1, covered=99, powered=10, found=10.0)),
        Row("b", "other", 10, Counts(100, false=20, covered=80), "an option"),
    ]
    lines = worst(rows).splitlines()
    assert lines[2:4] == [
        "| one | 10, 20 | 2.0 % | 97.0 % | 50%, 100% |",
        "| other † | 10 | 20.0 % | 80.0 % | – |",
    ]
    assert lines[-1] == "† not required: an option."


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing():
    names = ["rates", "normal"]
    assert list(simulate(names, 8, 3, processes=1)) == list(simulate(names, 8, 3, processes=2))


@pytest.mark.slow
def test_all_worlds_hold(tmp_path):
    file = tmp_path / "table.json"
    done = CliRunner().invoke(main, ["--studies", "25", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert pd.DataFrame(json.loads(file.read_text())["rows"])["world"].nunique() == len(WORLDS)


def test_what_reports_say_of_false_verdicts_is_the_table():
    text = (Path(__file__).parent.parent / "harness" / "inference" / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" †") for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    table = {row[0]: row[2:4] for row in rows if len(row) == 5 and row[2].endswith("%")}
    percent = {world: [float(cell.removesuffix(" %")) for cell in cells] for world, cells in table.items()}
    assert len(percent) > 30
    for procedure, found in MEASURED.items():
        assert max(percent[world][0] for world in found.worlds) == found.false, procedure
        assert min(percent[world][1] for world in found.worlds) == found.covered, procedure
    missed = 100 - percent["tuned once on one seed, Δ of arms equal in law"][1]
    assert f"12 % at 20 and {missed:.0f} % at 50" in text and "tuned so in 5 % at most" in " ".join(text.split())
    assert percent["tuned within the replicate, arms equal in law"][1] >= 95
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert f"measured on {len(WORLDS)} simulated worlds" in readme
    one, other = (Verdict("t", "test_loss", "refuted", "", "", kind="Claim", estimand=e) for e in ("median", "trimmed"))
    first, second = how_often_false([one, one, other])
    assert "at most 5.1 % had a verdict" in first and "not measured" in second
