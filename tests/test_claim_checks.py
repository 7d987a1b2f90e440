"""What cannot be claimed says why when the study is checked, by the path of what is wrong."""

import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom, binomtest, ttest_1samp, wilcoxon
from small_net import Net, X, Y
from torch.nn.functional import binary_cross_entropy_with_logits

from harness import (
    Claim,
    Diagnostics,
    Equivalence,
    Exact,
    Interaction,
    InvalidStudy,
    Model,
    Study,
    Sweep,
    Threshold,
    Trend,
    Tune,
)
from harness.clipping import GlobalNorm
from harness.inference.evidence import Evidence
from harness.inference.plan import Plan
from harness.inference.power import decisive_pairs
from harness.inference.prospects import prospects
from harness.inference.reading import read_all
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD
from harness.reporting.page_tables import meanings
from harness.settings.metrics import METRICS
from harness.study.statement import ESTIMANDS
from harness.tasks import AddingProblem, Images, Tensors

INF = float("inf")
D, C = "model.dropout", "clipping.max_norm"
ARMS = {"treatment": {D: 0.5}, "baseline": {D: 0.0}}


def study(*claims: object, **settings: object) -> Study:
    given = {"name": "x", "task": Tensors(X, Y), "model": Model(Net, dropout=Sweep(0.0, 0.5)), "clipping": GlobalNorm(Sweep(1.0, INF)),
             "steps": 2, "batch_size": 8}  # fmt: skip
    return Study(**(given | {"claims": list(claims)} | settings))


def problems(*claims: object, **settings: object) -> list[str]:
    with pytest.raises(InvalidStudy) as caught:
        study(*claims, **settings)
    return list(map(str, caught.value.problems))


def claim(**changes: object) -> Claim:
    return Claim(**({"title": "t", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1, **ARMS} | changes))


def equal(**changes: object) -> Equivalence:
    return Equivalence(**({"title": "t", "metric": "test_loss", "smallest_effect": 0.1, **ARMS} | changes))


def trend(**changes: object) -> Trend:
    given = {"title": "t", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1, "factor": D}
    return Trend(**(given | changes))


def interaction(**changes: object) -> Interaction:
    given = {"title": "t", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1, **ARMS,
             "here": {C: 1.0}, "there": {C: INF}}  # fmt: skip
    return Interaction(**(given | changes))


def threshold(**changes: object) -> Threshold:
    return Threshold(
        **({"title": "t", "metric": "test_loss", "better": "lower", "value": 2.0, "arm": {D: 0.5}} | changes)
    )


# --- estimands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "kind", "default"),
    [
        ("test_loss", "loss", "median"), ("gap", "loss", "median"), ("grad_norm_q99", "loss", "median"),
        ("test_error", "bounded", "median"), ("train_error", "bounded", "median"), ("brier", "bounded", "median"),
        ("diverged", "rate", "rate"), ("spike_rate", "share", "median"), ("clip_fraction", "share", "median"),
    ],
)  # fmt: skip
def test_the_estimand_follows_from_the_kind_of_metric(metric: str, kind: str, default: str):
    assert METRICS[metric].kind == kind
    assert ESTIMANDS[kind][0] == default
    assert claim(metric=metric).estimated() == default
    assert claim(metric=metric, above=0.01).estimated() == "rate"


def test_every_allowed_estimand_makes_a_study():
    every = [claim(title=f"{m} {e}", metric=m, estimand=e)
             for m in ("test_loss", "test_error", "diverged", "spike_rate") for e in ESTIMANDS[METRICS[m].kind]]  # fmt: skip
    rates = [claim(metric="spike_rate", above=0.01), claim(metric="test_loss", above=3.0, estimand="rate")]
    assert len(study(*every, *rates).claims) == 10


