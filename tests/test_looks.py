"""Planned looks: which claims are decided after which of them, and at which levels."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from made_runs import claim, judged, make_runs, plan_for
from scipy import stats
from synthetic import fail

from harness.inference import verdicts
from harness.inference.intervals.group_sequential import nominal_levels
from harness.inference.looks import Decision, decide, shown_alpha

LOOKS = (10, 20, 40)


@dataclass(frozen=True)
class Seen:
    """A p-value: all that `decide` asks of evidence."""

    p: float


def decided(*looks: list[float], others: int = 0) -> list[tuple[int, float] | None]:
    """Of p-values (look, claim): index of the look and the level of each decision."""
    found = decide([[Seen(p) for p in ps] for ps in looks], LOOKS, others=others)  # type: ignore[misc, list-item]
    return [None if one is None else (one.look, one.alpha) for one in found]


def test_levels_of_three_looks_in_a_family_of_three():
    """Each claim has a third of 5 % as long as none is decided."""
    third, half, whole = (nominal_levels(LOOKS, 0.05 / m) for m in (3, 2, 1))
    just, over = 1 - 1e-9, 1 + 1e-9
    assert third[0] == pytest.approx(0.05 / 3 / 16, rel=1e-6), "γ·t² at t = 1/4"
    assert decided([third[0] * just, 1.0, 1.0]) == [(0, third[0]), None, None]
    assert decided([third[0] * over, 1.0, 1.0]) == [None] * 3
    assert decided([third[0] * just, half[0] * just, whole[0] * just]) == [(0, third[0]), (0, half[0]), (0, whole[0])]
    assert decided([half[0] * just, half[0] * just, 1.0]) == [None] * 3, "the first step of Holm's is at a third"


def test_a_decided_claim_stays_so_and_leaves_its_share():
    third, half, whole = (nominal_levels(LOOKS, 0.05 / m) for m in (3, 2, 1))
    first = [1e-6, third[0] * 1.01, 0.5]
    assert half[0] < third[0] * 1.6
    second = [0.9, half[1] * 0.99, 0.5]
    last = [0.9, 0.9, whole[2] * 0.99]
    assert decided(first) == [(0, third[0]), (0, half[0]), None], "1.01 of a third is less than half of 5 %"
    first[1] = half[0] * 1.01
    assert decided(first, second) == [(0, third[0]), (1, half[1]), None]
    assert decided(first, second, last) == [(0, third[0]), (1, half[1]), (2, whole[2])]
    assert decided(first, [0.9, 0.5, 0.5], [0.9, half[2] * 1.01, half[2] * 1.01]) == [(0, third[0]), None, None]


def test_claims_that_nothing_can_decide_keep_their_share():
    half, whole = (nominal_levels(LOOKS, 0.05 / m)[0] for m in (2, 1))
    assert decided([half * 1.01]) == [(0, whole)]
    assert decided([half * 1.01], others=1) == [None]
    assert decided([half * 0.99], others=1) == [(0, half)]


def test_one_look_is_holms_procedure():
    """Of four at 5 %: 0.001 < 0.0125 and 0.01 < 0.0167 are rejected; 0.03 > 0.025 stops it, though 0.04 < 0.05."""
    found = decide([[Seen(p) for p in (0.04, 0.001, 0.03, 0.01)]], [10])  # type: ignore[misc]
    assert found == [None, Decision(0, 0.0125), None, Decision(0, pytest.approx(0.05 / 3))]
    assert decide([], [10]) == []
    assert shown_alpha([10], 0, 4) == 0.0125
    assert shown_alpha([10], 0, 0) == 0.05, "of exact claims alone"


def test_an_interval_that_ends_at_the_smallest_effect_decides_nothing():
    assert decide([[Seen(0.05)]], [10]) == [None]  # type: ignore[misc]
    assert decide([[Seen(0.0499)]], [10]) == [Decision(0, 0.05)]  # type: ignore[misc]


def test_family_wise_errors_at_the_smallest_effect():
    """Three true null hypotheses, normal: any is rejected at any of three looks in 5 % of studies, a little more for t."""
    rng, studies = np.random.default_rng(0), 3000
    draws = rng.normal(size=(studies, 3, 40))
    p = np.array([stats.ttest_1samp(draws[:, :, :n], 0, axis=2).pvalue for n in LOOKS])
    wrong = sum(any(decided(*(p[:, i].tolist()))) for i in range(studies))
    assert 0.03 < wrong / studies <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_family_wise_errors_of_the_sign_test_on_skewed_losses():
    rng, studies = np.random.default_rng(1), 3000
    above = (rng.lognormal(size=(studies, 3, 40)) > 1).cumsum(axis=2)
    p = np.array(
        [np.minimum(1, 2 * stats.binom.cdf(np.minimum(k, n - k), n, 0.5)) for n in LOOKS for k in [above[:, :, n - 1]]]
    )
    wrong = sum(any(decided(*(p[:, i].tolist()))) for i in range(studies))
    assert wrong / studies <= 0.05


# --- of studies ----------------------------------------------------------------------------------------------------


def grown(n: int):
    """A clear effect on the test loss; the gap is better in 8 of the first ten seeds, and in all that follow."""
    clear, slow = [1.0] * n, ([0.5] * 8 + [-0.5] * 2 + [0.5] * 30)[:n]
    runs = make_runs({0.0: [2.0] * n, 0.5: [2.0 - x for x in clear]})
    runs["gap"] = [1.0] * n + [1.0 - x for x in slow]
    return runs


CLAIMS = [claim(title="clear"), claim(title="slow", metric="gap")]


@pytest.mark.parametrize(
    ("n", "reached"), [(6, 0), (10, 0), (15, 0), (20, 1), (30, 1), (40, 2)]
)  # fmt: skip
def test_claims_are_judged_at_the_last_look_reached(n: int, reached: int):
    runs = grown(n)
    plan = plan_for(grown(40), looks=LOOKS)
    clear, slow = verdicts.judge(CLAIMS, runs, plan)
    assert (clear.n, clear.looks) == (min(n, LOOKS[reached]), LOOKS)
    assert clear.level == slow.level == pytest.approx(1 - nominal_levels(LOOKS, 0.05 / 2)[reached])
    # ten of ten: 2 / 2¹⁰ = .00195 > .05 / 2 / 16 = .0016, and 20 of 20 decide
    assert clear.look == (20 if n >= 20 else None)
    assert clear.verdict == ("supported" if n >= 20 else "inconclusive")
    if n < 20:
        assert f"The next planned look is at {10 if n < 10 else 20} seeds." in clear.sentence
    else:
        assert "Decided at the look at 20 seeds." in clear.sentence


def test_what_was_decided_stays_whatever_comes_later():
    """Twenty better seeds, then twenty worse ones: at the last look by itself it would be open."""
    runs = make_runs({0.0: [2.0] * 40, 0.5: [1.0 + i / 1000 for i in range(20)] + [3.0 + i / 1000 for i in range(20)]})
    (found,) = judged(runs, claim(), looks=LOOKS)
    assert (found.verdict, found.look, found.n) == ("supported", 10, 40)
    assert found.p_smallest_effect == pytest.approx(2 / 2**10)
    assert found.low is not None and found.low < 0 < found.high, "what is shown is of all seeds"
    assert judged(runs, claim())[0].verdict == "inconclusive"


def test_nothing_is_decided_before_the_first_look():
    """Who looks at every seed, and stops where he likes what he sees, errs far more often than at one in twenty."""
    runs = make_runs({0.0: [2.0] * 16, 0.5: [1.0] * 16})
    for looks, first in (((20,), 20), ((20, 40), 20), ((16,), 16)):
        plan = replace(plan_for(runs, looks=looks), seeds=range(looks[-1]))
        (found,) = verdicts.judge([claim()], runs, plan)
        assert (found.verdict, found.look) == (("supported", 16) if first == 16 else ("inconclusive", None))
        early = "Too early for a verdict: 16 of 20 planned seeds have run. The next planned look is at 20 seeds."
        assert (early in found.sentence) == (first == 20)
        assert (found.n, found.estimate) == (16, 1.0), "what there is, is shown"


def test_what_was_decided_says_what_became_of_it():
    """Ten of the forty seeds failed after the first look."""
    runs = make_runs({0.0: [2.0] * 40, 0.5: [1.0] * 40})
    (found,) = judged(fail(runs, runs["seed"] >= 30), claim(), looks=LOOKS)
    assert (found.verdict, found.look, found.n, found.n_missing) == ("supported", 10, 30, 10)
    assert found.sentence.startswith(
        "test_loss is lower with model.dropout = 0.5 than with model.dropout = 0, by more than"
    )
    assert "Of all seeds it would now be said: “No verdict: 10 of 40 seeds lack a run" in found.sentence


def test_the_last_look_says_that_nothing_follows():
    runs = make_runs({0.0: [2.0] * 40, 0.5: [1.5, 2.5] * 20})
    (found,) = judged(runs, claim(), looks=LOOKS)
    assert (found.verdict, found.look) == ("inconclusive", None)
    assert "No further look is planned: this study cannot decide it." in found.sentence
    assert "further seeds" not in found.sentence


def test_a_seed_without_runs_is_no_look():
    """Seed 3 has not run, so the first look is not complete, however many follow."""
    runs = grown(20)
    plan = plan_for(grown(40), looks=LOOKS)
    assert plan.reached(runs[runs["seed"] != 3]) == 1
    assert plan.reached(runs) == 2
    assert set(plan.until(runs, 0)["seed"]) == set(range(10))
