"""Figures: data apart from drawing, nothing dropped, colours that stay with their level, axes with names."""

import math
import multiprocessing
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from statsmodels.duration.survfunc import SurvfuncRight
from synthetic import FakeStudy, rnn_clip, simulate

from harness.clipping import AGC, GlobalNorm, NoClipping, PerTensorNorm, SkipNonfinite, ZClip
from harness.models import DropoutNet, SimpleRNN
from harness.reporting import plots
from harness.reporting.plots import axes, generalization, rendering, seeds, solving, surface, training, tuning
from harness.settings import Sweep

STUDY = rnn_clip()
RUNS, CURVES = simulate(STUDY, every=6)
PLOTS = {plot.name: plot for plot in plots.plots(RUNS, CURVES, STUDY)}


@pytest.fixture(scope="module", params=list(PLOTS))
def drawn(request: pytest.FixtureRequest) -> Figure:
    plot = PLOTS[request.param]
    before = plot.data.copy()
    with rendering.style():
        figure = plot.draw(plot.data)
    pd.testing.assert_frame_equal(plot.data, before)
    return figure


def test_every_swept_factor_has_its_figures():
    assert set(PLOTS) == {
        "generalization_model.dropout", "generalization_clipping.max_norm", "stability_model.dropout",
        "stability_clipping.max_norm", "surface", "training", "seeds_model.dropout", "seeds_clipping.max_norm",
        "tuning_optimizer.lr", "budget", "importance",
    }  # fmt: skip


def test_every_axis_is_named(drawn: Figure):
    panels = [ax for ax in drawn.axes if ax.axison]
    assert panels
    for ax in panels:
        siblings_x, siblings_y = ax.get_shared_x_axes().get_siblings(ax), ax.get_shared_y_axes().get_siblings(ax)
        assert any(other.get_xlabel() for other in siblings_x)
        assert any(other.get_ylabel() for other in siblings_y)


def test_a_figure_needs_nothing_but_its_saved_data():
    for name in ("seeds_model.dropout",):
        plot = PLOTS[name]
        svg, png = plots.render(plot)
        again, _ = plots.render(plot)
        assert svg == again
        assert svg.startswith(b"<?xml")
        assert png.startswith(b"\x89PNG")


@pytest.mark.slow
def test_helpers_draw_the_same_figures_and_one_that_died_is_done_without():
    some = list(PLOTS.values())[:4]
    died, end = multiprocessing.Pipe()
    end.close()
    helpers = plots.start_helpers()
    assert plots.render_all(some, [*helpers, died]) == [plots.render(plot) for plot in some]
    assert plots.render_all(some[:1], helpers) == [plots.render(some[0])]  # fewer figures than helpers


def test_a_level_has_one_colour_in_every_figure():
    colours: dict[tuple[str, str], set[int]] = {}
    for plot in PLOTS.values():
        for role in ("x", "group", "facet"):
            if f"{role}_colour" in plot.data:
                for key, rows in plot.data.groupby([f"{role}_factor", role]):
                    colours.setdefault(key, set()).update(rows[f"{role}_colour"])
    assert all(len(found) == 1 for found in colours.values())
    assert len({min(found) for found in colours.values()}) == len(colours)  # and no two levels share one


def test_infinite_bound_is_the_last_level_and_says_what_it_is():
    data = PLOTS["generalization_clipping.max_norm"].data
    assert list(data.sort_values("x_order")["x"].unique()) == ["0.25", "1", "5", "∞ (no clipping)"]


def test_estimates_are_medians_that_count_diverged_runs():
    data = generalization.data(RUNS, CURVES, STUDY, "clipping.max_norm")
    assert data is not None
    row = data[(data["metric"] == "test_loss") & (data["x"] == "5") & (data["group"] == "0")].iloc[0]
    chosen = (RUNS["phase"] == "confirm") & (RUNS["clipping.max_norm"] == 5) & (RUNS["model.dropout"] == 0)
    values = np.sort(RUNS.loc[chosen, "test_loss"])
    assert (row["low"], row["high"]) == (values[1], values[8])
    assert row["estimate"] == (values[4] + values[5]) / 2
    assert row["n_diverged"] == np.isinf(values).sum()


def test_surface_holds_every_cell():
    data = surface.data(RUNS, CURVES, STUDY)
    assert data is not None
    assert (data.groupby("metric").size() == len(STUDY.cells())).all()


def test_training_curves_count_a_diverged_run_as_infinite():
    data = training.data(RUNS, CURVES, STUDY)
    assert data is not None
    last = data[(data["quantity"] == "loss") & (data["facet"] == "∞ (no clipping)")].groupby("group").tail(1)
    ended = RUNS[(RUNS["phase"] == "confirm") & np.isinf(RUNS["clipping.max_norm"]) & (RUNS["status"] == "diverged")]
    for _, row in last.iterrows():
        gone = ended[ended["model.dropout"] == float(row["group"])]
        assert row["n_diverged"] == (gone["steps_done"] <= row["step"]).sum()
        assert math.isinf(row["median"]) == (row["n_diverged"] * 2 >= row["n"])