LOSS = r"claims\[0\].estimand: of test_loss is median or hodges_lehmann"
UNBOUNDED = r": there is no valid interval of the mean of what is unbounded or mostly zero \(Bahadur & Savage 1956\)"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"estimand": "mean"}, rf"{LOSS}{UNBOUNDED} \(got 'mean'\)"),
        ({"estimand": "rate"}, rf"{LOSS}; above= makes a rate of it \(got 'rate'\)"),
        ({"estimand": "mode"}, r"claims\[0\].estimand: input should be 'median', 'hodges_lehmann', 'mean' or 'rate' \(got 'mode'\)"),
        ({"metric": "spike_rate"}, r"claims\[0\].above: is needed: spike_rate is 0 in many runs, .*above=0.01.*"),
        ({"metric": "spike_rate", "estimand": "mean"}, r"claims\[0\].estimand: of spike_rate is median or hodges_lehmann" + UNBOUNDED + ".*"),
        ({"metric": "diverged", "estimand": "median"}, r"claims\[0\].estimand: of diverged is rate \(got 'median'\)"),
        ({"metric": "diverged", "above": 0.5}, r"claims\[0\].above: has no meaning: diverged is 0 or 1 of each run already \(got 0.5\)"),
        ({"metric": "test_error", "estimand": "rate"}, r"claims\[0\].estimand: of test_error is median or mean or hodges_lehmann; above= makes a rate of it .*"),
        ({"above": 3.0, "estimand": "median"}, r"claims\[0\].estimand: of test_loss is rate \(got 'median'\)"),
        ({"across": "some"}, r"claims\[0\].across: input should be 'average' or 'each' \(got 'some'\)"),
        ({"least_clipped": 1.5}, r"claims\[0\].least_clipped: input should be less than or equal to 1 \(got 1.5\)"),
        ({"smallest_effect": 0.0}, r"claims\[0\].smallest_effect: input should be greater than 0 \(got 0.0\)"),
    ],
)  # fmt: skip
def test_what_a_metric_does_not_allow(changes: dict[str, object], said: str):
    (found,) = problems(claim(**changes))
    assert re.fullmatch(said, found), found


@pytest.mark.parametrize("make", [equal, trend, interaction, threshold])
def test_every_kind_of_claim_knows_its_estimands(make):
    (found,) = problems(make(estimand="mean"))
    assert found.startswith("claims[0].estimand: of test_loss is median or hodges_lehmann")
    (found,) = problems(make(metric="spike_rate"))
    assert found.startswith("claims[0].above: is needed")


# --- metrics, factors and levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (claim(metric="test_los"), "claims[0].metric: unknown metric; did you mean test_loss?"),
        (claim(metric="brier"), 'claims[0].metric: needs metrics=Diagnostics("standard")'),
        (trend(metric="brier"), 'claims[0].metric: needs metrics=Diagnostics("standard")'),
        (threshold(metric="brier"), 'claims[0].metric: needs metrics=Diagnostics("standard")'),
        (equal(baseline={D: 0.5}), "claims[0].treatment: must differ from baseline"),
        (equal(baseline={D: 0.3}), "claims[0].baseline.model.dropout: is not a level of Sweep(0.0, 0.5)"),
        (trend(factor="model.dropuot"), "claims[0].factor: is not a swept factor; did you mean model.dropout?"),
        (trend(factor="batch_size"), "claims[0].factor: is not a swept factor, but the same in all cells"),
        (trend(levels=[0.5]), "claims[0].levels: of a trend are two or more, in order"),
        (trend(levels=[0.5, 0.5]), "claims[0].levels: must differ"),
        (trend(levels=[0.0, 0.4]), "claims[0].levels: is not a level of Sweep(0.0, 0.5)"),
        (trend(at={D: 0.5}), "claims[0].at: holds model.dropout, along which the trend goes"),
        (trend(at={C: 3.0}), "claims[0].at.clipping.max_norm: is not a level of"),
        (trend(shape="round"), "claims[0].shape: input should be 'linear' or 'monotone'"),
        (interaction(there={C: 1.0}), "claims[0].here: must differ from there"),
        (interaction(here={D: 0.5}, there={D: 0.0}), "claims[0].here: names model.dropout, which the treatment names"),
        (interaction(there={D: 0.5}), "claims[0].there: must name the factors of here"),
        (interaction(here={"model.width": 3}), "claims[0].here.model.width: is not a swept factor"),
        (interaction(metric="test_error", scale="ratio"), "claims[0].scale: of test_error must be difference"),
        (interaction(metric="diverged", scale="ratio"), "claims[0].scale: of diverged must be difference"),
        (interaction(above=2.0, scale="ratio"), "claims[0].scale: of test_loss must be difference"),
        (interaction(metric="gap", scale="ratio"), "claims[0].scale: of gap must be difference: it may be negative"),
        (threshold(arm={D: 0.3}), "claims[0].arm.model.dropout: is not a level of"),
        (threshold(value="2"), "claims[0].value: input should be a valid number"),
        (threshold(smallest_effect=-0.1), "claims[0].smallest_effect: input should be greater than or equal to 0"),
        (Exact("t", metric="eval_noise", unless="train_nois"), "claims[0].unless: unknown metric; did you mean train_noise?"),
    ],
)  # fmt: skip
def test_what_a_claim_names_must_be_there(made: object, said: str):
    found = problems(made)
    assert any(problem.startswith(said) for problem in found), found


