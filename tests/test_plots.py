"""Figures: data apart from drawing, nothing dropped, colours that stay with their level, axes with names."""

import io
import math
import multiprocessing
import re
import tempfile
import warnings
import zlib
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fontTools.subset import Options
from fontTools.ttLib import TTFont
from made_runs import DROPPED
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from synthetic import FakeStudy, rnn_clip, roles_of, simulate

from harness import Measure
from harness.clipping import AGC, GlobalNorm, NoClipping, PerTensorNorm, SkipNonfinite, ZClip
from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.inference.exploration.all_pairs import all_pairs
from harness.inference.exploration.importance import importance as importance_of
from harness.inference.plan import Plan
from harness.inference.verdicts import judge
from harness.models import DropoutNet, SimpleRNN
from harness.reporting import plots
from harness.reporting.exploration import explored
from harness.reporting.formats import csv
from harness.reporting.page.level_names import told_apart
from harness.reporting.plots import (
    axes,
    generalization,
    gradient_flow,
    importance,
    rendering,
    seeds,
    solving,
    stability,
    surface,
    survival,
    training,
    tuning,
)
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.saved import read, saved
from harness.reporting.plots.scales import scale_of
from harness.reporting.plots.titles import trend
from harness.reporting.tables import summarize
from harness.settings import Sweep
from harness.settings.levels import label
from harness.settings.metrics import METRICS
from harness.study import Claim

STUDY = rnn_clip()
RUNS, CURVES = simulate(STUDY, every=6)
ROLES = roles_of(STUDY, RUNS)
VERDICTS = judge(STUDY.claims, RUNS, Plan.of(STUDY))


def drawn_of(runs: pd.DataFrame, curves: pd.DataFrame, study: FakeStudy) -> list[plots.Plot]:
    """All figures of a study."""
    with tempfile.TemporaryDirectory() as folder:
        curves.to_parquet(Path(folder) / "curves.parquet")
        verdicts = judge(study.claims, runs, Plan.of(study)) if study.claims else []
        return list(plots.plots(runs, Path(folder) / "curves.parquet", study, verdicts))


