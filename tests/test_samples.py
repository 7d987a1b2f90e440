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


def test_the_numbers_are_means_over_trials_of_what_did_not_fail():
    runs = table()
    found = sample(CLAIM, CLAIM.contrasts(SWEEPS)[0], runs, SWEEPS)
    there = runs[runs["status"] != "failed"].copy()
    there.loc[there["status"] == "diverged", "test_loss"] = np.inf
    means = there.groupby(["seed", "model.hidden", "task.length"])["test_loss"].mean().unstack([1, 2])
    whole = means.dropna()
    assert found.seeds == whole.index.tolist()
    assert found.cells == ["task.length = 10", "task.length = 20"]
    assert found.n_missing == runs["seed"].nunique() - len(whole)
    assert found.terms[:, :, 0] == pytest.approx((whole[64] - whole[128])[[10, 20]].to_numpy())
    assert [arm.n for arm in found.arms] == there.groupby("model.hidden")["seed"].count()[[128, 64]].tolist()
    bad = there.groupby("model.hidden")["status"].apply(lambda status: (status == "diverged").sum())
    assert [arm.n_bad for arm in found.arms] == bad[[128, 64]].tolist()
    assert found.bad.sum() == 1


@pytest.mark.parametrize("change", [{"phase": "tune"}, {"status": "failed"}, {"test_loss": None}])
def test_without_any_number_nothing_is_put_to_the_test(change):
    (found,) = judge([CLAIM], table().assign(**change), Plan(SWEEPS, range(12), [12]))
    assert (found.verdict, found.n, found.estimate) == ("inconclusive", 0, None)
    assert found.sentence.startswith("Not tested")