NUMBERS = {"task": Tensors(X, X.sum(1)), "model": Model(Net, dropout=Sweep(0.0, 0.5), outputs=1)}


def test_of_numbers_no_mean_error_is_claimed_and_nothing_that_classes_have():
    """An absolute error has no bound, so that the t interval of its mean does not hold."""
    study(claim(metric="test_error"), claim(metric="test_error", estimand="hodges_lehmann"), **NUMBERS)
    study(claim(metric="test_error", estimand="mean"))
    said = problems(claim(metric="test_error", estimand="mean"), **NUMBERS)
    assert len(said) == 1 and said[0].startswith(
        "claims[0].estimand: no interval holds for the mean of what has no bound"
    )
    for metric in ("brier", "calibration_error", "churn"):
        said = problems(claim(), claim(metric=metric), metrics=Diagnostics("standard"), **NUMBERS)
        assert said == [f"claims[1].metric: is measured of classes, and the targets are numbers (got {metric})"]


class Doubled(Tensors):
    """A loss of its own."""

    def losses(self, output, y):
        return 2 * super().losses(output, y)


class Labels(Tensors):
    """Several labels of an example, each with a logit."""

    def losses(self, output, y):
        return binary_cross_entropy_with_logits(output, y, reduction="none").mean(1)


class KnownLabels(Labels):
    """What an error of them is, too."""

    def errors(self, output, y):
        return ((output > 0) != (y > 0)).float().mean(1)


LABELS = {"task": Labels(X, (X[:, :2] > 0).float()), "model": Model(Net, dropout=Sweep(0.0, 0.5), outputs=2)}
KNOWN = LABELS | {"task": KnownLabels(X, (X[:, :2] > 0).float())}


def test_the_distance_of_a_logit_from_its_label_is_no_error_and_nothing_is_claimed_of_it():
    said = problems(claim(metric="test_error"), objective="validation_error", optimizer=SGD(Tune(0.1, 1.0)), **LABELS)
    assert [line.partition(":")[0] for line in said] == ["objective", "claims[0].metric"]
    assert all("`losses` of its own and no `errors`" in line and "give it `errors`" in line for line in said)
    solved = LABELS | {"task": Labels(X, LABELS["task"].y, target_error=0.1)}
    assert [line.partition(":")[0] for line in problems(claim(), **solved)] == ["task.target_error"]
    study(claim(metric="test_error"), **KNOWN)