def followed(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with gradients that halve with each of 12 time steps on their way back, those that diverged without."""
    norms = [(1 + seed / 10) * 0.5 ** np.arange(12.0)[::-1] for seed in runs["seed"]]
    known = (runs["phase"] == "confirm") & (runs["status"] == "finished")
    return runs.assign(
        **{PROFILE: pd.Series([each.tobytes() for each in norms], runs.index, dtype=object).where(known, None)}
    )


PLOTS = {plot.name: plot for plot in drawn_of(followed(RUNS), CURVES, STUDY)}


@pytest.fixture(scope="module", params=list(PLOTS))
def drawn(request: pytest.FixtureRequest) -> Figure:
    plot = PLOTS[request.param]
    before = plot.data.copy()
    with rendering.style():
        figure = plot.draw(plot.data)
    pd.testing.assert_frame_equal(plot.data, before)
    return figure


def test_one_figure_shows_both_factors_and_every_claim_with_an_estimate_has_one():
    assert list(PLOTS) == [
        "claim_1", "claim_2", "claim_3", "generalization", "seeds", "surface", "stability", "survival", "training", "gradient_flow",
        "tuning_optimizer.lr", "budget", "importance",
    ]  # fmt: skip
    assert all(plot.title.endswith(".") and plot.caption.endswith(".") for plot in PLOTS.values())


def test_every_axis_is_named(drawn: Figure):
    panels = [ax for ax in drawn.axes if ax.axison]
    assert panels
    for ax in panels:
        siblings_x, siblings_y = ax.get_shared_x_axes().get_siblings(ax), ax.get_shared_y_axes().get_siblings(ax)
        assert drawn.get_supxlabel() or any(other.get_xlabel() for other in siblings_x)
        names = [text.get_text() for text in ax.get_yticklabels()]
        written = any(names) and not any(
            name[:1].isdigit() or name[:1] == "−" for name in names
        )  # levels, each by its name
        assert written or drawn.get_supylabel() or any(other.get_ylabel() for other in [*siblings_y, *drawn.axes])


def test_texts_are_legible_and_within_the_figure_and_titles_apart(drawn: Figure):
    with rendering.style():
        drawn.draw_without_rendering()
    edges = drawn.bbox
    texts = [
        text for ax in drawn.axes if ax.axison for text in [*ax.texts, ax._left_title, ax.xaxis.label, ax.yaxis.label]
    ]
    texts += [text for ax in drawn.axes if ax.axison for text in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
    for text in texts:
        if text.get_text() and text.get_visible():
            assert text.get_fontsize() >= 8, text.get_text()
    for title in (ax._left_title for ax in drawn.axes if ax.get_title(loc="left")):
        box = title.get_window_extent()
        assert edges.x0 - 1 <= box.x0 and box.x1 <= edges.x1 + 1, title.get_text()
    rows: dict[int, list[object]] = {}
    for ax in drawn.axes:
        if ax.get_title(loc="left"):
            rows.setdefault(round(ax.get_window_extent().y1), []).append(ax._left_title.get_window_extent())
    for row in rows.values():
        assert all(one.x1 <= other.x0 + 1 for one, other in pairwise(sorted(row, key=lambda box: box.x0)))
    for legend in drawn.legends:
        box = legend.get_window_extent()
        assert edges.x0 <= box.x0 < box.x1 <= edges.x1


def test_bytes_are_a_function_of_the_data_and_say_what_is_seen():
    plot = PLOTS["seeds"]
    image = plots.render(plot)
    assert image == plots.render(plot)
    assert image.svg.startswith(b"<?xml") and image.png.startswith(b"\x89PNG") and image.pdf.startswith(b"%PDF")
    assert b"CreationDate" not in image.pdf
    assert Image.open(io.BytesIO(image.png)).info["Title"] == plot.title


def test_a_pdf_has_its_fonts_within_as_outlines_that_can_be_selected_and_no_more_of_them():
    kept = list(Options._drop_tables_default)
    pdf = plots.render(PLOTS["seeds"]).pdf
    fonts = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with suppress(zlib.error):
            content = zlib.decompress(stream)
            fonts += [TTFont(io.BytesIO(content))] if content.startswith(b"\x00\x01\x00\x00") else []
    assert fonts and b"/FontFile2" in pdf and b"/Type3" not in pdf
    for font in fonts:
        assert {"glyf", "hmtx", "head"} <= set(font.keys()) and not {"GSUB", "GPOS", "GDEF", "kern"} & set(font.keys())
    assert Options._drop_tables_default == kept


def test_a_figure_needs_nothing_but_its_saved_data(tmp_path: Path):
    for plot in PLOTS.values():
        (tmp_path / "table.csv").write_bytes(csv(plot.data))
        table = read(tmp_path / "table.csv")
        for name in plot.data.columns:
            pd.testing.assert_series_equal(table[name], plot.data[name], check_dtype=False)
    plot = PLOTS["surface"]
    (tmp_path / "table.csv").write_bytes(csv(plot.data))
    again = plots.Plot(plot.name, "", read(tmp_path / "table.csv"), plot.draw, title=plot.title)
    assert plots.render(again).svg == plots.render(plot).svg


def test_a_claims_figure_shows_the_numbers_of_its_verdict():
    for i, verdict in enumerate(VERDICTS[:3], start=1):
        data = PLOTS[f"claim_{i}"].data
        whole = data[data["together"] & (data["state"] == "estimate")].iloc[0]
        assert whole["value"] == verdict.estimate and set(data["smallest_effect"]) == {verdict.smallest_effect}
        assert whole["low"] == (-math.inf if verdict.low is None else verdict.low)
        seeds_ = data[data["together"] & (data["state"] != "estimate")]
        assert dict(zip(seeds_["seed"], seeds_["value"], strict=True)) == verdict.per_seed
        for cell in verdict.cells:
            rows = data[(data["row"] == cell.name) & ~data["together"]]
            assert dict(zip(rows["seed"], rows["value"], strict=True)).items() >= cell.per_seed.items()
            drawn = rows.iloc[0][["value", "low", "high"]].to_list()
            np.testing.assert_array_equal(np.array(drawn, float), [cell.estimate, cell.low, cell.high])


def test_a_cells_differences_are_those_of_its_runs_and_average_to_the_seeds():
    verdict = VERDICTS[1]  # test loss, dropout .2 against 0, over four norms
    confirm = RUNS[(RUNS["phase"] == "confirm") & (RUNS["seed"] == 3)]
    for cell in verdict.cells:
        norm = math.inf if "∞" in cell.name else float(cell.name.split(" = ")[1])
        at = confirm[confirm["clipping.max_norm"] == norm].set_index("model.dropout")["test_loss"]
        expected = 0.0 if at[0.0] == at[0.2] else at[0.0] - at[0.2]
        assert cell.per_seed[3] == pytest.approx(expected)
    for seed, value in verdict.per_seed.items():
        cells = [cell.per_seed[seed] for cell in verdict.cells]
        if np.isfinite(cells).all():
            assert value == pytest.approx(np.mean(cells))
        both = {math.inf, -math.inf} <= set(cells)
        assert (seed in verdict.incomparable) == both


def test_drawn_marks_of_a_claim_are_its_data_and_what_lies_beyond_is_counted():
    plot = PLOTS["claim_2"]
    figure = plot.draw(plot.data)
    (ax,) = figure.axes
    rows = plot.data[plot.data["state"] == "compared"]
    dots = sorted(x for line in ax.lines if line.get_marker() == "o" for x in line.get_xdata())
    beyond = int((~rows["value"].between(*ax.get_xlim())).sum())
    assert len(dots) == len(rows) - beyond and set(dots) <= set(rows["value"])
    notes = [text.get_text() for text in ax.texts]
    infinite = plot.data[np.isinf(plot.data["value"]) & (plot.data["state"] != "estimate")]
    assert sum(int(part.split()[0]) for note in notes for part in note.split(", ") if part.endswith("diverged")) == len(
        infinite
    )
    lines = {line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1}
    assert {0, plot.data["smallest_effect"].iloc[0]} <= lines


def test_points_are_the_numbers_of_the_table_of_cells():
    data, table = generalization.data(RUNS, ROLES), summarize(STUDY, RUNS)
    assert data is not None
    for row in data.to_dict("records"):
        levels = {row["x_factor"]: row["x"], row["group_factor"]: row["group"]}
        norm = levels["clipping.max_norm"]
        cell = table[
            (table["clipping.max_norm"] == (math.inf if norm.startswith("∞") else float(norm)))
            & (table["model.dropout"] == float(levels["model.dropout"]))
        ].iloc[0]
        assert row["estimate"] == pytest.approx(cell[f"{row['metric']}_{row['statistic']}"])
        assert row["n_diverged"] == cell["n_diverged"] and row["n"] == cell[f"{row['metric']}_n"]
        assert row["low"] == pytest.approx(cell[f"{row['metric']}_low"], nan_ok=True)


def several() -> tuple[FakeStudy, pd.DataFrame, pd.DataFrame]:
    """A study that confirms three combinations in each cell for all seeds; with the second one two seeds diverge in all cells."""
    settings = rnn_clip().settings | {"model.dropout": 0.0, "clipping.max_norm": Sweep(1.0, math.inf)}
    study = FakeStudy(name="several", settings=settings, seeds=8)
    runs, curves = simulate(study)
    others = [runs.assign(trial=runs["trial"] + 100 * k, test_loss=runs["test_loss"] * (1 + k / 10)) for k in (1, 2)]
    others[0].loc[others[0]["seed"].isin([0, 1]), ["status", "diverged"]] = "diverged", 1.0
    every = [curves.assign(trial=curves["trial"] + 100 * k) for k in (0, 1, 2)]
    return study, pd.concat([runs, *others], ignore_index=True), pd.concat(every, ignore_index=True)


def test_a_seed_counts_once_in_figures_of_cells_with_several_combinations():
    """Against pandas, and SciPy's interval of a median; rates of such seeds are no counts of independent runs."""
    study, runs, curves = several()
    roles = roles_of(study, runs)
    chosen = runs[runs["phase"] == "confirm"]
    for figure in (generalization, stability):
        (plot,) = figure.plots(runs, curves, roles)
        assert "Cells confirm up to 3 combinations, which summary.csv has apart: a seed counts once" in plot.caption
        for row in plot.data.to_dict("records"):
            cell = chosen[chosen["clipping.max_norm"] == (math.inf if row["x"].startswith("∞") else float(row["x"]))]
            measured = cell[row["metric"]]
            counted = measured.mask(cell["status"] == "diverged", WORST.get(row["metric"], measured))
            by_seed = counted.groupby(cell["seed"]).agg(row["statistic"])
            assert row["n"] == 8 and row["n_diverged"] == (cell["status"] == "diverged").sum()
            assert row["estimate"] == pytest.approx(by_seed.agg(row["statistic"]))
            if row["statistic"] == "mean":
                assert math.isnan(row["low"]) and math.isnan(row["high"])
            else:
                ends = stats.quantile_test(by_seed.to_numpy(), p=0.5).confidence_interval(0.95)
                assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
    assert set(stability.data(runs, roles)["metric"]) >= {"diverged", "spike_rate", "grad_norm_q99"}
    (plot,) = generalization.plots(runs[runs["clipping.max_norm"] == 1.0], curves, roles)
    assert "(n = 8)" in plot.title


def test_every_caption_and_table_that_merges_combinations_says_how():
    study, runs, curves = several()
    once = runs[runs["trial"] < 100]

    def said(runs: pd.DataFrame) -> list[str]:
        roles, shares = roles_of(study, runs), importance_of(study, runs, ["test_loss"])
        found = [
            *seeds.plots(runs, curves, roles),
            *training.plots(runs, curves, roles),
            *importance.plots(shares, roles),
        ]
        swept, *_, pairs = explored(study, runs, shares, all_pairs(study, runs, ["test_loss"]))
        return [*(plot.caption for plot in found), swept.caption, pairs.caption]

    ways = [
        "a seed counts once, with",
        "a line has the runs of all.",
        *["a seed counts with the median of its runs."] * 3,
    ]
    for caption, way in zip(said(runs), ways, strict=True):
        assert f"Cells confirm up to 3 combinations, which summary.csv has apart: {way}" in caption
    assert not any("combinations" in caption for caption in said(once))


WORST = {"spike_rate": 1.0} | dict.fromkeys(("test_loss", "test_error", "gap", "grad_norm_q99"), math.inf)
"""What a run that diverged counts as, whatever was measured."""


def test_shares_of_runs_have_no_band_where_a_seed_has_several():
    study, runs, curves = several()
    runs = runs.assign(solved=1.0 - runs["diverged"], solve_step=np.where(runs["diverged"] == 1, 120.0, 60.0))
    for figure in (survival, solving):
        (plot,) = figure.plots(runs, curves, roles_of(study, runs))
        assert plot.data["n"].eq(24).all() and plot.data[["low", "high"]].isna().all(axis=None)
        assert "no band where a seed has several runs, which are not independent" in plot.caption
        assert "summary.csv has apart: a line has the runs of all." in plot.caption
        once = runs[runs["trial"] < 100]
        (plot,) = figure.plots(once, curves, roles_of(study, once))
        for row in plot.data.to_dict("records"):
            ends = stats.binomtest(round(row["share"] * 8), 8).proportion_ci(method="exact")
            assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high))
        assert "bands: 95 % (exact)" in plot.caption and "combinations" not in plot.caption


