"""Verdicts on differences between two arms: by hand, on the smallest tables that can mislead, and as properties."""

import json
import math
import random
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from made_runs import DROPPED, INF, claim, judged, make_cells, make_runs, verdict
from scipy import stats
from synthetic import fail

from harness.inference import estimates
from harness.inference.estimates import estimate
from harness.inference.intervals.inversion import p_against
from harness.inference.intervals.paired_rates import paired_rate_bounds
from harness.inference.ranks import ranked
from harness.inference.reading import label_of, read
from harness.inference.samples import sample
from harness.inference.verdict import CellEstimate, Verdict, as_json
from harness.lead.terminal.verdict_lines import interval_of
from harness.reporting.exports.numbers import claim_numbers
from harness.reporting.page import words
from harness.settings import InvalidStudy, Sweep
from harness.settings.levels import at, stored
from harness.settings.metrics import METRICS
from harness.study import Equivalence

ORDER = ("refuted", "inconclusive", "supported")
TEN = [2.0, 2.1, 1.9, 2.0, 2.2, 2.1, 2.0, 1.9, 2.1, 2.0]


def ends(values: list[float], k: int) -> tuple[float, float]:
    """The k-th smallest and the k-th largest."""
    return sorted(values)[k - 1], sorted(values)[-k]


# --- by hand -------------------------------------------------------------------------------------------------------


def test_the_median_of_a_loss_is_judged_by_the_sign_test():
    """Of six, all must lie beyond δ: 2 / 2⁶ = .031, and the interval is from the least to the largest."""
    found = verdict(make_runs({0.0: [2.0, 2.1, 1.9, 2.0, 2.2, 2.1], 0.5: [1.0, 1.0, 1.0, 1.1, 1.1, 1.0]}))
    assert (found.verdict, found.label, found.n, found.estimand, found.cells) == ("supported", "", 6, "median", [])
    assert found.estimate == pytest.approx(1.05)  # between 1.0 and 1.1
    assert found.per_seed == pytest.approx({0: 1.0, 1: 1.1, 2: 0.9, 3: 0.9, 4: 1.1, 5: 1.1})
    assert (found.low, found.high, found.level) == pytest.approx((0.9, 1.1, 0.95))
    assert (found.p_value, found.p_smallest_effect) == pytest.approx((2 / 2**6, 2 / 2**6))
    assert found.mean is not None
    assert found.mean.value == pytest.approx(np.mean([1.0, 1.1, 0.9, 0.9, 1.1, 1.1]))


def test_five_seeds_give_no_verdict_by_the_median():
    """All of them better, and the sign test still has p = .0625."""
    found = verdict(make_runs({0.0: TEN[:5], 0.5: [1.0, 1.0, 1.0, 1.1, 1.1]}))
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)
    assert found.p_smallest_effect == pytest.approx(2 / 2**5)
    assert "5 seeds have no interval at this level" in found.sentence


@pytest.mark.parametrize(("wins", "word"), [(8, "inconclusive"), (9, "supported")])
def test_of_ten_seeds_nine_decide(wins: int, word: str):
    """P(B ≤ 1) of ten coins is 11/1024 = .0107, P(B ≤ 2) = 56/1024 = .055."""
    treated = [value - (1.0 if seed < wins else -1.0) for seed, value in enumerate(TEN)]
    assert verdict(make_runs({0.0: TEN, 0.5: treated})).verdict == word


def test_the_mean_of_an_error_is_judged_by_t():
    control = [0.30, 0.34, 0.33, 0.29, 0.31]
    treated = [0.20, 0.21, 0.24, 0.18, 0.20]
    found = verdict(
        make_runs({0.0: control, 0.5: treated}, "test_error"),
        metric="test_error",
        estimand="mean",
        smallest_effect=0.05,
    )
    differences = np.subtract(control, treated)
    theirs = stats.ttest_1samp(differences, 0.05)
    assert (found.estimand, found.verdict) == ("mean", "supported")
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert found.p_smallest_effect == pytest.approx(theirs.pvalue, rel=1e-6)
    assert found.p_value == pytest.approx(stats.ttest_1samp(differences, 0.0).pvalue, rel=1e-6)


def test_signed_ranks_can_be_asked_for():
    differences = [0.52, 0.31, 0.84, 0.45, 0.76, 0.13, 0.67, 0.98]
    runs = make_runs({0.0: differences, 0.5: [0.0] * 8})
    found = verdict(runs, estimand="hodges_lehmann")
    walsh = [(a + b) / 2 for i, a in enumerate(differences) for b in differences[i:]]
    assert found.estimate == pytest.approx(np.median(walsh))
    assert found.p_smallest_effect == pytest.approx(
        stats.wilcoxon(np.array(differences) - 0.1, method="exact").pvalue, rel=1e-6
    )
    assert (found.low, found.high) == pytest.approx(ends(walsh, 4))  # P(W ≤ 3) = 5/256, P(W ≤ 4) = 7/256 > .025


def test_higher_can_be_better():
    runs = make_runs({0.0: [1.0, 1.0, 1.1, 1.0, 1.1, 1.0], 0.5: [2.0, 2.1, 2.0, 2.0, 2.0, 2.1]})
    assert verdict(runs, better="higher").verdict == "supported"
    assert verdict(runs).label == "reversed"


def test_small_precise_difference_is_no_relevant_effect():
    found = verdict(make_runs({0.0: [1.0, 1.01, 1.02, 1.0, 1.0, 1.01], 0.5: [1.01, 1.0, 1.01, 1.0, 1.02, 1.0]}))
    assert (found.verdict, found.label) == ("refuted", "no relevant effect")
    assert "differs in the median seed by less than δ = 0.1 either way" in found.sentence


def test_wide_interval_is_inconclusive():
    found = verdict(make_runs({0.0: [1.0, 2.0, 1.5, 1.2, 1.1, 1.3], 0.5: [0.5, 1.9, 0.6, 1.3, 1.2, 0.4]}))
    assert found.verdict == "inconclusive"
    assert "The interval holds δ = 0.1. No further look is planned: this study cannot decide it." in found.sentence


def test_an_estimate_at_the_smallest_effect_is_said_to_be_there():
    """Δ of six seeds −.9 to 1.1, its median .1 = δ: no number of seeds would tell them apart."""
    differences = [-0.9, -0.4, 0.05, 0.15, 0.6, 1.1]
    found = verdict(make_runs({0.0: [2.0] * 6, 0.5: [2.0 - d for d in differences]}))
    assert (found.verdict, found.estimate) == ("inconclusive", pytest.approx(0.1))
    assert found.sentence.startswith("Undecided: estimate ≈ δ = 0.1.")
    farther = verdict(make_runs({0.0: [2.0] * 6, 0.5: [2.0 - d - 0.3 for d in differences]}))
    assert farther.sentence.startswith("The interval holds δ = 0.1.")