def test_what_is_recorded_as_an_error_is_called_what_it_is():
    summary = pd.DataFrame({f"test_error_{part}": [0.5] for part in ("mean", "median", "low", "high", "n")})
    usual, differences, own = (study(claim(), **settings) for settings in ({}, LABELS, KNOWN))
    said = [meanings(each, summary).rows[0][1].partition(": ")[2] for each in (usual, differences, own)]
    assert (
        said[0] == ""
        and "absolute difference of outputs and targets" in said[1]
        and said[2] == "what the task's own `errors` say"
    )
    noted = [
        any(note.startswith("task: what is recorded as an error") for note in each.notes)
        for each in (usual, differences, own)
    ]
    assert noted == [False, True, False]


def test_a_metric_that_no_run_has_is_named_with_the_reason():
    summary = pd.DataFrame(
        {"n": [3], "test_error_median": [math.nan], "test_error_n": [0], "spike_rate_median": [math.nan]}
    )
    (row,) = meanings(study(claim()), summary).rows
    assert row[0] == "test_error"
    assert row[1].endswith("; no run has it: the error of some example is no number, so that their mean is none")
    assert meanings(study(claim()), summary.assign(n=0)).rows == []


def test_errors_of_a_task_s_own_may_be_any_numbers_and_no_mean_of_them_is_claimed():
    (said,) = problems(claim(metric="test_error", estimand="mean"), **KNOWN)
    assert (
        said.startswith("claims[0].estimand: no interval holds")
        and "`errors` of its own, which may be any numbers" in said
    )
    shipped = {"task": AddingProblem(length=10), "model": SimpleRNN(hidden=4, dropout=Sweep(0.0, 0.5))}
    study(claim(metric="test_error", estimand="mean"), **shipped)  # 0 or 1 of each example


class Guessed(Doubled):
    """What guessing costs, too."""

    def guess_losses(self, y):
        return 2 * super().guess_losses(y)


@pytest.mark.parametrize("metric", ["collapsed", "guess_loss"])
def test_of_a_task_that_knows_no_guess_nothing_is_claimed_beside_guessing(metric: str):
    said = "cannot be known: the task has `losses` of its own and no `guess_losses`, which say what guessing costs; give it these"
    unknown, known = ({"task": kind(X, (X.sum(1) > 0).long())} for kind in (Doubled, Guessed))
    zero = Exact("e", metric=metric, equals=0.0)
    assert problems(claim(), zero, **unknown) == [f"claims[1].metric: {said} (got {metric})"]
    study(claim(), zero, **known)


def test_of_a_task_that_knows_no_guess_runs_are_not_tuned_by_what_is_told_beside_guessing():
    settings = {"task": Doubled(X, (X.sum(1) > 0).long()), "optimizer": SGD(Tune(0.1, 1.0)), "objective": "collapsed"}
    assert [line.partition(":")[0] for line in problems(**settings)] == ["objective"]


def test_examples_are_counted_where_an_error_is_a_share_of_them():
    fine = claim(metric="test_error", smallest_effect=0.01)
    assert any("test example" in note for note in study(fine).notes)
    assert not any("test example" in note for note in study(fine, **NUMBERS).notes)


def prospect_of(claim: object, seeds: int) -> str:
    made = study(claim, seeds=seeds)
    return prospects(made.claims, Plan.of(made))[0]


