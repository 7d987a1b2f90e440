"""A claim's runs as one number per seed and cell, against pandas."""

import numpy as np
import pandas as pd
import pytest

from harness.inference.plan import Plan
from harness.inference.samples import sample
from harness.inference.verdicts import judge
from harness.settings import Sweep
from harness.study import Claim

SWEEPS = {"model.hidden": Sweep(64, 128), "task.length": Sweep(10, 20)}
CLAIM = Claim(title="better", metric="test_loss", better="lower", smallest_effect=0.1,
              treatment={"model.hidden": 128}, baseline={"model.hidden": 64})  # fmt: skip


def table(seeds=12, trials=2):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [range(trials), range(seeds), (64, 128), (10, 20)], names=["trial", "seed", "model.hidden", "task.length"]
    )
    runs = index.to_frame(index=False).assign(phase="confirm", status="finished")
    runs["test_loss"] = rng.normal(3, 1, len(runs))
    runs["status"] = np.where(rng.random(len(runs)) < 0.05, "failed", "finished")
    runs.loc[5, "status"] = "diverged"
    return runs


def test_the_numbers_are_means_over_trials_where_none_of_them_failed():
    runs = table(seeds=24)
    found = sample(CLAIM, CLAIM.contrasts(SWEEPS)[0], runs, SWEEPS)
    there = runs[runs["status"] != "failed"].copy()
    there.loc[there["status"] == "diverged", "test_loss"] = np.inf
    trials = there.groupby(["seed", "model.hidden", "task.length"])["test_loss"]
    means = trials.mean().where(trials.count() == 2).unstack([1, 2])
    whole = means.dropna()
    assert found.seeds == whole.index.tolist()
    assert found.cells == ["task.length = 10", "task.length = 20"]
    assert found.n_missing == runs["seed"].nunique() - len(whole)
    assert found.terms[:, :, 0] == pytest.approx((whole[64] - whole[128])[[10, 20]].to_numpy())
    assert [arm.n for arm in found.arms] == there.groupby("model.hidden")["seed"].count()[[128, 64]].tolist()
    bad = there.groupby("model.hidden")["status"].apply(lambda status: (status == "diverged").sum())
    assert [arm.n_bad for arm in found.arms] == bad[[128, 64]].tolist()
    assert found.bad.sum() == 1
    for arm, hidden in zip(found.arms, (128, 64), strict=True):
        share = (
            (there["status"] == "diverged").groupby([there[n] for n in ("seed", "model.hidden", "task.length")]).mean()
        )
        assert arm.bad == pytest.approx(share.unstack([1, 2])[hidden][[10, 20]].loc[found.seeds].to_numpy())


LOST = np.inf
BY_SEED = {  # loss of the baseline at lengths 10 and 20, then of the treatment
    0: (5.0, 7.0, 3.0, 4.0),
    1: (5.0, LOST, 3.0, 4.0),
    2: (LOST, 7.0, 3.0, LOST),
    3: (5.0, 7.0, 3.0, LOST),
    4: (LOST, 6.0, LOST, 4.0),
    5: (5.0, 7.0, 3.0, 4.0),  # a copy of seed 0
    6: (5.0, 7.0, 3.0, None),
}


def by_hand():
    """Those runs, one of the baseline alone at length 30, and two of another arm."""
    places = [(64, 10), (64, 20), (128, 10), (128, 20)]
    rows = [
        {"trial": trial, "seed": seed, "model.hidden": hidden, "task.length": length, "test_loss": loss,
         "status": "diverged" if loss == LOST else "finished", "clip_fraction": 0.25 * (hidden == 64), "train_noise": np.nan if seed == 1 else 7.0 if loss == LOST else 0.5}
        for seed, losses in BY_SEED.items()
        for trial, ((hidden, length), loss) in enumerate(zip(places, losses, strict=True))
        if loss is not None
    ]  # fmt: skip
    alone = {"trial": 4, "seed": 6, "model.hidden": 64, "task.length": 30, "test_loss": 9.0, "status": "finished"}
    of_no_arm = [
        alone | {"trial": 6, "seed": seed, "model.hidden": 256, "task.length": 10, "test_loss": 9.0 + seed}
        for seed in (0, 5)
    ]
    return pd.DataFrame([*rows, alone, *of_no_arm]).assign(phase="confirm")


