"""Estimates, intervals and verdicts: by hand, as properties, against SciPy and others, and under simulated nulls."""

import json
import math
import random

import numpy as np
import pandas as pd
import pytest
from harness.inference.multiplicity import holm_alphas
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from statsmodels.stats.multitest import multipletests
from synthetic import fail

from harness.clipping import GlobalNorm, Value
from harness.inference import verdicts
from harness.inference.intervals import constant_bounds, t_bounds, t_interval
from harness.inference.inversion import p_against
from harness.inference.paired_rates import mcnemar_p, paired_rate_bounds, paired_rate_score
from harness.inference.rates import wilson
from harness.inference.resampling import sign_flip_p
from harness.inference.robust import median, median_interval
from harness.inference.verdict import Verdict, as_json, read
from harness.settings.levels import stored
from harness.settings.metrics import METRICS
from harness.study import Claim, Exact

SIMULATIONS = 1000
MC_ERROR = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)


def make_runs(
    levels: dict[object, list[float]], metric: str = "test_loss", path: str = "model.dropout"
) -> pd.DataFrame:
    """One confirm run per level and seed; inf means diverged."""
    rows = []
    for trial, (level, values) in enumerate(levels.items()):
        for seed, value in enumerate(values):
            diverged = math.isinf(value) or (metric == "diverged" and value == 1)
            row = {"trial": trial, "seed": seed, "phase": "confirm", path: level} | dict.fromkeys(METRICS, 0.5)
            row |= {"train_loss": trial + seed / 100}  # runs of different seeds are no copies
            row |= {"status": "diverged" if diverged else "finished", "diverged": float(diverged), metric: value}
            rows.append(row)
    return pd.DataFrame(rows)


def claim(**changes: object) -> Claim:
    given = {"title": "better", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1,
             "treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}  # fmt: skip
    return Claim(**(given | changes))


def verdict(runs: pd.DataFrame, **changes: object) -> Verdict:
    one = claim(**changes)
    return verdicts.judge([one], runs, list(one.treatment))[0]


# --- by hand -------------------------------------------------------------------------------------------------------


def test_clear_improvement_is_supported():
    found = verdict(make_runs({0.0: [2.0, 2.1, 1.9, 2.0, 2.2], 0.5: [1.0, 1.0, 1.0, 1.1, 1.1]}))
    assert (found.verdict, found.label, found.n) == ("supported", "", 5)
    assert found.estimate == pytest.approx(1.0)  # (1.0 + 1.1 + 0.9 + 0.9 + 1.1) / 5
    assert found.per_seed == pytest.approx({0: 1.0, 1: 1.1, 2: 0.9, 3: 0.9, 4: 1.1})
    half = stats.t.ppf(0.975, 4) * 0.1 / math.sqrt(5)
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half))
    assert found.p_value == pytest.approx(2 / 2**5)


def test_higher_can_be_better():
    runs = make_runs({0.0: [1.0, 1.0, 1.1, 1.0], 0.5: [2.0, 2.1, 2.0, 2.0]})
    assert verdict(runs, better="higher").verdict == "supported"
    assert verdict(runs).label == "reversed"


def test_small_precise_difference_is_no_relevant_effect():
    found = verdict(make_runs({0.0: [1.0, 1.01, 1.02, 1.0], 0.5: [1.01, 1.0, 1.01, 1.0]}))
    assert (found.verdict, found.label) == ("refuted", "no relevant effect")


def test_wide_interval_is_inconclusive():
    found = verdict(make_runs({0.0: [1.0, 2.0, 1.5, 1.2], 0.5: [0.5, 1.9, 0.6, 1.3]}))
    assert found.verdict == "inconclusive"


def test_single_seed_is_inconclusive():
    found = verdict(make_runs({0.0: [3.0], 0.5: [1.0]}))
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)
    assert "One seed" in found.sentence


