"""Each kind of claim is one number per seed: worked out by hand, and by NumPy and SciPy."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from made_runs import DROPPED, INF, claim, judged, make_cells, make_runs, plan_for
from scipy import optimize, stats
from synthetic import fail

from harness import Equivalence, Exact, Interaction, Threshold, Trend
from harness.inference import verdicts
from harness.inference.intervals.paired_rates import paired_rate_bounds
from harness.inference.plan import Plan
from harness.inference.verdicts import _farthest, judge
from harness.reporting.plots.claims import data
from harness.settings import Sweep

P = "model.dropout"
LEVELS = [0.0, 0.2, 0.5, 0.8]


# --- equivalence ---------------------------------------------------------------------------------------------------


def same(**changes: object) -> Equivalence:
    return Equivalence(**({"title": "same", "metric": "test_loss", "smallest_effect": 0.1} | DROPPED | changes))


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([-0.05, 0.09, 0.02, 0.0, -0.03, 0.01], "supported"),  # inside ±0.1
        ([-0.05, 0.11, 0.02, 0.0, -0.03, 0.01], "inconclusive"),  # over the upper edge
        ([-0.12, 0.05, 0.02, 0.0, -0.03, 0.01], "inconclusive"),  # over the lower one
        ([-0.3, 0.4, 0.02, 0.0, -0.03, 0.01], "inconclusive"),
        ([0.11, 0.4, 0.2, 0.3, 0.3, 0.2], "refuted"),  # wholly outside, above
        ([-0.11, -0.4, -0.2, -0.3, -0.3, -0.2], "refuted"),  # and below
        ([0.02, 0.01, 0.0, 0.0, 0.0, INF], "inconclusive"),  # one treated run diverged
    ],
)
def test_equivalence_by_the_interval_of_six_seeds(differences: list[float], word: str):
    runs = make_runs({0.0: [1.0] * 6, 0.5: [1.0 + x for x in differences]})
    (found,) = judged(runs, same())
    assert (found.verdict, found.label, found.kind) == (word, "", "Equivalence")
    assert found.low == pytest.approx(min(differences))
    assert (INF if found.high is None else found.high) == pytest.approx(max(differences))
    if word == "supported":
        assert "is the same with model.dropout = 0.5 and with model.dropout = 0, within δ = 0.1" in found.sentence
    if word == "refuted":
        assert "is not the same" in found.sentence


def test_equivalence_of_errors_is_two_one_sided_t_tests_at_half_the_level():
    differences = np.array([0.01, -0.02, 0.015, 0.0, 0.01])
    runs = make_runs({0.0: [0.3] * 5, 0.5: list(0.3 + differences)}, "test_error")
    (found,) = judged(runs, same(metric="test_error", estimand="mean", smallest_effect=0.03))
    one_sided = max(
        stats.ttest_1samp(differences, 0.03, alternative="less").pvalue,
        stats.ttest_1samp(differences, -0.03, alternative="greater").pvalue,
    )
    assert found.p_smallest_effect == pytest.approx(2 * one_sided, rel=1e-6)
    assert found.verdict == ("supported" if one_sided < 0.025 else "inconclusive")


def test_equivalence_in_each_cell_shows_the_one_farthest_from_nothing():
    eight = np.linspace(0.0, 0.01, 8)
    runs = make_cells(
        [
            ({P: 0.0, "width": 8}, [1.0] * 8),
            ({P: 0.5, "width": 8}, list(1.0 + eight)),
            ({P: 0.0, "width": 9}, [1.0] * 8),
            ({P: 0.5, "width": 9}, list(1.4 + eight)),
        ]
    )
    (found,) = judged(runs, same(across="each"))
    assert (found.verdict, found.estimate) == ("refuted", pytest.approx(0.405))
    assert (found.low, found.high) == pytest.approx((0.4, 0.41))
    (found,) = judged(runs[runs["width"] == 8], same(across="each"))
    assert (found.verdict, found.high) == ("supported", pytest.approx(0.01))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_undecided_equivalence_shows_the_interval_that_stands_in_its_way(sign: int):
    """By hand: of eight seeds, whose range is the interval at 97.5 % each, one cell has the larger estimate, the other the wider interval."""
    tight = sign * np.array([0.05, 0.06, 0.07, 0.05, 0.06, 0.07, 0.06, 0.06])
    wide = sign * np.array([-0.4, -0.2, 0, 0, 0.01, 0.02, 0.2, 0.3])
    runs = make_cells(
        [({P: p, "width": w}, list(1.0 + 2 * p * d)) for p in (0.0, 0.5) for w, d in ((8, tight), (9, wide))]
    )
    (found,) = judged(runs, same(across="each"))
    assert (found.verdict, found.estimate) == ("inconclusive", pytest.approx(sign * 0.06))
    assert [found.low, found.high] == pytest.approx(sorted((sign * -0.4, sign * 0.3)))
    assert found.sentence.startswith("The interval holds ±δ = 0.1.")


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([-0.26, -0.1, 0.0, 0.02, 0.05, 0.07], "The interval holds −δ = −0.1."),
        ([-0.07, -0.05, -0.02, 0.0, 0.1, 0.26], "The interval holds δ = 0.1."),
        ([-0.26, -0.1, -0.01, 0.01, 0.1, 0.26], "The interval holds ±δ = 0.1."),
        ([-0.9, -0.4, -0.15, -0.05, 0.09, 0.5], "Undecided: estimate ≈ −δ = −0.1."),
        ([-0.5, -0.09, 0.05, 0.15, 0.4, 0.9], "Undecided: estimate ≈ δ = 0.1."),
    ],
)
def test_an_undecided_equivalence_names_the_end_that_its_interval_holds(differences: list[float], said: str):
    """Of six seeds, whose range is the interval at 95 %, and the median the estimate."""
    runs = make_runs({0.0: [2.0] * 6, 0.5: [2.0 + d for d in differences]})
    (found,) = judged(runs, same())
    assert (found.verdict, found.low, found.high) == (
        "inconclusive",
        *(pytest.approx(f(differences)) for f in (min, max)),
    )
    assert found.sentence.startswith(said)


@given(
    some.lists(some.tuples(*[some.floats(-3, 3).map(lambda end: end + 0.0)] * 2).map(sorted), min_size=1, max_size=4),
    some.data(),
)
def test_the_number_farthest_from_nothing_lies_where_its_interval_says(intervals: list, data: some.DataObject):
    """Wherever the numbers lie; and both ends of the interval can be reached."""
    low, high = _farthest(intervals)
    numbers = [data.draw(some.floats(*ends)) for ends in intervals]
    assert low <= max(numbers, key=abs) <= high
    corners = itertools.product(*({a, b, min(max(0.0, a), b)} for a, b in intervals))
    reached = [number for each in corners for number in each if abs(number) == max(map(abs, each))]
    assert max(map(abs, (low, high))) == max(map(abs, reached))


def test_where_an_equivalence_fails_is_the_cell_farthest_from_nothing():
    base = np.linspace(1.0, 1.1, 12)
    cells = [({P: p, "width": w}, list(base + 2 * p * d)) for p in (0.0, 0.5) for w, d in ((8, 0.5), (9, -0.01))]
    (found,) = judged(make_cells(cells), same(across="each"))
    assert found.verdict == "refuted"
    assert "least so at width = 8 (+0.5)" in found.sentence
    assert found.at_worst is not None
    assert (found.at_worst.name, data(found)["row"].iloc[0]) == ("width = 8", "all: the farthest from 0")


def test_a_mean_that_left_out_runs_shows_no_equivalence():
    runs = make_runs({0.0: [0.3, 0.31] * 10, 0.5: [0.31, 0.3] * 10}, "test_error")
    equal = same(metric="test_error", estimand="mean", smallest_effect=0.05)
    assert judged(runs, equal)[0].verdict == "supported"
    runs.loc[25, ["status", "diverged"]] = "diverged", 1.0
    (found,) = judged(runs, equal)
    assert found.verdict == "inconclusive"
    assert "have no part in the mean, and could change it" in found.sentence


# --- trend ---------------------------------------------------------------------------------------------------------


def along(**changes: object) -> Trend:
    given = {"title": "falls", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1, "factor": P}
    return Trend(**(given | changes))


@pytest.mark.parametrize(("better", "sign"), [("lower", -1), ("higher", 1)])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_linear_trend_is_the_change_along_the_line_that_fits(k: int, better: str, sign: int):
    values = np.random.default_rng(k).normal(2, 1, (8, k))
    runs = make_runs({LEVELS[j]: list(values[:, j]) for j in range(k)})
    (found,) = judged(runs, along(better=better))
    slopes = [np.polyfit(np.arange(k), seed, 1)[0] * (k - 1) for seed in values]
    assert list(found.per_seed.values()) == pytest.approx([sign * slope for slope in slopes])
    assert found.estimate == pytest.approx(np.median([sign * slope for slope in slopes]))


def test_levels_of_a_trend_are_those_named_in_that_order():
    values = np.random.default_rng(0).normal(2, 1, (8, 4))
    runs = make_runs({level: list(values[:, j]) for j, level in enumerate(LEVELS)})
    (found,) = judged(runs, along(levels=[0.8, 0.0, 0.5]))
    expected = [-2 * np.polyfit([0, 1, 2], seed[[3, 0, 2]], 1)[0] for seed in values]
    assert list(found.per_seed.values()) == pytest.approx(expected)


@pytest.mark.parametrize("levels", [[0.8, 0.5, 0.0], []])
def test_a_trend_says_from_which_level_to_which_it_goes(levels: list[float]):
    """Δ of each seed is the change from the first level to the last, whichever is larger, also where the sweep gives them."""
    there = {0.8: [1.0] * 8, 0.5: [2.0] * 8, 0.0: [3.0] * 8}
    (found,) = judged(make_runs(there), along(better="higher", levels=levels))
    assert (found.verdict, found.estimate) == ("supported", pytest.approx(2.0))
    assert found.compared == f"higher along {P}, from 0.8 to 0"
    assert f"test_loss is higher along {P}, from 0.8 to 0, by more than δ" in found.sentence
    (found,) = judged(make_runs(there), along(levels=levels))
    assert f"The opposite holds: test_loss is higher along {P}, from 0.8 to 0." in found.sentence


def test_a_trend_at_a_level_of_another_factor():
    cells = [({P: p, "width": w}, [w + p] * 6) for w in (8.0, 9.0) for p in (0.0, 0.5)]
    runs = make_cells(cells)
    runs.loc[(runs["width"] == 9.0) & (runs[P] == 0.5), "test_loss"] = 1.0
    (found,) = judged(runs, along(at={"width": 9.0}))
    assert (found.verdict, found.estimate) == ("supported", pytest.approx(8.0))
    (found,) = judged(runs, along(at={"width": 8.0}))
    assert (found.verdict, found.label, found.estimate) == ("refuted", "reversed", pytest.approx(-0.5))


def test_a_level_that_diverged_in_the_middle_may_be_anywhere():
    """The line through 3, ∞ and 1 is none."""
    runs = make_runs({0.0: [3.0] * 12, 0.2: [2.0] * 11 + [INF], 0.5: [1.0] * 12})
    (found,) = judged(runs, along())
    assert (found.verdict, found.per_seed[11], found.n) == ("supported", 0.0, 12)
    assert (found.low, found.high) == pytest.approx((2.0, 2.0))
    assert "Diverged: 1 of 36 runs" in found.sentence
    (found,) = judged(runs[runs["seed"] > 4], along())
    assert (found.low, found.high) == (None, None), "of seven, k = 1"


@pytest.mark.parametrize(
    ("steps", "word"),
    [([1.0, 1.0], "supported"), ([1.0, 0.05], "refuted"), ([5.0, -1.0], "refuted"), ([1.0, 0.2], "supported")],
)
def test_a_monotone_trend_is_one_in_every_step(steps: list[float], word: str):
    """Each of two steps by more than 0.1; one refutes it at α/2, for which seven seeds are enough."""
    first, second = steps
    noise = np.linspace(0, 0.01, 7)
    runs = make_runs({0.0: list(9.0 + noise), 0.2: [9.0 - first] * 7, 0.5: list(9.0 - first - second - noise)})
    (found,) = judged(runs, along(shape="monotone"))
    assert found.verdict == word
    assert [cell.name for cell in found.cells] == ["0 → 0.2", "0.2 → 0.5"]
    assert [cell.estimate for cell in found.cells] == pytest.approx([first + 0.005, second + 0.005])
    assert found.estimate == pytest.approx(min(steps) + 0.005)
    assert judged(runs, along())[0].verdict == "supported", "the line falls in all of them"


def test_every_arm_of_a_monotone_trend_counts_once():
    runs = make_runs({0.0: [3.0] * 10, 0.2: [2.0] * 9 + [INF], 0.5: [1.0] * 9 + [INF]})
    (found,) = judged(runs, along(shape="monotone"))
    assert found.n_diverged_treatment + found.n_diverged_baseline == 2
    assert "Diverged: 2 of 30 runs" in found.sentence


def test_runs_that_collapse_at_any_level_of_a_trend_are_counted():
    """Two collapse at the third level of four, three at the last; each level stands once."""
    runs = make_runs({level: [2.0 - level + seed / 100 for seed in range(8)] for level in LEVELS})
    runs.loc[(runs[P] == 0.5) & (runs["seed"] < 2), "status"] = "collapsed"
    runs.loc[(runs[P] == 0.8) & (runs["seed"] < 3), "status"] = "diverged"
    expected = {f"{P} = 0": (0, 8), f"{P} = 0.2": (0, 8), f"{P} = 0.5": (2, 8), f"{P} = 0.8": (3, 8)}
    for shape in ("monotone", "linear"):
        (found,) = judged(runs, along(shape=shape))
        assert found.catastrophes is not None
        assert (list(found.catastrophes.arms.items()), found.catastrophes.difference) == (list(expected.items()), None)


def test_a_monotone_trend_rests_on_the_step_with_the_fewest_seeds():
    runs = make_runs({0.0: [3.0] * 10, 0.2: [2.0] * 10, 0.5: [1.0] * 9 + [math.nan]})
    (found,) = judged(runs, along(shape="monotone"))
    assert (found.n, found.n_missing, found.verdict) == (9, 1, "supported")


def test_a_trend_over_two_levels_has_steps_and_no_treatment():
    runs = make_runs({0.0: [1.0] * 8, 0.2: [2.0] * 7 + [INF]})
    (found,) = judged(runs, along(levels=LEVELS[:2]))
    assert "Diverged: 1 of 16 runs." in found.sentence
    (found,) = judged(make_runs({0.0: [2.0] * 8, 0.2: [1.0] * 8, 0.5: [1.5] * 8}), along(shape="monotone"))
    assert "Its sign differs between steps" in found.sentence


def test_what_one_step_says_is_not_said_of_a_trend_whose_other_step_never_ran():
    (found,) = judged(
        make_runs({0.0: [3.0] * 10, 0.2: [2.0] * 10}), along(levels=LEVELS[:3], shape="monotone", across="each")
    )
    assert (found.verdict, found.per_seed, found.mean) == ("inconclusive", {}, None)
    assert "no seed has a run in every arm" in found.sentence


def test_a_trend_of_rates_has_the_interval_of_bounded_numbers():
    rates = {0.0: [1.0] * 12, 0.2: [1.0] * 6 + [0.0] * 6, 0.5: [0.0] * 12}
    (found,) = judged(make_runs(rates, "diverged"), along(metric="diverged"))
    assert (found.estimate, found.verdict) == (pytest.approx(1.0), "supported")
    (found,) = judged(make_runs({p: rates[p] for p in (0.0, 0.5)}, "diverged"), along(metric="diverged"))
    assert (found.low, found.high) == paired_rate_bounds(12, 0, 12)(0.05), "of two levels that of a pair"


# --- interaction ---------------------------------------------------------------------------------------------------


HERE = {"here": {"model.kind": "rnn"}, "there": {"model.kind": "mlp"}}


def more(**changes: object) -> Interaction:
    given = {"title": "more", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1, **DROPPED}
    return Interaction(**(given | HERE | changes))


def four_arms(values: np.ndarray, metric: str = "test_loss") -> pd.DataFrame:
    """(arm, seed): treated and control here, treated and control there."""
    places = [(0.5, "rnn"), (0.0, "rnn"), (0.5, "mlp"), (0.0, "mlp")]
    levels = [{P: p, "model.kind": kind} for p, kind in places]
    return make_cells(list(zip(levels, map(list, values), strict=True)), metric)


@pytest.mark.parametrize(("better", "sign"), [("lower", -1), ("higher", 1)])
def test_an_interaction_is_a_difference_of_differences(better: str, sign: int):
    values = np.random.default_rng(1).uniform(1, 3, (4, 9))
    (found,) = judged(four_arms(values), more(better=better))
    expected = sign * ((values[0] - values[1]) - (values[2] - values[3]))
    assert list(found.per_seed.values()) == pytest.approx(expected)
    assert found.estimate == pytest.approx(np.median(expected))


def test_an_interaction_with_a_place_where_all_runs_diverged_is_not_tested():
    """The runs there tie in every seed: the effect here alone would pass for the interaction."""
    values = np.random.default_rng(1).uniform(1, 3, (4, 9))
    values[2:] = math.inf
    (found,) = judged(four_arms(values, "grad_norm_q95"), more(metric="grad_norm_q95"))
    assert (found.verdict, found.estimate, dict(found.per_seed)) == ("inconclusive", None, {})
    assert found.sentence.startswith("Not tested: of one of the differences that it is about all runs of both arms")
    values[3, 0] = 2.0
    (found,) = judged(four_arms(values, "grad_norm_q95"), more(metric="grad_norm_q95"))
    assert found.estimate is not None, "one pair there compares something"


@pytest.mark.parametrize(
    ("here", "there", "verdict", "way"),
    [
        (-0.9, -0.1, "supported", "is lower with"), (-0.1, -0.9, "refuted", "is higher with"),
        (0.1, 0.9, "supported", "is lower with"), (0.9, 0.1, "refuted", "is higher with"),
        (-0.5, 0.5, "supported", "is lower with"),
    ],
)  # fmt: skip
def test_an_interaction_is_told_truly_whatever_the_treatment_does(here: float, there: float, verdict: str, way: str):
    """The treatment lowers, or raises, the loss by so much in both places: only the change with its sign is lower or higher."""
    base = np.linspace(2.0, 3.0, 8)
    cells = [
        ({P: p, "task": t}, list(base + 2 * p * change))
        for p in (0.0, 0.5)
        for t, change in (("a", here), ("b", there))
    ]
    runs = make_cells(cells)
    given = Interaction(
        "i", metric="test_loss", better="lower", smallest_effect=0.1, **DROPPED, here={"task": "a"}, there={"task": "b"}
    )
    sweeps = {P: Sweep(0.0, 0.5), "task": Sweep("a", "b")}
    (found,) = judge([given], runs, Plan(sweeps, list(range(8)), [8], []))
    change = runs.pivot_table(index="task", columns=P, values="test_loss").diff(axis=1)[0.5]
    assert (change["a"] < change["b"]) == (way == "is lower with")
    said = f"the change of test_loss from model.dropout = 0 to model.dropout = 0.5 {way} task = a than with task = b"
    assert found.verdict == verdict and said in found.sentence.lower()
    assert (
        found.compared
        == "the change of the metric from model.dropout = 0 to model.dropout = 0.5, lower with task = a than with task = b"
    )
    (found,) = judge([given.replace(scale="ratio")], runs, Plan(sweeps, list(range(8)), [8], []))
    assert "the ratio of test_loss with model.dropout = 0.5 to that with model.dropout = 0 is" in found.sentence.lower()
    (found,) = judge([given.replace(smallest_effect=5.0)], runs, Plan(sweeps, list(range(8)), [8], []))
    assert found.label == ("no relevant effect" if verdict == "supported" else "reversed")
    if verdict == "supported":
        assert found.sentence == (
            "The change of test_loss from model.dropout = 0 to model.dropout = 0.5 differs between task = a and task = b in the "
            "median seed by less than δ = 5 either way."
        )


def test_on_the_scale_of_ratios_it_is_one_of_logarithms():
    values = np.random.default_rng(2).uniform(1, 3, (4, 9)) * [[100.0], [100.0], [1.0], [1.0]]
    (found,) = judged(four_arms(values), more(scale="ratio"))
    expected = np.log(values[1] / values[0]) - np.log(values[3] / values[2])
    assert list(found.per_seed.values()) == pytest.approx(expected)
    values[1, 0] = INF
    (found,) = judged(four_arms(values), more(scale="ratio"))
    assert found.per_seed[0] == INF, "its baseline diverged here"


def test_a_run_that_diverged_is_not_lost_in_a_logarithm():
    """Where more is better the worst rank is −∞, which has no logarithm."""
    values = np.random.default_rng(3).uniform(1, 3, (4, 9))
    runs = four_arms(values, "grad_norm_mean")
    runs.loc[0, ["status", "grad_norm_mean"]] = "diverged", math.nan
    (found,) = judged(runs, more(metric="grad_norm_mean", better="higher", scale="ratio"))
    assert (found.n, found.n_missing, found.per_seed[0]) == (9, 0, -INF)


def test_a_number_below_zero_has_no_ratio_and_its_seed_is_not_passed_over():
    runs = four_arms(np.random.default_rng(0).uniform(1, 2, (4, 20)))
    assert "No verdict" not in judged(runs, more(scale="ratio"))[0].sentence
    runs.loc[3, "test_loss"] = -0.1
    (found,) = judged(runs, more(scale="ratio"))
    assert found.verdict == "inconclusive"
    assert found.sentence.startswith("No verdict: test_loss is below 0 in 1 run, and such numbers have no ratio.")


def test_a_seed_of_which_both_places_diverged_may_be_anything():
    values = np.full((4, 10), 1.0)
    values[1] += np.linspace(1, 2, 10)
    values[0, 0] = values[2, 0] = INF
    (found,) = judged(four_arms(values), more(**HERE))
    assert (found.verdict, found.n, found.per_seed[0]) == ("supported", 10, 0.0)
    values[0, 1] = values[2, 1] = INF
    (found,) = judged(four_arms(values), more(**HERE))
    assert (found.verdict, found.low, found.high) == ("inconclusive", None, None)


def test_an_interaction_of_rates_adds_the_ends_of_both_places():
    """Here 12 of 15 diverge without it and 1 with it (in a seed of its own), there 4 and 2; MOVER as if both erred together."""
    here_c, here_t = np.array([1.0] * 12 + [0.0] * 3), np.array([0.0] * 14 + [1.0])
    there_c, there_t = np.array([0.0] * 11 + [1.0] * 4), np.array([1.0] * 2 + [0.0] * 13)
    (found,) = judged(four_arms(np.array([here_t, here_c, there_t, there_c]), "diverged"), more(metric="diverged"))
    (l1, u1), (l2, u2) = paired_rate_bounds(12, 1, 15)(0.05), paired_rate_bounds(4, 2, 15)(0.05)
    assert found.estimate == pytest.approx(11 / 15 - 2 / 15)
    assert (found.low, found.high) == pytest.approx((l1 - u2, u1 - l2))
    assert "MOVER" in found.method


# --- threshold -----------------------------------------------------------------------------------------------------


def under(value: float, **changes: object) -> Threshold:
    given = {"title": "under", "metric": "test_loss", "better": "lower", "value": value, "arm": {P: 0.5}}
    return Threshold(**(given | changes))


def test_a_loss_against_a_published_number():
    values = [1.1, 1.3, 0.9, 1.2, 1.0, 1.15, 1.05, 0.95]
    runs = make_runs({0.0: [9.0] * 8, 0.5: values})
    (found,) = judged(runs, under(1.5))
    assert (found.verdict, found.n, found.estimate) == ("supported", 8, pytest.approx(1.5 - np.median(values)))
    assert (found.low, found.high) == pytest.approx((0.2, 0.6)), "of eight, the least and the largest"
    assert found.p_value == pytest.approx(stats.binomtest(8, 8).pvalue)
    assert "test_loss is lower than 1.5 in the median seed with model.dropout = 0.5" in found.sentence
    (found,) = judged(runs, under(1.5, smallest_effect=0.25))
    assert found.verdict == "inconclusive"
    assert found.p_smallest_effect == pytest.approx(stats.binomtest(7, 8).pvalue), "1.3 is .2 below"
    assert judged(runs, under(0.8))[0].label == "reversed"
    assert judged(runs, under(1.5, better="higher"))[0].verdict == "refuted"


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (17, 20), (20, 20)])
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_a_rate_against_a_number_has_the_exact_interval(k: int, n: int, better: str):
    runs = make_runs({0.0: [0.0] * n, 0.5: [1.0] * k + [0.0] * (n - k)}, "diverged")
    (found,) = judged(runs, under(0.4, metric="diverged", better=better))
    theirs = stats.binomtest(k, n).proportion_ci(0.95, "exact")
    ends = (0.4 - theirs.high, 0.4 - theirs.low) if better == "lower" else (theirs.low - 0.4, theirs.high - 0.4)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-9)
    tails = [stats.binomtest(k, n, 0.4, alternative=side).pvalue for side in ("less", "greater")]
    assert found.p_value == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)


def test_without_an_arm_all_cells_are_averaged():
    runs = make_runs({0.0: [1.0] * 6, 0.5: [2.0] * 6})
    (found,) = judged(runs, under(1.8, arm={}))
    assert found.estimate == pytest.approx(0.3)
    (found,) = judged(runs, under(1.8, arm={}, across="each"))
    assert [cell.estimate for cell in found.cells] == pytest.approx([0.8, -0.2])


def test_an_arm_against_a_number_is_told_by_what_is_estimated_and_not_of_every_run():
    """Half of the runs lie above the number, of which the average over both cells lies below."""
    runs = make_cells([({"width": 8}, [1.0] * 8), ({"width": 9}, [3.5] * 8)])
    given = Threshold("t", metric="test_loss", better="lower", value=2.5)
    (found,) = judged(runs, given)
    assert (found.verdict, found.estimate) == ("supported", 0.25)
    assert found.sentence.startswith(
        "test_loss is lower than 2.5 in the median seed, averaged over all cells. Its sign differs"
    )
    (found,) = judged(runs, given.replace(across="each"))
    assert found.sentence.startswith(
        "test_loss is not lower than 2.5 in the median seed, in each of 2 cells, least so at width = 9 (−1)."
    )
    (found,) = judged(runs, given.replace(arm={"width": 8}, above=1.5, estimand="rate", value=0.5))
    assert found.sentence.startswith("The rate of test_loss above 1.5 is lower than 0.5 with width = 8.")


def test_a_rate_over_cells_against_a_number():
    runs = make_runs({0.0: [1.0] * 20, 0.5: [0.0] * 20}, "diverged")
    (found,) = judged(runs, under(0.9, metric="diverged", arm={}))
    assert found.estimate == pytest.approx(0.4)
    least = least_mean_by_bets(0.5, 20)
    assert (found.low, found.high) == pytest.approx((0.9 - (1 - least), 0.9 - least), abs=1e-4)


def test_a_seed_half_of_whose_runs_diverged_is_no_coin():
    """Two trials of one cell, as a search with several objectives leaves them: the seed's number is a half."""
    once = make_runs({0.5: [1.0] * 20}, "diverged")
    runs = pd.concat([once, once.assign(trial=1, status="finished", diverged=0.0)])
    (found,) = judged(runs, under(0.9, metric="diverged"))
    assert (found.estimate, found.n) == (pytest.approx(0.4), 20)
    assert found.high == pytest.approx(0.9 - least_mean_by_bets(0.5, 20), abs=1e-4)