@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "numbers"])
def test_what_is_no_less_than_guessing_costs_is_said(numbers: bool):
    """Against an answer that is best among many constants, by the tasks' own losses and errors."""
    y = X[:, 0] * 3 if numbers else (X[:, 0] > 0.3).long()
    task = Tensors(X, y)
    trained = y[task.data(0).train]
    if numbers:
        constants = torch.linspace(-9, 9, 40_001)[:, None]
        loss, error = ((trained - constants).abs().pow(power).mean(1).min() for power in (2, 1))
    else:
        p = torch.linspace(0.0001, 0.9999, 40_001)
        share = trained.float().mean()
        loss, error = (-share * p.log() - (1 - share) * (1 - p).log()).min(), min(share, 1 - share)

    def said(*claims: object, **settings: object) -> list[str]:
        given = {"task": task, "model": Model(Net, dropout=Sweep(0.0, 0.5))} | settings
        return [note for note in study(*claims, **given).notes if "guessing costs" in note]

    for metric, guess in (("test_loss", loss), ("validation_error", error)):
        below, above = float(guess) * 0.999, float(guess) * 1.001
        for make in (claim, equal, trend):
            assert said(make(metric=metric, smallest_effect=below)) == []
            (note,) = said(make(metric=metric, smallest_effect=above))
            assert note.startswith(f"claims[0].smallest_effect: δ = {above:g} is no less than what guessing")
        assert said(threshold(metric=metric, value=below)) == []
        assert said(threshold(metric=metric, value=above, better="higher")) == []
        assert said(threshold(metric=metric, value=above))[0].startswith("claims[0].value: ")
    assert said(claim(metric="test_error", above=0.5, smallest_effect=0.9)) == []
    assert said(task=task.replace(target_error=float(error) * 0.999)) == []
    (note,) = said(task=task.replace(target_error=float(error) * 1.001))
    assert note.startswith("task.target_error: ") and note.endswith("who has learned nothing has solved the task")


def test_of_each_claim_on_rates_it_is_said_what_seeds_can_decide_or_that_it_is_not_known():
    """That one fewer is not enough, and that all are, by SciPy's exact interval of a rate."""
    rate = {"metric": "diverged", "better": "lower"}
    one = Threshold("t", value=0.5, smallest_effect=0.1, arm={D: 0.5, C: 1.0}, **rate)
    found = re.match(r"needs (\d+) of 20 runs without what it is about", prospect_of(one, 20))
    needed = int(found[1])
    ends = [binomtest(20 - k, 20).proportion_ci(0.95, "exact").high for k in (needed - 1, needed)]
    assert ends[0] >= 0.4 > ends[1]
    assert "no verdict “supported” is possible with 5 seeds" in prospect_of(one, 5)
    assert (
        prospect_of(one.replace(arm={D: 0.5}), 20)
        == "what 20 seeds can find of a rate over several cells is not reckoned beforehand"
    )
    for made, kind in (
        (equal(metric="diverged", smallest_effect=0.2), "an equivalence"),
        (interaction(**rate), "an interaction"),
        (trend(**rate), "a trend"),
    ):
        assert prospect_of(made, 20) == f"what 20 seeds can find of rates in {kind} is not reckoned beforehand"


RATE = {"metric": "diverged", "better": "lower"}


@pytest.mark.parametrize(
    "made",
    [
        claim(**RATE), equal(metric="diverged"), interaction(**RATE, smallest_effect=0.4), trend(**RATE), trend(**RATE, shape="monotone"),
        Threshold("one cell", value=0.5, smallest_effect=0.1, arm={D: 0.5, C: 1.0}, **RATE),
        Threshold("two cells averaged", value=0.5, smallest_effect=0.1, arm={D: 0.5}, **RATE),
        Threshold("in each of two", value=0.5, smallest_effect=0.1, arm={D: 0.5}, across="each", **RATE),
    ],
    ids=lambda made: f"{type(made).__name__} {made.title}",
)  # fmt: skip
def test_seeds_that_cannot_support_a_claim_on_rates_are_said_to_be_too_few(made):
    """Judged by its verdict on the runs that favour it most, of so many seeds as are said to be enough and of one fewer."""
    few = prospect_of(made, 2)
    enough = int(
        re.fullmatch(r"no verdict “supported” is possible with 2 seeds at level 95.0%: (\d+) at least", few)[1]
    )
    for n, verdict in ((enough, "supported"), (enough - 1, "inconclusive")):
        whole = study(made, seeds=n)
        runs = pd.DataFrame(
            {"trial": i, "seed": seed, "phase": "confirm", "status": "finished", **cell, "test_loss": float(seed),
             "diverged": float(_fares_ill(made, cell))}
            for i, cell in enumerate(whole.cells()) for seed in range(n)
        )  # fmt: skip
        evidence = Evidence.of(whole.claims[0], runs, Plan.of(whole))
        bounds = [each.bounds for each in evidence.estimates]
        assert (evidence.n, read_all(bounds, made.smallest_effect, made.decides_by, 0.05)) == (n, verdict)
        assert prospect_of(made, n).startswith("no verdict") == (verdict == "inconclusive")