def test_unnamed_factors_are_paired_and_averaged():
    runs = pd.concat(
        [
            make_runs({0.0: [2.0, 2.2], 0.5: [1.0, 1.1]}).assign(width=8),
            make_runs({0.0: [9.0, 9.0], 0.5: [7.0, 7.1]}).assign(width=9),
        ]
    )
    found = verdicts.judge([claim()], runs, ["model.dropout", "width"])[0]
    assert found.per_seed == pytest.approx({0: 1.5, 1: 1.5})


def test_tune_phase_is_not_evidence():
    runs = make_runs({0.0: [2.0, 2.1, 1.9], 0.5: [1.0, 1.0, 1.1]}).assign(phase="tune")
    found = verdict(runs)
    assert (found.verdict, found.n, found.estimate) == ("inconclusive", 0, None)


def test_failed_seeds_are_left_out_and_counted():
    runs = make_runs({0.0: [2.0, 2.1, 1.9, 2.0], 0.5: [1.0, 1.0, 1.0, 1.1]})
    found = verdict(fail(runs, (runs["seed"] == 1) & (runs["model.dropout"] == 0.5)))
    assert (found.n, found.n_dropped, sorted(found.per_seed)) == (3, 1, [0, 2, 3])


def test_seeds_whose_runs_are_copies_of_anothers_count_once():
    found = verdict(make_runs({0.0: [2.0, 2.1, 2.0, 2.0], 0.5: [1.0, 1.0, 1.0, 1.1]}).assign(train_loss=0.5))
    assert (found.n, found.n_dropped, sorted(found.per_seed)) == (3, 1, [0, 1, 3])
    assert "1 seed left out as copies" in found.sentence


def test_diverged_runs_take_the_worst_finite_value_and_stay():
    found = verdict(make_runs({0.0: [2.0, math.inf, 1.9, 2.2], 0.5: [1.0, 1.1, 1.0, 1.1]}))
    assert found.per_seed[1] == pytest.approx(2.2 - 1.1)
    assert (found.n, found.n_imputed, found.n_diverged_baseline, found.n_diverged_treatment) == (4, 1, 1, 0)
    assert "2.2" in found.sentence


def test_support_is_withheld_where_the_treatment_diverges_more():
    baseline = [9.0, 9.1, 9.0, 9.2, 9.1, 9.0]
    found = verdict(make_runs({0.0: baseline, 0.5: [1.0, 1.0, 1.1, 1.0, 1.1, 1.0]}))
    assert found.verdict == "supported"
    spread = make_runs({0.0: baseline, 0.5: [1.0, math.inf, 1.1, 1.0, 1.1, 1.0]})
    found = verdict(spread, smallest_effect=0.01)
    assert found.low is not None
    assert found.verdict == "inconclusive"


def test_refutation_is_withheld_where_the_baseline_diverges_more():
    found = verdict(make_runs({0.0: [1.0, math.inf, 1.01, 1.0], 0.5: [1.0, 1.01, 1.0, 1.01]}))
    assert (found.verdict, found.n_imputed) == ("inconclusive", 1)
    assert "understates" in found.sentence


def test_all_diverged_is_inconclusive():
    found = verdict(make_runs({0.0: [math.inf] * 3, 0.5: [math.inf] * 3}))
    assert found.verdict == "inconclusive"
    assert "diverged" in found.sentence
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.parametrize(("value", "word"), [(0.0, "floor"), (1.0, "ceiling")])
@pytest.mark.parametrize("metric", ["diverged", "test_error"])
def test_floor_and_ceiling_fail_the_manipulation_check(metric: str, value: float, word: str):
    found = verdict(make_runs({0.0: [value] * 8, 0.5: [value] * 8}, metric), metric=metric)
    assert found.verdict == "inconclusive"
    assert word in found.sentence


