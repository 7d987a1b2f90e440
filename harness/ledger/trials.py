"""The trials of a study, round by round: which configurations it has, given what is known of those before.

Second stage of the flow. In every round each cell gets the same number of trials, and the values of the `Tune` factors come
from an Optuna sampler that is seeded by the round and has seen only earlier rounds. So the trials depend on the study
and on results alone, not on timing, on the number of workers, on interruptions, or on how the study has grown.

Where ranges are widened (`harness.study.widening`), rounds follow in which every cell gets the value beyond an end at which a
best value lies; there may be none in them.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.engine.content import trial_key
from harness.inference.range_ends import next_values
from harness.ledger.sampling import best, chosen_within, has_trained, sampled
from harness.study import Levels, Study
from harness.study.widening import MOST, tuned

CONFIRM = "confirm"
"""The round that tests what was tuned, or all where nothing is."""

WIDEN = "widen"
"""Begins the names of the rounds beyond the range."""

FIRST_ROUND = 4
"""Trials of a cell in the first round of a sampler that learns from results; each later round has a quarter of those before."""

Outcomes = Mapping[int, list[float]]
"""Seed → what each objective was."""

Known = Callable[["Trial"], Outcomes | None]
"""The outcomes of all seeds of a trial; None where some are not there yet."""


@dataclass(frozen=True)
class Trial:
    """One configuration: a cell's levels and values for what is tuned.

    Attributes:
        number: its place among the trials of the study.
        cell: index into `Study.cells()`.
        confirm: whether it belongs to the confirm phase.
        values: level or tuned value by factor path.
    """

    number: int
    cell: int
    confirm: bool
    values: Levels

    def tested(self, study: Study) -> bool:
        """Whether its runs are: those of the confirm phase and, where seeds are tuned by themselves, all."""
        return self.confirm or study.tunes_within()

    def widened(self, study: Study) -> bool:
        """Whether its tuned value is one of those beyond the range."""
        return not self.confirm and self.number >= study.tune_trials * len(study.cells()) and bool(study.tunes())

    def key(self, study: Study) -> str:
        """What its runs have in common, see `content.trial_key`."""
        return trial_key(study.setup(self.values), study.evaluations, confirm=self.tested(study))


def rounds(study: Study) -> list[str]:
    """The names of all rounds, in order; the trials of one are known when those before it have outcomes."""
    return [*search_rounds(study), *([] if study.tunes_within() else [CONFIRM])]


def search_rounds(study: Study) -> list[str]:
    """Those in which values of what is tuned are tried."""
    tune = [f"tune {first}-{last}" for first, last in tune_batches(study)]
    return tune + ([f"{WIDEN} {i}" for i in range(1, 2 * MOST + 1)] if study.widen else [])


def tune_batches(study: Study) -> list[tuple[int, int]]:
    """Tune trials of a cell in each round, as ranges: all at once unless the sampler learns from results.

    Where they begin does not depend on how many trials there are, so that a study with more of them begins with the same.
    """
    count = study.tune_trials if study.tunes() else 0
    if study.sampler != "tpe":
        return [(0, count)] if count else []
    found, first = list[tuple[int, int]](), 0
    while first < count:
        last = max(FIRST_ROUND, first + max(1, first // FIRST_ROUND))
        found.append((first, min(last, count)))
        first = last
    return found


class Trials:
    """The trials of a study, as far as results decide them.

    Args:
        study: the study.
        known: what came of trials so far.
    """

    def __init__(self, study: Study, known: Known) -> None:
        self._study, self._known, self._cells = study, known, study.cells()
        self._made: dict[str, list[Trial]] = {}

    def of(self, name: str) -> list[Trial]:
        """The trials of a round, cell by cell for each value tried.

        Raises:
            LookupError: a round before it has no outcomes yet.
        """
        if name not in self._made:
            kind, _, which = name.partition(" ")
            if kind == WIDEN:
                self._made[name] = self._widen(name)
            else:
                self._made[name] = self._confirm() if name == CONFIRM else self._tune(*map(int, which.split("-")))
        return self._made[name]

    def all(self) -> list[Trial]:
        """Those of all rounds that are known by now."""
        found: list[Trial] = []
        for name in rounds(self._study):
            try:
                found += self.of(name)
            except LookupError:
                break
        return found

    def _tune(self, first: int, last: int) -> list[Trial]:
        study, cells = self._study, range(len(self._cells))
        if study.sampler == "tpe":
            before = [f"tune {begin}-{end}" for begin, end in tune_batches(study) if begin < first]
            columns = [sampled(study, first, last, self._seen(cell, before)) for cell in cells]
        else:
            columns = [sampled(study, first, last)] * len(cells)
        return [
            Trial(i * len(cells) + cell, cell, False, self._cells[cell] | columns[cell][i - first])
            for i in range(first, last)
            for cell in cells
        ]

    def _widen(self, name: str) -> list[Trial]:
        """Every cell at the values beyond the ends of what was tried before; none where that was wide enough already."""
        names = search_rounds(self._study)
        before = names[: names.index(name)]
        if before[-1].startswith(WIDEN) and not self.of(before[-1]):
            return []
        (path, _), cells = tuned(self._study), len(self._cells)
        seen = [self._seen(cell, before) for cell in range(cells)]
        values = [levels[path] for levels, _ in seen[0]]
        choices = [[math.nan if i is None else values[i] for i in self._choices(of_cell)] for of_cell in seen]
        return [
            Trial((len(values) + i) * cells + cell, cell, False, levels | {path: value})
            for i, value in enumerate(next_values(self._study, values, choices))
            for cell, levels in enumerate(self._cells)
        ]

    def _choices(self, seen: list[tuple[Levels, Outcomes]]) -> list[int | None]:
        """The places of the best of a cell's trials: for each seed, or the one for all of them; None where none trained."""
        outcomes = [each for _, each in seen]
        if self._study.tunes_within():
            return chosen_within(outcomes)
        (place,) = best(outcomes)
        return [place if has_trained(outcomes[place]) else None]

    def _confirm(self) -> list[Trial]:
        """Every cell with its best tuned values: by their ranks, or all that are Pareto-optimal by several objectives."""
        chosen: list[tuple[int, Levels]] = []
        names = search_rounds(self._study)
        first = sum(len(self.of(name)) for name in names)
        for cell, levels in enumerate(self._cells):
            if not names:
                chosen.append((cell, levels))
                continue
            tried = self._seen(cell, names)
            chosen += [(cell, tried[i][0]) for i in best([outcomes for _, outcomes in tried])]
        return [Trial(first + i, cell, True, values) for i, (cell, values) in enumerate(chosen)]

    def _seen(self, cell: int, names: Iterable[str]) -> list[tuple[Levels, Outcomes]]:
        """The trials of a cell in these rounds, their values and outcomes."""
        found = []
        for name in names:
            for trial in self.of(name)[cell :: len(self._cells)]:
                outcomes = self._known(trial)
                if outcomes is None:
                    raise LookupError(f"trial {trial.number} has no outcomes yet")
                found.append((trial.values, outcomes))
        return found
