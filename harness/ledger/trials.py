"""The trials of a study, round by round: which configurations it has, given what is known of those before.

Second stage of the flow. In every round each cell gets the same number of trials, and the values of the `Tune` factors come
from an Optuna sampler that is seeded by the round and has seen only earlier rounds. So the trials depend on the study
and on results alone, not on timing, on the number of workers, on interruptions, or on how the study has grown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.engine.content import trial_key
from harness.ledger.sampling import best, sampled
from harness.study import Levels, Study

CONFIRM = "confirm"
"""The round that tests what was tuned, or all where nothing is."""

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

    def key(self, study: Study) -> str:
        """What its runs have in common, see `content.trial_key`."""
        return trial_key(study.setup(self.values), study.evaluations, confirm=self.tested(study))


def rounds(study: Study) -> list[str]:
    """The names of all rounds, in order; the trials of one are known when those before it have outcomes."""
    tune = [f"tune {first}-{last}" for first, last in tune_batches(study)]
    return tune if study.tunes_within() else [*tune, CONFIRM]


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
            found = self._confirm() if name == CONFIRM else self._tune(*map(int, name[5:].split("-")))
            self._made[name] = found
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
            columns = [sampled(study, first, last, self._seen(cell, first)) for cell in cells]
        else:
            columns = [sampled(study, first, last)] * len(cells)
        return [
            Trial(i * len(cells) + cell, cell, False, self._cells[cell] | columns[cell][i - first])
            for i in range(first, last)
            for cell in cells
        ]

    def _confirm(self) -> list[Trial]:
        """Every cell with its best tuned values: by their ranks, or all that are Pareto-optimal by several objectives."""
        chosen: list[tuple[int, Levels]] = []
        for cell, levels in enumerate(self._cells):
            if not self._study.tunes():
                chosen.append((cell, levels))
                continue
            tried = self._seen(cell, self._study.tune_trials)
            chosen += [(cell, tried[i][0]) for i in best([outcomes for _, outcomes in tried])]
        first = self._study.tune_trials * len(self._cells) if self._study.tunes() else 0
        return [Trial(first + i, cell, True, values) for i, (cell, values) in enumerate(chosen)]

    def _seen(self, cell: int, until: int) -> list[tuple[Levels, Outcomes]]:
        """The trials of a cell before one, their values and outcomes."""
        found = []
        for first, last in tune_batches(self._study):
            if first < until:
                for trial in self.of(f"tune {first}-{last}")[cell :: len(self._cells)]:
                    outcomes = self._known(trial)
                    if outcomes is None:
                        raise LookupError(f"trial {trial.number} has no outcomes yet")
                    found.append((trial.values, outcomes))
        return found