def _fares_ill(made: object, cell: dict[str, object]) -> bool:
    """In which cells runs diverge where that favours a claim most."""
    if isinstance(made, Equivalence):
        return False
    if isinstance(made, Interaction):
        return (cell[D] == 0.0) == (cell[C] == 1.0)
    return cell[D] == 0.0


def test_no_number_of_seeds_supports_what_is_larger_than_the_metric_allows():
    never = "no verdict “supported” is possible with any number of seeds: Δ cannot exceed "
    for made, most in (
        (claim(**RATE, smallest_effect=1.0), "1"),
        (claim(metric="test_loss", above=3.0, smallest_effect=1.5), "1"),
        (interaction(**RATE, smallest_effect=2.0), "2"),
        (trend(**RATE, smallest_effect=1.0), "1"),
        (Threshold("t", value=0.05, smallest_effect=0.1, arm={D: 0.5}, **RATE), "0.05"),
        (Threshold("t", value=0.95, smallest_effect=0.1, arm={}, metric="diverged", better="higher"), "0.05"),
        (claim(metric="spike_rate", estimand="median", smallest_effect=1.0), "1"),
    ):
        assert prospect_of(made, 20) == never + most
    for made in (
        claim(smallest_effect=50.0),
        claim(metric="test_error", smallest_effect=2.0),
        interaction(**RATE, smallest_effect=0.4),
    ):
        assert never not in prospect_of(made, 20)
    steps = study(
        trend(**RATE, shape="monotone", smallest_effect=0.25),
        model=Model(Net, dropout=LEVELS),
        clipping=GlobalNorm(1.0),
        seeds=20,
    )
    assert prospects(steps.claims, Plan.of(steps)) == [f"{never}0.25"]


def said(prospect: str) -> float:
    """The effect that is found, in standard deviations."""
    return float(re.search(r"finds ([\d.]+) standard deviations", prospect)[1])


LEVELS = Sweep(0.0, 0.1, 0.2, 0.3, 0.5)


def test_what_each_step_or_cell_must_show_is_found_in_all_of_them_with_that_power():
    """The least that several independent tests are passed with, by simulating them."""
    model = {"model": Model(Net, dropout=LEVELS), "clipping": GlobalNorm(1.0), "seeds": 20}
    steps = study(trend(shape="monotone"), **model)
    (found,) = prospects(steps.claims, Plan.of(steps))
    assert "beyond δ in each of 4 steps" in found
    draws = np.random.default_rng(0).normal(said(found), 1, (4000, 4, 20))
    needed = int(re.search(r"needs (\d+) of 20 seeds beyond δ in each of 4 steps", found)[1])
    assert 0.78 < ((draws > 0).sum(2) >= needed).all(1).mean() < 0.86
    linear = study(trend(), **model)
    assert said(prospects(linear.claims, Plan.of(linear))[0]) < said(found)
    each = prospect_of(claim(across="each"), 20)
    assert "beyond δ in each of 2 cells" in each
    assert said(each) > said(prospect_of(claim(), 20))
    made = study(trend(shape="monotone", across="each"), model=model["model"], seeds=20)
    assert "beyond δ in each of 4 steps in each of 2 cells" in prospects(made.claims, Plan.of(made))[0]
    assert "beyond δ in each of 2 cells" in prospect_of(trend(across="each"), 20)
    assert "as many below δ in each of 2 cells at level" in prospect_of(equal(across="each"), 20)