def test_a_seed_with_several_combinations_has_their_mean_which_is_said():
    one = make_runs({0.5: [1.0 + n for n in range(10)], 0.0: [5.0 + n for n in range(10)]})
    several = pd.concat([one, one.assign(trial=one["trial"] + 2, test_loss=one["test_loss"] * 3)], ignore_index=True)
    (found,) = judged(several, claim())
    assert (found.estimate, found.n) == (pytest.approx(8.0), 10)  # (4 + 12) / 2
    said = " Cells confirm up to 2 combinations of tuned values: a seed counts once, with their mean."
    assert said in found.sentence and said not in judged(one, claim())[0].sentence
    several.loc[0, ["status", "test_loss"]] = "failed", np.nan
    (without,) = judged(several, claim())
    assert (without.n, without.n_missing) == (9, 1), "the other combination does not speak for the one that failed"


@pytest.mark.parametrize(("metric", "most"), [("test_error", 1.0), ("memorization", 1.0), ("brier", 2.0)])
def test_a_mean_of_equal_numbers_has_the_interval_of_what_lies_between_their_ends(metric: str, most: float):
    """A t interval would have no width."""
    runs = make_runs({0.5: [0.5] * 20}, metric)
    (found,) = judged(runs, under(0.9, metric=metric, estimand="mean"))
    ends = most * least_mean_by_bets(0.5 / most, 20), most * (1 - least_mean_by_bets(1 - 0.5 / most, 20))
    assert (found.estimate, found.n) == (pytest.approx(0.4), 20)
    assert (found.low, found.high) == pytest.approx((0.9 - ends[1], 0.9 - ends[0]), abs=1e-4)


