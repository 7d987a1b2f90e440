"""Which factor explains how much: sums of squares against statsmodels, intervals against simulation, endings of all kinds."""

import math
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols
from synthetic import FakeStudy, fail, rnn_clip, roles_of, simulate

from harness.inference.exploration import importance as module
from harness.inference.exploration.all_pairs import all_pairs
from harness.inference.exploration.importance import (
    RESIDUAL,
    REST,
    SEED,
    SHARED,
    importance,
    jackknife,
    sums_of_squares,
)
from harness.ledger.importances import LEAST_POINTS, tuned_importances
from harness.reporting import plots
from harness.reporting.exploration import explored
from harness.reporting.page_tables import explored_metrics
from harness.reporting.plots import importance as figure
from harness.settings import Sweep, Tune

TWO = [(1,), (2,), (1, 2), (0,)]


def anova(values: np.ndarray, formula: str) -> pd.Series:
    """Type II sums of squares by statsmodels; `values` (seed, a, b, …)."""
    places = np.indices(values.shape).reshape(values.ndim, -1)
    table = pd.DataFrame(dict(zip(["s", "a", "b", "c"], places, strict=False))).assign(y=values.ravel()).dropna()
    return sm.stats.anova_lm(ols(f"y ~ C(s) + {formula}", table).fit(), typ=2)["sum_sq"]


@pytest.mark.parametrize("missing", [0, 1, 12])
def test_sums_of_squares_are_those_of_statsmodels_also_where_runs_are_missing(missing: int):
    random = np.random.default_rng(missing)
    values = random.normal(size=(6, 3, 4)) + np.arange(3)[:, None] + random.normal(size=(6, 1, 1))
    values.flat[random.choice(values.size, missing, replace=False)] = math.nan
    found = sums_of_squares(values, TWO)
    expected = anova(values, "C(a) * C(b)")
    names = ["C(a)", "C(b)", "C(a):C(b)", "C(s)", "Residual"]
    np.testing.assert_allclose(found[:5], expected[names], rtol=1e-8)
    total = np.nansum((values - np.nanmean(values)) ** 2)
    assert found.sum() == pytest.approx(total)
    assert (abs(found[5]) < 1e-9 * total) == (missing == 0)


@pytest.mark.parametrize("missing", [0, 5])
def test_three_factors_have_all_interactions_of_two_and_the_rest(missing: int):
    random = np.random.default_rng(1)
    values = random.normal(size=(4, 2, 3, 2))
    values.flat[random.choice(values.size, missing, replace=False)] = math.nan
    terms = module._terms(values)
    assert list(terms) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), REST, SEED]
    found = dict(zip(terms, sums_of_squares(values, list(terms.values())), strict=False))
    expected = anova(values, "C(a) * C(b) * C(c)")
    for term, name in {(0,): "C(a)", (1, 2): "C(b):C(c)", REST: "C(a):C(b):C(c)", SEED: "C(s)"}.items():
        assert found[term] == pytest.approx(expected[name], rel=1e-7)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"a": (0.0, 0.0, 0.09)}, "Nothing that is swept explains a share of test loss that can be told from 0."),
        ({"a": (0.4, math.nan, math.nan)}, "Nothing that is swept explains a share of test loss that can be told from 0."),
        ({"a": (0.13, 0.05, 0.2)}, "Of what is swept, a explains a share of test loss: 13 % [5, 20]."),
        ({"a": (0.5, 0.4, 0.6), "b": (0.1, 0.0, 0.2)}, "Of what is swept, a explains most of test loss: 50 % [40, 60]."),
        ({"a": (0.4, -0.1, 0.8), "b": (0.3, 0.2, 0.4)},
         "Of what is swept, b explains a share of test loss: 30 % [20, 40] (other intervals overlap it)."),
    ],
)  # fmt: skip
def test_a_title_says_what_explains_most_of_what_can_be_told_from_none(
    shares: dict[str, tuple[float, float, float]], said: str
):
    rows = [dict(zip(("term", "share", "low", "high"), (term, *of), strict=True)) for term, of in shares.items()]
    rows.append({"term": RESIDUAL, "share": 0.9, "low": 0.8, "high": 1.0})
    assert figure.title(pd.DataFrame(rows).assign(metric="test_loss", why="")) == said