def test_single_seed_is_inconclusive():
    found = verdict(make_runs({0.0: [3.0], 0.5: [1.0]}))
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)
    assert "1 seed has no interval" in found.sentence


def test_unnamed_factors_are_paired_and_averaged():
    runs = make_cells(
        [
            ({"model.dropout": 0.0, "width": 8}, [2.0, 2.2]),
            ({"model.dropout": 0.5, "width": 8}, [1.0, 1.1]),
            ({"model.dropout": 0.0, "width": 9}, [9.0, 9.0]),
            ({"model.dropout": 0.5, "width": 9}, [7.0, 7.1]),
        ]
    )
    found = verdict(runs)
    assert [(cell.name, cell.estimate) for cell in found.cells] == [
        ("width = 8", pytest.approx(1.05)),
        ("width = 9", pytest.approx(1.95)),
    ]
    swept = {"model.dropout": Sweep(0.0, 0.5), "width": Sweep(8, 9)}
    (contrast,) = claim().contrasts(swept)
    assert sample(claim(), contrast, runs, swept).differences == pytest.approx([1.5, 1.5])


def test_tune_phase_is_not_evidence():
    runs = make_runs({0.0: [2.0, 2.1, 1.9], 0.5: [1.0, 1.0, 1.1]}).assign(phase="tune")
    found = verdict(runs)
    assert (found.verdict, found.n, found.estimate) == ("inconclusive", 0, None)
    assert found.is_open and not replace(found, look=3).is_open, "a later look may decide it"


