"""What figures show of a study: which factors by axis, colour and panel, at which levels, and the runs there.

Factors that claims name come first, then those that explain more of the main metric. Three are shown at most, and where more are claimed
their combinations as panels, as many as there is room for; all others are held at their level in the best cell, which titles say,
rather than averaged over.
"""

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.exploration.factorial import Factorial
from harness.inference.selection import most_combinations
from harness.reporting.page.words import levels_in_words, merged
from harness.reporting.plots.looks import COLOURS
from harness.settings.levels import at, is_number, label, ordered, places
from harness.settings.metrics import METRICS
from harness.study import Estimated, Study

MOST = {"x": 40, "y": 40, "group": 8, "facet": 6}
"""Levels that a figure shows in a role, at most: more could not be told apart."""

AND = ", "
"""Between several factors that share a role, and between their levels."""


@dataclass(frozen=True)
class Roles:
    """Which factor plays which role.

    Attributes:
        study: of the runs.
        order: its swept factors, those that matter most first.
        best: the cell with the best main metric, to whose levels factors are held that a figure does not show.
        claimed: the factors that claims name.
        combinations: how many of tuned values a cell confirms for a seed, at most.
    """

    study: Study
    order: tuple[str, ...]
    best: Mapping[str, Any]
    claimed: frozenset[str] = frozenset()
    combinations: int = 1

    @classmethod
    def of(cls, study: Study, runs: pd.DataFrame, shares: pd.DataFrame) -> "Roles":
        """Those for the runs of a study.

        Args:
            study: says what is swept and claimed.
            runs: one row per run.
            shares: of its factors, from `harness.inference.exploration.importance`; the first metric of generalization is the main one.
        """
        metric = next((name for name in shares["metric"] if METRICS[name].group == "generalization"), None)
        claimed = frozenset(path for claim in study.claims if isinstance(claim, Estimated) for path in claim.named())
        found = shares[(shares["metric"] == metric) & (shares["why"] == "")]
        explained = {path: sum(row["share"] for row in found.to_dict("records") if path in str(row["term"]).split(" × "))
                     for path in study.sweeps()}  # fmt: skip
        order = sorted(study.sweeps(), key=lambda path: (path not in claimed, -explained[path]))
        return cls(study, tuple(order), _best_cell(study, runs, metric), claimed, most_combinations(study, runs))

    @property
    def points(self) -> dict[str, str]:
        """Factors by role where an axis is a factor: of the first two the one with more levels; colours; panels."""
        first = sorted(self.order[:2], key=self._levels, reverse=True)
        return dict(zip(("x", "group", "facet"), [*first, *self.order[2:3]], strict=False))

    @property
    def panels(self) -> dict[str, str]:
        """Likewise, with a panel for each combination of the third factor with further ones that are claimed, as far as there is room."""
        roles = self.points
        together = list(self.order[2:3])
        for path in self.order[3:] if together else ():
            if path in self.claimed and math.prod(map(self._levels, [*together, path])) <= MOST["facet"]:
                together.append(path)
        return roles | ({"facet": AND.join(together)} if together else {})

    @property
    def lines(self) -> dict[str, str]:
        """Factors by role where the axis is something else: of the first two the one with more legible levels makes panels."""
        if not self.order:
            return {}
        fewer, *more = sorted(self.order[:2], key=self._levels)
        if more and self._levels(more[0]) > MOST["facet"] >= self._levels(fewer):
            return {"facet": fewer, "group": more[0]}
        return {"facet": more[0], "group": fewer} if more else {"group": fewer}

    @property
    def contrasted(self) -> dict[str, str]:
        """Likewise with the levels of clipping in one panel, where it is among the first two."""
        roles = self.lines
        group = next((path for path in self.order[:2] if path.startswith("clipping")), None)
        if group is None or len(roles) < 2:
            return roles
        facet = next(path for path in self.order[:2] if path != group)
        return {"group": group, "facet": facet} if self._levels(facet) <= MOST["facet"] else roles

    def _levels(self, path: str) -> int:
        return len(ordered(self.study.sweeps()[path].levels))

    def levels(self, path: str, role: str) -> list[Any]:
        """Those that figures show of a factor, in the order of its axis; of more than legible evenly spaced ones, first and last among them."""
        levels = ordered(self.study.sweeps()[path].levels)
        shown = min(len(levels), MOST[role])
        return [levels[i * (len(levels) - 1) // max(1, shown - 1)] for i in range(shown)]

    def held(self, roles: Mapping[str, str]) -> dict[str, Any]:
        """The factors that a figure does not show, at their levels in the best cell."""
        shown = {path for paths in roles.values() for path in paths.split(AND)}
        return {path: self.best[path] for path in self.order if path not in shown}

    def where(self, roles: Mapping[str, str]) -> str:
        """What a title says of the factors that a figure does not show, a sentence or ""."""
        held = self.held(roles)
        return f" Shown at {levels_in_words(held, self.study.sweeps())}, as in the best cell." if held else ""

    def said(self, roles: Mapping[str, str]) -> str:
        """What a caption says of levels that a figure does not show, a sentence or ""."""
        parts = [
            f"{len(self.levels(path, role))} of the {self._levels(path)} levels of {path}"
            for role, paths in roles.items()
            for path in paths.split(AND)
            if len(self.levels(path, role)) < self._levels(path)
        ]
        return f" Shown: {' and '.join(parts)}." if parts else ""

    def merged(self, how: str) -> str:
        """What a caption says of combinations that are in one cell, a sentence or ""."""
        return merged(self.combinations, how)

    def cells(self, runs: pd.DataFrame, roles: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
        """Each combination of the levels shown, the first role slowest: the columns that name it, and its runs."""
        runs = runs[at(runs, self.held(roles))]
        each = {path: self.levels(path, role) for role, paths in roles.items() for path in paths.split(AND)}
        levels = {
            role: list(itertools.product(*(each[path] for path in paths.split(AND)))) for role, paths in roles.items()
        }
        inside = pd.Series(range(len(runs))).groupby(places(runs, each)).indices
        blank = {role: _blank(role) for role in ("group", "facet") if role not in roles}
        shape = [len(levels[role]) for role in roles]
        for i in range(math.prod(shape)):
            names = {key: value for columns in blank.values() for key, value in columns.items()}
            for role, order in zip(roles, np.unravel_index(i, shape) if shape else (), strict=True):
                names |= self._named(role, roles[role], levels[role], int(order))
            yield names, runs.iloc[inside.get(i, [])]

    def _named(self, role: str, paths: str, levels: Sequence[tuple[Any, ...]], order: int) -> dict[str, Any]:
        said = AND.join(label(path, level) for path, level in zip(paths.split(AND), levels[order], strict=True))
        numeric = all(is_number(level) for several in levels for level in several)
        columns = {f"{role}_factor": paths, role: said, f"{role}_order": order, f"{role}_numeric": numeric}
        return columns | ({"group_colour": self._colour(paths, order)} if role == "group" else {})

    def _colour(self, path: str, order: int) -> int:
        """Index of a level's colour: the same in every figure of a study, different for every level of those that are coloured."""
        coloured = [*self._coloured, path]  # one that a figure gives colours which are panels elsewhere comes last
        before = sum(len(self.levels(other, "group")) for other in coloured[: coloured.index(path)])
        return (before + order) % COLOURS

    @cached_property
    def _coloured(self) -> list[str]:
        """The factors that make colours in some figure."""
        return list(
            dict.fromkeys(roles["group"] for roles in (self.points, self.lines, self.contrasted) if "group" in roles)
        )


def _blank(role: str) -> dict[str, Any]:
    names = {f"{role}_factor": "", role: "", f"{role}_order": 0, f"{role}_numeric": True}
    return names | ({"group_colour": 0} if role == "group" else {})


def _best_cell(study: Study, runs: pd.DataFrame, metric: str | None) -> dict[str, Any]:
    """The levels with the best median of a metric over seeds; the first ones where nothing is better than anything."""
    factorial = Factorial(study, runs)
    first = {path: levels[0] for path, levels in factorial.levels.items()}
    better = METRICS[metric].better if metric else None
    if metric is None or better is None or not first:
        return first
    values = factorial.values(metric)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice|invalid value")
        middle = np.nanmedian(values, axis=0) if len(values) else np.full(values.shape[1:], np.nan)
    if np.isnan(middle).all():
        return first
    place = np.unravel_index(np.nanargmin(middle if better == "lower" else -middle), middle.shape)
    return {path: levels[int(i)] for (path, levels), i in zip(factorial.levels.items(), place, strict=True)}


def confirmed(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs of the confirm phase that did not fail."""
    return runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]
