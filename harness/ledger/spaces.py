"""Where a study's trials lie in an Optuna storage: in one Optuna study for each space of factors that it has had.

Optuna's trials of one study share a space: which factors there are, with which levels and ranges, and how many objectives.
So a study that gains a level goes on in another Optuna study, `NAME (2)`. What belongs to all of them is kept with the first.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from harness.ledger.entries import Entry, attributes, entry_of
from harness.ledger.sampling import categories, distribution, distribution_with, plain
from harness.ledger.trials import Trial
from harness.study import Study
from harness.study.widening import widening_problems

SPACE, IDENTITY, FORGOTTEN, WIDEN = "space", "identity", "forgotten", "widen"


def names(storage: BaseStorage, name: str) -> list[str]:
    """The names of a study's Optuna studies, the first one first."""
    own = re.compile(rf"{re.escape(name)}(?: \((\d+)\))?")
    found = {m: int(m[1] or 1) for m in map(own.fullmatch, optuna.get_all_study_names(storage)) if m}
    return [m[0] for m in sorted(found, key=lambda m: found[m])]


def studies(storage: BaseStorage) -> dict[str, dict[str, Any]]:
    """The studies in a storage that this harness began: name → what is kept with each."""
    found = optuna.get_all_study_summaries(storage)
    return {each.study_name: each.user_attrs for each in found if IDENTITY in each.user_attrs}


def entries_in(storage: BaseStorage, name: str) -> list[Entry]:
    """All entries of a study that were asked for and neither given up nor forgotten."""
    own = names(storage, name)
    forgotten = set(optuna.load_study(study_name=name, storage=storage).user_attrs.get(FORGOTTEN, ())) if own else set()
    there = (trial for each in own for trial in _trials(storage, each) if trial._trial_id not in forgotten)
    return [entry_of(t._trial_id, t.user_attrs, told=t.state == TrialState.COMPLETE) for t in there]


def params_in(storage: BaseStorage, name: str) -> list[dict[str, Any]]:
    """The levels and tuned values of all that was ever asked for of a study, by path."""
    return [t.params for each in names(storage, name) for t in _trials(storage, each)]


def _trials(storage: BaseStorage, name: str) -> list[FrozenTrial]:
    found = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return [t for t in found if t.state in (TrialState.RUNNING, TrialState.COMPLETE) and "key" in t.user_attrs]


def as_widened(study: Study, kept: Mapping[str, Any]) -> Study:
    """The study with its range widened, where it was once launched so and still can be: its points stay part of it.

    Else who has seen what lies beyond the range could leave that out again.

    Args:
        study: as it is launched.
        kept: with the study in Optuna.
    """
    if study.widen or not kept.get(WIDEN) or widening_problems(study):
        return study
    return study.replace(widen=True)


class Space:
    """The Optuna study of what a study is now; made if there is none.

    Args:
        study: the study.
        storage: where it is kept.
        first: its first Optuna study.
    """

    def __init__(self, study: Study, storage: BaseStorage, first: optuna.Study) -> None:
        self._storage, self._sweeps, self._tunes = storage, study.sweeps(), study.tunes()
        self._distributions: dict[str, BaseDistribution] = {
            path: categories(sweep.levels) for path, sweep in self._sweeps.items()
        } | {path: distribution(tune) for path, tune in self._tunes.items()}
        here = json.dumps(
            {
                "factors": {path: distribution_to_json(each) for path, each in self._distributions.items()},
                "objectives": len(study.objectives()),
            },
            sort_keys=True,
        )
        there = names(storage, study.name)
        opened = (
            first if name == study.name else optuna.load_study(study_name=name, storage=storage) for name in there
        )
        found = next((each for each in opened if each.user_attrs.get(SPACE, here) == here), None)
        self._optuna = found or optuna.create_study(
            storage=storage, study_name=f"{study.name} ({len(there) + 1})", sampler=optuna.samplers.RandomSampler(0),
            directions=["minimize"] * len(study.objectives()),
        )  # fmt: skip
        if SPACE not in self._optuna.user_attrs:
            self._optuna.set_user_attr(SPACE, here)

    def add(self, asked: Iterable[tuple[Trial, Entry]]) -> None:
        """Ask for entries of trials; each gets a number of its own."""
        # Of its own: what it remembers of trials is forgotten with it where the transaction ends in an error.
        optuna.load_study(study_name=self._optuna.study_name, storage=self._storage).add_trials(
            self._asked_for(trial, entry) for trial, entry in asked
        )

    def _asked_for(self, trial: Trial, entry: Entry) -> FrozenTrial:
        """An entry as Optuna keeps it; `create_trial` would compare hundreds of levels with themselves each time."""
        params = {
            path: plain(trial.values[path]) if path in self._sweeps else trial.values[path]
            for path in self._distributions
        }
        return FrozenTrial(
            number=-1, trial_id=-1, state=TrialState.RUNNING, value=None, datetime_start=datetime.now(),
            datetime_complete=None, params=params, system_attrs={},
            distributions=self._distributions
            | {path: distribution_with(tune, trial.values[path]) for path, tune in self._tunes.items()},
            user_attrs=attributes(entry) | {"trial": trial.number, "cell": trial.cell, "confirm": trial.confirm},
            intermediate_values={},
        )  # fmt: skip

    def asked(self) -> dict[int, FrozenTrial]:
        """Those that have no results yet, by the number of the entry."""
        found = self._optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return {t._trial_id: t for t in found}

    def give_up(self, numbers: Collection[int]) -> None:
        """Let go of entries that nobody wants any more."""
        asked = self.asked()
        for number in numbers:
            self._optuna.tell(asked[number].number, state=TrialState.FAIL)

    def tell(self, number: int, results: dict[str, Any], values: list[float]) -> None:
        """Commit the results of an entry; of one that is told already, nothing changes."""
        # By the storage: `tell` of a study would read all that are asked for.
        if self._storage.get_trial(number).state == TrialState.RUNNING:
            for name, value in results.items():
                self._storage.set_trial_user_attr(number, name, value)
            self._storage.set_trial_state_values(number, TrialState.COMPLETE, values)