def test_a_run_that_diverged_ranks_worst_in_every_figure_of_cells():
    """All runs of a cell have the least loss of all, and most of them diverged."""
    cell = (RUNS["phase"] == "confirm") & (RUNS["clipping.max_norm"] == 1.0) & (RUNS["model.dropout"] == 0.0)
    runs = RUNS.assign(test_loss=RUNS["test_loss"].where(~cell, 1e-3))
    runs.loc[cell & (runs["seed"] < 6), ["status", "diverged"]] = "diverged", 1.0
    shown = {"clipping.max_norm": "1", "model.dropout": "0"}
    for figure in (generalization, seeds, surface):
        data = figure.data(runs, roles_of(STUDY, RUNS))
        assert data is not None
        axes = {f"{role}_factor": role for role in ("x", "group", "y", "facet") if f"{role}_factor" in data}
        inside = data[data["metric"] == "test_loss"]
        for factor, role in axes.items():
            inside = inside[inside[role] == inside[factor].map(shown).fillna("")]
        assert len(inside) and np.isinf(inside["estimate"]).all()
    drawn = seeds.data(runs, roles_of(STUDY, RUNS))
    assert np.isinf(drawn["value"]).sum() >= 6


def test_drawn_points_are_the_data():
    plot = PLOTS["generalization"]
    first = plot.data[plot.data["metric"] == plot.data["metric"].iloc[0]]
    ax = plot.draw(plot.data).axes[0]
    points = sorted(y for line in ax.lines if line.get_ls() == "None" and line.get_marker() in "os^D" for y in line.get_ydata()
                    if ax.get_ylim()[0] < y < ax.get_ylim()[1])  # fmt: skip
    inside = first["estimate"][first["estimate"].between(*ax.get_ylim(), inclusive="neither")]
    np.testing.assert_allclose(points, sorted(inside))


def test_a_claimed_metric_comes_first():
    study = rnn_clip(claims=(Claim("less", **DROPPED, metric="test_error", better="lower", smallest_effect=0.01),))
    data = generalization.data(RUNS, roles_of(study, RUNS))
    assert data is not None and data["metric"].iloc[0] == "test_error"
    assert set(seeds.data(RUNS, roles_of(study, RUNS))["metric"]) == {"test_error"}


def written(folder: Path, some: list[Plot], images: list[plots.Image]) -> None:
    for plot, image in zip(some, images, strict=True):
        for kind, content in image._asdict().items():
            (folder / f"{plot.name}.{kind}").write_bytes(content)


def test_a_figure_is_drawn_again_only_where_its_data_its_code_or_its_files_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    some = [PLOTS["stability"], PLOTS["importance"]]
    first = plots.render_all(some, (), tmp_path)
    written(tmp_path, some, first)
    drawn: list[str] = []

    def counting(plot: Plot) -> plots.Image:
        drawn.append(plot.name)
        return rendering_render(plot)

    rendering_render = rendering.render
    monkeypatch.setattr(rendering, "render", counting)
    assert plots.render_all(some, (), tmp_path) == first and drawn == []
    assert plots.render_all(some) == first and drawn == ["stability", "importance"], "nobody knows of a folder"

    drawn.clear()
    data = some[0].data.copy()
    column = data.select_dtypes("float").columns[0]
    data[column] = data[column] + 1e-9
    other = [replace(some[0], data=data), replace(some[1], title="Another.")]
    images = plots.render_all(other, (), tmp_path)
    assert drawn == ["stability", "importance"] and images != first
    assert plots.render_all(some, (), tmp_path) == first, "the files on disk are not those of the last call"

    drawn.clear()
    written(tmp_path, some, first)
    (tmp_path / "stability.svg").write_text("<svg/>")
    (tmp_path / "importance.pdf").unlink()
    assert plots.render_all(some, (), tmp_path) == first and drawn == ["stability", "importance"]

    drawn.clear()
    written(tmp_path, some, first)
    monkeypatch.setattr("harness.reporting.plots.drawn_before.own_code", lambda: "changed")
    assert plots.render_all(some, (), tmp_path) == first and drawn == ["stability", "importance"]
    for damage in ("[", "[]", '{"stability": 1}'):
        drawn.clear()
        (tmp_path / "drawn.json").write_text(damage)
        assert plots.render_all(some[:1], (), tmp_path) == first[:1] and drawn == ["stability"]


def first_loss(curve):
    return curve["loss"].iloc[0]


@pytest.mark.slow
def test_helpers_draw_the_same_figures_and_one_that_died_is_done_without():
    some = list(PLOTS.values())[:4]
    died, end = multiprocessing.Pipe()
    end.close()
    helpers = plots.start_helpers()
    assert plots.render_all(some, [*helpers, died]) == [plots.render(plot) for plot in some]
    assert plots.render_all(some[:1], helpers) == [plots.render(some[0])]  # fewer figures than helpers
    Measure(first_loss, unit="nats", better="lower").register()
    table = pd.DataFrame(
        {"metric": "first_loss", "term": ["seed"], "share": 0.5, "low": 0.4, "high": 0.6, "scale": "ranks", "why": ""}
    )
    drawn = [Plot("importance", "", table, importance.draw, title="")]
    for helper in helpers:
        helper.send((METRICS, drawn))
    assert [helper.recv() for helper in helpers] == [[plots.render(drawn[0])]] * len(helpers), (
        "of a user's own metric, too"
    )