def test_a_band_of_curves_is_the_median_and_the_quartiles_of_each_step():
    """Against NumPy, with runs that diverged, that are logged at other steps, and that end earlier.

    A run keeps its last value until it is logged again and is not there after its end. Nothing where nothing was measured.
    """
    random = np.random.default_rng(0)
    curves = pd.DataFrame([(t, s, step) for t in range(2) for s in range(5) for step in range(0, 90, 10)],
                          columns=["trial", "seed", "step"])  # fmt: skip
    curves["loss"] = random.normal(size=len(curves))
    curves["status"] = np.where(curves["seed"] == 4, "diverged", "completed")
    curves.loc[(curves["seed"] == 4) & (curves["step"] > 30), "loss"] = math.nan
    curves.loc[curves["step"] == 60, "loss"] = math.nan
    curves = curves.drop(curves.index[::7])
    curves = curves[(curves["trial"] == 0) | (curves["step"] <= 50)]
    runs = [
        dict(zip(run["step"], run["loss"].fillna(math.inf), strict=True))
        for _, run in curves.groupby(["trial", "seed"])
    ]
    steps = [step for step in range(0, 90, 10) if step != 60]
    for row, step in zip(training._bands(curves, "loss"), steps, strict=True):
        column = [run[max(s for s in run if s <= step and s != 60)] for run in runs if min(run) <= step <= max(run)]
        low, high = np.quantile(column, [0.25, 0.75], method="inverted_cdf")
        gone = int(np.isinf(column).sum())
        expected = {"median": np.median(column), "low": low, "high": high, "n": len(column), "n_diverged": gone}
        assert row == {"step": step} | expected
    assert training._bands(curves.assign(loss=math.nan), "loss") == []


def test_long_curves_are_binned():
    step = np.arange(5000)
    curves = pd.DataFrame(
        {"trial": 0, "seed": 0, "step": step, "loss": 1.0, "grad_norm": 1.0, "validation_loss": np.nan}
    )
    curves.loc[step % 1000 == 999, "validation_loss"] = 2.0
    binned = training._binned(curves)
    assert len(binned) <= training.POINTS
    assert binned["validation_loss"].notna().sum() == 5


def test_every_seed_is_a_point():
    data = seeds.data(RUNS, CURVES, STUDY, "model.dropout")
    assert data is not None
    assert len(data) == (RUNS["phase"] == "confirm").sum()


def test_tuning_marks_the_confirmed_value_in_every_cell():
    data = tuning.data(RUNS, CURVES, STUDY, "optimizer.lr")
    assert data is not None
    assert (data[data["chosen"] == 1].groupby(["facet", "group"]).size() == 1).all()
    assert data["chosen"].sum() == len(STUDY.cells())


@pytest.mark.slow
def test_labels_of_levels_that_are_components_fit():
    rules = Sweep(
        NoClipping(), GlobalNorm(1.0), PerTensorNorm(0.5), AGC(), ZClip(alpha=0.9, warmup=50), SkipNonfinite()
    )
    models = Sweep(DropoutNet(hidden=(16,)), DropoutNet(dropout=0.2), SimpleRNN(hidden=32))
    study = FakeStudy(settings={"model": models, "clipping": rules, "steps": 60}, seeds=3)
    runs, curves = simulate(study, every=12)
    for plot in plots.plots(runs, curves, study):
        with rendering.style():
            figure = plot.draw(plot.data)
            figure.draw_without_rendering()
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, plot.name
        for ax in (ax for ax in figure.axes if ax.axison):
            labels = [text for text in ax.get_xticklabels() if text.get_text()]
            for one, other in pairwise(labels):
                apart = one.get_window_extent().x1 <= other.get_window_extent().x0
                assert apart or one.get_rotation() == other.get_rotation() == axes.SLANT, plot.name
            assert ax.get_window_extent().height > 0.9 * figure.dpi, plot.name


def test_time_to_solve_is_kaplan_and_meiers_estimate_and_its_mean_the_area_below():
    generator, last = np.random.default_rng(0), 100.0
    runs = RUNS[RUNS["phase"] == "confirm"].copy()
    solved = generator.random(len(runs)) < 0.6
    runs["solved"] = solved.astype(float)
    runs["solve_step"] = np.where(solved, generator.integers(1, 10, len(runs)) * 10.0, last)
    (plot,) = solving.plots(runs, CURVES, STUDY)
    for (norm, dropout), line in plot.data.groupby(["facet", "group"]):
        bound = math.inf if norm.startswith("∞") else float(norm)
        cell = runs[(runs["clipping.max_norm"] == bound) & (runs["model.dropout"] == float(dropout))]
        survival = SurvfuncRight(cell["solve_step"], cell["solved"])
        expected = dict(zip(survival.surv_times, 1 - survival.surv_prob, strict=True))
        assert {step: share for step, share in line[["step", "share"]].to_numpy() if step in expected} == pytest.approx(
            expected
        )
        steps, shares = np.array([*line["step"], last]), line["share"].to_numpy()
        assert cell["solve_step"].mean() == pytest.approx(((1 - shares) * np.diff(steps)).sum())
    plots.render(plot)


def test_a_task_that_is_never_called_solved_has_no_such_figure():
    assert not list(solving.plots(RUNS, CURVES, STUDY))


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_on_a_surface_are_legible_on_every_colour():
    """Contrast of at least 4.5 : 1 (WCAG 2, level AA)."""
    figure = PLOTS["surface"].draw(PLOTS["surface"].data)
    checked = 0
    for ax in figure.axes:
        mesh = ax.collections[0]
        columns = mesh.get_array().shape[1]
        for text in ax.texts:
            x, y = (int(at) for at in text.get_position())
            if not np.ma.getmaskarray(mesh.get_array())[y, x]:
                pair = luminance(to_rgb(text.get_color())), luminance(mesh.get_facecolor()[y * columns + x])
                assert (max(pair) + 0.05) / (min(pair) + 0.05) > 4.5, text.get_text()
                checked += 1
    assert checked > 20
