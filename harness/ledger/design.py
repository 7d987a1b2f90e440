"""The design: a study's trials as they are asked for, kept in Optuna entry by entry.

What is asked for at a time is one write to the storage; `tell` is the commit point. Which runs a study still needs
follows from what it wants and from the entries that are there, nothing else: it may have been interrupted, and it may have
grown (`harness.ledger.asking`).

A study that is begun gets an identity, random and kept with it: its records, wherever they are, are known by that. Another
study of the same name in another storage, or this one after it was forgotten, has another identity.
"""

import re
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from harness.ledger.asking import Asked, Retries, Round
from harness.ledger.entries import Entries, Entry, There, Wanted, held, n_wanted, there, trials_of, wanted
from harness.ledger.journal import journal_problem
from harness.ledger.sampling import medians
from harness.ledger.spaces import IDENTITY, WIDEN, Space, as_widened, entries_in, params_in
from harness.ledger.storage import StorageError, close_storage, leader_lock, open_storage, reachable, this_process
from harness.ledger.together import together
from harness.ledger.trials import Outcomes, Trial, rounds
from harness.settings.patience import Stopped
from harness.study import Levels, Study

SUMMARY = "summary"
"""Attribute of a study: see `Design.keep_summary`."""

WAVE = "wave"
"""Likewise: the number of the newest wave that was asked for as a whole, see `harness.ledger.asking`."""


class AlreadyLed(Exception):
    """Another process, maybe on another machine, runs this study; the message says which."""