def test_a_level_has_one_colour_in_every_figure():
    colours: dict[tuple[str, str], set[int]] = {}
    for plot in PLOTS.values():
        if "group_colour" in plot.data:
            for key, rows in plot.data[plot.data["group_factor"] != ""].groupby(["group_factor", "group"]):
                colours.setdefault(key, set()).update(rows["group_colour"])
    assert all(len(found) == 1 for found in colours.values())
    assert len({min(found) for found in colours.values()}) == len(colours)  # and no two levels share one


def test_infinite_bound_is_the_last_level_and_says_what_it_is():
    data = PLOTS["generalization"].data
    assert list(data.sort_values("x_order")["x"].unique()) == ["0.25", "1", "5", "∞ (no clipping)"]
    assert "∞: no clipping" in PLOTS["generalization"].draw(data).get_supxlabel()


def test_surface_is_the_paired_difference_to_the_best_cell():
    data = surface.data(RUNS, ROLES)
    assert data is not None
    assert (data.groupby("metric").size() == len(STUDY.cells())).all() and (
        data.groupby("metric")["best"].sum() == 1
    ).all()
    table = RUNS[RUNS["phase"] == "confirm"].pivot(
        index="seed", columns=["clipping.max_norm", "model.dropout"], values="test_loss"
    )
    finite = table.loc[:, np.isfinite(table).all()]
    best = finite.median().idxmin()
    for column in finite:
        name = {math.inf: "∞ (no clipping)"}.get(column[0], f"{column[0]:g}"), f"{column[1]:g}"
        row = data[(data["metric"] == "test_loss") & (data["x"] == name[0]) & (data["y"] == name[1])].iloc[0]
        differences = finite[column] - finite[best]
        assert row["effect"] == pytest.approx(differences.median()) and row["best"] == (column == best)
        low, high = (
            sorted(differences)[1],
            sorted(differences)[8],
        )  # of ten the second and the ninth: P(fewer) = 11 / 1024
        assert (row["effect_low"], row["effect_high"]) == pytest.approx((low, high))
        near = surface.near(data).loc[row.name]
        assert near == (not row["best"] and low <= 0 <= high)