@pytest.mark.parametrize(
    ("estimand", "metric", "p"),
    [
        ("mean", "test_error", lambda x, alternative: ttest_1samp(x, 0.0, axis=-1, alternative=alternative).pvalue),
        ("hodges_lehmann", "test_loss", lambda x, alternative: wilcoxon(x, axis=-1, alternative=alternative).pvalue),
    ],
)
@pytest.mark.parametrize("cells", [1, 2])
def test_arms_that_are_alike_are_found_to_be_so_with_that_power(
    estimand: str, metric: str, p: Callable[[np.ndarray, str], np.ndarray], cells: int
):
    alike = equal(metric=metric, estimand=estimand, **({"across": "each"} if cells == 2 else {}))
    each = " in each of 2 cells" if cells == 2 else ""
    found = re.fullmatch(
        rf"at level 95.0% finds arms that are alike to be so{each} with 80 % power, if the standard deviation of Δ between seeds is "
        r"below ([\d.]+) δ",
        prospect_of(alike, 20),
    )
    draws = np.random.default_rng(0).normal(0, float(found[1]), (2000, cells, 20))
    inside = (p(draws + 1, "greater") < 0.025) & (p(draws - 1, "less") < 0.025)
    assert 0.78 < inside.all(axis=1).mean() < 0.83


def test_of_rates_it_is_said_when_a_difference_is_found_with_that_power():
    at_one = claim(metric="diverged", treatment={D: 0.5, C: 1.0}, baseline={D: 0.0, C: 1.0})
    found = re.match(
        r"needs (\d+) of 20 pairs in which one arm alone has what it is about at level 95.0%; finds a difference of rates of "
        r"([\d.]+) with 80 % power, where the other arm never has it alone",
        prospect_of(at_one, 20),
    )
    assert binom.sf(int(found[1]) - 1, 20, float(found[2])) == pytest.approx(0.8, abs=0.02)
    averaged = prospect_of(claim(metric="diverged"), 20)
    assert averaged.startswith(f"{found[1]} of 20 pairs in which one arm alone has what it is about in each cell")
    assert averaged.endswith("are enough at level 95.0%"), "fewer may be, where another cell has more"


def test_what_others_decide_first_makes_a_claim_possible():
    """Of seven claims at 8 seeds only the mean can come first; each of the others has 5 % / 6 then, and 2 / 2⁸ is less."""
    losses = [claim(title=f"{i}", smallest_effect=0.1 + i / 100) for i in range(6)]
    mean = claim(title="mean", metric="test_error", estimand="mean", smallest_effect=0.2)
    both, alone = (study(*claims, seeds=8) for claims in ([*losses, mean], [*losses, losses[0].replace(title="x")]))
    first = "no verdict is possible with 8 seeds at level 99.3%: 9 at least"
    assert (
        prospects(both.claims, Plan.of(both))[:6]
        == [f"{first}, or once others are decided, at level 95.0% at best"] * 6
    )
    assert prospects(alone.claims, Plan.of(alone)) == [first] * 7


def test_a_claim_that_can_only_be_refuted_leaves_its_share_to_the_others():
    """7 seeds support a difference of rates beyond .1 at level 95 %, not at 97.5 %; they refute, at that, one beyond .6 that none supports."""
    assert (decisive_pairs(7, 0.1, 0.05), decisive_pairs(7, 0.1, 0.025), decisive_pairs(7, 0.6, 0.05)) == (
        6,
        None,
        None,
    )
    rates = [claim(title=f"{delta}", metric="diverged", smallest_effect=delta) for delta in (0.1, 0.6)]
    both = study(*rates, seeds=7, clipping=GlobalNorm(1.0))
    possible, impossible = prospects(both.claims, Plan.of(both))
    assert possible.endswith(", or once others are decided, at level 95.0% at best")
    assert impossible.startswith("no verdict “supported” is possible") and "once others" not in impossible


