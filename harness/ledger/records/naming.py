"""What MLflow shows things as: names of metrics in groups, and of cells by what tells them apart."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from harness.settings.levels import spelled, stored
from harness.settings.metrics import METRICS

OVER_SEEDS = "curve"
"""Group of the curves; each name says what was taken over the seeds."""


def metric_name(name: str, *, of_seeds: Literal["mean", "median"] = "mean") -> str:
    """A column of a run table over seeds as a metric, in the group of the page that it belongs to.

    It ends in `_median` where it is the median of the seeds, and nowhere else.

    >>> metric_name("test_loss"), metric_name("test_loss", of_seeds="median"), metric_name("grad_norm_median")
    ('generalization/test_loss', 'generalization/test_loss_median', 'stability/grad_norm_median_mean')
    >>> metric_name("n_seeds"), metric_name("steps_done")
    ('runs/seeds', 'runs/steps_done')
    """
    kind = f"_{of_seeds}" if of_seeds == "median" or name.endswith("_median") else ""
    of = METRICS.get(name)
    return f"{of.group}/{name}{kind}" if of else f"runs/{name.removeprefix('n_')}{kind}"


def cell_key(levels: Mapping[str, object]) -> str:
    """What a cell is known by, whatever wrote its levels: 16 hex digits of the SHA-256 of them.

    >>> cell_key({"batch_size": 32, "model.dropout": 0.5}) == cell_key({"model.dropout": "0.5", "batch_size": 32.0})
    True
    """
    text = json.dumps({path: spelled(stored(level)) for path, level in levels.items()}, sort_keys=True)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def level_text(level: object) -> str:
    """A level as MLflow shows it, whatever type the column has that it comes from: what is logged once must not change.

    >>> level_text(100), level_text(100.0), level_text(0.1), level_text(True), level_text("adam")
    ('100', '100', '0.1', 'True', 'adam')
    """
    value = stored(level)
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def cell_name(levels: Mapping[str, object]) -> str:
    """A cell's levels on one line, each by the last word of its path where that says which it is.

    >>> cell_name({"model.dropout": 0.5, "clipping.max_norm": 1.0}), cell_name({"model.dropout.0": 0.2})
    ('dropout=0.5, max_norm=1', 'model.dropout.0=0.2')
    """
    last = {path: path.rpartition(".")[2] for path in levels}
    often = Counter(last.values())
    words = {path: path if often[word] > 1 or word.isdigit() else word for path, word in last.items()}
    return ", ".join(f"{words[path]}={level_text(level)}" for path, level in levels.items())[:250] or "all runs"