def test_figures_of_numbers_of_1e300_are_drawn_without_a_warning():
    """Such were axes without an end, which raised, and labels of 301 digits."""
    random = np.random.default_rng(0)
    confirm = RUNS["phase"] == "confirm"
    huge = {
        name: RUNS[name].where(~np.isfinite(RUNS[name]) | (random.uniform(size=len(RUNS)) < 0.5), 1e300)
        for name in ("test_loss", "grad_norm_median", "validation_loss")
    }
    losses = CURVES["loss"].where(random.uniform(size=len(CURVES)) < 0.5, 1e300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for plot in drawn_of(RUNS.assign(**huge)[confirm], CURVES.assign(loss=losses), STUDY):
            rendering.render(plot)
    for size in (1e300, 1e-300):
        row = {"best": False, "effect": size, "effect_low": -size, "effect_high": 2 * size}
        assert surface._difference(row, 2.0) == f"+{size:.2g}\n[−{size:.2g}, +{2 * size:.2g}]"
    alone = scale_of([1e300, 1e300, 1e300], log=True)
    assert alone.low < alone.high and alone.beyond([1e300]).all()


@pytest.mark.parametrize(
    ("effects", "n", "said"),
    [
        ([0.0, 0.5, math.inf], 5, "1 at x = 0, y = 0; fewer than six seeds give no interval that tells others from it."),
        ([0.0, 0.5, math.inf], 8, "1 at x = 0, y = 0; none of 2 other cells may be as good, by the intervals of differences."),
        ([0.0, 0.5, math.nan], 8, "1 at x = 0, y = 0; none of 1 other cell that has an interval may be as good, by the intervals of differences."),
        ([0.0, 0.5, 0.0], 8, "1 at 2 of 3 cells; none of 1 other cell may be as good, by the intervals of differences."),
        ([0.0, 0.0, 0.0], 8, "1 at 3 of 3 cells."),
    ],
)  # fmt: skip
def test_the_title_of_a_surface_calls_no_cell_as_good_that_has_no_interval_and_names_no_best_of_equals(
    effects: list[float], n: int, said: str
):
    known = [effect == effect and n > 5 for effect in effects]
    table = pd.DataFrame(
        {"metric": "test_loss", "x_factor": "x", "x": str(i), "y_factor": "y", "y": "0", "facet_factor": "", "facet": "",
         "estimate": 1.0 + effect, "best": i == 0, "effect": effect, "effect_low": effect if there else math.nan,
         "effect_high": effect if there else math.nan}
        for i, (effect, there) in enumerate(zip(effects, known, strict=True))
    )  # fmt: skip
    assert surface.title(table) == f"Best test loss: {said}"
    if n < 6:
        assert not surface.near(table).any()


def test_training_curves_count_a_diverged_run_as_infinite():
    data = training.data(RUNS, CURVES, ROLES)
    assert data is not None
    last = data[(data["quantity"] == "loss") & (data["facet"] == "∞ (no clipping)")].groupby("group").tail(1)
    ended = RUNS[(RUNS["phase"] == "confirm") & np.isinf(RUNS["clipping.max_norm"]) & (RUNS["status"] == "diverged")]
    for _, row in last.iterrows():
        gone = ended[ended["model.dropout"] == float(row["group"])]
        assert row["n_diverged"] == (gone["steps_done"] <= row["step"]).sum()
        assert math.isinf(row["median"]) == (row["n_diverged"] * 2 >= row["n"])


def test_what_diverged_ends_infinite_in_the_title_of_curves_and_no_line_is_left_out():
    """Levels 0, .2 and .5 of dropout: level 0 is finite and ends at 2, .2 at 1 but diverged, .5 is not finite from the first step on."""
    settings = {"model.dropout": Sweep(0.0, 0.2, 0.5), "steps": 40}
    study = FakeStudy(settings=settings, seeds=2)
    runs = pd.DataFrame(
        {"trial": t, "seed": s, "phase": "confirm", "status": status, "nonfinite": float(p == 0.5), "model.dropout": p,
         "validation_loss": 1.0}
        for t, (p, status) in enumerate([(0.0, "finished"), (0.2, "diverged"), (0.5, "diverged")]) for s in range(2)
    )  # fmt: skip
    ends = {0: [3.0, 2.0], 1: [2.0, 1.0], 2: [math.nan] * 2}
    curves = pd.DataFrame(
        {"trial": t, "seed": s, "step": step, "loss": loss, "validation_loss": loss, "grad_norm": loss}
        for t, losses in ends.items() for s in range(2) for step, loss in zip((10, 20), losses, strict=True)
    )  # fmt: skip
    data = training.data(runs, curves, roles_of(study, runs))
    assert data is not None and data.groupby("quantity")["group_order"].nunique().eq(3).all()
    assert np.isinf(data.loc[data["group"] == "0.5", "median"]).all()
    said = (
        "Validation loss ends lowest at model.dropout = 0 (median 2); its least value is the last one in 1 of 3 lines."
    )
    assert training.title(data) == said
    with plots.rendering.style():
        training.draw(data)
    alike = curves.assign(**{name: curves[name].mask(curves["trial"] == 1, curves["step"].map({10: 3.0, 20: 2.0}))
                             for name in ("loss", "validation_loss", "grad_norm")})  # fmt: skip
    data = training.data(runs.assign(status=["finished"] * 4 + ["diverged"] * 2), alike, roles_of(study, runs))
    assert data is not None and "ends lowest at 2 of 3 lines (median 2)" in training.title(data)
    data = training.data(runs.assign(status="diverged"), curves, roles_of(study, runs))
    assert data is not None and training.title(data) == "In each line half of the runs or more diverged."


def test_curves_of_runs_that_ended_above_guessing_by_patience_just_end():
    """One ends at 20, at a loss above guessing; it never became non-finite, and the line goes on with the other two."""
    study = FakeStudy(settings={"model.dropout": Sweep(0.0), "steps": 40}, seeds=3)
    runs = pd.DataFrame({"trial": 0, "seed": range(3), "phase": "confirm", "status": ["diverged", "finished", "finished"],
                         "nonfinite": 0.0, "model.dropout": 0.0, "validation_loss": 1.0})  # fmt: skip
    losses = {0: [3.0, 4.0, math.nan, math.nan], 1: [3.0, 2.0, 1.5, 1.0], 2: [3.0, 2.5, 2.5, 2.0]}
    curves = pd.DataFrame(
        {"trial": 0, "seed": s, "step": step, "loss": loss, "validation_loss": loss, "grad_norm": loss}
        for s, own in losses.items() for step, loss in zip((10, 20, 30, 40), own, strict=True)
    )  # fmt: skip
    data = training.data(runs, curves, roles_of(study, runs))
    assert data is not None
    loss = data[data["quantity"] == "validation_loss"]
    assert loss["median"].tolist() == [3.0, 2.5, 2.0, 1.5] and loss["n"].tolist() == [3, 3, 2, 2]
    assert not loss["n_diverged"].any()


def test_a_band_of_curves_is_the_median_and_the_quartiles_of_each_step():
    """Against NumPy, with runs that diverged, that are logged at other steps, and that end earlier.

    A run keeps its last value until it is logged again and is not there after its end. Nothing where nothing was measured.
    """
    random = np.random.default_rng(0)
    curves = pd.DataFrame([(t, s, step) for t in range(2) for s in range(5) for step in range(0, 90, 10)],
                          columns=["trial", "seed", "step"])  # fmt: skip
    curves["loss"] = random.normal(size=len(curves))
    curves["status"] = np.where(curves["seed"] == 4, "diverged", "completed")
    curves["nonfinite"] = (curves["seed"] == 4).astype(float)
    curves.loc[(curves["seed"] == 4) & (curves["step"] > 30), "loss"] = math.nan
    curves.loc[curves["step"] == 60, "loss"] = math.nan
    curves = curves.drop(curves.index[::7])
    curves = curves[(curves["trial"] == 0) | (curves["step"] <= 50)]
    runs = [
        dict(zip(run["step"], run["loss"].fillna(math.inf), strict=True))
        for _, run in curves.groupby(["trial", "seed"])
    ]
    steps = [step for step in range(0, 90, 10) if step != 60]
    kept = curves[(curves["seed"] != 4) & (curves["step"] != 60)].groupby(["trial", "seed"])
    survivors = kept["loss"].last().to_list()
    for row, step in zip(training._bands(curves, "loss", steps), steps, strict=True):
        column = [run[max(s for s in run if s <= step and s != 60)] for run in runs if min(run) <= step <= max(run)]
        low, high = np.quantile(column, [0.25, 0.75], method="inverted_cdf")
        gone = int(np.isinf(column).sum())
        expected = {"median": np.median(column), "low": low, "high": high, "n": len(column), "n_diverged": gone}
        assert row == {"step": step, "end": np.median([math.inf] * 2 + survivors)} | expected
    assert training._bands(curves.assign(loss=math.nan), "loss", []) == []


def test_gradient_flow_is_the_median_and_the_quartiles_at_each_time_step_counted_from_the_last():
    study = FakeStudy(settings={"model.dropout": Sweep(0.0, 0.5), "steps": 40}, seeds=3)
    runs = pd.DataFrame({"trial": [0, 0, 0, 1], "seed": [0, 1, 2, 0], "phase": "confirm", "status": "finished", "test_loss": 1.0,
                         "model.dropout": [0.0, 0.0, 0.0, 0.5]})  # fmt: skip
    profiles = [
        [1.0, 2.0, 4.0],
        [3.0, 6.0, 8.0],
        [9.0, 10.0],
        None,
    ]  # one of a shorter sequence, one of an older record
    runs[PROFILE] = pd.Series([None if each is None else np.array(each).tobytes() for each in profiles], dtype=object)
    table = gradient_flow.data(runs, roles_of(study, runs))
    assert table is not None
    assert set(table["group"]) | set(table["facet"]) >= {"0"} and len(table) == 3, "of the cell that has some"
    assert table["time"].tolist() == [0, -1, -2]
    assert table["median"].tolist() == [8.0, 6.0, 2.0]
    assert table["low"].tolist() == [6.0, 4.0, 1.5] and table["n"].tolist() == [3, 3, 2]
    assert gradient_flow.title(table) == "Gradient of the first state over that of the last one: 0.25."
    assert gradient_flow.data(runs.drop(columns=PROFILE), roles_of(study, runs)) is None, "older results have none"


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
    data = seeds.data(RUNS, ROLES)
    assert data is not None
    assert len(data) == (RUNS["phase"] == "confirm").sum()


def test_tuning_marks_the_confirmed_value_in_every_cell():
    data = tuning.data(RUNS, ROLES, "optimizer.lr")
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
    for plot in drawn_of(runs, curves, study):
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


LAYERS = Sweep((0.0,) * 6, (0.1,) * 6, (0.2,) * 3 + (0.0,) * 3, (0.0,) * 3 + (0.2,) * 3)
NETS = Sweep(
    SimpleRNN(hidden=64, readout="every"), SimpleRNN(hidden=64, readout="every", recurrent_dropout=0.5),
    SimpleRNN(hidden=64, readout="every", weight_dropout=0.5),
)  # fmt: skip


def apart(ax: Axes, texts: list[Text]) -> bool:
    """Whether labels do not overlap: as they stand, or along the line across which slanted ones lie side by side."""
    for one, other in pairwise(text for text in texts if text.get_text()):
        a, b = one.get_window_extent(), other.get_window_extent()
        if one.get_rotation() == other.get_rotation() == axes.SLANT:
            across = abs(other.get_position()[0] - one.get_position()[0])  # of levels, which are one apart
            between = across * ax.get_window_extent().width / np.ptp(ax.get_xlim()) * math.sin(math.radians(axes.SLANT))
            lines = max(text.get_text().count("\n") + 1 for text in (one, other))
            if between < lines * one.get_fontsize() / 72 * ax.figure.dpi:
                return False
        elif a.overlaps(b):
            return False
    return True


@pytest.mark.parametrize(
    "settings",
    [
        {"model.dropout": LAYERS, "optimizer.lr": Sweep(0.1, 1.0), "steps": 60},
        {"model.hidden": Sweep((32, 32), (32,) * 8), "model.dropout": Sweep(0.0, 0.5),
         "optimizer.lr": Sweep(0.01, 0.1, 0.2, 0.4, 0.65, 1.0, 1.3, 2.0), "steps": 60},
        {"model": NETS, "optimizer.lr": Sweep(0.1, 1.0), "steps": 60},
    ],
    ids=["tuples", "few tuples", "whole models"],
)  # fmt: skip
def test_long_levels_do_not_overlap_and_never_read_the_same(settings: dict[str, object]):
    study = FakeStudy(settings=settings, seeds=3)
    runs, curves = simulate(study, every=12)
    for plot in drawn_of(runs, curves, study):
        with rendering.style():
            figure = plot.draw(plot.data)
            figure.draw_without_rendering()
        for ax in (ax for ax in figure.axes if ax.axison and ax.xaxis.get_tick_params().get("labelbottom", True)):
            assert apart(ax, ax.get_xticklabels()), plot.name
            if plot.name != "importance":
                assert apart(ax, ax.get_yticklabels()), plot.name
        for legend in figure.legends:
            texts = [text.get_text() for text in legend.get_texts()]
            assert len(texts) == len(set(texts)), plot.name


def test_levels_are_as_short_as_tells_them_apart():
    assert told_apart([str(level) for level in LAYERS.levels]) == [
        "(0 ×6)",
        "(0.1 ×6)",
        "(0.2 ×3, 0 ×3)",
        "(0 ×3, 0.2 ×3)",
    ]
    assert told_apart([label("model", net) for net in NETS.levels]) == [
        "SimpleRNN", "SimpleRNN(recurrent_dropout=0.5)", "SimpleRNN(weight_dropout=0.5)",
    ]  # fmt: skip
    forms = [{}, {"dropout": 0.3}, {"dropout": 0.3, "noise": "gaussian"}, {"zoneout": 0.1, "cell_zoneout": 0.3},
             {"dropout": 0.3, "recurrent_dropout": 0.3}, {"dropout": 0.3, "recurrent_dropout": 0.3, "variational": True}]  # fmt: skip
    assert told_apart([label("model", SimpleRNN(hidden=64, cell="lstm", **form)) for form in forms]) == [
        "SimpleRNN", "dropout=0.3", "dropout=0.3, noise=gaussian", "zoneout=0.1, cell_zoneout=0.3",
        "dropout=0.3, recurrent_dropout=0.3", "dropout=0.3, recurrent_dropout=0.3, variational",
    ]  # fmt: skip
    alike = [f"{'a' * 40}{middle}{'b' * 40}" for middle in "xyx"]
    first, second, again = told_apart(alike)
    assert first != second and first == again and max(map(len, (first, second))) < 60
    assert told_apart(["0", "0.5"]) == ["0", "0.5"] and told_apart([]) == []


def test_a_saved_figure_has_its_title_above_its_legend_and_one_of_a_users_metric_is_its_picture(tmp_path: Path):
    plot = PLOTS["stability"]
    image = plots.render(plot)
    (tmp_path / "stability.csv").write_bytes(csv(plot.data))
    (tmp_path / "stability.png").write_bytes(image.png)
    figure = saved(tmp_path, "stability")
    figure.draw_without_rendering()
    title = figure.texts[-1]
    assert " ".join(title.get_text().split()) == plot.title
    box = title.get_window_extent()
    assert box.y1 <= figure.bbox.y1
    assert all(legend.get_window_extent().y1 <= box.y0 for legend in figure.legends)
    for legend in figure.legends:
        assert all(ax.get_tightbbox().y1 <= legend.get_window_extent().y0 + 1 for ax in figure.axes if ax.axison)
    (tmp_path / "stability.csv").write_bytes(csv(plot.data.assign(metric="my_own")))
    own = saved(tmp_path, "stability")
    (picture,) = own.axes[0].images
    own.set_dpi(50)  # of another size than it was drawn, and whole
    assert picture.get_window_extent().bounds == pytest.approx(own.bbox.bounds)


def test_what_was_measured_once_is_no_curve():
    once = CURVES.assign(validation_loss=CURVES["validation_loss"].where(CURVES["step"] == CURVES["step"].max()))
    table = training.data(RUNS, once, ROLES)
    assert table is not None and "validation_loss" not in set(table["quantity"])
    assert training.title(table).startswith("The loss of training batches ends lowest")


def test_time_to_solve_is_kaplan_and_meiers_estimate_and_its_mean_the_area_below():
    generator, last = np.random.default_rng(0), 100.0
    runs = RUNS[RUNS["phase"] == "confirm"].copy()
    solved = generator.random(len(runs)) < 0.6
    runs["solved"] = solved.astype(float)
    runs["solve_step"] = np.where(solved, generator.integers(1, 10, len(runs)) * 10.0, last)
    (plot,) = solving.plots(runs, CURVES, ROLES)
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
    assert not list(solving.plots(RUNS, CURVES, ROLES))


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_numbers_on_a_surface_are_legible_on_every_colour():
    """Contrast of at least 4.5 : 1 (WCAG 2, level AA)."""
    figure = PLOTS["surface"].draw(PLOTS["surface"].data)
    figure.draw_without_rendering()
    checked = 0
    for ax in figure.axes:
        mesh = ax.collections[0]
        columns = mesh.get_array().shape[1]
        for text in ax.texts:
            x, y = (round(at) for at in text.get_position())
            if not np.ma.getmaskarray(mesh.get_array())[y, x]:
                pair = luminance(to_rgb(text.get_color())), luminance(mesh.get_facecolor()[y * columns + x])
                assert (max(pair) + 0.05) / (min(pair) + 0.05) > 4.5, text.get_text()
                checked += 1
    assert checked >= 18


# --- titles, roles, scales


def points(*lines: list[float], half: float = 0.01, numeric: bool = True, metric: str = "test_loss") -> pd.DataFrame:
    """Lines of estimates at levels of dropout, each with an interval of so much either way."""
    return pd.DataFrame(
        {"metric": metric, "x": str(i), "x_order": i, "x_factor": "model.dropout", "x_numeric": numeric, "group": str(j),
         "group_order": j, "group_factor": "clipping.max_norm", "facet": "", "facet_order": 0, "facet_factor": "",
         "estimate": value, "low": value - half, "high": value + half, "n": 5}
        for j, line in enumerate(lines) for i, value in enumerate(line)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "half", "expected"),
    [
        ([[1.0, 2.0, 3.0], [1.5, 2.0, 4.0]], 0.01,
         "Test loss rises with model.dropout at every clipping.max_norm; lowest at model.dropout = 0, clipping.max_norm = 0: 1 [0.99, 1.01]."),
        ([[3.0, 2.0, 1.0]], 0.01, "Test loss falls with model.dropout; lowest at model.dropout = 2, clipping.max_norm = 0: 1 [0.99, 1.01]."),
        ([[1.0, 1.5], [1.1, 3.0]], 0.3,
         "Test loss rises with model.dropout at every clipping.max_norm (95 % intervals of its ends overlap in 1 of 2 lines); lowest at "
         "model.dropout = 0, clipping.max_norm = 0: 1 [0.7, 1.3]; 2 other intervals overlap it."),
        ([[1.0, 2.0], [2.5, 1.5], [1.0, 3.0]], 0.01,
         "Along model.dropout, of 3 lines test loss rises in 2, falls in 1; lowest (1) at 2 of 6 points."),
        ([[2.0, 1.0, 3.0]], 0.01,
         "Test loss does not only rise or only fall with model.dropout; lowest at model.dropout = 1, clipping.max_norm = 0: 1 [0.99, 1.01]."),
        ([[1.0, 1.0], [1.0, 1.0]], 0.01, "Test loss is the same along model.dropout at every clipping.max_norm; 1 everywhere."),
        ([[math.inf, math.inf]], 0.01, "Test loss is the same along model.dropout; ∞ everywhere."),
        ([[1.0, math.inf]], 0.01, "Test loss rises with model.dropout; lowest at model.dropout = 0, clipping.max_norm = 0: 1 [0.99, 1.01]."),
        ([[1.0, 2.0]], math.nan, "Test loss rises with model.dropout (no intervals); lowest at model.dropout = 0, clipping.max_norm = 0: 1."),
        ([[1.0]], 0.5, "Test loss is 1 [0.5, 1.5] (n = 5)."),
    ],
)  # fmt: skip
def test_a_title_says_what_is_so(lines: list[list[float]], half: float, expected: str):
    assert trend(points(*lines, half=half)) == expected