def test_every_verdict_is_plain_json():
    baseline = [2.0, 2.1, 1.9, INF, 2.0, 2.0, 2.0]
    runs = make_runs({INF: baseline, 1.0: [1.0, 1.1, 1.2, 1.0, 1.1, 1.0, 1.0]}, path="clipping.max_norm")
    found = verdict(runs, treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": INF})
    text = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert text["baseline"] == {"clipping.max_norm": "inf"}
    assert (text["registered"], text["withdrawn"], text["look"]) == (None, False, 7)
    assert text["per_seed"]["3"] == "inf"
    assert text["catastrophes"]["arms"]["clipping.max_norm = ∞ (no clipping)"] == [1, 7]


def test_what_a_verdict_says_is_kept_whole_and_a_long_level_by_what_it_is_known_by():
    long = "x" * 300
    found = replace(
        verdict(make_runs({0.0: [2.0] * 7, 0.5: [1.0] * 7})), title="t" * 300, sentence="s" * 300, registration="r" * 300,
        power="p" * 300, compared="c" * 300, treatment={"task": long, "model.hidden": (32, 16)}, cells=[CellEstimate("n" * 300, 0.1, 0.0, 0.2)],
    )  # fmt: skip
    kept = json.loads(json.dumps(as_json(found), allow_nan=False))
    for name in ("title", "sentence", "registration", "power", "compared"):
        assert kept[name] == getattr(found, name)
    assert kept["cells"][0]["name"] == "n" * 300
    assert (
        kept["treatment"] == {"task": stored(long), "model.hidden": [32, 16]} and len(kept["treatment"]["task"]) < 300
    )


# --- runs that diverge ---------------------------------------------------------------------------------------------


def test_a_diverged_run_is_worse_than_any_and_nothing_is_imputed():
    found = verdict(make_runs({0.0: [2.0, INF, 1.9, 2.2, 2.0, 2.0], 0.5: [1.0, 1.1, 1.0, INF, 1.0, 1.0]}))
    assert found.per_seed == pytest.approx({0: 1.0, 1: INF, 2: 0.9, 3: -INF, 4: 1.0, 5: 1.0})
    assert (found.n, found.n_diverged_baseline, found.n_diverged_treatment) == (6, 1, 1)
    assert (found.low, found.high, found.estimate) == (None, None, 1.0)
    assert (found.mean, found.interquartile_mean) == (None, None), "there is no mean of what is infinite"


@pytest.mark.parametrize(("diverged", "end"), [(0.5, -INF), (0.0, INF)])
def test_an_interval_all_of_which_is_infinite_is_not_shown_as_one_without_ends(diverged: float, end: float):
    """Every seed's Δ is −∞, or ∞, and so are all order statistics; what has no end is None, also in JSON."""
    found = verdict(make_runs({diverged: [INF] * 10, 0.5 - diverged: TEN}))
    assert found.estimate == end
    assert (found.low, found.high) == ((None, -INF) if end < 0 else (INF, None))
    assert words.ends(found) == (end, end)
    assert [as_json(found)[name] for name in ("low", "high")] == ([None, "-inf"] if end < 0 else ["inf", None])
    shown = "−∞ [−∞, −∞]" if end < 0 else "∞ [∞, ∞]"
    assert words.interval(found) == claim_numbers(found)["interval"] == shown
    assert f"Δ {shown} at level" in interval_of(found)
    assert words.ends(verdict(make_runs({0.0: TEN[:5], 0.5: TEN[:5]}))) == (-INF, INF)


def test_two_runs_that_diverged_are_a_tie_without_a_mean():
    found = verdict(make_runs({0.0: [2.0, INF, 1.9, 2.2, 2.0, 2.0], 0.5: [1.0, INF, 1.0, 1.1, 1.0, 1.0]}))
    assert found.per_seed == pytest.approx({0: 1.0, 1: 0.0, 2: 0.9, 3: 1.1, 4: 1.0, 5: 1.0})
    assert (found.mean, found.interquartile_mean) == (None, None)


def test_two_diverged_runs_tie():
    found = verdict(make_runs({0.0: [2.0, INF, *TEN], 0.5: [1.0, INF, *[1.0] * 10]}))
    assert found.per_seed[1] == 0.0
    assert found.verdict == "supported"


def test_a_treatment_that_diverges_more_is_not_supported_by_what_is_left():
    """Of 20 seeds 3 treated runs diverged, and one control run: 16 of 20 must be better at least (P(B ≤ 5) = .0207)."""
    control = [*[2.0] * 19, INF]
    for worse, word in ((3, "supported"), (5, "supported"), (6, "inconclusive"), (15, "refuted")):
        treated = [*[INF] * worse, *[1.0] * (20 - worse)]
        found = verdict(make_runs({0.0: control, 0.5: treated}))
        assert (found.verdict, found.n, found.n_diverged_treatment) == (word, 20, worse)
        assert found.catastrophes is not None
        assert list(found.catastrophes.arms.values()) == [(worse, 20), (1, 20)]


def test_catastrophes_stand_beside_a_loss_with_their_exact_interval():
    """Two treated runs diverged, and one collapsed; the baseline has one of these, in a seed of its own."""
    runs = make_runs({0.0: [2.0] * 9 + [INF], 0.5: [INF, INF, 3.3] + [1.0] * 7})
    runs.loc[12, "status"] = "collapsed"
    found = verdict(runs).catastrophes
    assert found is not None
    assert found.arms == {"model.dropout = 0.5": (3, 10), "model.dropout = 0": (1, 10)}
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == paired_rate_bounds(3, 1, 10)(0.05)


def test_catastrophes_are_counted_and_compared_over_the_same_runs_also_where_a_metric_is_missing():
    """Of ten pairs five have no value; in two of these, and in no other, the treated run diverged."""
    runs = make_runs({0.0: [2.0] * 10, 0.5: [1.0] * 5 + [math.nan] * 5})
    runs.loc[18:19, "status"] = "diverged"
    runs.loc[18:19, "test_loss"] = math.nan
    runs.loc[8:9, "test_loss"] = math.nan
    found = verdict(runs).catastrophes
    assert found is not None and list(found.arms.values()) == [(2, 10), (0, 10)]
    assert found.difference == pytest.approx(0.2) and found.pairs is None
    runs.loc[0, "status"] = "failed"
    found = verdict(runs).catastrophes
    assert list(found.arms.values()) == [(2, 10), (0, 9)]
    assert (found.difference, found.pairs) == (pytest.approx(2 / 9), 9)


def test_all_diverged_is_inconclusive():
    found = verdict(make_runs({0.0: [INF] * 8, 0.5: [INF] * 8}))
    assert (found.verdict, found.estimate, found.per_seed) == ("inconclusive", None, {})
    assert "the baseline diverged or ended no better than guessing in 8 of 8 runs" in found.sentence
    assert "Diverged: 8 treatment and 8 baseline runs." in found.sentence
    json.dumps(as_json(found), allow_nan=False)


def test_a_finite_run_that_diverged_ranks_worst_whatever_its_number():
    """By its gap, which is small where training and test loss are both 17."""
    runs = make_runs({0.0: [2.0, 2.1, 1.9, 2.2], 0.5: [1.0, 0.01, 1.0, 30.0]}, "gap")
    runs.loc[[5, 7], ["status", "diverged"]] = "diverged", 1.0
    found = verdict(runs, metric="gap")
    assert found.per_seed == pytest.approx({0: 1.0, 1: -INF, 2: 0.9, 3: -INF})
    assert found.n_diverged_treatment == 2


def test_a_claim_that_a_loss_is_higher_does_not_count_diverged_runs_as_low():
    """Four of ten baseline runs have no finite loss: it is not said that the other arm's is higher."""
    runs = make_runs({0.0: [INF] * 4 + [1.0] * 6, 0.5: [2.0] * 10})
    found = verdict(runs, better="higher")
    assert found.verdict == "inconclusive"
    assert [found.per_seed[seed] for seed in (0, 9)] == [-INF, 1.0]


def test_six_infinite_baseline_runs_decide_nothing_when_a_treated_run_gets_worse():
    """Imputed with the worst finite value, 50, they once all said "better by 49"."""
    runs = make_runs({0.0: [INF] * 6 + [1.0] * 7, 0.5: [1.0] * 13})
    before = verdict(runs)
    assert (before.verdict, before.low, before.high) == ("inconclusive", 0.0, None)
    runs.loc[(runs["seed"] == 12) & (runs["model.dropout"] == 0.5), "test_loss"] = 50.0
    after = verdict(runs)
    assert (after.verdict, after.low, after.high) == ("inconclusive", 0.0, None)
    assert after.per_seed == before.per_seed | {12: -49.0}


def test_a_cell_of_another_scale_lends_no_number():
    """A diverged run among losses of .5 was once given 9.2, the worst one of the other cell."""
    runs = make_cells(
        [
            ({"model.dropout": 0.0, "width": 8}, [0.5, INF, *[0.5] * 7]),
            ({"model.dropout": 0.5, "width": 8}, [0.4] * 9),
            ({"model.dropout": 0.0, "width": 9}, [9.2] * 9),
            ({"model.dropout": 0.5, "width": 9}, [9.0] * 9),
        ]
    )
    found = verdict(runs, smallest_effect=0.01)
    assert (found.low, found.high) == pytest.approx((0.15, 0.15)), "the 2nd and the 8th of nine"
    assert [(c.name, c.estimate) for c in found.cells] == [
        ("width = 8", pytest.approx(0.1)),
        ("width = 9", pytest.approx(0.2)),
    ]
    assert verdict(runs[runs["seed"] < 6], smallest_effect=0.01).high is None, "of six, the largest"


def test_a_seed_that_is_infinite_both_ways_may_be_anything():
    """In one cell its baseline diverged, in the other its treatment."""
    six = [1.0] * 6
    runs = make_cells(
        [
            ({"model.dropout": 0.0, "width": 8}, [INF, *six]),
            ({"model.dropout": 0.5, "width": 8}, [0.0] * 7),
            ({"model.dropout": 0.0, "width": 9}, [1.0, *six]),
            ({"model.dropout": 0.5, "width": 9}, [INF, *[0.0] * 6]),
        ]
    )
    found = verdict(runs)
    assert (found.verdict, found.low, found.high, found.estimate) == ("inconclusive", None, None, 1.0)
    assert "+∞" not in found.sentence


def test_a_mean_is_over_seeds_that_trained_and_bears_no_verdict_against_the_others():
    control = [0.50, 0.52, 0.49, 0.50, 0.51, 0.50, 0.50, 0.50, 0.53, 0.50]
    treated = [0.30, 0.31, 0.29, 0.30, 0.31, 0.30, 0.32, 0.30, 0.30, 0.30]
    runs = make_runs({0.0: control, 0.5: treated}, "test_error")
    runs.loc[3, ["status", "diverged"]] = "diverged", 1.0
    found = verdict(runs, metric="test_error", estimand="mean")
    left = np.delete(np.subtract(control, treated), 3)
    assert (found.low, found.high) == pytest.approx(tuple(stats.ttest_1samp(left, 0).confidence_interval(0.95)))
    assert (found.verdict, found.n) == ("supported", 9), "the baseline is worse still"
    runs.loc[[3, 13], ["status", "diverged"]] = [["finished", 0.0], ["collapsed", 0.0]]
    found = verdict(runs, metric="test_error", estimand="mean")
    assert found.verdict == "inconclusive"
    assert (
        "1 run of the treatment and 0 of the baseline diverged or collapsed, which the mean leaves out"
        in found.sentence
    )
    assert "next planned look" not in found.sentence, "all ten seeds are there"
    runs.loc[14, ["status", "diverged"]] = "diverged", 1.0
    found = verdict(runs, metric="test_error", estimand="mean")
    assert (
        'in 2 of 10 seeds a run diverged or collapsed, more than one in ten, and has no part in it; estimand="median"'
        in found.sentence
    )


@pytest.mark.parametrize(
    ("worse", "word"), [("treatment", "refuted"), ("baseline", "inconclusive"), ("both", "refuted")]
)
def test_a_mean_refutes_nothing_that_a_baseline_run_left_out_speaks_for(worse: str, word: str):
    control = [0.50, 0.52, 0.49, 0.50, 0.51, 0.50, 0.50, 0.50, 0.53, 0.50]
    runs = make_runs({0.0: control, 0.5: [x + 0.2 + i / 1000 for i, x in enumerate(control)]}, "test_error")
    runs.loc[{"treatment": [13], "baseline": [3], "both": [3, 13]}[worse], "status"] = "collapsed"
    found = verdict(runs, metric="test_error", estimand="mean")
    assert (found.verdict, found.n, found.left_out) == (word, 9, [3])


def test_a_treated_run_that_diverges_does_not_make_a_mean_better():
    """One error of .9 stands against the claim; when that run diverges it leaves the mean, as a baseline run did before."""
    control, treated = [0.5, 0.52, 0.49, 0.51] * 5, [0.3, 0.31, 0.29, 0.3] * 5
    treated[5] = 0.9
    runs = make_runs({0.0: control, 0.5: treated}, "test_error")
    runs.loc[7, ["status", "diverged"]] = "diverged", 1.0
    words = {"metric": "test_error", "estimand": "mean", "smallest_effect": 0.15}
    assert verdict(runs, **words).verdict == "inconclusive"
    runs.loc[25, ["status", "diverged"]] = "diverged", 1.0
    found = verdict(runs, **words)
    assert (found.verdict, found.n) == ("inconclusive", 18)
    assert (
        "1 run of the treatment and 1 of the baseline diverged or collapsed, which the mean leaves out"
        in found.sentence
    )
    runs.loc[5, ["status", "diverged"]] = "diverged", 1.0
    assert verdict(runs, **words).verdict == "supported", "in that seed both diverged: they tie"


def test_what_describes_a_mean_is_of_the_seeds_that_it_is_over():
    """Two of 20 seeds collapsed in the baseline; of the other 18 the treatment is better in 3."""
    runs = make_runs({0.0: [0.9] * 2 + [0.5 + i / 1000 for i in range(18)], 0.5: [0.4] * 5 + [0.6] * 15}, "test_error")
    runs.loc[(runs["model.dropout"] == 0.0) & (runs["seed"] < 2), "status"] = "collapsed"
    found = verdict(runs, metric="test_error", estimand="mean")
    assert (found.n, found.left_out, found.mean, found.interquartile_mean) == (18, [0, 1], None, None)
    assert found.probability_of_improvement is not None
    assert found.probability_of_improvement.value == pytest.approx(3 / 18)


# --- runs that are missing, and copies -----------------------------------------------------------------------------


@pytest.mark.parametrize(("failed", "word"), [(0, "supported"), (1, "supported"), (2, "inconclusive")])
def test_one_run_in_ten_may_be_missing(failed: int, word: str):
    runs = make_runs({0.0: TEN, 0.5: [1.0] * 10})
    found = verdict(fail(runs, (runs["seed"] < failed) & (runs["model.dropout"] == 0.5)))
    assert (found.verdict, found.n, found.n_missing) == (word, 10 - failed, failed)
    assert sorted(found.per_seed) == list(range(failed, 10))


@pytest.mark.parametrize(("seeds", "word"), [(19, "inconclusive"), (20, "supported"), (21, "supported")])
def test_two_may_be_missing_of_twenty_and_not_of_nineteen(seeds: int, word: str):
    runs = make_runs({0.0: [2.0 + i / 100 for i in range(seeds)], 0.5: [1.0] * seeds})
    assert verdict(fail(runs, (runs["seed"] < 2) & (runs["model.dropout"] == 0.5))).verdict == word


def test_an_arm_all_of_whose_runs_failed_is_told_from_a_metric_that_none_has():
    runs = make_runs({0.0: TEN, 0.5: [1.0] * 10})
    assert "no seed has a run in every arm" in verdict(fail(runs, runs["model.dropout"] == 0.5)).sentence
    why = "the loss of some example is no number, so that their mean is none"
    assert f"Not tested: no run has measured test_loss: {why}." in verdict(runs.assign(test_loss=math.nan)).sentence
    assert (
        "no run has measured test_loss." in verdict(fail(runs.assign(test_loss=math.nan), runs["seed"] >= 0)).sentence
    )
    of_diverged = runs.assign(test_loss=math.nan)
    of_diverged.loc[0, ["test_loss", "status"]] = [INF, "diverged"]
    assert "no run that trained has measured test_loss" in verdict(of_diverged).sentence


def test_four_seeds_that_are_left_of_ten_say_nothing():
    """Once "no relevant effect" at n = 4."""
    runs = make_runs({0.0: [1.0, 1.01] * 5, 0.5: [1.01, 1.0] * 5}, "test_error")
    found = verdict(fail(runs, (runs["seed"] < 6) & (runs["model.dropout"] == 0.0)), metric="test_error")
    assert (found.verdict, found.label, found.n, found.n_missing) == ("inconclusive", "", 4, 6)
    assert "6 of 10 seeds lack a run or its value, more than one in ten" in found.sentence


def test_a_missing_number_ranks_worst_where_the_run_diverged_and_is_told_where_it_did_not():
    runs = make_runs({0.0: [3.0, 5.0, 3.0, 4.0], 0.5: [1.0, math.nan, 1.0, 1.0]}, "grad_norm_q99")
    runs.loc[5, "status"] = "diverged"
    assert verdict(runs, metric="grad_norm_q99").per_seed[1] == -INF
    runs.loc[5, "status"] = "finished"
    found = verdict(runs, metric="grad_norm_q99")
    assert (sorted(found.per_seed), found.n_missing) == ([0, 2, 3], 1)
    assert "has no value" in found.sentence
    found = verdict(runs.assign(grad_norm_q99=math.nan), metric="grad_norm_q99")
    assert "no run has measured grad_norm_q99." in found.sentence


@pytest.mark.parametrize("metric", ["grad_norm_max", "grad_norm_q99", "grad_norm_q95", "recovery_steps", "best_gap"])
def test_what_the_finite_steps_of_a_run_that_exploded_gave_is_no_better_than_what_a_trained_one_has(metric: str):
    """Its gradient was small until it overflowed: of the steps before that alone the largest is less than where all is well."""
    runs = make_runs(
        {0.0: [5.0 + seed / 10 for seed in range(12)], 0.5: [1.0 + seed / 10 for seed in range(12)]}, metric
    )
    assert verdict(runs, metric=metric).verdict == "supported"
    runs.loc[runs["model.dropout"] == 0.5, "status"] = "diverged"
    found = verdict(runs, metric=metric)
    assert (found.verdict, found.label, set(found.per_seed.values())) == ("refuted", "reversed", {-INF})
    above = verdict(runs, metric=metric, above=3.0)
    assert set(above.per_seed.values()) == {0.0}  # all of both arms


@pytest.mark.parametrize("metric", ["solve_step", "largest_lr", "solved", "collapsed"])
def test_what_says_of_a_run_that_diverged_what_became_of_it_is_compared_as_it_is(metric: str):
    runs = pd.DataFrame({metric: [1.0, 0.0, math.nan], "status": "diverged"})
    better = METRICS[metric].better
    worst = {"solved": 0.0, "collapsed": 1.0, "largest_lr": -INF}.get(metric, INF)
    assert ranked(metric, better, runs).tolist() == [1.0, 0.0, worst]


def test_seeds_whose_runs_are_copies_of_anothers_count_once():
    found = verdict(make_runs({0.0: [2.0, 2.1, 2.0, 2.0], 0.5: [1.0, 1.0, 1.0, 1.1]}).assign(train_loss=0.5))
    assert (found.n, found.n_copies, sorted(found.per_seed)) == (3, 1, [0, 1, 3])
    assert "1 seed left out as copies" in found.sentence


@pytest.mark.parametrize("metric", ["test_loss", "test_error", "diverged"])
def test_fifty_copies_of_three_runs_are_three(metric: str):
    control, treated = ([2.0, 2.1, 1.9], [1.0, 1.0, 1.1]) if metric != "diverged" else ([1.0] * 3, [0.0] * 3)
    runs = make_runs({0.0: (control * 17)[:50], 0.5: (treated * 17)[:50]}, metric)
    runs["train_loss"] = runs["seed"] % 3 + runs["trial"] / 10
    found = verdict(runs, metric=metric)
    assert (found.n, found.n_copies, found.n_missing) == (3, 47, 0)
    if metric != "test_error":
        assert found.verdict == "inconclusive"


# --- rates ---------------------------------------------------------------------------------------------------------


def test_binary_claim_of_ten_pairs():
    runs = make_runs({0.0: [1.0] * 10, 0.5: [0.0] * 10}, "diverged")
    found = verdict(runs, metric="diverged")
    assert (found.verdict, found.estimate, found.estimand) == ("supported", 1.0, "rate")
    assert found.method == "difference of rates, exact paired score interval"
    assert found.p_value == pytest.approx(p_against(paired_rate_bounds(10, 0, 10), 0.0))
    assert found.p_value == pytest.approx(2 / 2**10)
    assert found.low == pytest.approx(
        2 * 0.025**0.1 - 1, abs=0.006
    )  # all ten discordant pairs one way: ((1 + d)/2)¹⁰ = α/2
    assert verdict(runs[runs["seed"] < 3], metric="diverged").verdict == "inconclusive"
    assert found.catastrophes is None, "that is what it is about"


def test_where_fewer_diverge_because_they_collapse_that_stands_beside_the_rate():
    runs = make_runs({0.0: [1.0] * 10, 0.5: [0.0] * 10}, "diverged")
    runs["status"] = ["diverged"] * 10 + ["collapsed"] * 10
    found = verdict(runs, metric="diverged")
    assert found.verdict == "supported" and found.catastrophes is not None
    assert list(found.catastrophes.arms.values()) == [(10, 10), (10, 10)] and found.catastrophes.difference == 0


def test_a_baseline_that_diverges_in_four_of_ten_against_none_is_found_with_twenty_seeds():
    runs = make_runs({0.0: ([1.0] * 2 + [0.0] * 3) * 4, 0.5: [0.0] * 20}, "diverged")
    found = verdict(runs, metric="diverged")
    assert (found.verdict, found.estimate) == ("supported", pytest.approx(0.4))
    assert (found.low, found.high) == paired_rate_bounds(8, 0, 20)(0.05)


def test_above_makes_a_rate_of_a_share_and_diverged_runs_count():
    """Spikes in more than 1 % of steps: in six of ten baseline runs, and in one treated one, which diverged without a number."""
    runs = make_runs({0.0: [0.02] * 6 + [0.0, 0.01, 0.0, 0.005], 0.5: [0.0] * 9 + [math.nan]}, "spike_rate")
    runs.loc[19, "status"] = "diverged"
    found = verdict(runs, metric="spike_rate", above=0.01)
    assert (found.estimand, found.above, found.n) == ("rate", 0.01, 10)
    assert found.estimate == pytest.approx(0.5)
    assert (found.low, found.high) == paired_rate_bounds(6, 1, 10)(0.05)
    assert found.per_seed[7] == 0.0, "0.01 is not above 0.01"
    assert (
        "The rate of spike_rate above 0.01"
        in verdict(runs, metric="spike_rate", above=0.01, smallest_effect=0.9).sentence
    )


def test_rates_averaged_over_cells_have_an_interval_that_holds_for_any_law():
    """No t interval: where all differences are equal it would have no width."""
    half = [1.0] * 12
    runs = make_cells(
        [
            ({"model.dropout": 0.0, "width": 8}, half),
            ({"model.dropout": 0.5, "width": 8}, [0.0] * 12),
            ({"model.dropout": 0.0, "width": 9}, [0.0] * 12),
            ({"model.dropout": 0.5, "width": 9}, [0.0] * 12),
        ],
        "diverged",
    )
    found = verdict(runs, metric="diverged")
    assert found.estimate == pytest.approx(0.5)
    assert found.low is not None and found.high is not None
    assert 0 < found.low < 0.4 < 0.6 < found.high < 1


def test_twenty_of_twenty_better_is_no_certainty():
    values = list(np.random.default_rng(0).normal(2, 0.1, 20))
    found = verdict(make_runs({0.0: values, 0.5: [1.0 + 0.1 * v for v in values]}))
    better = found.probability_of_improvement
    assert better is not None
    assert better.value == better.high == 1.0
    assert 2 * better.low - 1 == pytest.approx(paired_rate_bounds(20, 0, 20)(0.05)[0])
    assert 0.8 < better.low < 0.84
    assert found.interquartile_mean is not None
    assert found.interquartile_mean.low <= found.interquartile_mean.value <= found.interquartile_mean.high


def test_robust_estimates_appear_from_twenty_seeds():
    values = list(np.random.default_rng(0).normal(2, 0.1, 19))
    found = verdict(make_runs({0.0: values, 0.5: [1.0 + 0.1 * v for v in values]}))
    assert found.interquartile_mean is None


# --- cells that disagree -------------------------------------------------------------------------------------------


def two_cells(first: list[float], second: list[float]) -> pd.DataFrame:
    """Improvements of each seed, in two cells."""
    return make_cells(
        [
            ({"model.dropout": 0.0, "width": 8}, [1.0 + x for x in first]),
            ({"model.dropout": 0.5, "width": 8}, [1.0] * len(first)),
            ({"model.dropout": 0.0, "width": 9}, [1.0 + x for x in second]),
            ({"model.dropout": 0.5, "width": 9}, [1.0] * len(second)),
        ]
    )


def test_cells_of_opposite_signs_are_told_and_refute_what_is_claimed_of_each():
    """At 2.5 % seven seeds are decisive, six are not: 2 / 2⁷ = .0156, 2 / 2⁶ = .031."""
    runs = two_cells([1.0] * 7, [-0.6] * 7)
    average = verdict(runs)
    assert (average.verdict, average.estimate) == ("supported", pytest.approx(0.2))
    assert "Its sign differs between cells: +1 at width = 8, −0.6 at width = 9." in average.sentence
    each = verdict(runs, across="each")
    assert (each.verdict, each.estimate, each.high) == ("refuted", pytest.approx(-0.6), pytest.approx(-0.6))
    assert [cell.estimate for cell in each.cells] == pytest.approx([1.0, -0.6])
    assert verdict(runs[runs["seed"] < 6], across="each").verdict == "inconclusive"


def test_where_all_runs_of_both_arms_diverged_there_is_no_difference_and_none_of_a_cell():
    found = verdict(make_runs({0.0: [INF] * 10, 0.5: [INF] * 10}))
    assert found.sentence.startswith("Not tested: the baseline diverged") and found.n == 10
    assert (found.estimate, found.low, found.high, dict(found.per_seed)) == (None, None, None, {})
    assert words.interval(found) == "–"
    losses = {0.1: [1.0 + n for n in range(10)], 10.0: [INF] * 10}
    runs = make_cells(
        [
            ({"model.dropout": p, "optimizer.lr": lr}, [x - p for x in of])
            for p in (0.0, 0.5)
            for lr, of in losses.items()
        ]
    )
    (trained, lost) = verdict(runs).cells
    assert trained.estimate == 0.5 and math.isnan(lost.estimate) and list(lost.incomparable) == list(range(10))
    assert (
        words.details(verdict(runs))[0] == "Each by itself: optimizer.lr = 0.1: 0.5 [0.5, 0.5]; optimizer.lr = 10: –."
    )
    one = verdict(make_runs({0.0: [INF] * 10, 0.5: [INF] * 9 + [1.0]}))
    assert one.estimate == 0.0, "a pair that compares something makes an estimate, in which the others tie"


def test_what_is_claimed_of_each_cell_needs_all_of_them():
    runs = two_cells([1.0] * 7, [0.6] * 7)
    assert verdict(runs, across="each").verdict == "supported"
    assert "sign" not in verdict(runs).sentence
    found = verdict(two_cells([1.0] * 8, [0.3] * 5 + [-0.3] * 3), across="each")
    assert (found.verdict, found.estimate) == ("inconclusive", pytest.approx(0.3))


def test_an_interval_of_all_cells_that_does_not_show_what_each_bears_out_is_explained():
    """Six seeds decide at 5 %, which each cell has for itself, and not at the 2.5 % at which both cover together."""
    found = verdict(two_cells([1.0] * 6, [0.6] * 6), across="each")
    assert (found.verdict, found.low) == ("supported", None)
    assert found.sentence.endswith(
        "Each bears it out by itself, at level 95.0%; 6 seeds have no interval at which all would cover together."
    )
    assert "by itself" not in verdict(two_cells([1.0] * 7, [0.6] * 7), across="each").sentence


def test_where_all_cells_together_have_no_interval_the_one_in_the_way_is_named():
    """Six seeds, whose range is the interval at 95 %, and none at 97.5 %; the least estimate is not what stands in the way."""
    steady, wide = [0.3, 0.31, 0.32, 0.33, 0.34, 0.35], [-0.2, 0.4, 0.5, 0.6, 0.7, 0.8]
    found = verdict(two_cells(steady, wide), across="each")
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)
    assert found.sentence.startswith("The interval at width = 9 holds δ = 0.1.")
    below = verdict(two_cells(steady, [-0.2, -0.1, 0.0, 0.01, 0.02, 0.03]), across="each")
    assert below.sentence.startswith(
        "The interval at width = 9 lies below δ = 0.1, but 6 seeds have no interval at which all would cover together."
    )
    few = verdict(two_cells([1.0] * 5, [0.6] * 5), across="each")
    assert few.sentence.startswith("5 seeds have no interval at this level.")
    near = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05])
    equal = Equivalence("e", metric="test_loss", smallest_effect=0.1, across="each", **DROPPED)
    (found,) = judged(two_cells(list(near + 0.03), list(4 * (near - 0.03))), equal)
    assert found.sentence.startswith("The interval at width = 9 holds δ = 0.1.")
    (found,) = judged(two_cells(list(near + 0.2), list(near)), equal)
    assert found.sentence.startswith("The interval at width = 8 lies beyond −δ = −0.1, but 6 seeds have no interval")