def test_a_cell_that_never_ran_takes_no_share_and_the_rest_is_that_of_the_others():
    random = np.random.default_rng(2)
    values = random.normal(size=(5, 2, 3))
    values[:, 1, 2] = math.nan
    found = sums_of_squares(values, TWO)
    cells = np.arange(6).reshape(1, 2, 3).repeat(5, axis=0).ravel()
    table = pd.DataFrame({"y": values.ravel(), "cell": cells, "s": np.indices(values.shape)[0].ravel()}).dropna()
    fits = [ols(f"y ~ {formula}", table).fit().ssr for formula in ("C(s) + C(cell)", "C(s)", "C(cell)")]
    assert found[4] == pytest.approx(fits[0])
    assert found[3] == pytest.approx(fits[2] - fits[0])


def test_shares_are_freed_of_chance_and_add_up():
    """With n seeds the jackknife's share estimates what n = ∞ would show: on average 0 where cells do not differ."""
    random = np.random.default_rng(3)
    raw, freed = [], []
    for _ in range(100):
        values = random.normal(size=(8, 3, 4))
        squares = sums_of_squares(values, TWO)
        shares, low, high = jackknife(values, TWO)
        assert shares.sum() == pytest.approx(1)
        assert ((low <= shares) & (shares <= high)).all()
        possible = (shares >= 0) & (shares <= 1)
        assert (low[possible] >= 0).all() and (high[possible] <= 1).all()
        raw.append(squares / squares.sum())
        freed.append(shares)
    by_chance = np.array([2, 3, 6]) / 95  # degrees of freedom
    assert np.mean(raw, axis=0)[:3] == pytest.approx(by_chance, rel=0.3)
    assert (np.abs(np.mean(freed, axis=0)[:3]) < by_chance / 3).all()


@pytest.mark.slow
@pytest.mark.parametrize("world", ["none", "effects", "skewed"])
def test_intervals_cover_the_shares_of_endless_seeds(world: str):
    """At 10 seeds; a percentile bootstrap covers a share of 0 in no case."""

    def draw(n: int) -> np.ndarray:
        effects = 0.5 * np.arange(3)[:, None] + np.array([0, 0, 0, 1.5]) if world != "none" else 0
        values = random.normal(size=(n, 3, 4)) + 0.7 * random.normal(size=(n, 1, 1)) + effects
        return stats.rankdata(np.exp(values)).reshape(values.shape) if world == "skewed" else values

    random = np.random.default_rng(4)
    truth = sums_of_squares(draw(20_000), TWO)
    truth = (truth / truth.sum())[:5]
    covered = np.zeros(5)
    for _ in range(400):
        _, low, high = jackknife(draw(10), TWO)
        covered += (low[:5] <= truth + 1e-3) & (truth - 1e-3 <= high[:5])
    assert (covered[:3] / 400 > 0.9).all()
    assert (covered[3:] / 400 > 0.82).all()


def ran(**changes: Any) -> tuple[FakeStudy, pd.DataFrame]:
    study = rnn_clip(**changes)
    return study, simulate(study, tune_trials=2, every=30)[0]


def test_unbounded_metrics_go_by_ranks_with_diverged_runs_last_and_bounded_ones_by_values():
    study, runs = ran()
    table = importance(study, runs, ["test_loss", "test_error"]).set_index(["metric", "term"])
    confirm = runs[runs["phase"] == "confirm"]
    keys = ["seed", "model.dropout", "clipping.max_norm"]
    lost = confirm["status"] == "diverged"
    assert 0 < lost.sum() < len(confirm)
    for metric, values in {
        "test_loss": confirm["test_loss"].mask(lost, 1e9).rank(),
        "test_error": confirm["test_error"].mask(lost, 1.0),
    }.items():
        places = (
            pd.concat([confirm[keys], values.rename("y")], axis=1).sort_values(keys)["y"].to_numpy().reshape(10, 3, 4)
        )
        expected = anova(places, "C(a) * C(b)")
        found = table.loc[metric]
        for term, name in {
            "model.dropout": "C(a)",
            "clipping.max_norm": "C(b)",
            SEED: "C(s)",
            RESIDUAL: "Residual",
        }.items():
            assert found.loc[term, "sum_of_squares"] == pytest.approx(expected[name])
            assert found.loc[term, "share_of_squares"] == pytest.approx(expected[name] / expected.sum())
        assert set(found["scale"]) == {"ranks" if metric == "test_loss" else "values"}
        assert set(found["n_missing"]) == {0} and SHARED not in found.index