def test_a_title_names_no_direction_along_levels_that_are_no_numbers_and_the_highest_where_that_is_good():
    assert (
        trend(points([1.0, 2.0], numeric=False))
        == "Test loss is lowest at model.dropout = 0, clipping.max_norm = 0: 1 [0.99, 1.01]."
    )
    solved = trend(points([0.1, 0.9], metric="solved"))
    assert solved.endswith("highest at model.dropout = 1, clipping.max_norm = 0: 0.9 [0.89, 0.91].")
    assert "lowest" not in trend(points([0.1, 0.9], metric="clip_fraction"))  # none is good
    assert trend(points([0.2, 0.2], [0.5, 0.2], numeric=False)) == "Test loss is lowest (0.2) at 3 of 4 points."
    assert (
        trend(points([0.2, 0.2], numeric=False, metric="solved")) == "The share of runs that solved is 0.2 everywhere."
    )
    assert trend(points([0.1, 0.9], numeric=False, metric="clip_fraction")) == ""


def test_the_title_on_stability_names_each_metric_and_leaves_out_one_of_which_nothing_is_said():
    runs = RUNS.assign(status="finished")
    solved = points([0.2, 0.0], numeric=False, metric="solved")
    n = int((runs["phase"] == "confirm").sum())
    said = f"None of {n} runs diverged or collapsed"
    assert stability.title(solved, runs).startswith(f"{said}; the share of runs that solved is highest at")
    assert stability.title(points([0.1, 0.9], numeric=False, metric="clip_fraction"), runs) == f"{said}."
    assert stability.title(solved.iloc[:0], runs) == f"{said}."


