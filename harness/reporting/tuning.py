"""What a reader must know of the tuning: who chose, what lies at an end of its range, whose choices differ, what still improves."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.inference.selection import tried
from harness.inference.shared_points import shared_points
from harness.reporting.html import Table
from harness.reporting.tables import cells
from harness.settings.levels import at, in_words, label
from harness.settings.show import counted
from harness.study import Claim, Study

AT_AN_END = 0.5
"""Share of a cell's choices at one end of what was tried from which on the range is said to be too narrow."""

MOST_CELLS = 4
"""Cells that a sentence names."""


def remarks(study: Study, runs: pd.DataFrame) -> list[str]:
    """A sentence for each thing to know.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
    """
    found = [_who_chose(study)] if study.tunes() else []
    for path in study.tunes():
        found += [*_ends(study, runs, path), *_differences(study, runs, path)]
    return [*found, *_unfinished(runs)]


def _who_chose(study: Study) -> str:
    values, objective = counted(study.tune_trials, "value"), " and ".join(study.objectives())
    paths = " and ".join(study.tunes())
    if study.tunes_within():
        return (
            f"Tuned within each seed: every seed trained at {values} of {paths}, and its result is the run with its own best "
            f"{objective}. Luck in this choice is part of every interval."
        )
    seeds = counted(study.shared_tune_seeds(), "seed")
    return (
        f"Verdicts are conditional on the tuned values: {paths} was chosen once in each cell, from {values} by {objective} on {seeds} "
        "of its own, and no interval says how another choice would have done."
    )


def _ends(study: Study, runs: pd.DataFrame, path: str) -> Iterator[str]:
    """Where the best value is the smallest or the largest tried."""
    values = tried(study, runs)[path]
    if values.nunique() < 2:
        return
    for word, end in (("smallest", values.min()), ("largest", values.max())):
        named, chosen, choices = [], 0, 0
        for cell, inside in cells(study, runs):
            share = float((inside[path] == end).mean())
            chosen, choices = chosen + int((inside[path] == end).sum()), choices + len(inside)
            named += [in_words(cell)] if share >= AT_AN_END else []
        if named:
            more = f" and {len(named) - MOST_CELLS} more" if len(named) > MOST_CELLS else ""
            yield (
                f"The {word} {path} tried, {label(path, end)}, was best in {chosen} of {counted(choices, 'run')}, most of them at "
                f"{'; '.join(named[:MOST_CELLS])}{more}: a wider range may change what is said of these."
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


def _unfinished(runs: pd.DataFrame) -> Iterator[str]:
    confirm = runs[(runs["phase"] == "confirm") & (runs["status"] == "finished")]
    if "best_step" not in confirm or confirm["best_step"].isna().all():
        return
    last = int((confirm["best_step"] == confirm["steps_done"]).sum())
    if last:
        yield (
            f"Still improving at the end: the last validation loss was the least in {last} of {counted(len(confirm), 'run')}. "
            "Longer training may change what is said."
        )


def at_shared_values(study: Study, runs: pd.DataFrame) -> Table:
    """A row per claim, a column per value tried: Δ with both arms at this value; empty where arms share none."""
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
    for (claim, metric), of_claim in found.groupby(["claim", "metric"], sort=False):
        by_point = {tuple(row[path] for path in paths): row for row in of_claim.to_dict("records")}
        differences = [f"{by_point[c]['difference']:.3g}" if c in by_point else "–" for c in columns]
        rows.append([str(claim), str(metric), str(of_claim["n"].max()), *differences])
    return Table(["claim", "metric", "n", *heads], rows)
