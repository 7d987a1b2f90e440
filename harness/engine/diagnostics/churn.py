"""Churn: on how many test points two seeds of a cell disagree (Milani Fard et al. 2016, "Launch and iterate").

It takes the predictions of several runs, which may have trained in different populations. So a run hands over its
predictions with its metrics, in a column that is never recorded, and the leader compares them when the trial is whole.
"""

import numpy as np
import pandas as pd
import torch

from harness.engine.evaluation import in_batches
from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array
from harness.tasks.task import Task

PREDICTIONS = "predictions"
"""The column: int32 classes of the test split as bytes, None where a run has none."""


def predictions(population: Members, feed: Feed) -> dict[str, list[bytes]]:
    """The classes that each member predicts on the test split, under `PREDICTIONS`.

    None of them where targets are no classes, where a task has errors of its own, as its outputs may be anything, and where a task
    of a user's own tests seeds on different examples.
    """
    differing = {run.setup.task for run in population.runs if run.setup.differ != "noise"}
    comparable = {task: _one_test_set(task) for task in differing}
    shared = [comparable.get(run.setup.task, True) for run in population.runs]
    if not any(shared):
        return {}
    indices, counts = feed.split("test")
    parts = []
    for part in in_batches(population, indices):
        x, y = feed.gather(part)
        if y.is_floating_point() or type(population.task).errors is not Task.errors:
            return {}
        parts.append(population.outputs(x, train=False).argmax(-1))
    classes = torch.cat(parts, 1).to(torch.int32).cpu().numpy()
    return {
        PREDICTIONS: [
            predicted[:count].tobytes() if comparable else b""
            for predicted, count, comparable in zip(classes, counts.tolist(), shared, strict=True)
        ]
    }


def _one_test_set(task: Task) -> bool:
    """Whether seeds are tested on the same examples in the same order, as far as seeds 0 and 1 tell."""
    if not task.fixes_test():
        return False
    targets = (task.data(seed).tested()[1] for seed in (0, 1))
    return torch.equal(*targets)


def with_churn(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of one trial, a seed each, with `churn` in place of their predictions."""
    if PREDICTIONS not in runs:
        return runs
    predicted = [isinstance(text, bytes) and len(text) > 0 for text in runs[PREDICTIONS]]
    classes = [np.frombuffer(text, dtype=np.int32) for text in runs[PREDICTIONS][predicted]]
    runs = runs.drop(columns=PREDICTIONS)
    if len(classes) >= 3:
        runs.loc[predicted, "churn"] = churn(np.stack(classes))
    return runs


def churn(classes: Array) -> Array:
    """A value for each seed, whose mean is the share of points on which two seeds disagree, over all pairs of seeds.

    The mean disagreements of a seed with the others would vary too little, since every pair counts twice: an interval
    from them would be half as wide as it must be. These are the jackknife's pseudo-values nU − (n − 1)U₋ᵢ of the
    U-statistic (Arvesen 1969, Ann. Math. Statist. 40:2076–2100); one of them may lie below 0.

    Args:
        classes: (seed, point) predictions of at least three seeds.
    """
    n = len(classes)
    disagreement = np.array([(classes != of_seed).mean(1).sum() for of_seed in classes]) / (n - 1)
    return np.asarray((2 * (n - 1) * disagreement - n * disagreement.mean()) / (n - 2))
