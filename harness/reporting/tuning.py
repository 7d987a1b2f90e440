"""What a reader must know of the tuning: who chose, what lies at an end of its range, whose choices differ, what still improves."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.inference.exploration.shared_points import shared_points
from harness.inference.range_ends import (
    choices,
    end_reached,
    ends_of,
    how_wide,
    number_beyond,
    values_tried,
    why_no_wider,
)
from harness.reporting.page.content import Table
from harness.reporting.page.trust import still_improving
from harness.reporting.page.words import number
from harness.settings.levels import at, in_words, label
from harness.settings.show import counted
from harness.study import Claim, Study

WORDS = {"lower": "smallest", "upper": "largest"}

MOST_CELLS = 4
"""Cells that a sentence names."""


def remarks(study: Study, runs: pd.DataFrame) -> list[str]:
    """A sentence for each thing to know.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
    """
    found = [_who_chose(study, runs)] if study.tunes() else []
    found += how_wide(study, runs)
    for path in study.tunes():
        found += [*_ends(study, runs, path), *_differences(study, runs, path)]
    return [*found, *_unfinished(study, runs)]


def _who_chose(study: Study, runs: pd.DataFrame) -> str:
    paths, objective = " and ".join(study.tunes()), " and ".join(study.objectives())
    beyond = number_beyond(study, values_tried(study, runs, next(iter(study.tunes()))))
    values = counted(study.tune_trials + beyond, "value")
    if study.tunes_within():
        return (
            f"Tuned within each seed: every seed trained at {values} of {paths}, and its result is the run with its own best "
            f"{objective}. Luck in this choice is part of every interval.{_lost(runs)}"
        )
    seeds = counted(study.shared_tune_seeds(), "seed")
    verb = "were" if len(study.tunes()) > 1 else "was"
    if len(study.objectives()) > 1:
        return f"A search: {paths} {verb} chosen by {objective} together, from {values} on {seeds} of its own."
    return (
        f"Verdicts are conditional on the tuned values: {paths} {verb} chosen once in each cell, from {values} by {objective} on {seeds} "
        "of its own, and no interval says how another choice would have done."
    )


def _lost(runs: pd.DataFrame) -> str:
    """How many values some seed could not choose, since its run failed; "" for none."""
    failed = int((runs["status"] == "failed").sum())
    return f" {failed:,} of {counted(len(runs), 'run')} failed: no seed could choose these." if failed else ""


def _ends(study: Study, runs: pd.DataFrame, path: str) -> Iterator[str]:
    """Where the best value is the smallest or the largest tried."""
    values, of_cells = values_tried(study, runs, path), list(choices(study, runs, path))
    for end, value in ends_of(values).items():
        named = [
            f"{chosen.count(value)} of {len(chosen):,} at {in_words(cell)}"
            for cell, chosen in of_cells
            if end_reached(chosen, values) == end
        ]
        if named:
            chosen = [best for _, of_cell in of_cells for best in of_cell]
            more = f" and {len(named) - MOST_CELLS} more" if len(named) > MOST_CELLS else ""
            most = f" ({'; '.join(named[:MOST_CELLS])}{more})" if study.sweeps() else ""
            why = why_no_wider(study, end, values)
            yield (
                f"The {WORDS[end]} {path} tried, {label(path, value)}, was best in {chosen.count(value)} of "
                f"{counted(len(chosen), 'run')}{most}: a wider range may change what is said of these{f', and {why}' if why else ''}."
            )


def _differences(study: Study, runs: pd.DataFrame, path: str) -> Iterator[str]:
    """Arms of claims that were tuned to other values."""
    confirm = runs[runs["phase"] == "confirm"]
    titles: dict[tuple[str, str], list[str]] = {}
    for claim in study.claims:
        if isinstance(claim, Claim):
            arms = [confirm.loc[at(confirm, levels), path] for levels in (claim.treatment, claim.baseline)]
            if not any(arm.empty for arm in arms):
                treatment, baseline = (label(path, float(np.median(arm))) for arm in arms)
                titles.setdefault((treatment, baseline), []).append(f"“{claim.title}”")
    for (treatment, baseline), named in titles.items():
        if treatment != baseline:
            yield (
                f"Arms tuned to other values: {path} is {treatment} in the treatment and {baseline} in the baseline (medians) of "
                f"{', '.join(named)}."
            )


def _unfinished(study: Study, runs: pd.DataFrame) -> Iterator[str]:
    last, n = still_improving(study, runs)
    if last:
        yield (
            f"Still improving at the end: the last validation loss was the least in {last:,} of {counted(n, 'finished run')}. "
            "Longer training may change what is said."
        )


def at_shared_values(study: Study, runs: pd.DataFrame) -> Table:
    """A row per claim, a column per value tried: Δ with both arms at this value, and of how many seeds where not of all n; empty where arms share none."""
    found = shared_points(study, runs, study.claims)
    if found.empty:
        return Table([], [])
    paths = list(study.tunes())
    points = found[paths].drop_duplicates().sort_values(paths).itertuples(index=False)
    columns = [tuple(point) for point in points]
    heads = [
        ", ".join(f"{path.rpartition('.')[2]} {label(path, v)}" for path, v in zip(paths, c, strict=True))
        for c in columns
    ]
    rows = []
    for (_, claim, metric), of_claim in found.groupby(["number", "claim", "metric"], sort=False):
        n = of_claim["n"].max()
        texts = {
            tuple(row[path] for path in paths): _difference(row["difference"])
            + (f" (n {row['n']})" if row["n"] < n else "")
            for row in of_claim.to_dict("records")
        }
        rows.append([str(claim), str(metric), str(n), *(texts.get(column, "–") for column in columns)])
    return Table(["claim", "metric", "n", *heads], rows)


def _difference(value: float) -> str:
    """Δ; infinite where just one of two runs diverged, the baseline's where that favours the claim.

    >>> _difference(0.1234), _difference(-math.inf)
    ('0.123', '−∞ (diverged)')
    """
    return number(value) + (" (diverged)" if math.isinf(value) else "")