class Design:
    """The trials of a study in an Optuna storage.

    Args:
        study: the study.
        storage: path of a journal file, or a database URL.
        retry_failed: train again the runs that failed by an error of their own; those that the machine failed always are.

    Attributes:
        study: the study; widened, if it ever was, see `spaces.as_widened`.
        identity: of the study, since it was begun in this storage.

    Raises:
        StorageError: it is no storage.
        AlreadyLed: another process runs the study.
    """

    def __init__(self, study: Study, storage: str, *, retry_failed: bool = False) -> None:
        self._storage = open_storage(storage)
        self._lock = leader_lock(self._storage, storage, study.name)
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._optuna = self._opened(study)
            self.study = as_widened(study, self._optuna.user_attrs)
            self.identity = checked_identity(self.remembered(IDENTITY, lambda: uuid.uuid4().hex))
            self.remembered(WAVE, lambda: max((entry.wave for entry in self.entries()), default=0))
            self._optuna.set_user_attr("leader", this_process())
            self._space = Space(self.study, self._storage, self._optuna)
            self._retries = Retries(self.told(), retry_failed=retry_failed)
            on_error.pop_all()

    def _opened(self, study: Study) -> optuna.Study:
        """The study's first Optuna study, locked for this process."""
        name, backend = study.name, self._storage
        exists = name in optuna.get_all_study_names(backend)
        leader = optuna.load_study(study_name=name, storage=backend).user_attrs.get("leader") if exists else None
        if not self._lock.held():
            raise AlreadyLed(leader or "another process")
        return optuna.create_study(
            storage=backend, study_name=name, directions=["minimize"] * len(study.objectives()),
            sampler=optuna.samplers.RandomSampler(0), load_if_exists=True,
        )  # fmt: skip

    def close(self) -> None:
        """Leave the study to others."""
        self._lock.end()
        close_storage(self._storage)

    @reachable()
    def changes(self) -> list[str]:
        """A line for each setting in which the study differs from that of the launch before; this is the one to come after."""
        before = self._optuna.user_attrs.get("study")
        now = self.study.description()
        if before != now:
            self._optuna.set_user_attr("study", now)
        return [] if before is None else self.study.differences(before)

    @reachable()
    def remembered(self, key: str, choose: Callable[[], Any]) -> Any:
        """A choice that must stay the same when the study is continued: the stored one, or a new one, now stored."""
        if key not in self._optuna.user_attrs:
            self._optuna.set_user_attr(key, choose())
        return self._optuna.user_attrs[key]

    @reachable()
    def collected(self, key: str, value: Any) -> list[Any]:
        """What the launches that trained something were: their distinct values, the one of this launch included."""
        stored: list[Any] = self._optuna.user_attrs.get(key, [])
        if value not in stored and (not stored or not self.there().complete):
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

    def rounds(self) -> list[str]:
        """The names of all rounds, in order; ask for one when all of those before it is told."""
        return rounds(self.study)

    @reachable()
    def there(self) -> There:
        """How much of the study is there now."""
        return there(self.study, self.entries(), self._retries)

    @reachable()
    def ask(self, name: str, lost: Collection[int] = ()) -> Round:
        """The trials of a round, and what of it must be trained, from now on asked for.

        Args:
            name: of the round.
            lost: entries that are told and whose records are lost.

        Raises:
            Stopped: another process has taken the study over.
        """
        self._lead_still()
        if self.study.widen:
            self.remembered(WIDEN, lambda: True)
        asked = self._asked()
        trials = [wanted(self.study, trial) for trial in trials_of(self.study, Entries(asked.entries)).of(name)]
        by_key = {trial.key: trial for trial in reversed(trials)}
        if vain := asked.in_vain(by_key):
            with together(self._storage):
                self._space.give_up(vain)
            asked = self._asked()
        if wave := asked.lacking(by_key, self._retries):
            self._ask_for(wave)
            asked = self._asked()
        return Round(trials, asked.waves(by_key, lost))

    def _asked(self) -> Asked:
        return Asked(self.entries(), self._space.asked().keys(), self._optuna.user_attrs[WAVE])

    def _ask_for(self, wave: Sequence[tuple[Trial, Entry]]) -> None:
        """Write a wave and, last, that it is whole."""
        with together(self._storage):
            self._space.add(wave)
            self._optuna.set_user_attr(WAVE, wave[0][1].wave)
        for _, entry in wave:
            self._retries.note(entry)

    @reachable()
    def tell(
        self, number: int, outcomes: Outcomes, *, diverged: int = 0, failed: Mapping[int, str] | None = None,
        metrics: Mapping[str, list[float]] | None = None,
    ) -> None:  # fmt: skip
        """Commit the results of a portion; of one that is told already, nothing changes.

        Optuna is told the median over seeds of each objective.

        Args:
            number: of the portion.
            outcomes: each objective by seed, `WORST` where a run diverged or lacks it, see `finished.outcomes`.
            diverged: how many of its runs diverged.
            failed: why runs failed, by seed.
            metrics: what may be an objective of this study or another one, of each seed in order; where tuning needs it.

        Raises:
            Stopped: another process has taken the study over.
        """
        self._lead_still()
        results = {"diverged": diverged, "failed": dict(failed or {}), "outcomes": dict(metrics or {})}
        self._space.tell(number, results, medians(outcomes))

    def _lead_still(self) -> None:
        """A claim is lost when the database was away, and may have gone to another machine meanwhile."""
        if not self._lock.held():
            raise Stopped(f"{self._optuna.user_attrs['leader']} runs this study now")

    @reachable()
    def told(self) -> set[int]:
        """Numbers of the entries whose results are committed."""
        return {entry.number for entry in self.entries() if entry.told}

    @reachable()
    def keep_summary(self) -> None:
        """Keep how many runs are wanted, which entries hold none of them, and how many others the rest hold.

        That is for those who list and forget studies.
        """
        holdings = self.held()
        used = Counter(entry.number for _, holders in holdings for entry in holders.values())
        told = [entry for entry in self.entries() if entry.told]
        unused = sorted(entry.number for entry in told if not used[entry.number])
        beside = {
            str(entry.number): more
            for entry in told
            if 0 < (more := len(entry.seeds) - used[entry.number]) < len(entry.seeds)
        }
        summary = {"wanted": n_wanted(self.study, holdings), "unused": unused, "beside": beside}
        if self._optuna.user_attrs.get(SUMMARY) != summary:
            self._optuna.set_user_attr(SUMMARY, summary)

    @reachable()
    def held(self) -> list[tuple[Wanted, dict[int, Entry]]]:
        """What the study wants, trial by trial, and the entries that have it."""
        return held(self.study, Entries(self.entries()))

    @reachable()
    def tried(self) -> list[Levels]:
        """Levels and tuned values, by path, of all that was ever asked for with values of what the study tunes now."""
        return [each for each in params_in(self._storage, self.study.name) if self.study.tunes().keys() <= each.keys()]

    @reachable()
    def entries(self) -> list[Entry]:
        """All that was asked for and neither given up nor forgotten."""
        return entries_in(self._storage, self.study.name)


def identity_in(journal: Path, study_name: str) -> str | None:
    """The identity of the study in a journal, which is only read; None where there is none."""
    if not journal.is_file() or journal_problem(journal):
        return None
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        identity: str | None = optuna.load_study(study_name=study_name, storage=storage).user_attrs.get(IDENTITY)
    except KeyError:
        return None
    return identity


def checked_identity(identity: str) -> str:
    """The identity, which names folders and is written into queries.

    Raises:
        StorageError: it is none.
    """
    if not re.fullmatch("[0-9a-f]{32}", identity):
        raise StorageError(f"the study's identity is not one that was made here (got {identity!r})")
    return identity