def least_mean_by_bets(value: float, n: int) -> float:
    """The mean against which stakes of ½, ¾ and all make 2 / 5 % = 40 of 1, where n numbers from 0 to 1 all are `value`."""

    def wealth(mean: float) -> float:
        return sum(part * (1 - f + f * value / mean) ** n for f, part in ((0.5, 0.25), (0.75, 0.25), (1.0, 0.5)))

    return float(optimize.brentq(lambda mean: wealth(mean) - 40, 1e-3, value))


def test_a_mean_beside_a_number_bears_no_verdict_where_a_run_has_no_part_in_it():
    runs = make_runs({0.5: [0.30, 0.31, 0.29, 0.30, 0.31, 0.30, 0.32, 0.30, 0.30, 0.30]}, "test_error")
    low = under(0.5, metric="test_error", estimand="mean")
    assert judged(runs, low)[0].verdict == "supported"
    runs.loc[3, ["status", "diverged"]] = "diverged", 1.0
    (found,) = judged(runs, low)
    assert (found.verdict, found.n) == ("inconclusive", 9)
    assert "runs that diverged or collapsed have no part in the mean, and could change it" in found.sentence


# --- exact ---------------------------------------------------------------------------------------------------------


def noiseless(runs: pd.DataFrame, **changes: object):
    exact = Exact(**({"title": "none", "metric": "eval_noise", "unless": "train_noise"} | changes))
    return judged(runs, exact)[0]