def test_what_is_true_or_false_has_no_direction():
    study = FakeStudy(settings={"optimizer.nesterov": Sweep(True, False)})
    runs = pd.DataFrame({"optimizer.nesterov": [True, False], "seed": 0, "phase": "confirm", "status": "finished"})
    roles = roles_of(study, runs)
    assert [names["x_numeric"] for names, inside in roles.cells(runs, roles.panels) if len(inside)] == [False, False]


def test_a_title_names_long_levels_as_the_axis_does():
    several = points([2.0, 1.0, 3.0], numeric=False)
    nets = [SimpleRNN(hidden=64, cell="lstm", weight_dropout=p) for p in (0.0, 0.3, 0.5)]
    several["x"], several["x_factor"] = [label("model", net) for net in nets], "model"
    assert trend(several).startswith("Test loss is lowest at model = SimpleRNN(weight_dropout=0.3), clipping")


def test_factors_of_claims_come_first_and_then_those_that_explain_more():
    settings = {"model.hidden": Sweep(8, 16), "batch_size": Sweep(8, 16, 32), "model.dropout": Sweep(0.0, 0.5),
                "optimizer.lr": Sweep(0.1, 1.0), "steps": 60}  # fmt: skip
    claim = Claim(
        "c",
        metric="test_loss",
        better="lower",
        smallest_effect=0.1,
        treatment={"model.hidden": 8},
        baseline={"model.hidden": 16},
    )
    study = FakeStudy(settings=settings, claims=(claim,), seeds=4)
    runs, _ = simulate(study, every=20)
    runs["test_loss"] = runs["optimizer.lr"] * 10 + runs["batch_size"] + runs["model.dropout"] / 10 + runs["seed"] / 100
    roles = roles_of(study, runs)
    assert roles.order == ("model.hidden", "optimizer.lr", "batch_size", "model.dropout") or roles.order[:2] == (
        "model.hidden",
        "batch_size",
    )
    assert roles.best == {"model.hidden": 8, "batch_size": 8, "model.dropout": 0.0, "optimizer.lr": 0.1}
    data = generalization.data(runs, roles)
    assert data is not None
    first = data[data["metric"] == "test_loss"].iloc[0]
    held = {path: level for path, level in roles.best.items() if path not in roles.points.values()}
    assert set(held) == {"model.dropout"} and "Shown at model.dropout = 0, as in the best cell." in roles.where(
        roles.points
    )
    levels = {roles.points[role]: float(first[role]) for role in ("x", "group", "facet")} | held
    inside = np.all([runs[path] == level for path, level in levels.items()], axis=0)
    assert first["estimate"] == pytest.approx(runs.loc[inside, "test_loss"].mean()) and first["n"] == 4