@pytest.mark.parametrize(
    ("treatment", "baseline", "decided"),
    [
        (1.0, math.inf, False),
        (math.inf, 1.0, False),
        (GlobalNorm(1.0), GlobalNorm(), False),
        (Value(1.0), GlobalNorm(), False),
    ],
)
def test_clipping_that_never_clipped_decides_nothing(treatment: object, baseline: object, decided: bool):
    path = "clipping" if isinstance(treatment, GlobalNorm | Value) else "clipping.max_norm"
    shown = {path: stored(treatment)}, {path: stored(baseline)}
    runs = make_runs({shown[1][path]: [2.0, 2.1, 1.9, 2.0], shown[0][path]: [1.0, 1.0, 1.0, 1.1]}, path=path)
    words = {"treatment": {path: treatment}, "baseline": {path: baseline}}
    assert verdict(runs, **words).verdict == "supported"
    found = verdict(runs.assign(clip_fraction=0.0), **words)
    assert (found.verdict == "supported") == decided
    assert "clipped" in found.sentence


@pytest.mark.parametrize(
    ("fractions", "decided"),
    [
        ([0.005] * 4, False),  # clipped now and then
        ([0.009, 0.009, 0.9, 0.9], False),  # enough in half of the runs
        ([0.009, 0.01, 0.9, 0.9], True),
    ],
)
def test_a_clipping_arm_that_hardly_clipped_decides_nothing(fractions: list[float], decided: bool):
    path = "clipping.max_norm"
    runs = make_runs({math.inf: [2.0, 2.1, 1.9, 2.0], 1.0: [1.0, 1.0, 1.0, 1.1]}, path=path)
    words = {"treatment": {path: 1.0}, "baseline": {path: math.inf}}
    found = verdict(runs.assign(clip_fraction=[0.0] * 4 + fractions), **words)
    assert (found.verdict == "supported") == decided
    enough = sum(fraction >= 0.01 for fraction in fractions)
    assert (f"clipped 1 % of the steps or more in {enough} of 4 runs only" in found.sentence) != decided


def test_a_finite_run_that_diverged_keeps_its_value_but_never_beats_one_that_did_not():
    """By its gap, which is small where training and test loss are both 17."""
    runs = make_runs({0.0: [2.0, 2.1, 1.9, 2.2], 0.5: [1.0, 0.01, 1.0, 30.0]}, "gap")
    runs.loc[[5, 7], ["status", "diverged"]] = "diverged", 1.0
    found = verdict(runs, metric="gap")
    assert found.per_seed == pytest.approx({0: 1.0, 1: 2.1 - 2.2, 2: 0.9, 3: 2.2 - 30.0})
    assert (found.n_imputed, found.n_diverged_treatment) == (1, 2)


def test_a_missing_rate_ranks_worst_where_the_run_diverged_and_is_told_where_it_did_not():
    runs = make_runs({0.0: [0.02, 0.05, 0.03, 0.04], 0.5: [0.01, math.nan, 0.01, 0.01]}, "spike_rate")
    runs.loc[5, "status"] = "diverged"
    found = verdict(runs, metric="spike_rate", smallest_effect=0.01)
    assert found.per_seed[1] == pytest.approx(0.05 - 0.05)
    runs.loc[5, "status"] = "finished"
    found = verdict(runs, metric="spike_rate", smallest_effect=0.01)
    assert (sorted(found.per_seed), found.n_dropped) == ([0, 2, 3], 1)
    assert "has no value" in found.sentence
    found = verdict(runs.assign(spike_rate=math.nan), metric="spike_rate", smallest_effect=0.01)
    assert "no run has measured spike_rate" in found.sentence


def test_a_verdict_across_dropout_says_what_cannot_be_compared():
    runs = make_runs({0.0: [0.5, 0.6, 0.55, 0.5], 0.5: [0.1, 0.2, 0.1, 0.15]}, "spike_rate")
    assert "spike_rate is not comparable across dropout" in verdict(runs, metric="spike_rate").sentence
    assert "not comparable" not in verdict(runs, metric="test_loss").sentence