def test_nine_of_ten_diverged_runs_are_not_none():
    """Once "supported": only the finished run was counted."""
    found = noiseless(make_runs({0.0: [1.0] * 9 + [0.0]}, "diverged"), metric="diverged", unless=None)
    assert (found.verdict, found.n, found.estimate) == ("refuted", 10, 1.0)
    assert "diverged is not 0 in 9 of 10 runs; largest deviation 1" in found.sentence


def test_exact_claims_hold_of_every_run():
    runs = make_runs({0.0: [0.0] * 10, 0.5: [0.0] * 10}, "eval_noise")
    found = noiseless(runs)
    assert (found.verdict, found.label, found.n) == ("supported", "exact", 20)
    assert noiseless(runs.assign(status=["finished", "collapsed", "diverged", "finished"] * 5)).n == 20
    assert noiseless(runs.assign(train_noise=0.0)).verdict == "inconclusive"
    assert noiseless(runs.iloc[:0]).verdict == "inconclusive"
    assert noiseless(runs.assign(phase="tune")).verdict == "inconclusive"
    runs.loc[3, "eval_noise"] = 1e-9
    found = noiseless(runs)
    assert (found.verdict, found.estimate) == ("refuted", 1e-9)
    runs.loc[3, ["eval_noise", "status"]] = INF, "diverged"
    assert noiseless(runs).verdict == "refuted", "once left out"