def test_one_cell_without_effect_is_not_said_of_all():
    """Refuted, since one cell has none; the other one's effect is large, so "no relevant effect" is not what was found."""
    found = verdict(two_cells([1.0] * 8, [0.0, 0.01] * 4), across="each")
    assert (found.verdict, found.label) == ("refuted", "")
    assert "either way" not in found.sentence
    both = verdict(two_cells([0.02, 0.01] * 4, [0.0, 0.01] * 4), across="each")
    assert (both.verdict, both.label) == ("refuted", "no relevant effect")
    found = verdict(two_cells([-1.0] * 8, [-0.6] * 8), across="each")
    assert (found.verdict, found.label) == ("refuted", "reversed")
    wide = verdict(two_cells([0.0, 0.01] * 4, [-0.4, -0.3, -0.2, -0.1, 0.0, 0.02, 0.03, 0.05]), across="each")
    assert (wide.verdict, wide.label) == ("refuted", ""), "the second cell's may be −0.4"


def test_a_cell_that_never_ran_leaves_what_is_claimed_of_each_open():
    runs = two_cells([1.0] * 8, [0.6] * 8)
    to_come = runs[~at(runs, {"width": 9, "model.dropout": 0.5})]
    assert "1 cell of those in each of which it is claimed never ran" in verdict(to_come, across="each").sentence
    found = verdict(to_come)
    assert (found.verdict, found.n) == ("inconclusive", 8)
    assert "Too early for a verdict: 0 of 8 planned seeds have run." in found.sentence
    assert "1 cell left out for lack of a partner" in found.sentence


