"""What figures show of a study: which factors and levels, in which order, by which colour, and the runs at them."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from harness.reporting.plots.looks import PALETTE
from harness.settings.levels import at, is_number, label, ordered
from harness.study import Study

MOST_LEVELS = 8
"""Levels of one factor that a figure shows, at most: more could not be told apart."""

MOST_FACETS = 6
"""Panels side by side, at most."""


def preferred(study: Study) -> list[str]:
    """Swept factors, dropout first, then clipping, then the others in the order of the study."""

    def rank(path: str) -> int:
        return 0 if path.endswith("dropout") else 1 if path.startswith("clipping") else 2

    return sorted(study.sweeps(), key=rank)


def partner(study: Study, path: str) -> str | None:
    """The swept factor that colours tell apart when `path` is on the x axis."""
    return next((other for other in preferred(study) if other != path), None)


def roles(study: Study) -> tuple[str | None, str | None]:
    """(facet, colour): of the first two factors, the one with more levels makes the columns, as far as they are legible."""
    first = preferred(study)[:2]
    if len(first) < 2:
        return None, first[0] if first else None
    fewer, more = sorted(first, key=lambda path: len(levels_of(study, path)))
    return (more, fewer) if len(levels_of(study, more)) <= MOST_FACETS else (fewer, more)


def contrasted(study: Study) -> tuple[str | None, str | None]:
    """(facet, colour): levels of clipping in one panel, of the first swept factor where clipping is not swept, as far as legible."""
    lines = min(preferred(study), key=lambda path: not path.startswith("clipping"), default=None)
    facet = partner(study, lines) if lines else None
    return (facet, lines) if len(levels_of(study, facet)) <= MOST_FACETS else roles(study)


def confirmed(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of the confirm phase that did not fail."""
    return runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]


def levels_of(study: Study, path: str | None) -> list[Any]:
    """The levels of a swept factor that figures show, in the order of its axis; a single None for no factor.

    Of more than `MOST_LEVELS` evenly spaced ones, the first and the last among them.
    """
    if path is None:
        return [None]
    levels = ordered(study.sweeps()[path].levels)
    shown = min(len(levels), MOST_LEVELS)
    return [levels[i * (len(levels) - 1) // max(1, shown - 1)] for i in range(shown)]


def omitted(study: Study) -> str:
    """A sentence for the captions of a study with more levels than its figures show, else nothing."""
    counts = {path: (len(levels_of(study, path)), len(ordered(sweep.levels))) for path, sweep in study.sweeps().items()}
    parts = [f"{shown} of the {there} levels of {path}" for path, (shown, there) in counts.items() if shown < there]
    return f" Shown: {' and '.join(parts)}." if parts else ""


def colour_of(study: Study, path: str | None, order: int) -> int:
    """Index of a level's colour: the same in every figure of a study, different for every level of every factor."""
    before = 0
    for other in preferred(study):
        if other == path:
            return (before + order) % len(PALETTE)
        before += len(levels_of(study, other))
    return 0


def keys(study: Study, role: str, path: str | None, order: int, level: Any) -> dict[str, Any]:
    """The columns by which a figure's data names one level in one role (`x`, `group`, `facet`)."""
    text = label(path, level) if path is not None else ""
    numeric = path is None or all(map(is_number, levels_of(study, path)))
    return {
        f"{role}_factor": path or "", role: text, f"{role}_order": order, f"{role}_colour": colour_of(study, path, order),
        f"{role}_numeric": numeric,
    }  # fmt: skip


def panels(
    study: Study, factors: Callable[[Study], tuple[str | None, str | None]] = roles
) -> Iterator[tuple[dict[str, Any], dict[str | None, Any]]]:
    """Facet by facet and colour by colour, see `roles`: the columns that name a line, and the levels that its runs have."""
    facet_factor, group_factor = factors(study)
    for i, facet in enumerate(levels_of(study, facet_factor)):
        for j, group in enumerate(levels_of(study, group_factor)):
            names = keys(study, "facet", facet_factor, i, facet) | keys(study, "group", group_factor, j, group)
            yield names, {facet_factor: facet, group_factor: group}


def rows_at(runs: pd.DataFrame, levels: dict[str | None, Any]) -> pd.DataFrame:
    """The runs at some levels; None as a factor stands for all."""
    return runs[at(runs, {path: level for path, level in levels.items() if path is not None})]