SWEPT = {"model.hidden": Sweep(64, 128, 256), "task.length": Sweep(10, 20, 30, 40)}


def test_numbers_of_seeds_by_hand():
    found = sample(CLAIM, CLAIM.contrasts(SWEPT)[0], by_hand(), SWEPT)
    assert (found.seeds, found.cells) == ([0, 1, 2, 3, 4], ["task.length = 10", "task.length = 20"])
    assert (found.n_missing, found.n_copies, found.n_cells_left_out, found.n_all) == (1, 1, 1, 7)
    low, high = found.bounds()
    assert low.tolist() == [2.5, LOST, -LOST, -LOST, 1.0]
    assert high.tolist() == [2.5, LOST, LOST, -LOST, 1.0]
    assert found.differences.tolist() == [2.5, LOST, 0.0, -LOST, 1.0]  # what may be anything is a tie
    assert found.bad.tolist() == [False, True, True, True, True]
    treatment, baseline = found.arms
    assert treatment.bad.tolist() == [[0, 0], [0, 0], [0, 1], [0, 1], [1, 0]]
    assert baseline.bad.tolist() == [[0, 0], [0, 1], [1, 0], [0, 0], [1, 0]]
    assert (treatment.n, treatment.n_diverged, treatment.n_bad) == (13, 3, 3)
    assert (baseline.n, baseline.n_diverged, baseline.n_bad) == (15, 3, 3)
    assert baseline.clipped.tolist() == [0.25] * 14 and treatment.clipped.tolist() == [0.0] * 13
    assert (baseline.noise.tolist(), treatment.noise.tolist()) == ([0.5] * 10, [0.5] * 8), (
        "of what trained, where known"
    )
    assert sorted(treatment.values) == sorted(loss for own in BY_SEED.values() for loss in own[2:] if loss is not None)


def test_runs_at_a_level_that_the_study_has_no_more_are_in_no_cell():
    runs = by_hand()
    former = pd.concat([runs, runs[runs["task.length"] == 10].assign(**{"task.length": 15, "test_loss": 0.0})])
    now, before = (sample(CLAIM, CLAIM.contrasts(SWEPT)[0], each, SWEPT) for each in (former, runs))
    assert (now.seeds, now.cells, now.n_cells_left_out) == (before.seeds, before.cells, before.n_cells_left_out)
    assert now.differences.tolist() == before.differences.tolist()


def test_a_cell_by_itself_by_hand():
    whole = sample(CLAIM, CLAIM.contrasts(SWEPT)[0], by_hand(), SWEPT)
    for i, expected in enumerate([[2.0, 2.0, LOST, 2.0, 0.0], [3.0, LOST, -LOST, -LOST, 2.0]]):
        cell = whole.at_cell(i)
        assert (cell.name, cell.cells, cell.seeds) == (f"task.length = {(10, 20)[i]}", [whole.cells[i]], whole.seeds)
        assert cell.differences.tolist() == expected
        assert [arm.bad.tolist() for arm in cell.arms] == [arm.bad[:, [i]].tolist() for arm in whole.arms]


@pytest.mark.parametrize("change", [{"phase": "tune"}, {"status": "failed"}, {"test_loss": None}])
def test_without_any_number_nothing_is_put_to_the_test(change):
    (found,) = judge([CLAIM], table().assign(**change), Plan(SWEEPS, range(12), [12]))
    assert (found.verdict, found.n, found.estimate) == ("inconclusive", 0, None)
    assert found.sentence.startswith("Not tested")