def test_an_exact_claim_counts_runs_that_collapsed():
    runs = make_runs({0.0: [0.0, 0.0], 0.5: [0.0, 0.0]}, "eval_noise").assign(status=["finished", "collapsed"] * 2)
    exact = Exact("evaluation is deterministic", metric="eval_noise", unless="train_noise")
    assert verdicts.judge([exact], runs, ["model.dropout"])[0].n == 4


def test_identical_arms_fail_the_manipulation_check():
    found = verdict(make_runs({0.0: [2.0, 1.0, 3.0], 0.5: [2.0, 1.0, 3.0]}))
    assert found.verdict == "inconclusive"
    assert "identical" in found.sentence


def test_binary_claim_of_ten_pairs():
    runs = make_runs({0.0: [1.0] * 10, 0.5: [0.0] * 10}, "diverged")
    found = verdict(runs, metric="diverged")
    assert (found.verdict, found.estimate, found.p_value) == ("supported", 1.0, pytest.approx(2 / 2**10))
    assert found.low == pytest.approx(
        2 * 0.025**0.1 - 1, abs=0.006
    )  # all ten discordant pairs one way: ((1 + d)/2)¹⁰ = α/2
    assert verdict(runs[runs["seed"] < 3], metric="diverged").verdict == "inconclusive"


def test_exact_claims():
    runs = make_runs({0.0: [0.0, 0.0], 0.5: [0.0, 0.0]}, "eval_noise")
    exact = Exact("evaluation is deterministic", metric="eval_noise", unless="train_noise")

    def word(runs: pd.DataFrame) -> str:
        return verdicts.judge([exact], runs, ["model.dropout"])[0].verdict

    assert word(runs) == "supported"
    assert word(runs.assign(train_noise=0.0)) == "inconclusive"
    assert word(runs.iloc[:0]) == "inconclusive"
    assert word(runs.assign(eval_noise=[0.0, 1e-9, 0.0, 0.0])) == "refuted"
    assert word(runs.assign(eval_noise=[0.0, math.inf, 0.0, 0.0], status=["finished", "diverged"] * 2)) == "supported"


def test_robust_estimates_appear_from_twenty_seeds():
    values = list(np.random.default_rng(0).normal(2, 0.1, 20))
    found = verdict(make_runs({0.0: values, 0.5: [1.0 + 0.1 * v for v in values]}))
    assert found.probability_of_improvement is not None
    assert found.probability_of_improvement.value == found.probability_of_improvement.high == 1.0
    assert 2 * found.probability_of_improvement.low - 1 == pytest.approx(paired_rate_bounds(20, 0, 20)(0.05)[0])
    assert found.probability_of_improvement.low < 0.84  # 20 of 20 is not [1, 1]
    assert found.interquartile_mean is not None
    assert found.interquartile_mean.low <= found.interquartile_mean.value <= found.interquartile_mean.high


