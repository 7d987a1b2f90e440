"""The design: a study's cells and trials, kept in Optuna.

Second stage of the flow. Trials are asked in rounds: in every round each cell gets the same number of them, and the
values of the `Tune` factors come from an Optuna sampler that is seeded by round and cell and has seen only earlier
rounds. So the trials do not depend on timing, on the number of workers or on interruptions. A trial that is asked is
one atomic entry in the storage; `tell` is the commit point.

A study that is begun gets an identity, random and kept with it: its records, wherever they are, are known by that. Another
study of the same name in another storage, or this one after it was forgotten, has another identity.
"""

import re
import statistics
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from harness.ledger.journal import journal_problem
from harness.ledger.sampling import best, categories, distribution, plain, sampled
from harness.ledger.storage import StorageError, close_storage, leader_lock, open_storage, reachable, this_process
from harness.settings.patience import Stopped
from harness.study import Levels, Study


class StudyChanged(Exception):
    """The storage holds another study of this name; `differences` has a line for each setting that differs."""

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        super().__init__("\n".join(differences))


class AlreadyLed(Exception):
    """Another process, maybe on another machine, runs this study; the message says which."""


@dataclass(frozen=True)
class Trial:
    """One configuration: a cell's levels and values for what is tuned.

    Attributes:
        number: of the Optuna trial.
        cell: index into `Study.cells()`.
        confirm: whether it belongs to the confirm phase.
        values: level or tuned value by factor path.
        told: whether its results are committed.
    """

    number: int
    cell: int
    confirm: bool
    values: Levels
    told: bool