def test_a_diverged_run_has_the_worst_share_as_in_claims_whether_it_was_measured_or_not():
    """Of the steps before it ended few may be spikes: by these alone the arm that diverges would be the calmer one."""
    study, runs = ran()
    random = np.random.default_rng(0)
    lost = (runs["phase"] == "confirm") & (runs["status"] == "diverged")
    measured = runs.assign(spike_rate=random.uniform(0, 0.02, len(runs)))
    lacking, worst = (measured.assign(spike_rate=measured["spike_rate"].mask(lost, value)) for value in (np.nan, 1.0))
    found, without, known = (importance(study, each, ["spike_rate"]) for each in (measured, lacking, worst))
    assert set(found["n_missing"]) == {0} and lost.any()
    pd.testing.assert_frame_equal(found, without)
    pd.testing.assert_frame_equal(found, known)
    pairs, others = (all_pairs(study, each, ["spike_rate"]) for each in (lacking, measured))
    pd.testing.assert_frame_equal(pairs, others)
    assert set(pairs["n_left_out"]) == {0}


def test_failed_runs_are_missing_and_what_unbalance_leaves_open_has_a_row():
    study, runs = ran()
    gone = (runs["phase"] == "confirm") & (runs["seed"] < 3) & (runs["clipping.max_norm"] == 1.0)
    table = importance(study, fail(runs, gone), ["test_loss"])
    assert set(table["n_missing"]) == {9} and set(table["n_runs"]) == {111}
    assert list(table["term"])[-1] == SHARED
    assert table["share_of_squares"].sum() == pytest.approx(1)


def test_what_cannot_be_decomposed_says_why():
    study, runs = ran(seeds=2)
    assert set(importance(study, runs, ["test_loss"])["why"]) == {"fewer than 3 seeds have it"}
    study, runs = ran()
    one = (runs["phase"] == "confirm") & (runs["seed"] == 0)
    runs = runs.assign(status="finished", gap=0.1, spike_rate=np.where(one, 0.5, 0.25))
    table = importance(study, runs, ["gap", "spike_rate"])
    assert list(table["why"]) == ["the same in all runs", "differs in one seed alone"]
    assert table["term"].isna().all() and table["share"].isna().all()
    (part, *_) = explored(study, runs, table, pd.DataFrame())
    assert "Not decomposed: gap (the same in all runs); spike_rate (differs in one seed alone)." in part.caption


@pytest.mark.parametrize("seeds", [1, 4])
@pytest.mark.parametrize(
    "settings",
    [{"optimizer.lr": 0.1}, {"model.dropout": Sweep(0.0, 0.5)}, {"model.rate": Sweep(0.5, "auto")}],
    ids=["nothing swept", "one factor", "mixed levels"],
)
@pytest.mark.parametrize("ending", ["as it is", "failed", "nothing ran"])
def test_any_study_and_ending(settings: dict[str, Any], seeds: int, ending: str):
    study = FakeStudy(settings=settings | {"steps": 40}, seeds=seeds)
    runs, _ = simulate(study, every=20)
    runs = {"failed": fail(runs, runs["seed"] >= 0), "nothing ran": runs.iloc[:0]}.get(ending, runs)
    table = importance(study, runs, ["test_loss", "gap"])
    assert table.empty == (not study.sweeps())
    there = ending == "as it is" and seeds > 1
    assert (table["why"] == "").any() == (there and bool(study.sweeps()))
    table = importance(study, runs, explored_metrics(study, runs))
    assert len(list(figure.plots(table, roles_of(study, runs)))) == (there and bool(study.sweeps()))


def test_copies_of_seeds_are_no_replicates():
    study, runs = ran(seeds=4)
    confirm = runs[runs["phase"] == "confirm"]
    copied = pd.concat([runs, *(confirm[confirm["seed"] == 0].assign(seed=seed) for seed in (4, 5, 6))])
    pd.testing.assert_frame_equal(importance(study, runs, ["gap"]), importance(study, copied, ["gap"]))


def test_the_figure_draws_what_its_csv_has_and_the_table_says_how():
    study, runs = ran(seeds=4)
    (plot,) = figure.plots(importance(study, runs, explored_metrics(study, runs)), roles_of(study, runs))
    plots.render(plot)
    assert list(plot.data["metric"].unique()) == explored_metrics(study, runs)
    part = explored(study, runs, plot.data, pd.DataFrame())[0]
    assert list(part.table.head[:3]) == ["metric", "decomposed by", "n"]
    rows = {row[0]: row for row in part.table.rows}
    assert rows["test_loss"][1] == "ranks" and rows["test_error"][1] == "values"
    assert "spike_rate (not comparable across dropout)" in rows


