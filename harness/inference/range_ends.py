"""Whether the best value of what is tuned lies at an end of what was tried, and what a study that is widened tries next."""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd

from harness.inference.selection import cells
from harness.settings.levels import at, label
from harness.study import Levels, Study
from harness.study.widening import ENDS, MOST, End, are_beyond, beyond, refusal, tuned, widening_problems

AT_AN_END = 0.5
"""Share of a cell's choices at the ends of what was tried, both together, from which on the range is said to be too narrow."""


LOST = ("diverged", "failed")
"""Ends of runs that say nothing of a value but that it is not the best."""


def end_reached(choices: Sequence[float], tried: Collection[float]) -> End | None:
    """At which end of what was tried the best value of a cell lies, that of more seeds; None where it lies inside.

    Args:
        choices: the best value for each of its seeds, NaN where none trained.
        tried: the values tried.

    >>> end_reached([0.1] * 5 + [1.0] * 2 + [10.0] * 3, [0.1, 1.0, 10.0]), end_reached([0.1] + [1.0] * 2, [0.1, 1.0, 10.0])
    ('lower', None)
    """
    often = {end: sum(choice == value for choice in choices) for end, value in ends_of(tried).items()}
    if not choices or sum(often.values()) < AT_AN_END * len(choices):
        return None
    return max(often, key=lambda end: often[end], default=None)


def ends_of(values: Collection[float]) -> dict[End, float]:
    """The least and the greatest of the values tried; nothing where there are fewer than two."""
    return dict(zip(ENDS, (min(values), max(values)), strict=True)) if len(set(values)) > 1 else {}


def next_values(study: Study, values: Collection[float], choices: Sequence[Sequence[float]]) -> list[float]:
    """What a study that is widened tries next, at most one value beyond each end; nothing: it is wide enough, or as wide as can be.

    Args:
        study: that is widened.
        values: tried so far, the same in all cells.
        choices: of each cell, see `end_reached`.
    """
    found, reached = [], {end_reached(of_cell, values) for of_cell in choices}
    for end in ENDS:
        number = 1 + len(are_beyond(study, end, values))
        wanted = number <= MOST and end in reached
        if wanted and not refusal(study, end, number):
            found.append(beyond(study, end, number))
    return found


def best_values(runs: pd.DataFrame, path: str) -> list[float]:
    """What the seeds that chose these runs found best, NaN where the run did not train: of values that all failed none is the best.

    Args:
        runs: of the confirm phase.
        path: of what is tuned.
    """
    return runs[path].where(~runs["status"].isin(LOST)).tolist()


def values_tried(study: Study, runs: pd.DataFrame, path: str) -> list[float]:
    """The different values of what is tuned in a table of runs, failed ones included."""
    inside = runs if study.tunes_within() else runs[runs["phase"] == "tune"]
    return sorted(inside[path].unique().tolist())


def choices(study: Study, runs: pd.DataFrame, path: str) -> Iterator[tuple[Levels, list[float]]]:
    """Each cell with the best value for each of its runs, NaN where no run that was chosen from trained.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
        path: of what is tuned.
    """
    for cell, inside in cells(study, runs):
        if study.tunes_within():
            yield cell, inside[path].where(_trained(study, inside)).tolist()
            continue
        tune = runs[(runs["phase"] == "tune") & at(runs, cell) & (runs[path] == inside[path].iloc[0])]
        yield cell, inside[path].tolist() if _trained(study, tune).mean() > 0.5 else [math.nan] * len(inside)


def _trained(study: Study, runs: pd.DataFrame) -> "pd.Series[bool]":
    """Which runs have an objective that says something: neither diverged nor failed."""
    objectives = runs[list(study.objectives())].astype(float).replace([np.inf, -np.inf], np.nan)
    return objectives.notna().all(axis=1) & ~runs["status"].isin(LOST)


def how_wide(study: Study, runs: pd.DataFrame) -> Iterator[str]:
    """How far the range of a study went beyond its ends, a sentence for each; nothing of one that is not widened.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
    """
    if not study.widen:
        return
    path, tune = tuned(study)
    values = values_tried(study, runs, path)
    for end, of_range in zip(ENDS, (tune.low, tune.high), strict=True):
        added = [label(path, value) for value in are_beyond(study, end, values)]
        if added:
            times = {1: "once", 2: "twice"}.get(len(added), f"{len(added)} times")
            yield f"{path} was widened {times} at the {end} end, in all cells and seeds: {label(path, of_range)} → {', '.join(added)}."


def why_no_wider(study: Study, end: End, values: Collection[float]) -> str:
    """Why nothing beyond an end at which a best value lies was tried, or what does so; "" where nothing would.

    Args:
        study: of the runs.
        end: of what was tried.
        values: tried, of what is tuned.
    """
    if not study.widen:
        return "" if widening_problems(study) else "`--widen` goes on there"
    number = 1 + len(are_beyond(study, end, values))
    if number > MOST:
        return f"there are {MOST} values beyond the range, the most that are tried"
    if why := refusal(study, end, number):
        return f"the setting takes no value beyond: {why}"
    return "the study's command goes on there"


def still_to_try(study: Study, runs: pd.DataFrame) -> list[float]:
    """What a study that is widened lacks of its values by its own runs, phases set by `selection.selected`; of others nothing."""
    if not study.widen:
        return []
    path, _ = tuned(study)
    return next_values(study, values_tried(study, runs, path), [chosen for _, chosen in choices(study, runs, path)])


def number_beyond(study: Study, values: Collection[float]) -> int:
    """How many of the values tried lie beyond the range; of a study that is not widened none."""
    return sum(len(are_beyond(study, end, values)) for end in ENDS) if study.widen else 0