def test_every_verdict_is_plain_json():
    runs = make_runs({math.inf: [2.0, 2.1, 1.9], 1.0: [1.0, 1.0, 1.2]}, path="clipping.max_norm")
    found = verdict(runs, treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": math.inf})
    text = json.dumps(as_json(found), allow_nan=False)
    assert json.loads(text)["baseline"] == {"clipping.max_norm": "inf"}


# --- Holm ----------------------------------------------------------------------------------------------------------


def test_holm_levels_of_a_family_by_hand():
    """Of four at 5 %: 0.001 < 0.0125 and 0.01 < 0.0167 are rejected; 0.03 > 0.025 stops it, though 0.04 < 0.05."""
    assert holm_alphas([0.04, 0.001, 0.03, 0.01]) == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
    assert holm_alphas([0.02, 0.001]) == pytest.approx([0.05, 0.025])  # both rejected
    assert holm_alphas([0.5, 0.2, 0.9]) == pytest.approx([0.05 / 3] * 3)  # none
    assert len(holm_alphas([])) == 0


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(some.lists(some.floats(1e-9, 1), min_size=1, max_size=8))
def test_holm_levels_reject_what_statsmodels_rejects(p: list[float]):
    ours = np.asarray(p) < holm_alphas(p)
    theirs = multipletests(p, method="holm")[0]
    close = np.isclose(np.sort(p), 0.05 / (len(p) - np.arange(len(p)))).any()  # on the edge, "<" and "≤" differ
    assert close or (ours == theirs).all()


def test_verdicts_agree_with_their_intervals_in_a_family():
    rng = np.random.default_rng(3)
    claims = [claim(smallest_effect=delta) for delta in (0.1, 0.5, 0.9, 1.5, 3.0)]
    base = rng.normal(5, 1, 12)
    runs = make_runs({0.0: list(base), 0.5: list(base - 1 + rng.normal(0, 0.5, 12))})
    found = verdicts.judge(claims, runs, ["model.dropout"])
    for one in found:
        assert one.low is not None
        assert one.high is not None
        assert one.smallest_effect is not None
        assert (one.verdict, one.label) == read(one.low, one.high, one.smallest_effect)
        assert one.level is not None
        assert 0.95 <= one.level <= 0.99 + 1e-12
    assert {one.verdict for one in found} >= {"supported", "refuted"}


# --- properties ----------------------------------------------------------------------------------------------------

finite = some.floats(-100, 100).map(lambda x: round(x, 3))


@settings(max_examples=40, deadline=None)
@given(some.lists(finite, min_size=3, max_size=12), some.floats(0.1, 50))
def test_better_results_never_weaken_a_verdict(values: list[float], shift: float):
    order = ["reversed", "no relevant effect", "", "inconclusive", "supported"]

    def rank(shift: float) -> int:
        noise = np.linspace(0, 1, len(values)) ** 2
        runs = make_runs({0.0: values, 0.5: list(np.asarray(values) * 0.9 + noise - shift)})
        found = verdict(runs, smallest_effect=1.0)
        return order.index(found.verdict if found.verdict != "refuted" else found.label) if found.n else -1

    weaker, stronger = rank(0.0), rank(shift)
    assert (weaker >= 3) <= (stronger >= 3)
    assert (weaker == 4) <= (stronger == 4)


@settings(max_examples=10, deadline=None)
@given(some.integers(0, 5), some.integers(0, 5), some.integers(0, 5))
def test_paired_rate_interval_nests_and_mirrors(b: int, c: int, rest: int):
    n = max(b + c + rest, 2)
    bounds, mirror = paired_rate_bounds(b, c, n), paired_rate_bounds(c, b, n)
    wide, narrow = bounds(0.01), bounds(0.1)
    assert -1 <= wide[0] <= narrow[0] <= (b - c) / n + 1e-9
    assert (b - c) / n - 1e-9 <= narrow[1] <= wide[1] <= 1
    assert mirror(0.05) == pytest.approx(tuple(-x for x in reversed(bounds(0.05))))


@settings(max_examples=40, deadline=None)
@given(some.lists(finite, min_size=2, max_size=10), some.randoms())
def test_order_of_seeds_does_not_matter(values: list[float], order: random.Random):
    shuffled = order.sample(values, len(values))
    assert t_interval(values) == pytest.approx(t_interval(shuffled))
    assert median_interval(values) == median_interval(shuffled)


@settings(max_examples=40, deadline=None)
@given(some.lists(finite, min_size=1, max_size=30), some.integers(0, 30))
def test_median_interval_holds_the_median_even_with_infinities(values: list[float], n_infinite: int):
    values = values + [math.inf] * n_infinite
    low, high = median_interval(values)
    assert low <= median(values) <= high


# --- oracles -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 40), some.integers(1, 40), some.sampled_from([0.01, 0.05, 0.2]))
def test_wilson_equals_scipy(k: int, n: int, alpha: float):
    k = min(k, n)
    theirs = stats.binomtest(k, n).proportion_ci(1 - alpha, "wilson")
    assert wilson(k, n, alpha) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("n", range(1, 60))
def test_a_rate_of_nothing_and_of_all_has_its_bound_exactly(n: int):
    """Which rounding misses in the formula: 0 of 7 would begin at 3e-17."""
    assert wilson(0, n)[0] == 0.0 < wilson(0, n)[1]
    assert wilson(n, n)[1] == 1.0 > wilson(n, n)[0]


def test_t_interval_and_p_value_equal_scipy():
    values = np.random.default_rng(1).normal(0.4, 1, 9)
    theirs = stats.ttest_1samp(values, 0.1)
    assert t_interval(values) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert p_against(t_bounds(values), 0.1) == pytest.approx(theirs.pvalue, rel=1e-6)


@pytest.mark.parametrize(("b", "c"), [(5, 0), (3, 4), (9, 2), (0, 0)])
def test_mcnemar_is_a_sign_test_of_discordant_pairs(b: int, c: int):
    assert mcnemar_p(b, c) == pytest.approx(stats.binomtest(b, b + c).pvalue if b + c else 1.0)


@pytest.mark.parametrize(("b", "c", "n"), [(9, 1, 20), (3, 4, 9), (40, 10, 100)])
def test_paired_rate_score_at_zero_is_mcnemar_chi_square(b: int, c: int, n: int):
    assert float(paired_rate_score(b, c, n, 0.0)) ** 2 == pytest.approx((b - c) ** 2 / (b + c))


def test_sign_flips_enumerate_all_patterns():
    values = np.array([0.3, -0.1, 0.8, 0.5])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1)
    means = (signs * values[:, None]).mean(axis=0)
    assert sign_flip_p(values) == pytest.approx((abs(means) >= abs(values.mean()) - 1e-12).mean())
    assert sign_flip_p(np.ones(20)) == sign_flip_p(np.ones(20)) < 1e-3  # drawn, from a fixed generator