@pytest.mark.parametrize("across", ["each", "average"])
@pytest.mark.parametrize("lost", [{"width": 9}, {"width": 9, "model.dropout": 0.5}])
@pytest.mark.parametrize("failed", [True, False])
def test_a_cell_without_a_number_is_no_smaller_question(across: str, lost: dict[str, object], failed: bool):
    """Whether its runs failed or lack the metric, in both arms or one: nobody knows what it would say, and it did run."""
    runs = two_cells([1.0] * 8, [0.6] * 8)
    inside = at(runs, lost)
    found = verdict(
        fail(runs, inside) if failed else runs.assign(test_loss=runs["test_loss"].mask(inside)), across=across
    )
    assert (found.verdict, found.n, found.n_missing) == ("inconclusive", 0, 8)
    assert found.sentence.startswith("No verdict: 8 of 8 seeds lack a run or its value")
    assert "never ran" not in found.sentence and "partner" not in found.sentence


# --- families ------------------------------------------------------------------------------------------------------


def test_what_is_shown_covers_together_and_holm_decides():
    """Three claims: shown at 5 % / 3, k = 1 of ten (P(B ≤ 1) = .0107 > .0083); the last one by Holm at 5 %, k = 2."""
    spread = [0.3, 0.5, 0.55, 0.6, 0.62, 0.7, 0.75, 0.8, 0.9, 1.4]
    runs = make_runs({0.0: [1 + x for x in spread], 0.5: [1.0] * 10})
    deltas = (0.1, 0.2, 0.4)
    found = judged(runs, *(claim(smallest_effect=delta) for delta in deltas))
    assert [one.level for one in found] == pytest.approx([1 - 0.05 / 3] * 3)
    assert [(one.low, one.high) for one in found] == [(pytest.approx(0.3), pytest.approx(1.4))] * 3
    assert [one.verdict for one in found] == ["supported"] * 3
    assert [one.p_smallest_effect for one in found] == pytest.approx([2 / 1024, 2 / 1024, 22 / 1024])
    assert judged(runs, *(claim(smallest_effect=0.4) for _ in range(3)))[0].verdict == "inconclusive", ".0215 > 5 % / 3"


