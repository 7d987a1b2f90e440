"""Exploration, as the tables of a page: shares of factors, tuned factors, all pairs of levels. Nothing here is a claim."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from harness.inference.exploration.factorial import MEDIANS
from harness.inference.selection import most_combinations
from harness.ledger.importances import tuned_importances
from harness.reporting.page.content import Captioned, Table
from harness.reporting.page.words import merged, number
from harness.settings.levels import Labels
from harness.settings.metrics import not_comparable
from harness.settings.show import counted
from harness.study import Study

FALSE_SHARE = 0.05
"""The q-value below which a pair is marked."""

MOST_PAIRS = 40
"""Pairs of levels in the report's table; `pairs.csv` has all."""


def explored(study: Study, runs: pd.DataFrame, importances: pd.DataFrame, pairs: pd.DataFrame) -> list[Captioned]:
    """What the page says, a table each with what stands above it.

    Args:
        study: of the runs.
        runs: one row per run.
        importances: of swept factors, from `harness.inference.exploration.importance`; maybe empty.
        pairs: from `harness.inference.exploration.all_pairs`; maybe empty.
    """
    said = merged(most_combinations(study, runs), MEDIANS)
    return [
        *_swept(study, importances, said),
        *_tuned(study, runs),
        *_pairs(study, pairs, list(importances["metric"].unique()), said),
    ]


def _swept(study: Study, importances: pd.DataFrame, said: str) -> Iterator[Captioned]:
    if importances.empty:
        return
    found = importances[importances["why"] == ""]
    terms = list(dict.fromkeys(found["term"]))
    rows = []
    for (metric, scale), of_metric in found.groupby(["metric", "scale"], sort=False):
        by_term = {row["term"]: row for row in of_metric.to_dict("records")}
        across = not_comparable(str(metric), study.sweeps())
        name = f"{metric} ({across})" if across else str(metric)
        first = of_metric.iloc[0]
        rows.append([name, str(scale), str(first["n_seeds"]), *(_share(by_term.get(term)) for term in terms)])
    missing = int(found.drop_duplicates("metric")["n_missing"].sum())
    caption = (
        "Which factor explains how much: shares in % [jackknife interval over n seeds] of the sum of squares of each metric "
        "over the runs of the confirm phase (type II, seeds as blocks), less what chance adds, which may leave a little below 0. Metrics "
        "in [0, 1] are decomposed by their values, all others by the ranks of the runs; where a diverged run ranks worst, it has the worst of these. "
        + ("Runs are missing: what several terms explain alike stands apart. " if missing else "")
        + "Intervals are nominally of 95 %: in simulations of 10 seeds they covered in 88 to 100 %, those of the seed's share in 84 to 93 %. "
        + _reasons(importances, "metric", "Not decomposed")
    ).strip() + said
    yield Captioned(caption, Table(["metric", "decomposed by", "n", *terms], rows))


def _share(row: dict[Any, Any] | None) -> str:
    r"""Per cent, with the interval.

    >>> _share({"share": 0.123, "low": -0.0, "high": 0.25})
    '12.3 [0.0,\xa025.0]'
    """
    if row is None:
        return "–"
    return f"{100 * row['share']:z.1f} [{100 * row['low']:z.1f},\u00a0{100 * row['high']:z.1f}]".replace("-", "−")


def _reasons(table: pd.DataFrame, column: str, head: str) -> str:
    """A sentence that names what has no numbers and says why."""
    lacking = table[table["why"] != ""]
    parts = [f"{', '.join(rows[column])} ({why})" for why, rows in lacking.groupby("why", sort=False)]
    return f"{head}: {'; '.join(parts)}." if parts else ""


def _tuned(study: Study, runs: pd.DataFrame) -> Iterator[Captioned]:
    found = tuned_importances(study, runs)
    if found.empty:
        return
    there = found[found["factor"].notna()]
    rows = [
        [row["objective"], row["factor"], f"{100 * row['ped_anova']:.0f}", f"{100 * row['fanova']:.0f}"]
        for row in there.to_dict("records")
    ]
    caption = "Which tuned factor mattered to the search. "
    if rows:
        cells = " of all cells" if study.sweeps() else ""
        caption += (
            f"In %, by Optuna's evaluators, over {counted(int(there['n_trials'].iloc[0]), 'trial')}{cells} at "
            f"{counted(int(there['n_points'].iloc[0]), 'point')}: PED-ANOVA, how far the values of the best quarter of the trials lie from "
            "those of all; fANOVA, the part of a random forest's variance that a factor explains by itself. Explained are ranks within a "
            "cell. Either adds up to 100 whether or not any factor matters. "
        )
    caption += _reasons(found, "objective", "Not evaluated")
    yield Captioned(caption.strip(), Table(["objective", "factor", "PED-ANOVA", "fANOVA"], rows))


def _pairs(study: Study, pairs: pd.DataFrame, metrics: list[str], said: str) -> Iterator[Captioned]:
    if pairs.empty:
        return
    order = pairs.groupby(["factor", "a", "b"], sort=False)["q_value"].min().sort_values(kind="stable")
    shown, named = set(order.index[:MOST_PAIRS]), Labels(study.sweeps())
    metrics, rows = [metric for metric in metrics if metric in set(pairs["metric"])], []
    for (path, a, b), of_pair in pairs.groupby(["factor", "a", "b"], sort=False):
        if (path, a, b) in shown:
            by_metric = {row["metric"]: row for row in of_pair.to_dict("records")}
            levels = f"{named(str(path), b)} − {named(str(path), a)}"
            rows.append([str(path), levels, *(_difference(by_metric.get(metric)) for metric in metrics)])
    left_out = f" Of {len(order)} pairs the {MOST_PAIRS} with the least q are shown." if len(order) > MOST_PAIRS else ""
    caption = (
        "Exploratory: not claims. All pairs of levels, all else equal: per seed the difference averaged over the cells of the other "
        "factors; median over seeds, or in how many it is higher or lower where diverged runs leave no finite median; with the q-value "
        f"(Benjamini and Hochberg over all {len(pairs)} comparisons) of an exact sign test. *: q < {FALSE_SHARE}; of all that are so "
        f"marked at most {100 * FALSE_SHARE:.0f} % are expected to be chance. –: not comparable across the factor, or no seed has "
        f"both.{left_out} pairs.csv has counts and p-values.{said}"
    )
    yield Captioned(caption, Table(["factor", "levels", *metrics], rows))


def _difference(row: dict[Any, Any] | None) -> str:
    """Median and q-value; of an infinite median, which says no more than that runs diverged, in how many seeds it is so.

    >>> _difference({"difference": -0.1234, "q_value": 0.012}), _difference(None)
    ('−0.123 (q .012)*', '–')
    >>> _difference({"difference": math.inf, "n_higher": 18, "n_lower": 1, "n": 20, "q_value": 0.012})
    'higher in 18 of 20 (q .012)*'
    """
    if row is None or pd.isna(row["q_value"]):
        return "–"
    q = f"{row['q_value']:.2g}".removeprefix("0")
    said = number(row["difference"])
    if math.isinf(row["difference"]):
        word, count = ("higher", row["n_higher"]) if row["difference"] > 0 else ("lower", row["n_lower"])
        said = f"{word} in {count} of {row['n']}"
    return f"{said} (q {q}){'*' * (row['q_value'] < FALSE_SHARE)}"