def test_exclusions_are_listed_and_above_one_in_ten_nothing_is_said():
    runs = make_runs({0.0: [0.0] * 10, 0.5: [0.0] * 10}, "eval_noise")
    one = fail(runs, runs.index == 3)
    one.loc[4, "eval_noise"] = math.nan
    found = noiseless(one)
    assert (found.verdict, found.n, found.n_missing) == ("supported", 18, 2)
    assert "Excluded: 1 failed, 1 without a value." in found.sentence
    found = noiseless(fail(one, one.index == 5))
    assert found.verdict == "inconclusive"
    assert "3 of 20 runs have no value, more than one in ten" in found.sentence
    one.loc[6:8, "status"] = "failed"
    one.loc[9, "eval_noise"] = 0.5
    assert noiseless(one).verdict == "refuted", "one run is enough"


def test_an_exact_claim_is_refuted_at_once_and_supported_only_when_all_planned_runs_are_there():
    runs = make_runs({0.0: [0.0] * 10, 0.5: [0.0] * 10}, "eval_noise").assign(train_noise=0.3)
    exact = Exact("none", metric="eval_noise", unless="train_noise")
    plan = plan_for(runs)
    (early,) = verdicts.judge([exact], runs.drop(index=19), plan)
    assert early.verdict == "inconclusive"
    assert early.sentence == "Too early for a verdict: 9 of 10 planned seeds have run."
    assert verdicts.judge([exact], runs, plan)[0].verdict == "supported"
    runs.loc[0, "eval_noise"] = 1e-9
    assert verdicts.judge([exact], runs.drop(index=19), plan)[0].verdict == "refuted"


def test_exact_claims_take_no_share_of_the_level():
    runs = make_runs({0.0: [2.0] * 6, 0.5: [1.0] * 6}).assign(eval_noise=0.0)
    found = judged(runs, claim(), Exact("none", metric="eval_noise"))
    assert found[0].level == pytest.approx(0.95)
    assert [one.verdict for one in found] == ["supported", "supported"]
