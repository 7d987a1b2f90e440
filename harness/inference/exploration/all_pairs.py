"""All pairs of levels of every swept factor, by a test of signs over seeds: exploration, no claims."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import scipy  # type: ignore[import-untyped]
from numpy.typing import ArrayLike

from harness.inference.exploration.factorial import Factorial
from harness.inference.intervals.interval import Array
from harness.inference.intervals.robust import median
from harness.inference.ranks import ROUNDING, subtracted
from harness.settings.levels import tabled
from harness.settings.metrics import not_comparable
from harness.study import Study

COLUMNS = [
    "factor",
    "a",
    "b",
    "metric",
    "difference",
    "n",
    "n_higher",
    "n_lower",
    "n_ties",
    "n_left_out",
    "p_value",
    "q_value",
]


def all_pairs(study: Study, runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """How each metric differs between any two levels of a swept factor, all else equal.

    Of each seed it is the mean over the cells of the other factors of `b` − `a`; a run that ranks worst is infinitely far from
    any other and ties with its like, and a mean that is nothing but rounding is a tie. The two-sided sign test is exact and leaves ties out; over all pairs and metrics,
    Benjamini and Hochberg's procedure (1995) bounds the share of false ones among those with a q-value below a level.

    Args:
        study: says what is swept.
        runs: one row per run; those of the confirm phase are compared.
        metrics: each a column of the runs; not compared where it says nothing across a factor, or is the same in all runs.

    Returns:
        One row per factor, pair and metric: levels `a` and `b`, `difference` (median over seeds), `n` seeds, of which `n_higher`,
        `n_lower` and `n_ties` are those with `b` above, below and as `a`; `n_left_out` seeds, which lack a run or the metric
        somewhere, or whose levels each rank worst in another cell, so that the mean has no value; `p_value` and `q_value`.
        Pairs that no seed compares have neither.
    """
    factorial, rows = Factorial(study, runs), list[dict[str, Any]]()
    for metric in metrics if factorial.factors else ():
        values = factorial.values(metric)
        same = bool((values[~np.isnan(values)][:1] == values[~np.isnan(values)]).all())
        for axis, (path, levels) in enumerate(factorial.levels.items(), start=1):
            if not same and not not_comparable(metric, [path]):
                rows += [
                    {"factor": path, "a": tabled(levels[i]), "b": tabled(levels[j]), "metric": metric}
                    | _signs(np.take(values, i, axis), np.take(values, j, axis))
                    for i, j in combinations(range(len(levels)), 2)
                ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    for arm in ("a", "b"):  # each level as it is, whatever those of other factors are
        table[arm] = pd.Series([row[arm] for row in rows], dtype=object)
    table["order"] = table["factor"].map({path: i for i, path in enumerate(factorial.factors)})
    table = table.sort_values("order", kind="stable", ignore_index=True).drop(columns="order")
    table["p_value"] = sign_test(table["n_higher"], table["n_lower"])
    table.loc[table["n"] == 0, "p_value"] = np.nan
    compared = table["p_value"].notna()
    table.loc[compared, "q_value"] = (
        scipy.stats.false_discovery_control(table.loc[compared, "p_value"]) if compared.any() else ()
    )
    return table.astype({"q_value": float})


def _signs(a: Array, b: Array) -> dict[str, Any]:
    """The fields of a row; a and b are (seed, …), with an axis for each other factor."""
    cells = tuple(range(1, a.ndim))
    sizes = np.where(np.isfinite(a) & np.isfinite(b), np.abs(a) + np.abs(b), 0.0).mean(axis=cells)
    with np.errstate(invalid="ignore"):  # the mean of ∞ and −∞
        differences = subtracted(b, a).mean(axis=cells)
    differences = np.where(np.abs(differences) <= ROUNDING * sizes, 0.0, differences)
    there = differences[~np.isnan(differences)]
    higher, lower = int((there > 0).sum()), int((there < 0).sum())
    return {"difference": median(there), "n": len(there), "n_higher": higher, "n_lower": lower,
            "n_ties": len(there) - higher - lower, "n_left_out": len(differences) - len(there)}  # fmt: skip


def sign_test(higher: ArrayLike, lower: ArrayLike) -> Array:
    """Two-sided exact p-values of "above and below are equally likely", for counts of both.

    >>> sign_test([6, 3, 0], [0, 3, 0])
    array([0.03125, 1.     , 1.     ])
    """
    above, below = (np.asarray(counts, dtype=float) for counts in (higher, lower))
    return np.asarray(np.minimum(1.0, 2 * scipy.stats.binom.cdf(np.minimum(above, below), above + below, 0.5)))
