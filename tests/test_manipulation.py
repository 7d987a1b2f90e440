"""Whether runs can speak to a claim at all: floor and ceiling, clipping and dropout that acted, baselines that train, rates inside their range."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from made_runs import INF, claim, judged, make_runs, plan_for, spelled, verdict
from test_design import make

from harness import Early, Tune
from harness.clipping import GlobalNorm, Value
from harness.inference import verdicts
from harness.inference.plan import Plan
from harness.optimizers import SGD
from harness.study import Equivalence, Threshold, Trend

CONTROL, TREATED = [2.0, 2.1, 1.9, 2.0, 2.2, 2.1], [1.0, 1.0, 1.0, 1.1, 1.1, 1.0]
NORM = "clipping.max_norm"
CLIPPED = {"treatment": {NORM: 1.0}, "baseline": {NORM: INF}}


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("diverged", 0.0, "no run diverged"),
        ("diverged", 1.0, "every run diverged"),
        ("solved", 0.0, "no run has solved"),
        ("test_error", 0.0, "test_error is 0 in every run"),
        ("test_error", 1.0, "test_error is 1 in every run"),
    ],
)
def test_floor_and_ceiling_decide_nothing(metric: str, value: float, said: str):
    better = "higher" if metric == "solved" else "lower"
    found = verdict(make_runs({0.0: [value] * 8, 0.5: [value] * 8}, metric), metric=metric, better=better)
    assert found.verdict == "inconclusive"
    assert found.sentence.startswith(f"Not tested: {said}.")


def test_divergence_that_tuning_met_alone_is_said():
    runs = make_runs({0.0: [0.0] * 8, 0.5: [0.0] * 8}, "diverged")
    tuning = runs.assign(phase="tune", trial=9, diverged=[1.0] * 5 + [0.0] * 11)
    found = verdict(pd.concat([runs, tuning], ignore_index=True), metric="diverged")
    assert found.sentence.startswith("Not tested: no run diverged; 5 of 16 runs of tuning did.")


@pytest.mark.parametrize(("value", "said"), [(0.001, "no run has"), (0.2, "every run has")])
def test_floor_and_ceiling_of_what_is_above_a_threshold(value: float, said: str):
    runs = make_runs({0.0: [value] * 8, 0.5: [value] * 8}, "spike_rate")
    found = verdict(runs, metric="spike_rate", above=0.01)
    assert found.verdict == "inconclusive"
    assert found.sentence.startswith(f"Not tested: {said} spike_rate above 0.01.")


def test_equal_rates_can_be_claimed():
    """Both arms never diverge: that is what was claimed, within what the number of seeds allows."""
    runs = make_runs({0.0: [0.0] * 20, 0.5: [0.0] * 20}, "diverged")
    same = Equivalence(
        "same",
        metric="diverged",
        smallest_effect=0.2,
        treatment={"model.dropout": 0.5},
        baseline={"model.dropout": 0.0},
    )
    assert judged(runs, same)[0].verdict == "supported"


def test_identical_arms_decide_nothing():
    found = verdict(make_runs({0.0: [2.0, 1.0, 3.0, 2.0, 2.5, 2.0], 0.5: [2.0, 1.0, 3.0, 2.0, 2.5, 2.0]}))
    assert found.verdict == "inconclusive"
    assert "the arms have the same test_loss in every pair of runs" in found.sentence


@pytest.mark.parametrize(
    ("treatment", "baseline"),
    [(1.0, INF), (INF, 1.0), (GlobalNorm(1.0), GlobalNorm()), (Value(1.0), GlobalNorm())],
)
def test_clipping_that_never_clipped_decides_nothing(treatment: object, baseline: object):
    path = "clipping" if isinstance(treatment, GlobalNorm | Value) else NORM
    treated, control = spelled({path: treatment})[path], spelled({path: baseline})[path]
    runs = make_runs({control: CONTROL, treated: TREATED}, path=path)
    words = {"treatment": {path: treatment}, "baseline": {path: baseline}}
    assert verdict(runs, **words).verdict == "supported"
    found = verdict(runs.assign(clip_fraction=0.0), **words)
    assert found.verdict == "inconclusive"
    assert "clipped" in found.sentence


@pytest.mark.parametrize(
    ("fractions", "decided"),
    [
        ([0.005] * 6, False),  # clipped now and then
        ([0.009, 0.009, 0.009, 0.9, 0.9, 0.9], False),  # enough in half of the runs
        ([0.009, 0.009, 0.01, 0.9, 0.9, 0.9], True),
    ],
)
def test_a_clipping_arm_that_hardly_clipped_decides_nothing(fractions: list[float], decided: bool):
    runs = make_runs({INF: CONTROL, 1.0: TREATED}, path=NORM).assign(clip_fraction=[0.0] * 6 + fractions)
    found = verdict(runs, **CLIPPED)
    assert (found.verdict == "supported") == decided
    enough = sum(fraction >= 0.01 for fraction in fractions)
    assert (f"clipped 1 % of the steps or more in {enough} of 6 runs only" in found.sentence) != decided


def test_how_much_must_be_clipped_is_the_claims_to_say():
    runs = make_runs({INF: CONTROL, 1.0: TREATED}, path=NORM).assign(clip_fraction=[0.0] * 6 + [0.2] * 6)
    assert verdict(runs, **CLIPPED, least_clipped=0.2).verdict == "supported"
    found = verdict(runs, **CLIPPED, least_clipped=0.5)
    assert found.verdict == "inconclusive"
    assert "clipped 50 % of the steps or more in 0 of 6 runs only" in found.sentence


def test_a_trend_over_bounds_needs_one_that_clips():
    runs = make_runs({INF: CONTROL, 5.0: [1.5] * 6, 1.0: TREATED}, path=NORM)
    along = Trend("t", metric="test_loss", better="lower", smallest_effect=0.1, factor=NORM, levels=[INF, 5.0, 1.0])
    runs["clip_fraction"] = [0.0] * 12 + [0.3] * 6
    assert judged(runs, along)[0].verdict == "supported"
    found = judged(runs.assign(clip_fraction=0.0), along)[0]
    assert found.verdict == "inconclusive"
    assert "no arm clipped often enough" in found.sentence


def test_dropout_that_never_acted_decides_nothing():
    runs = make_runs({0.0: CONTROL, 0.5: TREATED})
    assert verdict(runs.assign(train_noise=[0.0] * 6 + [0.1] * 6)).verdict == "supported"
    found = verdict(runs.assign(train_noise=0.0))
    assert found.verdict == "inconclusive"
    assert "no output changed with the noise of dropout in any run: it never acted" in found.sentence
    assert verdict(runs.assign(train_noise=math.nan)).verdict == "supported", "it is not known"
    lost = runs.assign(train_noise=[0.0] * 6 + [math.nan] * 6)
    assert verdict(lost).verdict == "supported", "nor of an arm whose runs all became non-finite"
    other = make_runs({8: CONTROL, 9: TREATED}, path="width").assign(train_noise=0.0)
    assert verdict(other, treatment={"width": 9}, baseline={"width": 8}).verdict == "supported", "not about dropout"


@pytest.mark.parametrize("noise", [math.nan, 0.0])
def test_runs_that_did_not_train_do_not_say_that_dropout_never_acted(noise: float):
    runs = make_runs({0.0: [1.0] * 5 + [0.0], 0.5: [1.0] * 6}, metric="diverged")
    runs["status"] = ["diverged"] * 5 + ["finished"] + ["diverged"] * 6
    runs["train_noise"] = [math.nan] * 5 + [0.0] + [noise] * 6
    assert "it never acted" not in verdict(runs, metric="diverged").sentence


@pytest.mark.parametrize("early", [Early(0.5, until=10), (Early(0.5, until=10), 0.0)])
def test_dropout_that_acted_early_leaves_no_noise_at_the_end(early: object):
    runs = make_runs({0.0: CONTROL, early: TREATED}).assign(train_noise=0.0)
    assert verdict(runs, treatment={"model.dropout": early}, baseline={"model.dropout": 0.0}).verdict == "supported"


@pytest.mark.parametrize("status", ["collapsed", "diverged"])
@pytest.mark.parametrize(("lost", "decided"), [(5, True), (6, False)])
def test_a_baseline_that_half_does_not_train_decides_nothing_about_a_loss(status: str, lost: int, decided: bool):
    """Whatever trains is better than guessing."""
    runs = make_runs({0.0: [3.3] * 12, 0.5: [1.0] * 12})
    runs.loc[: lost - 1, "status"] = status
    found = verdict(runs)
    assert (found.verdict == "supported") == decided
    said = f"the baseline diverged or ended no better than guessing in {lost} of 12 runs: whatever trains is better"
    assert (said in found.sentence) != decided


def test_nothing_is_said_to_equal_what_does_not_train():
    runs = make_runs({0.0: [3.3] * 12, 0.5: [3.3] * 11 + [3.301]})
    runs.loc[:11, "status"] = "collapsed"
    levels = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}
    found = judged(runs, Equivalence("same", metric="test_loss", smallest_effect=0.1, **levels))[0]
    assert found.verdict == "inconclusive"
    said = "the baseline diverged or ended no better than guessing in 12 of 12 runs: to be like runs that do not train says nothing"
    assert said in found.sentence


def test_a_treatment_that_does_not_train_is_a_result():
    runs = make_runs({0.0: [1.0] * 12, 0.5: [3.3] * 12})
    runs.loc[12:, "status"] = "collapsed"
    assert (verdict(runs).verdict, verdict(runs).label) == ("refuted", "reversed")
    assert verdict(make_runs({0.0: [1.0] * 12, 0.5: [0.0] * 12}, "diverged"), metric="diverged").verdict == "supported"


def swept_rates(chosen: list[float], tried: list[float]) -> pd.DataFrame:
    """Six seeds an arm; the treatment chose these learning rates of those tried, the baseline the middle one."""
    runs = make_runs({0.0: CONTROL, 0.5: TREATED}).assign(**{"optimizer.lr": [tried[1]] * 6 + chosen})
    others = [runs.assign(phase="tune", **{"optimizer.lr": rate}) for rate in tried]
    return pd.concat([runs, *others], ignore_index=True)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ([0.1, 0.1, 0.3, 0.3, 0.3, 0.3], ""),
        ([0.1, 0.1, 0.1, 0.3, 0.3, 0.3], "in 3 of 6 runs"),  # at an end in half of them
        ([0.1, 0.1, 0.1, 0.1, 0.3, 0.3], "the best optimizer.lr of model.dropout = 0.5 lies at the lower end of what was tried, 0.1, in 4 of 6 runs"),
        ([1.0] * 6, "lies at the upper end of what was tried, 1, in 6 of 6 runs"),
        ([0.1, 0.3, 0.3, 0.3, 0.3, 1.0], ""),  # inside in more than half
        ([0.1, 0.1, 0.3, 0.3, 0.3, 1.0], "lies at the lower end of what was tried, 0.1, in 2 of 6 runs and at the other end in 1: "),
    ],
)  # fmt: skip
def test_a_best_rate_at_an_end_of_its_range_decides_nothing(chosen: list[float], said: str):
    runs = swept_rates(chosen, [0.1, 0.3, 1.0])
    (found,) = verdicts.judge([claim()], runs, plan_for(runs, rates=["optimizer.lr"], looks=[6]))
    assert found.verdict == ("inconclusive" if said else "supported")
    assert said in found.sentence


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "; `--widen` goes on there."),
        ({"widen": True}, "; the study's command goes on there."),
        ({"optimizer": SGD(lr=Tune(0.1, 1.0), momentum=Tune(0.0, 0.9))}, "."),
        ({"tune": "shared", "sampler": "tpe"}, "."),
        ({"tune": "shared", "objective": ("validation_loss", "update_ratio")}, "."),
    ],
)
def test_of_a_best_rate_at_an_end_it_is_said_what_goes_on_there_if_anything_does(settings: dict[str, Any], said: str):
    runs = swept_rates([1.0] * 6, [0.1, 0.3, 1.0])
    plan = plan_for(runs, rates=["optimizer.lr"], looks=[6])
    (found,) = verdicts.judge([claim()], runs, replace(plan, no_wider=Plan.of(make(**settings)).no_wider))
    assert f"nobody knows what the arm can reach{said}" in found.sentence


@pytest.mark.parametrize("end", [0.1, 1.0])
def test_of_rates_that_all_diverged_the_first_one_tried_is_not_the_best(end: float):
    """Which of them a seed takes is by their order alone: four of six take an end, and did not train there nor anywhere."""
    runs = swept_rates([end] * 4 + [0.3] * 2, [0.1, 0.3, 1.0])
    runs.loc[
        (runs["optimizer.lr"] == end) & (runs["phase"] == "confirm") & (runs["model.dropout"] == 0.5), "status"
    ] = "diverged"
    runs["diverged"] = (runs["status"] == "diverged").astype(float)
    (found,) = verdicts.judge([claim(metric="diverged")], runs, plan_for(runs, rates=["optimizer.lr"], looks=[6]))
    assert found.sentence.startswith("diverged is not lower")


def test_two_rates_have_no_inside():
    runs = swept_rates([0.1] * 6, [0.1, 0.3])
    (found,) = verdicts.judge([claim()], runs, plan_for(runs, rates=["optimizer.lr"], looks=[6]))
    assert found.verdict == "supported"


def test_a_threshold_is_not_held_against_a_floor():
    runs = make_runs({0.0: [0.0] * 30}, "diverged")
    few = Threshold("rare", metric="diverged", better="lower", value=0.2)
    assert judged(runs, few)[0].verdict == "supported"


def test_a_verdict_across_dropout_says_what_cannot_be_compared():
    runs = make_runs({0.0: [0.5, 0.6, 0.55, 0.5], 0.5: [0.1, 0.2, 0.1, 0.15]}, "spike_rate")
    assert "spike_rate is not comparable across dropout" in verdict(runs, metric="spike_rate", above=0.3).sentence
    assert "not comparable" not in verdict(runs, metric="test_loss").sentence