class Design:
    """The trials of a study in an Optuna storage.

    Args:
        study: the study.
        storage: path of a journal file, or a database URL.
        fresh: forget what the storage holds of this study.
        forget: is given the identity of a study that is about to be forgotten here, so that its records are forgotten first.

    Attributes:
        identity: of the study, since it was begun in this storage.

    Raises:
        StorageError: it is no storage.
        StudyChanged: the storage holds trials of a study with the same name and other settings.
        AlreadyLed: another process runs the study.
    """

    def __init__(
        self, study: Study, storage: str, *, fresh: bool = False, forget: Callable[[str], None] = lambda identity: None
    ) -> None:
        self.study, self._cells, self._tunes = study, study.cells(), study.tunes()
        self._storage = open_storage(storage)
        self._lock = leader_lock(self._storage, storage, study.name)
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._optuna = self._opened(fresh=fresh, forget=forget)
            self._check_unchanged()
            self.identity = _checked(self.remembered("identity", lambda: uuid.uuid4().hex))
            self._optuna.set_user_attr("leader", this_process())
            on_error.pop_all()

    def _opened(self, *, fresh: bool, forget: Callable[[str], None]) -> optuna.Study:
        """The study in Optuna, locked for this process."""
        study, backend = self.study, self._storage
        exists = study.name in optuna.get_all_study_names(backend)
        attributes = optuna.load_study(study_name=study.name, storage=backend).user_attrs if exists else {}
        if not self._lock.held():
            raise AlreadyLed(attributes.get("leader", "another process"))
        if fresh and exists:
            if "identity" in attributes:
                forget(_checked(attributes["identity"]))
            optuna.delete_study(study_name=study.name, storage=backend)
        return optuna.create_study(
            storage=backend, study_name=study.name, directions=["minimize"] * len(study.objectives()),
            sampler=optuna.samplers.RandomSampler(0), load_if_exists=True,
        )  # fmt: skip

    def close(self) -> None:
        """Leave the study to others."""
        self._lock.end()
        close_storage(self._storage)

    def _check_unchanged(self) -> None:
        stored = self._optuna.user_attrs.get("study")
        if stored is None:
            self._optuna.set_user_attr("study", self.study.description())
        elif differences := self.study.differences(stored):
            raise StudyChanged(differences)

    def remembered(self, key: str, choose: Callable[[], Any]) -> Any:
        """A choice that must stay the same when the study is continued: the stored one, or a new one, now stored."""
        if key not in self._optuna.user_attrs:
            self._optuna.set_user_attr(key, choose())
        return self._optuna.user_attrs[key]

    def collected(self, key: str, value: Any) -> list[Any]:
        """What the launches that trained something were: their distinct values, the one of this launch included."""
        stored: list[Any] = self._optuna.user_attrs.get(key, [])
        if value not in stored and (not stored or len(self.told()) < self.n_trials()):
            stored = [*stored, value]
            self._optuna.set_user_attr(key, stored)
        return stored

    @reachable()
    def kept(self, key: str, default: Any) -> Any:
        """What is kept with the study under a name."""
        return self._optuna.user_attrs.get(key, default)

    @reachable()
    def keep(self, key: str, value: Any) -> None:
        """Keep something with the study, in place of what is there under this name."""
        self._optuna.set_user_attr(key, value)

    @reachable()
    def trials(self) -> list[Trial]:
        """All that were asked for, in any round."""
        return [self._trial(frozen) for frozen in self._optuna.get_trials(deepcopy=False)]

    def rounds(self) -> list[str]:
        """The names of all rounds, in order; ask for one when all trials of those before it are told."""
        tune = [f"tune {first}-{last}" for first, last in tune_batches(self.study)]
        return tune if self.study.tunes_within() else [*tune, "confirm"]

    @reachable()
    def ask(self, name: str) -> list[Trial]:
        """The trials of a round, those already told included.

        Raises:
            Stopped: another process has taken the study over.
        """
        self._lead_still()
        asked = self._of_round(name)
        wanted = self._confirm_values() if name == "confirm" else self._tune_values(*map(int, name[5:].split("-")))
        for cell, tuned in wanted[len(asked) :]:
            levels = self._cells[cell]
            distributions = {path: categories(sweep.levels) for path, sweep in self.study.sweeps().items()}
            self._optuna.add_trial(
                optuna.create_trial(
                    state=TrialState.RUNNING,
                    params={path: plain(level) for path, level in levels.items()} | tuned,
                    distributions=distributions | {path: distribution(tune) for path, tune in self._tunes.items()},
                    user_attrs={"round": name, "cell": cell},
                )
            )
        return [self._trial(frozen) for frozen in self._of_round(name)]

    def n_trials(self) -> int:
        """Trials of the whole study (with several objectives: at least)."""
        return len(self._cells) * sum(self.study.trials_per_cell())

    @reachable()
    def tell(self, trial: Trial, outcomes: list[list[float]], *, diverged: int) -> None:
        """Commit a trial's results; of one that is told already, nothing changes.

        Optuna is told the median over seeds of each objective.

        Args:
            trial: one that `rounds` gave.
            outcomes: (seed, objective), `WORST` where a run diverged or lacks it, see `FinishedTrial.outcomes`.
            diverged: how many of its runs diverged.

        Raises:
            Stopped: another process has taken the study over.
        """
        self._lead_still()
        frozen = self._optuna.get_trials(deepcopy=False)[trial.number]
        if frozen.state == TrialState.COMPLETE:
            return
        committed = optuna.Trial(self._optuna, frozen._trial_id)
        committed.set_user_attr("diverged", diverged)
        committed.set_user_attr("outcomes", outcomes)
        self._optuna.tell(trial.number, [statistics.median(values) for values in zip(*outcomes, strict=True)])

    def _lead_still(self) -> None:
        """A claim is lost when the database was away, and may have gone to another machine meanwhile."""
        if not self._lock.held():
            raise Stopped(f"{self._optuna.user_attrs['leader']} runs this study now")

    @reachable()
    def told(self) -> set[int]:
        """Numbers of the trials whose results are committed."""
        return {trial.number for trial in self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])}

    def _of_round(self, name: str) -> list[FrozenTrial]:
        return [t for t in self._optuna.get_trials(deepcopy=False) if t.user_attrs.get("round") == name]

    def _trial(self, frozen: FrozenTrial) -> Trial:
        cell = frozen.user_attrs["cell"]
        tuned = {path: frozen.params[path] for path in self._tunes}
        confirm = frozen.user_attrs["round"] == "confirm"
        return Trial(frozen.number, cell, confirm, self._cells[cell] | tuned, frozen.state == TrialState.COMPLETE)

    def _tune_values(self, first: int, last: int) -> list[tuple[int, Levels]]:
        """Cell and tuned values of the trials of one round, trial by trial over all cells."""
        told = self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if self.study.sampler == "tpe":
            columns = [sampled(self.study, first, last, cell, told) for cell in range(len(self._cells))]
        else:
            columns = [sampled(self.study, first, last, None, told)] * len(self._cells)
        return [(cell, columns[cell][i]) for i in range(last - first) for cell in range(len(self._cells))]

    def _confirm_values(self) -> list[tuple[int, Levels]]:
        """Every cell with its best tuned values: by their ranks, or all that are Pareto-optimal by several objectives."""
        if not self._tunes:
            return [(cell, {}) for cell in range(len(self._cells))]
        told = self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        chosen = []
        for cell in range(len(self._cells)):
            tried = [t for t in told if t.user_attrs["cell"] == cell and t.user_attrs["round"] != "confirm"]
            chosen += [(cell, {path: t.params[path] for path in self._tunes}) for t in best(tried)]
        return chosen


def tune_batches(study: Study) -> list[tuple[int, int]]:
    """Tune trials of a cell in each round, as ranges: all at once unless the sampler learns from results."""
    if not study.tunes():
        return []
    count = study.tune_trials
    size = max(1, count // 8) if study.sampler == "tpe" else count
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def identity_in(journal: Path, study_name: str) -> str | None:
    """The identity of the study in a journal, which is only read; None where there is none."""
    if not journal.is_file() or journal_problem(journal):
        return None
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        identity: str | None = optuna.load_study(study_name=study_name, storage=storage).user_attrs.get("identity")
    except KeyError:
        return None
    return identity


def _checked(identity: str) -> str:
    """The identity, which names folders and is written into queries."""
    if not re.fullmatch("[0-9a-f]{32}", identity):
        raise StorageError(f"the study's identity is not one that was made here (got {identity!r})")
    return identity