def test_labels_are_read_from_what_is_shown():
    """Three claims; by itself the interval lies below 0 (k = 2), at 5 % / 3 it does not (k = 1)."""
    spread = [-0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.3, -0.2, 0.02]
    runs = make_runs({0.0: [1 + x for x in spread], 0.5: [1.0] * 10})
    assert verdict(runs).label == "reversed"
    found = judged(runs, *(claim(smallest_effect=delta) for delta in (0.1, 0.2, 0.3)))
    assert [(one.verdict, one.label) for one in found] == [("refuted", "")] * 3
    assert found[0].high == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("low", "high", "by"),
    [
        (0.1, 0.4, "side"),
        (-0.4, 0.1, "side"),
        (-0.1, 0.05, "inside"),
        (-0.05, 0.1, "inside"),
        (0.1, 0.4, "inside"),
        (-0.4, -0.1, "inside"),
    ],
)
def test_an_effect_of_just_the_smallest_is_neither_more_nor_less(
    low: float, high: float, by: Literal["side", "inside"]
):
    """An effect of just δ is neither more nor less than δ, and it lies in the interval."""
    assert read(low, high, 0.1, by) == "inconclusive"


@pytest.mark.parametrize(("low", "high"), [(-0.4, 0.0), (-0.1, 0.05), (-0.05, 0.1)])
def test_an_interval_that_ends_at_nothing_or_at_the_smallest_effect_has_no_label(low: float, high: float):
    assert label_of(low, high, 0.1) == ""