def test_factors_that_claims_name_are_all_shown_as_far_as_there_is_room_and_what_is_held_is_said():
    settings = {"model.hidden": Sweep(8, 16), "model.dropout": Sweep(0.0, 0.5), "optimizer.lr": Sweep(0.1, 0.3, 1.0),
                "batch_size": Sweep(8, 16), "optimizer.momentum": Sweep(0.0, 0.9), "steps": 60}  # fmt: skip
    here = {"model.hidden": 8, "optimizer.lr": 0.3, "batch_size": 16}
    arms = {"treatment": here | {"model.dropout": 0.5}, "baseline": here | {"model.dropout": 0.0}}
    claim = Claim("c", metric="test_loss", better="lower", smallest_effect=0.1, **arms)
    study = FakeStudy(settings=settings, claims=(claim,), seeds=4)
    runs, curves = simulate(study, every=20)
    roles = roles_of(study, runs)
    together = roles.panels["facet"].split(", ")
    assert {roles.panels["x"], roles.panels["group"], *together} == set(arms["treatment"]), "four claimed factors"
    assert list(roles.held(roles.panels)) == ["optimizer.momentum"]
    data = generalization.data(runs, roles)
    assert data is not None
    data = data[data["metric"] == "test_loss"]
    assert len(data) == 2 * 2 * 3 * 2 and data["facet_order"].nunique() == math.prod(
        len(settings[path].levels) for path in together
    )
    held = roles.held(roles.panels)
    for row in data.to_dict("records"):
        texts = dict(zip(together, row["facet"].split(", "), strict=True)) | {
            roles.panels[role]: row[role] for role in ("x", "group")
        }
        levels = {path: float(text) for path, text in texts.items()} | held
        inside = np.all([runs[path] == level for path, level in levels.items()], axis=0)
        assert row["estimate"] == pytest.approx(runs.loc[inside & (runs["phase"] == "confirm"), "test_loss"].median())
    for plot in drawn_of(runs, curves, study):
        if not plot.name.startswith(("claim", "importance")):
            assert "optimizer.momentum" in plot.title and plot.title.endswith(", as in the best cell."), plot.name
        with rendering.style():
            plot.draw(plot.data).draw_without_rendering()


def test_one_blown_up_run_does_not_stretch_a_scale_and_is_counted():
    runs = RUNS.copy()
    chosen = runs.index[(runs["phase"] == "confirm") & (runs["status"] == "finished")][[2, 9]]
    runs.loc[chosen, "test_loss"] = [1e6, 3e5]
    data = seeds.data(runs, roles_of(STUDY, runs))
    assert data is not None
    with rendering.style():
        figure = seeds.draw(data)
    finite = RUNS.loc[(RUNS["phase"] == "confirm") & np.isfinite(RUNS["test_loss"]), "test_loss"]
    low, high = figure.axes[0].get_ylim()
    assert low < finite.min() and finite.max() < high < 2 * finite.max()
    counted = sum(int(text.get_text()[:-1]) for ax in figure.axes for text in ax.texts)
    assert counted == np.isinf(data["value"]).sum() + 2


def test_scales_show_all_where_many_lie_far_and_are_logarithmic_where_numbers_span_much():
    assert scale_of([0.0] * 6 + [1.0] * 2).high > 1
    wide = scale_of([1.0, 10.0, 100.0, 1000.0])
    assert wide.log and wide.low < 1 and wide.high > 1000
    assert not scale_of([-1.0, 10.0, 100.0]).log
    nothing = scale_of([math.inf, math.nan])
    assert (nothing.low, nothing.high) == (0, 1)


def test_what_does_not_vary_is_a_sentence():
    runs = RUNS.assign(diverged=0.0, status="finished", spike_rate=0.25)
    (plot,) = stability.plots(runs, CURVES, roles_of(STUDY, runs))
    assert "Diverged: no run of 120 runs." in plot.caption and "Spike rate is 0.25 in all 120 runs." in plot.caption
    assert not {"diverged", "spike_rate"} & set(plot.data["metric"])
    lacking = runs.assign(spike_rate=runs["spike_rate"].mask(runs["seed"] == 0))
    (some,) = stability.plots(lacking, CURVES, roles_of(STUDY, runs))
    n = int(lacking.loc[lacking["phase"] == "confirm", "spike_rate"].notna().sum())
    assert 0 < n < 120 and f"Spike rate is 0.25 in all {n} runs that have it, of 120." in some.caption
    assert plot.title.startswith("None of 120 runs diverged or collapsed")
    assert not list(survival.plots(runs, CURVES, ROLES))


def test_survival_of_what_tuning_tried_says_whether_other_runs_are_among_them():
    runs = RUNS.assign(status=RUNS["status"].mask(RUNS["phase"] == "confirm", "finished"))
    (shared,) = survival.plots(runs, CURVES, roles_of(STUDY, runs))
    assert "No chosen run diverged: these are all runs, those of tuning included." in shared.caption
    within = replace(STUDY, within=True)
    (own,) = survival.plots(runs, CURVES, roles_of(within, runs))
    assert "No chosen run diverged: these are all that tuning tried." in own.caption


def test_no_share_beyond_1_is_labelled_where_an_axis_has_room_for_counts():
    runs = RUNS.assign(clip_fraction=0.9 + 0.0009 * RUNS["seed"] + 0.09 * (RUNS["model.dropout"] > 0.1))
    table = stability.data(runs, roles_of(STUDY, runs))
    assert table is not None and table["n_diverged"].any()
    with rendering.style():
        figure = stability.draw(table[table["metric"] == "clip_fraction"])
        figure.draw_without_rendering()
    ax = figure.axes[0]
    ticks = {tick.get_loc(): tick.label1.get_text() for tick in ax.yaxis.get_major_ticks()}
    assert ax.get_ylim()[1] > 1.02 and any(at > 1.01 for at in ticks)
    assert all(
        bool(text) == (at <= 1 + 1e-9) for at, text in ticks.items() if ax.get_ylim()[0] <= at <= ax.get_ylim()[1]
    )


def test_survival_is_kaplan_and_meiers_estimate_of_when_runs_are_lost():
    data = survival.data(RUNS, CURVES, ROLES)
    assert data is not None
    runs = RUNS[RUNS["phase"] == "confirm"]  # none has a loss of guessing: lost where it became non-finite
    for (norm, dropout), line in data.groupby(["facet", "group"]):
        bound = math.inf if norm.startswith("∞") else float(norm)
        cell = runs[(runs["clipping.max_norm"] == bound) & (runs["model.dropout"] == float(dropout))]
        survival_of = SurvfuncRight(cell["steps_done"], cell["status"] == "diverged")
        expected = dict(zip(survival_of.surv_times, survival_of.surv_prob, strict=True))
        shares = dict(zip(line["step"], line["share"], strict=True))
        assert {step: shares[step] for step in shares if step > 0} == pytest.approx(expected)


def test_a_run_that_ends_above_guessing_is_lost_where_it_rises_there_for_good():
    runs = pd.DataFrame({"trial": [0, 0, 0], "seed": [0, 1, 2], "status": ["diverged", "finished", "diverged"], "steps_done": 40,
                         "guess_loss": 3.0})  # fmt: skip
    losses = {0: [4.0, 2.0, 5.0, 6.0], 1: [4.0, 2.0, 5.0, 1.0], 2: [9.0, 9.0, 9.0, 9.0]}
    curves = pd.DataFrame([{"trial": 0, "seed": seed, "step": 10 * i, "validation_loss": loss}
                           for seed, line in losses.items() for i, loss in enumerate(line)])  # fmt: skip
    assert survival.lost_at(runs, curves).to_list() == [20.0, math.inf, 0.0]