# --- level and coverage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 10, 30])
@pytest.mark.parametrize("kind", ["normal", "heavy", "laplace", "rare"])
def test_at_the_smallest_effect_a_verdict_is_given_at_most_at_the_level(n: int, kind: str):
    rng, delta = np.random.default_rng(n), 0.1
    draws = {
        "normal": lambda: rng.normal(size=(SIMULATIONS, n)),
        "heavy": lambda: rng.standard_t(2, size=(SIMULATIONS, n)),
        "laplace": lambda: rng.laplace(size=(SIMULATIONS, n)),
        "rare": lambda: rng.normal(size=(SIMULATIONS, n)) * np.where(rng.random((SIMULATIONS, n)) < 0.1, 20, 1),
    }[kind]()
    decided = sum(not low <= delta <= high for low, high in map(t_interval, draws + delta))
    assert decided / SIMULATIONS <= 0.05 + MC_ERROR


def test_families_of_claims_under_the_null_are_rarely_decided_wrongly():
    rng, delta, wrong, trials, n = np.random.default_rng(11), 0.1, 0, 400, 8
    for _ in range(trials):
        bounds = [t_bounds(rng.normal(delta, 1, n)) for _ in range(4)]
        p = [p_against(one, delta) for one in bounds]
        wrong += bool((np.asarray(p) < holm_alphas(p)).any())
    assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_rare_differences_of_averaged_rates_are_covered(rate: float):
    """Where all differences are equal a t interval has no width: the exact bound takes its place."""
    rng, missed = np.random.default_rng(5), 0
    for _ in range(600):
        differences = (rng.random(10) < rate) / 3
        equal = np.ptp(differences) == 0
        bounds = constant_bounds(float(differences[0]), 10, bounded=True) if equal else t_bounds(differences)
        low, high = bounds(0.05)
        missed += not low <= rate / 3 <= high
    assert missed / 600 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize("n", [6, 10, 25])
def test_median_interval_covers(n: int):
    draws = np.exp(np.random.default_rng(n).standard_cauchy((SIMULATIONS, n)).clip(-300, 300))
    missed = sum(not low <= 1.0 <= high for low, high in map(median_interval, draws))
    assert missed / SIMULATIONS <= 0.05 + MC_ERROR
