"""Forgetting a study, or those of its runs that it has no use for now: the only way in which records are ever deleted."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import optuna
from optuna.storages import BaseStorage

from harness.ledger.design import SUMMARY, AlreadyLed, checked_identity
from harness.ledger.spaces import FORGOTTEN, IDENTITY, entries_in, names, studies
from harness.ledger.storage import StorageError, close_storage, leader_lock, open_storage

Records = Callable[[str, Collection[int] | None], None]
"""Deletes the records elsewhere of a study with this identity: those of some entries, or all of them."""


@dataclass(frozen=True)
class Doomed:
    """What would be deleted of a study.

    Attributes:
        runs: how many.
        entries: numbers of the entries that hold them; None for the whole study.
    """

    runs: int
    entries: list[int] | None


class Forgetting:
    """A study of a storage, held so that nobody leads it meanwhile. A context manager.

    Args:
        study_name: its name.
        storage: path of a journal file, or a database URL.

    Raises:
        StorageError: it is no storage, or holds no such study.
        AlreadyLed: a process runs the study.
    """

    def __init__(self, study_name: str, storage: str) -> None:
        self._name, self._storage = study_name, open_storage(storage)
        self._lock = leader_lock(self._storage, storage, study_name)

    def __enter__(self) -> "Forgetting":
        try:
            attributes = studies(self._storage).get(self._name)
            if attributes is None:
                raise StorageError(f"holds no study {self._name!r}; there are {_listed(self._storage)}")
            if not self._lock.held():
                raise AlreadyLed(attributes.get("leader", "another process"))
            self._attributes, self.identity = attributes, checked_identity(attributes[IDENTITY])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.end()
        close_storage(self._storage)

    def doomed(self, *, unused: bool) -> Doomed:
        """What there is to delete: all, or with `unused` what the study had no use for at its newest launch."""
        entries = entries_in(self._storage, self._name)
        if not unused:
            return Doomed(sum(len(entry.seeds) for entry in entries if entry.told), None)
        none_of_it = set(self._attributes.get(SUMMARY, {}).get("unused", ()))
        others = [entry for entry in entries if entry.told and entry.number in none_of_it]
        return Doomed(sum(len(entry.seeds) for entry in others), [entry.number for entry in others])

    def delete(self, doomed: Doomed, records: Records) -> None:
        """Delete it, the records elsewhere first: what cannot be deleted there stays known here."""
        records(self.identity, doomed.entries)
        if doomed.entries is not None:
            first = optuna.load_study(study_name=self._name, storage=self._storage)
            first.set_user_attr(FORGOTTEN, sorted({*first.user_attrs.get(FORGOTTEN, ()), *doomed.entries}))
            return
        for name in reversed(names(self._storage, self._name)):  # the one that has the identity last
            optuna.delete_study(study_name=name, storage=self._storage)


def _listed(storage: BaseStorage) -> str:
    return ", ".join(studies(storage)) or "none"