def test_a_trend_over_a_factor_with_one_level():
    (found,) = problems(trend(), model=Model(Net, dropout=Sweep(0.5)))
    assert found == "claims[0].factor: has one level: a trend needs two or more (got model.dropout)"


def test_claims_of_every_kind_make_a_study():
    every = study(claim(), equal(), trend(), trend(shape="monotone"), interaction(scale="ratio"), threshold(), threshold(arm={}),
                  Exact("t", metric="eval_noise"), metrics=Diagnostics("standard"))  # fmt: skip
    assert len(every.claims) == 8


# --- seeds and looks -----------------------------------------------------------------------------------------------


def test_seeds_by_default():
    """Twenty where a claim is decided by signs, else ten."""
    assert study().confirm_seeds() == list(range(10))
    assert study(claim(metric="test_error", estimand="mean")).confirm_seeds() == list(range(10))
    assert study(claim(metric="test_error")).confirm_seeds() == list(range(20))
    assert study(claim(metric="diverged"), claim(estimand="hodges_lehmann")).confirm_seeds() == list(range(10))
    assert study(claim(metric="test_error", estimand="mean"), claim()).confirm_seeds() == list(range(20))
    assert study(claim(), seeds=4).confirm_seeds() == list(range(4))


def test_planned_looks_say_how_many_seeds():
    looked = study(claim(), looks=(10, 20, 40))
    assert (looked.confirm_seeds(), looked.planned_looks()) == (list(range(40)), [10, 20, 40])
    assert study(claim(), seeds=[5, 7, 9], looks=(2, 3)).planned_looks() == [2, 3]
    assert study(claim()).planned_looks() == [20]


@pytest.mark.parametrize(
    ("looks", "seeds", "said"),
    [
        ((20, 10), None, "looks: must rise: each has the seeds of the one before and more (got (20, 10))"),
        ((10, 10, 20), None, "looks: must rise: each has the seeds of the one before and more (got (10, 10, 20))"),
        ((10, 20), 40, "looks: must end at the number of seeds, 40 (got (10, 20))"),
        ((10, 20), 15, "looks: must end at the number of seeds, 15 (got (10, 20))"),
        ((0, 20), None, "looks: input should be greater than or equal to 1 in element 0 (got 0)"),
        ((2.5, 20), None, "looks: input should be a valid integer"),
        (20, None, "looks: input should be a valid"),
        (Sweep((10,), (20,)), None, "looks: "),
    ],
)
def test_looks_that_cannot_be_planned(looks: object, seeds: int | None, said: str):
    found = problems(claim(), looks=looks, **({} if seeds is None else {"seeds": seeds}))
    assert len(found) == 1 and found[0].startswith(said), found


def test_a_metric_that_each_further_seed_changes_is_judged_once():
    said = (
        "claims[0].metric: compares seeds with each other: a further look would change what the looks before it rest on"
    )
    model = DropoutNet(hidden=(8,), dropout=Sweep(0.0, 0.5))
    settings = {"metrics": Diagnostics("standard"), "task": Images(train_size=200), "model": model}
    (found,) = problems(claim(metric="churn"), looks=(10, 20), **settings)
    assert found.startswith(said)
    assert study(claim(metric="churn"), looks=(20,), **settings).planned_looks() == [20]
    assert study(claim(metric="brier"), looks=(10, 20), **settings).planned_looks() == [10, 20]


def test_looks_change_no_number():
    assert study(claim(), seeds=20).digest() == study(claim(), looks=(10, 20)).digest()


def test_a_plan_is_that_of_its_study():
    tuned = study(
        claim(), seeds=[5, 7, 9], looks=(2, 3), optimizer=SGD(lr=Tune(0.01, 1.0, log=True), momentum=Tune(0.0, 0.9))
    )
    plan = Plan.of(tuned)
    assert (list(plan.sweeps), plan.seeds, plan.looks, plan.rates) == ([D, C], [5, 7, 9], [2, 3], ["optimizer.lr"])
    assert Plan.of(study(claim(), seeds=4)).rates == []