EXAMPLES = 359


@pytest.mark.parametrize("estimand", ["median", "hodges_lehmann"])
@pytest.mark.parametrize("fewer", [5, -5])
@pytest.mark.parametrize("by", ["side", "inside"])
def test_errors_that_differ_by_just_the_smallest_effect_decide_nothing(estimand: str, fewer: int, by: str):
    """k/n − (k − 5)/n is 5/n but for rounding, which goes either way."""
    wrong = np.arange(60, 80)
    runs = make_runs({0.0: list(wrong / EXAMPLES), 0.5: list((wrong - fewer) / EXAMPLES)}, "test_error")
    assert len(set(runs["test_error"][:20].to_numpy() - runs["test_error"][20:].to_numpy())) > 1
    words: dict[str, Any] = {"metric": "test_error", "smallest_effect": 5 / EXAMPLES, "estimand": estimand}
    same = Equivalence("the same", **DROPPED, **words)
    (found,) = judged(runs, same if by == "inside" else claim(**words))
    assert found.verdict == ("refuted" if by == "side" and fewer < 0 else "inconclusive")
    assert found.low == found.high == found.estimate
    assert abs(found.low) == 5 / EXAMPLES


def test_what_is_small_beside_the_numbers_and_large_beside_the_smallest_effect_is_no_rounding():
    """Of losses of ten million, 2 is less than a millionth, and four times δ."""
    losses = 1e7 + np.arange(10.0)
    found = verdict(make_runs({0.0: list(losses), 0.5: list(losses - 2.0)}), smallest_effect=0.5)
    assert (found.verdict, found.estimate) == ("supported", 2.0)


def test_averages_of_signed_ranks_that_are_just_the_smallest_effect_decide_nothing():
    """Of differences of 4 and 6 examples, half of each, the averages are 5."""
    wrong, fewer = np.arange(60, 80), np.repeat([4, 6], 10)
    runs = make_runs({0.0: list(wrong / EXAMPLES), 0.5: list((wrong - fewer) / EXAMPLES)}, "test_error")
    found = verdict(runs, metric="test_error", smallest_effect=5 / EXAMPLES, estimand="hodges_lehmann")
    assert found.verdict == "inconclusive"
    assert found.estimate == 5 / EXAMPLES


def test_cells_that_cancel_but_for_rounding_are_ties():
    wrong, fewer = np.arange(60, 80), np.arange(1, 21)
    cells = [
        ({"model.dropout": p, "width": w}, list((wrong - p * 2 * sign * fewer) / EXAMPLES))
        for w, sign in ((8, 1), (9, -1))
        for p in (0.0, 0.5)
    ]
    runs = make_cells(cells, "test_error")
    found = verdict(runs, metric="test_error", smallest_effect=1 / EXAMPLES)
    assert set(found.per_seed.values()) == {0.0}
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.probability_of_improvement is not None
    assert found.probability_of_improvement.value == 0.5