def search(*, points: int, seeds: int = 1, cells: Any = 0.0) -> tuple[FakeStudy, pd.DataFrame]:
    """A search whose objective depends on the logarithm of one factor alone."""
    settings = {
        "model.dropout": cells,
        "optimizer.lr": Tune(0.001, 10.0, log=True),
        "optimizer.momentum": Tune(0.0, 0.9),
    }
    study = FakeStudy(name="search", settings=settings, within=True)
    random, rows = np.random.default_rng(0), []
    for trial, (one, other) in enumerate(random.random((points, 2))):
        for level in cells.levels if isinstance(cells, Sweep) else [cells]:
            for seed in range(seeds):
                rows.append({
                    "trial": trial + 1000 * len(rows), "seed": seed, "phase": "tune", "status": "finished" if one < 0.9 else "diverged",
                    "model.dropout": level, "optimizer.lr": 0.001 * 10_000**one, "optimizer.momentum": 0.9 * other,
                    "validation_loss": (one - 0.4) ** 2 + level,
                })  # fmt: skip
    return study, pd.DataFrame(rows)


@pytest.mark.parametrize("cells", [0.0, Sweep(0.0, 5.0)])
def test_the_tuned_factor_that_matters_is_found_with_the_same_numbers_each_time(cells: Any):
    study, runs = search(points=40, seeds=2, cells=cells)
    table = tuned_importances(study, runs).set_index("factor")
    assert table.loc["optimizer.lr", "fanova"] > 0.95 and table.loc["optimizer.lr", "ped_anova"] > 0.7
    assert table[["ped_anova", "fanova"]].sum().to_list() == pytest.approx([1, 1])
    assert set(table["n_points"]) == {40}
    pd.testing.assert_frame_equal(
        table, tuned_importances(study, runs.sample(frac=1, random_state=0)).set_index("factor")
    )


def test_ped_anova_is_optunas_own_on_the_plain_objective():
    study, runs = search(points=30)
    scratch = optuna.create_study()
    space = {"lr": optuna.distributions.FloatDistribution(math.log(0.001), math.log(10.0)), "m": optuna.distributions.FloatDistribution(0, 0.9)}  # fmt: skip
    for row in runs.to_dict("records"):
        values = {"lr": math.log(row["optimizer.lr"]), "m": row["optimizer.momentum"]}
        worst = 1e30 if row["status"] == "diverged" else row["validation_loss"]
        scratch.add_trial(optuna.create_trial(params=values, distributions=space, value=worst))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    expected = optuna.importance.get_param_importances(scratch, evaluator=evaluator)
    table = tuned_importances(study, runs).set_index("factor")
    assert table.loc["optimizer.lr", "ped_anova"] == pytest.approx(expected["lr"])


def test_a_search_that_tells_nothing_says_why():
    study, runs = search(points=LEAST_POINTS - 1, seeds=3)
    assert list(tuned_importances(study, runs)["why"]) == ["19 points were tried, of the 20 that it takes"]
    study, runs = search(points=30)
    same = tuned_importances(study, runs.assign(validation_loss=1.0, status="finished"))
    assert list(same["why"]) == ["all trials came out the same"]
    alone = FakeStudy(settings={"optimizer.lr": Tune(0.1, 1.0)})
    assert list(tuned_importances(alone, simulate(alone, every=30)[0])["why"]) == ["one factor alone is tuned"]
    assert tuned_importances(FakeStudy(settings={}), runs).empty
    assert list(tuned_importances(study, runs.iloc[:0])["why"]) == ["0 points were tried, of the 20 that it takes"]
    parts = explored(study, runs.iloc[:0], importance(study, runs, []), pd.DataFrame())
    assert [part.caption for part in parts] == [
        "Which tuned factor mattered to the search. Not evaluated: validation_loss (0 points were tried, of the 20 that it takes)."
    ]


def test_an_error_of_numbers_goes_by_ranks_where_it_is_no_share():
    """An absolute error of 40 cut to 1, as all others, would be the same in all runs."""
    study, runs = ran()
    table = importance(study, runs.assign(test_error=30 + 10 * runs["test_error"]), ["test_error"])
    expected = importance(study, runs.assign(test_loss=30 + 10 * runs["test_error"]), ["test_loss"])
    assert set(table["scale"]) == {"ranks"} and set(table["why"]) == {""}
    pd.testing.assert_series_equal(table["share"], expected["share"])
