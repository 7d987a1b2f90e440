"""Asking: which runs a study lacks, and which of what it has asked for train together.

Entries that are asked for at the same time are a wave, which trains together, and which counts once all of it is written: its
number is kept last. What a leader that died had written of another one is given up; nothing of it has been trained.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from harness.ledger.entries import MACHINE, Entries, Entry, Wanted
from harness.ledger.trials import Trial


@dataclass(frozen=True)
class Portion:
    """Runs of a trial that were asked for at a time: what is trained, recorded and told as one.

    Attributes:
        number: of the entry.
        trial: whose runs.
        key: of the trial.
        seeds: of the runs.
        told: whether the results are committed.
    """

    number: int
    trial: Trial
    key: str
    seeds: tuple[int, ...]
    told: bool


@dataclass(frozen=True)
class Round:
    """The trials of a round, and what of it is not there yet.

    Attributes:
        trials: all of them.
        waves: portions that were asked for at the same time, of which some are not told: they train together, so that a study
            that is continued trains the very same populations.
    """

    trials: list[Wanted]
    waves: list[list[Portion]]


class Retries:
    """Which of the runs that failed are trained again: once in each launch.

    Args:
        retry_failed: those too that failed by an error of their own; those that the machine failed always are.
        told: numbers of the entries that earlier launches committed.
    """

    def __init__(self, told: Collection[int], *, retry_failed: bool) -> None:
        self._told, self._retry_failed = told, retry_failed
        self._asked: set[tuple[str, int]] = set()  # key of the trial and seed

    def __call__(self, seed: int, entry: Entry) -> bool:
        """Whether a run that an entry has is to be tried again."""
        why = entry.failed.get(seed) if entry.number in self._told else None
        return why is not None and (self._retry_failed or why == MACHINE) and (entry.key, seed) not in self._asked

    def note(self, entry: Entry) -> None:
        """An entry was asked for in this launch."""
        self._asked |= {(entry.key, seed) for seed in entry.seeds}


@dataclass(frozen=True)
class Asked:
    """What a study has and what it has asked for.

    Attributes:
        entries: all that there are.
        waiting: numbers of those that have no results yet and lie in the study's present space.
        whole: number of the newest wave that is written as a whole.
    """

    entries: list[Entry]
    waiting: Collection[int]
    whole: int

    def in_vain(self, trials: Mapping[str, Wanted]) -> list[int]:
        """Entries to be given up: not wanted so any more, or there meanwhile, or of a wave that is not whole.

        Args:
            trials: that are wanted now, by their keys.
        """
        present, found = Entries(self.entries), []
        for entry in self.entries:
            trial = trials.get(entry.key)
            if trial is not None and entry.number in self.waiting:
                good = {seed for seed, holder in present.holders(trial).items() if seed not in holder.failed}
                wanted = trial.served(entry) and set(entry.seeds) <= set(trial.seeds) and not good >= set(entry.seeds)
                if not wanted or entry.wave > self.whole:
                    found.append(entry.number)
        return found

    def lacking(
        self, trials: Mapping[str, Wanted], is_retried: Callable[[int, Entry], bool]
    ) -> list[tuple[Trial, Entry]]:
        """The wave that is to be asked for: an entry, of no number yet, for each trial that lacks runs.

        Args:
            trials: that are wanted now, by their keys.
            is_retried: whether a run that an entry has, by its seed, is trained again.
        """
        present, wave, found = Entries(self.entries), 1 + max((entry.wave for entry in self.entries), default=0), []
        for key, trial in sorted(trials.items(), key=lambda pair: pair[1].trial.number):
            holders = present.holders(trial, counts=lambda entry: entry.told or entry.number in self.waiting)
            missing = tuple(s for s in trial.seeds if s not in holders or is_retried(s, holders[s]))
            if missing:
                entry = Entry(-1, key, missing, trial.level, trial.measures, wave, told=False)
                found.append((trial.trial, entry))
        return found

    def waves(self, trials: Mapping[str, Wanted], lost: Collection[int]) -> list[list[Portion]]:
        """What is not there yet, with all that it was asked for with.

        Args:
            trials: that are wanted now, by their keys.
            lost: entries that are told and whose records are lost.
        """
        waves: dict[int, list[Portion]] = {}
        for entry in self.entries:
            if entry.key in trials and (entry.told or entry.number in self.waiting):
                told = entry.told and entry.number not in lost
                portion = Portion(entry.number, trials[entry.key].trial, entry.key, entry.seeds, told)
                waves.setdefault(entry.wave, []).append(portion)
        order = [sorted(waves[wave], key=lambda each: each.trial.number) for wave in sorted(waves)]
        return [wave for wave in order if not all(portion.told for portion in wave)]