def test_rates_whose_sum_is_just_the_smallest_effect_but_for_rounding_tie(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(estimates, "combined_bounds", lambda parts, weights: lambda alpha: (0.1 + 0.2, 1.0))
    cells = [({"model.dropout": p, "width": w}, [1.0 - 2 * p] * 10) for w in (8, 9) for p in (0.0, 0.5)]
    found = verdict(make_cells(cells, "diverged"), metric="diverged", smallest_effect=0.3)
    assert found.low == 0.3 != 0.1 + 0.2
    assert found.verdict == "inconclusive"


# --- properties ----------------------------------------------------------------------------------------------------

losses = some.sampled_from([*(i / 2 for i in range(-4, 5)), INF])
finite = some.floats(-100, 100).map(lambda x: round(x, 3))


def rank(word: str) -> int:
    return ORDER.index(word)


def with_value(runs: pd.DataFrame, metric: str, at: int, value: float) -> pd.DataFrame:
    runs = runs.copy()
    diverged = math.isinf(value) or (metric == "diverged" and value == 1)
    runs.loc[at, [metric, "status"]] = value, "diverged" if diverged else "finished"
    return runs


def worsened(
    data: some.DataObject, numbers: some.SearchStrategy[float], metric: str, cells: int, n: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tables, in the second of which one treated run is worse, or one baseline run better."""
    drawn = [data.draw(some.lists(numbers, min_size=n, max_size=n)) for _ in range(2 * cells)]
    levels = [{"model.dropout": p, "width": w} for w in (8, 9)[:cells] for p in (0.0, 0.5)]
    runs = make_cells(list(zip(levels, drawn, strict=True)), metric)
    at = data.draw(some.integers(0, len(runs) - 1))
    better, worse = sorted(data.draw(some.lists(numbers, min_size=2, max_size=2, unique=True)))
    before, after = (better, worse) if runs.loc[at, "model.dropout"] == 0.5 else (worse, better)
    return with_value(runs, metric, at, before), with_value(runs, metric, at, after)


@settings(max_examples=25, deadline=None)
@given(some.data(), some.sampled_from(["median", "hodges_lehmann"]), some.sampled_from([1, 2]), some.integers(6, 9))
def test_nothing_that_gets_worse_speaks_for_a_claim(data: some.DataObject, estimand: str, cells: int, n: int):
    """A treated run that gets worse or diverges, or a baseline run that gets better, moves a verdict against it or not at all."""
    words = {"estimand": estimand, "across": data.draw(some.sampled_from(["average", "each"]))}
    before, after = (verdict(runs, **words) for runs in worsened(data, losses, "test_loss", cells, n))
    said = before.sentence + after.sentence
    assume("no better than guessing" not in said and "what they differ in may have no effect" not in said)
    assert rank(after.verdict) <= rank(before.verdict)
    assert lower(after) <= lower(before)
    assert upper(after) <= upper(before)


@settings(max_examples=25, deadline=None)
@given(some.data(), some.sampled_from([1, 2]), some.integers(6, 9))
def test_nothing_that_diverges_speaks_for_a_claim_about_rates(data: some.DataObject, cells: int, n: int):
    words = {"metric": "diverged", "across": data.draw(some.sampled_from(["average", "each"]))}
    zero_or_one = some.sampled_from([0.0, 1.0])
    before, after = (verdict(runs, **words) for runs in worsened(data, zero_or_one, "diverged", cells, n))
    assume("Not tested" not in before.sentence + after.sentence)  # floor and ceiling
    assert rank(after.verdict) <= rank(before.verdict)
    assert lower(after) <= lower(before) + 1e-12
    assert upper(after) <= upper(before) + 1e-12


def lower(found: Verdict) -> float:
    return -INF if found.low is None else found.low


def upper(found: Verdict) -> float:
    return INF if found.high is None else found.high


@settings(max_examples=15, deadline=None)
@given(some.lists(finite, min_size=6, max_size=12), some.floats(0.1, 50))
def test_better_results_never_weaken_a_verdict(values: list[float], shift: float):
    noise = np.linspace(0, 1, len(values)) ** 2

    def found(shift: float) -> int:
        treated = list(np.asarray(values) * 0.9 + noise - shift)
        return rank(verdict(make_runs({0.0: values, 0.5: treated}), smallest_effect=1.0).verdict)

    assert found(0.0) <= found(shift)


@settings(max_examples=6, deadline=None)
@given(some.lists(losses, min_size=6, max_size=9), some.randoms())
def test_neither_the_order_of_rows_nor_the_numbers_of_seeds_matter(values: list[float], order: random.Random):
    runs = make_runs({0.0: values, 0.5: [0.3 * i % 1.1 for i in range(len(values))]})
    shuffled = runs.sample(frac=1, random_state=order.randrange(2**31))
    assert verdict(shuffled) == verdict(runs)
    new = dict(zip(range(len(values)), order.sample(range(100), len(values)), strict=True))
    renamed = verdict(runs.assign(seed=runs["seed"].map(new)))
    for name in ("verdict", "label", "estimate", "low", "high", "p_smallest_effect", "n"):
        assert getattr(renamed, name) == getattr(verdict(runs), name)


@settings(max_examples=20, deadline=None)
@given(
    some.lists(finite, min_size=6, max_size=12),
    some.sampled_from([("test_loss", "median"), ("test_loss", "hodges_lehmann"), ("train_error", "mean")]),
)
def test_a_verdict_agrees_with_its_interval_where_one_claim_is_in_the_family(values: list[float], by: tuple[str, str]):
    metric, estimand = by
    scale = 1 if metric == "test_loss" else 0.002
    runs = make_runs(
        {0.0: [0.5 + scale * v for v in values], 0.5: [0.5 + 0.01 * i for i in range(len(values))]}, metric
    )
    found = verdict(runs, metric=metric, estimand=estimand, smallest_effect=0.05)
    assume(found.low is not None and found.high is not None)
    assert found.low is not None and found.high is not None
    assert found.verdict == read(found.low, found.high, 0.05)


def test_the_estimate_of_no_seed_is_not_a_number():
    swept = {"model.dropout": Sweep(0.0, 0.5)}
    (contrast,) = claim().contrasts(swept)
    runs = make_runs({0.0: [1.0], 0.5: [1.0]})
    found = estimate(claim(), sample(claim(), contrast, runs.iloc[:0], swept))
    assert math.isnan(found.value)
    assert (found.n, found.bounds(0.05)) == (0, (-INF, INF))


def test_a_verdict_that_the_interval_shown_does_not_give_says_who_gives_it():
    """Two errors, t: the first is sure, the second decided at 5 % alone, as Holm allows once the first is."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=10)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    t = stats.t.ppf(1 - 0.025 / 1.3, 9) / math.sqrt(10)  # between those of 5 % and 2.5 %
    runs = make_runs({0.0: [0.5] * 10, 0.5: list(0.5 - 0.01 - 0.01 * (t + noise))}, metric="test_error")
    runs = runs.assign(train_error=np.where(runs["model.dropout"] == 0.5, 0.1 + runs["seed"] * 1e-3, 0.9))
    sure, second = judged(
        runs,
        claim(metric="train_error", estimand="mean", smallest_effect=0.1),
        claim(metric="test_error", estimand="mean", smallest_effect=0.01),
    )
    assert (sure.verdict, second.verdict) == ("supported", "supported")
    assert second.low is not None and second.low < 0.01
    assert "So Holm's procedure decides, at level 95.0%" in second.sentence and "Holm" not in sure.sentence


def test_a_table_without_the_metric_of_a_claim_is_refused_with_its_name() -> None:
    runs = make_runs({0.5: [1.0] * 6, 0.0: [2.0] * 6}).drop(columns="test_loss")
    with pytest.raises(
        InvalidStudy, match=r"runs\.test_loss: no such column, which the claim “better” is about; did you mean"
    ):
        judged(runs, claim())
