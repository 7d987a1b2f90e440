"""Which studies there are: how much of each is done, what came of its claims, when, and how large it is."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from harness.inference.reading import as_read
from harness.ledger.design import SUMMARY
from harness.ledger.peek import looked_at
from harness.ledger.spaces import entries_in, names, studies


@dataclass(frozen=True)
class Listed:
    """A study.

    Attributes:
        name: its name.
        done: runs that are recorded and that it had a use for at its newest launch.
        wanted: runs that it consisted of then; 0 where that is not known.
        others: other recorded runs, as of earlier settings.
        verdicts: verdict, as people read it, and how the claim stands → how many claims have it; none where there is no report.
        when: something of it was recorded last; None for never.
        size_bytes: of its report and of its records, as far as they are in the results folder.
    """

    name: str
    done: int
    wanted: int
    others: int
    verdicts: dict[str, int]
    when: datetime | None
    size_bytes: int


def listed(results: Path, storage: str) -> list[Listed]:
    """The studies in a storage, by name.

    Args:
        results: folder of their reports and records.
        storage: path of a journal file, or a database URL.

    Raises:
        InvalidStudy: the storage cannot be used.
    """
    with looked_at(storage) as found:
        if found is None:
            return []
        there = studies(found)
        return [_listed(found, name, there[name].get(SUMMARY, {}), results) for name in sorted(there)]


def known(storage: str) -> list[str]:
    """The names of the studies in a storage.

    Args:
        storage: path of a journal file, or a database URL.

    Raises:
        InvalidStudy: the storage cannot be used.
    """
    with looked_at(storage) as found:
        return [] if found is None else sorted(studies(found))


def _listed(storage: BaseStorage, name: str, summary: dict[str, Any], results: Path) -> Listed:
    unused, beside = set(summary.get("unused", ())), summary.get("beside", {})
    told = [entry for entry in entries_in(storage, name) if entry.told]
    others = sum(len(entry.seeds) if entry.number in unused else beside.get(str(entry.number), 0) for entry in told)
    done, wanted = sum(len(entry.seeds) for entry in told) - others, int(summary.get("wanted", 0))
    folders = (results / name, results / "mlartifacts" / name)
    return Listed(name, min(done, wanted or done), wanted, others, _verdicts(results / name / "claims.json"),
                  _when(storage, name), sum(map(_size, folders)))  # fmt: skip


def _when(storage: BaseStorage, name: str) -> datetime | None:
    complete = (
        trial.datetime_complete
        for each in names(storage, name)
        for trial in optuna.load_study(study_name=each, storage=storage).get_trials(
            deepcopy=False, states=[TrialState.COMPLETE]
        )
    )
    return max((when for when in complete if when is not None), default=None)


def _verdicts(claims: Path) -> dict[str, int]:
    """Of a report; nothing where it cannot be read."""
    try:
        found = json.loads(claims.read_text(encoding="utf-8"))
        said = (
            (each["verdict"], each.get("registered"), each.get("registration", ""), each.get("withdrawn", False))
            for each in found
        )
        return dict(Counter(as_read(*each) for each in said))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
