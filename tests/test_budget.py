"""Budget curves against all subsets one by one, and the sensitivity to the learning rate."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import FakeStudy, rnn_clip, roles_of, simulate

from harness.inference.exploration.budget import expected_least, median_least
from harness.inference.exploration.learning_rates import with_rates
from harness.inference.selection import selected
from harness.reporting import plots
from harness.reporting.plots import budget, learning_rates, sensitivity
from harness.reporting.plots.factors import Roles
from harness.settings import Sweep, Tune

VALUES = [3.0, 1.0, 2.5, 7.0, 1.0, 4.0, 9.0]


@pytest.mark.parametrize("n_infinite", [0, 1, 4, 7])
def test_the_least_of_a_budget_is_that_of_all_its_subsets(n_infinite: int):
    values = [math.inf] * n_infinite + VALUES[n_infinite:]
    for b, (mean, middle) in enumerate(zip(expected_least(values), median_least(values), strict=True), start=1):
        least = [min(subset) for subset in combinations(values, b)]
        assert mean == pytest.approx(np.mean(least))
        assert middle == np.quantile(least, 0.5, method="inverted_cdf")


def test_many_values_lose_no_digits_and_none_none():
    values = np.random.default_rng(0).random(2000)
    found = expected_least(values)
    assert found[[0, -1]] == pytest.approx([values.mean(), values.min()])
    assert (np.diff(found) <= 0).all()
    assert len(expected_least([])) == len(median_least([])) == 0


def tuned(**changes: Any) -> tuple[FakeStudy, pd.DataFrame]:
    """A study whose seeds each train at four rates, as `selected` and `with_rates` leave it."""
    settings = {
        "model.dropout": Sweep(0.0, 0.5),
        "clipping.max_norm": Sweep(0.25, math.inf),
        "optimizer.lr": Tune(0.1, 10.0, log=True),
    }
    study = FakeStudy(**({"settings": settings, "within": True, "seeds": 5} | changes))
    random, rows = np.random.default_rng(0), []
    for cell in study.cells():
        for trial, rate in enumerate((0.1, 0.5, 2.0, 10.0)):
            for seed in range(5):
                lost = rate == 10.0 and math.isinf(cell["clipping.max_norm"])
                rows.append(cell | {
                    "trial": 10 * len(rows) + trial, "seed": seed, "phase": "confirm", "optimizer.lr": rate, "guess_loss": 3.0,
                    "status": "diverged" if lost else "finished", "validation_loss": math.inf if lost else 2 + random.random(),
                })  # fmt: skip
    runs = pd.DataFrame(rows)
    return study, with_rates(study, selected(study, runs))


def test_a_budget_curve_is_the_median_over_seeds_and_cells_of_each_search():
    study, runs = tuned()
    data = budget.data(runs, roles_of(study, runs))
    assert data is not None and roles_of(study, runs).contrasted == {
        "facet": "model.dropout",
        "group": "clipping.max_norm",
    }
    assert set(data["statistic"]) == {budget.MEDIAN}
    for (dropout, norm), line in data.groupby(["facet", "group"]):
        inside = runs[
            (runs["model.dropout"] == float(dropout)) & (np.isinf(runs["clipping.max_norm"]) == norm.startswith("∞"))
        ]
        for row in line.to_dict("records"):
            best = [
                np.quantile([min(some) for some in combinations(of_seed, row["budget"])], 0.5, method="inverted_cdf")
                for _, of_seed in inside.groupby("seed")["validation_loss"]
            ]
            assert row["estimate"] == np.median(best) and row["n"] == 5
    assert data["budget"].max() == 4
    (plot,) = budget.plots(runs, pd.DataFrame(), roles_of(study, runs))
    plots.render(plot)
    assert "since runs diverged" in plot.caption


def test_without_diverged_runs_it_is_the_mean_over_subsets():
    study, runs = tuned()
    runs = runs[runs["optimizer.lr"] < 10.0]
    data = budget.data(runs, roles_of(study, runs))
    assert data is not None and set(data["statistic"]) == {budget.MEAN}
    line = data[(data["facet"] == "0") & (data["group"] == "0.25")]
    inside = runs[(runs["model.dropout"] == 0.0) & (runs["clipping.max_norm"] == 0.25)]
    means = [
        np.mean([min(some) for some in combinations(of_seed, 2)])
        for _, of_seed in inside.groupby("seed")["validation_loss"]
    ]
    assert line["estimate"].to_list()[1] == pytest.approx(np.median(means))


def test_a_third_factor_is_held_at_its_level_in_the_best_cell():
    """Not averaged over: the curve is that of the runs there alone, and the caption says where."""
    study, runs = tuned()
    third = FakeStudy(settings=study.settings | {"batch_size": Sweep(8, 16, 32)}, within=True, seeds=5)
    shifted = pd.concat(
        runs.assign(
            trial=runs["trial"] + 10_000 * i, batch_size=8 * 2**i, validation_loss=runs["validation_loss"] + i % 2 / 1e3
        )
        for i in (1, 2, 0)
    )
    roles = Roles(third, ("clipping.max_norm", "model.dropout", "batch_size"), {"batch_size": 32})
    one, data = budget.data(runs, roles_of(study, runs)), budget.data(shifted, roles)
    assert one is not None and data is not None and set(data["n"]) == {5}
    np.testing.assert_array_equal(data["estimate"], one["estimate"])
    assert roles.where(roles.contrasted) == " Shown at batch_size = 32, as in the best cell."


def test_shared_tuning_has_a_search_for_each_cell():
    study = rnn_clip()
    runs, curves = simulate(study, tune_trials=5, every=30)
    (plot,) = budget.plots(runs, curves, roles_of(study, runs))
    assert set(plot.data["n"]) == {1} and plot.data["budget"].max() == 5
    tune = runs[(runs["phase"] == "tune") & (runs["model.dropout"] == 0.0) & (runs["clipping.max_norm"] == 0.25)]
    line = plot.data[(plot.data["facet"] == "0") & (plot.data["group"] == "0.25")]
    assert line["estimate"].iloc[-1] == tune["validation_loss"].min()


def test_what_has_no_budget_curve():
    runs, curves = simulate(rnn_clip(), tune_trials=1, every=30)
    assert not list(budget.plots(runs, curves, roles_of(rnn_clip(), runs)))  # one value
    assert not list(budget.plots(runs, curves, roles_of(rnn_clip(sampler="tpe"), runs)))
    assert not list(
        budget.plots(runs, curves, roles_of(rnn_clip(objective=("validation_loss", "validation_error")), runs))
    )
    assert not list(budget.plots(runs, curves, roles_of(FakeStudy(settings={"model.dropout": Sweep(0.0, 0.5)}), runs)))
    assert not list(budget.plots(runs.iloc[:0], curves, roles_of(rnn_clip(), runs.iloc[:0])))


def test_the_sensitivity_is_how_far_a_line_lies_above_its_lowest_point():
    study, runs = tuned()
    data = sensitivity.data(runs, roles_of(study, runs))
    assert data is not None
    for (norm, dropout), line in data.groupby(["facet", "group"]):
        inside = runs[
            (runs["model.dropout"] == float(dropout)) & (np.isinf(runs["clipping.max_norm"]) == norm.startswith("∞"))
        ]
        losses = inside.pivot(index="seed", columns="optimizer.lr", values="validation_loss")
        for rate, points in line.groupby("rate"):
            assert dict(zip(points["seed"], points["loss"], strict=True)) == losses[rate].to_dict()
            assert set(points["estimate"]) == {losses[rate].median()}
        grid = losses.clip(upper=3.0)
        per_seed = (grid.sub(grid.min(axis=1), axis=0)).mean(axis=1)
        assert line["sensitivity"].to_list() == pytest.approx([per_seed.median()] * len(line))
        assert set(line["guessing"]) == {3.0}
    (plot,) = sensitivity.plots(runs, pd.DataFrame(), roles_of(study, runs))
    least = runs.groupby(["model.dropout", "clipping.max_norm", "optimizer.lr"])["validation_loss"].median().min()
    assert plot.title.startswith(f"Lowest median validation loss: {least:.3g}, at lr ")
    with plots.rendering.style():
        figure = plot.draw(plot.data)
    assert "10/10" in {text.get_text() for text in figure.axes[1].texts}  # at lr 10 without clipping all ten diverged
    assert not list(sensitivity.plots(runs, pd.DataFrame(), roles_of(rnn_clip(), runs)))


def test_titles_on_rates_say_how_many_lines_have_no_number():
    rows = [
        {"facet": "", "facet_factor": "", "facet_order": 0, "group": name, "group_factor": "clipping", "group_order": i,
         "rate": 1.0, "estimate": 0.5 + i, "sensitivity": number, "half": number, "always_clipped": 0.0, "share": 1.0}
        for i, (name, number) in enumerate([("a", 0.1), ("b", 0.2), ("c", math.nan), ("d", math.nan)])
    ]  # fmt: skip
    lines = pd.DataFrame(rows)
    assert sensitivity.title(lines).endswith("most at clipping = b (0.2, 2 of 4 have none).")
    said = "Largest learning rate that trains"
    assert (
        learning_rates.title(lines)
        == f"{said}, median over seeds, 2 of 4 have none: from 0.1 at clipping = a to 0.2 at clipping = b."
    )
    alike = lines.assign(half=[0.1, 0.1, math.nan, math.nan])
    assert learning_rates.title(alike) == f"{said}: 0.1 (median over seeds, 2 of 4 have none)."
    assert learning_rates.title(alike.iloc[:2]) == f"{said}: 0.1 in every cell (median over seeds)."


def test_budgets_are_compared_as_far_as_all_lines_go():
    """Line a is best with one value and with two; it has no third, since runs of one of its seeds failed."""
    lines = {"a": [0.3, 0.2], "b": [0.6, 0.5, 0.4]}
    table = pd.DataFrame(
        {"facet_order": 0, "group_order": i, "group_factor": "kind", "budget": k, "objective": "validation_loss", "estimate": value}
        for i, values in enumerate(lines.values()) for k, value in enumerate(values, start=1)
    )  # fmt: skip
    said = "The kind that is best with 2 values tried is best at every smaller budget too."
    assert budget.title(table) == said


def test_the_title_on_sensitivity_names_no_level_where_equals_are():
    lines = pd.DataFrame({"facet_factor": "", "facet": "", "facet_order": 0, "group_factor": "clipping", "group": list("aabb"),
                          "group_order": [0, 0, 1, 1], "rate": [0.1, 1.0] * 2, "estimate": [2.0, 1.0, 2.0, 1.5],
                          "sensitivity": [0.2, 0.2, 0.2, 0.2]})  # fmt: skip
    said = "Lowest median validation loss: 1, at "
    same = "; the rate matters the same everywhere (sensitivity 0.2)."
    assert sensitivity.title(lines) == f"{said}lr 1 with clipping = a{same}"
    assert sensitivity.title(lines.assign(estimate=[2.0, 1.0, 2.0, 1.0])) == f"{said}2 of 4 points{same}"
    assert sensitivity.title(lines.iloc[:2]) == f"{said}lr 1."
    apart = lines.assign(sensitivity=[0.1, 0.1, 0.2, 0.2])
    assert "least at clipping = a (sensitivity 0.1), most at clipping = b (0.2)." in sensitivity.title(apart)


def test_a_factor_with_more_levels_than_clipping_has_colours_of_its_own():
    noises, norms = Sweep(0.0, 0.2, 0.4, 0.6), Sweep(0.1, math.inf)
    settings = {"task.label_noise": noises, "clipping.max_norm": norms, "optimizer.lr": Tune(0.1, 10.0, log=True)}
    study, runs = tuned(settings=settings)
    data = sensitivity.data(runs, roles_of(study, runs))
    assert data is not None
    assert set(data["facet_factor"]) == {"clipping.max_norm"}
    assert data.groupby("group")["group_colour"].unique().map(len).tolist() == [1] * 4
    assert data["group_colour"].nunique() == 4
