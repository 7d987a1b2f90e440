"""Published numbers in a study, and ours beside them in its report."""

import math

import numpy as np
import pandas as pd
import pytest

from harness import InvalidStudy, Published, Study, Sweep
from harness.inference.published import ours
from harness.models import DropoutNet
from harness.reporting.page.published import beside_published
from harness.tasks import Images

SWEEPS = {"task.train_size": Sweep(100, 300), "model.dropout": Sweep(0.0, 0.5)}


def made(published: list[Published]) -> Study:
    return Study(
        name="own", task=Images(train_size=Sweep(100, 300)), model=DropoutNet(hidden=(4,), dropout=Sweep(0.0, 0.5)), steps=4, seeds=7,
        published=published,
    )  # fmt: skip


def number(metric: str = "test_error", at: dict | None = None, less: dict | None = None) -> Published:
    return Published(
        "error",
        metric,
        theirs="1.6 %",
        source="A 2014, Table 2",
        at=at or {"model.dropout": 0.5},
        less=less,
        differs="all",
    )


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"phase": phase, "seed": s, "model.dropout": p, "task.train_size": n, "test_error": rng.random(), "diverged": s < 3,
         "status": "finished"}
        for phase in ("confirm", "tune") for s in range(7) for p in (0.0, 0.5) for n in (100, 300)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_ours_is_the_median_over_seeds_of_the_mean_over_cells() -> None:
    runs = table()
    confirm = runs[runs["phase"] == "confirm"]
    by_seed = confirm[confirm["model.dropout"] == 0.5].groupby("seed")["test_error"].mean()
    found, n = ours(confirm, number(), SWEEPS)
    assert (found.estimate, n) == (pytest.approx(float(np.median(by_seed))), 7)
    assert (found.low, found.high) == (pytest.approx(by_seed.min()), pytest.approx(by_seed.max())), (
        "of 7 values, all of them"
    )
    both = number(
        at={"model.dropout": 0.5, "task.train_size": 100}, less={"model.dropout": 0.0, "task.train_size": 100}
    )
    wide = confirm[confirm["task.train_size"] == 100].pivot(index="seed", columns="model.dropout", values="test_error")
    assert ours(confirm, both, SWEEPS)[0].estimate == pytest.approx(float(np.median(wide[0.5] - wide[0.0])))
    at_100 = {"model.dropout": 0.5, "task.train_size": 100}
    rate = ours(confirm, number("diverged", at=at_100), SWEEPS)[0]
    assert rate.estimate == pytest.approx(3 / 7) and 0 < rate.low < rate.high < 1
    confirm.loc[confirm["seed"] == 2, "test_error"] = math.inf
    assert ours(confirm, number(), SWEEPS)[0].high == math.inf, "a diverged run is worse than any"
    assert ours(confirm, both, SWEEPS)[1] == 7, "two that are equally bad tie"
    (part,) = beside_published(runs, [number()], SWEEPS)
    assert part.table.rows[0][1] == "1.6 %" and part.table.rows[0][3:6] == [
        "7",
        "test_error, model.dropout = 0.5",
        "A 2014, Table 2",
    ]
    assert not beside_published(runs, [], SWEEPS)


def test_a_seed_without_one_of_the_planned_cells_has_no_part_and_without_any_there_is_no_number() -> None:
    """An unfinished study, or one with a failed run, would else show the number of other cells."""
    runs = table()
    large = runs["task.train_size"] == 300
    runs["test_error"] = np.where(large, 0.5, 0.1)
    unfinished = runs[~large | (runs["seed"] < 6)]
    (row,) = beside_published(unfinished, [number()], SWEEPS)[0].table.rows
    assert row[2:4] == ["0.3 [0.3, 0.3]", "6"]
    failed = runs.assign(status=np.where(large & (runs["seed"] == 1), "failed", "finished"))
    assert beside_published(failed, [number()], SWEEPS)[0].table.rows[0][2:4] == row[2:4]
    for lacking in (runs[~large], runs[:0], runs[runs["model.dropout"] == 0], runs[runs["phase"] == "tune"]):
        (row,) = beside_published(lacking, [number()], SWEEPS)[0].table.rows
        assert row[2:4] == ["none: no seed has a value in every cell", "0"]
    less = number(less={"model.dropout": 0.0})
    one_sided = runs[~large | (runs["model.dropout"] == 0.5)]
    assert ours(one_sided[one_sided["phase"] == "confirm"], less, SWEEPS)[1] == 0


def test_a_published_number_decides_nothing_and_is_checked_as_claims_are() -> None:
    assert made([number()]).description() == made([]).description()
    with pytest.raises(InvalidStudy) as caught:
        made(
            [
                number("test_eror"),
                number(at={"model.dropout": 0.4}),
                number(at={"model.width": 3}),
                number(less={"task.train_size": 100}),
            ]
        )
    said = str(caught.value)
    assert "published[0].metric: unknown metric; did you mean test_error?" in said
    assert "published[1].at.model.dropout: is not a level of" in said
    assert "published[2].at.model.width: is not a swept factor" in said
    assert "published[3].less: must name the factors of at" in said


def test_a_rate_is_a_mean_also_over_cells_and_less_another() -> None:
    runs = table()
    confirm = runs[runs["phase"] == "confirm"].copy()
    confirm["diverged"] = (confirm["seed"] + (confirm["task.train_size"] == 300)) * (1 + confirm["model.dropout"]) > 6
    over = confirm[confirm["model.dropout"] == 0.5].groupby("seed")["diverged"].mean()
    assert 0 < over.mean() < 1 and over.median() != over.mean()
    found, n = ours(confirm, number("diverged"), SWEEPS)
    assert n == 7 and found.estimate == pytest.approx(over.mean())
    assert 0 < found.low < found.estimate < found.high < 1
    without = confirm[confirm["model.dropout"] == 0].groupby("seed")["diverged"].mean()
    found, n = ours(confirm, number("diverged", less={"model.dropout": 0.0}), SWEEPS)
    assert n == 7 and found.estimate == pytest.approx((over - without).mean())
    assert -1 < found.low < found.estimate < found.high < 1


def test_a_share_that_is_mostly_0_is_a_mean_and_its_difference_is_that_of_the_means() -> None:
    runs = table()
    confirm = runs[(runs["phase"] == "confirm") & (runs["seed"] < 7)].copy()
    confirm["clip_fraction"] = np.where(confirm["seed"] == 0, 0.5 + confirm["model.dropout"], 0.0)
    at, less = ({"model.dropout": p} for p in (0.5, 0.0))
    (one, n), (other, _) = (ours(confirm, number("clip_fraction", at=levels), SWEEPS) for levels in (at, less))
    found, _ = ours(confirm, number("clip_fraction", at=at, less=less), SWEEPS)
    assert (
        n == 7
        and one.estimate == pytest.approx(1 / 7)
        and found.estimate == pytest.approx(one.estimate - other.estimate)
    )
    assert -1 < found.low < found.estimate < found.high < 1


def test_what_follows_from_tuned_rates_needs_such() -> None:
    for metric in ("largest_lr", "lr_sensitivity"):
        with pytest.raises(
            InvalidStudy, match=r"published\[0\]\.metric: needs a learning rate that is tuned within each seed"
        ):
            made([number(metric)])


def test_that_a_cell_has_several_combinations_is_said_beside_published_numbers() -> None:
    (once,), (several,) = (beside_published(table(), [number()], SWEEPS, n) for n in (1, 3))
    assert "combinations" not in once.caption
    assert several.caption.endswith(
        " Cells confirm up to 3 combinations, which summary.csv has apart: a seed counts once, with their mean."
    )
