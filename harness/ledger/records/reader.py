"""What a report reads: the runs, curves and populations that are recorded of a study, and the documents of its launches.

A trial counts as recorded once its run is FINISHED, which is the last thing written.
"""

import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from harness.ledger.entries import Entry, Wanted, entry_of
from harness.ledger.records.experiment import Experiment, Kind, Record
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE, tunable
from harness.ledger.records.populations import POPULATIONS_FILE, joined_populations
from harness.ledger.records.tables import (
    GatheredCurves,
    LevelColumns,
    below_each_other,
    joined,
    of_trial,
    parquet,
    read_table,
)
from harness.ledger.records.tracking import RecordError, check, own_errors
from harness.ledger.trial_runs import Plain, swept_values
from harness.settings.files import put_in_place
from harness.settings.show import counted
from harness.study import Study

DOCUMENTS = "study"
DOWNLOADS = 8
FILES = (RUNS_FILE, CURVES_FILE, POPULATIONS_FILE)
BY_TRIAL = attrgetter("trial")


class LostRecords(RecordError):
    """Records that should be there are not, or cannot be read: those of these entries."""

    def __init__(self, entries: set[int]) -> None:
        self.entries = entries
        numbers = ", ".join(map(str, sorted(entries)[:10]))
        records = counted(len(entries), "record is", "records are")
        super().__init__(f"{records} missing or damaged (of the entries {numbers}).")


@dataclass(frozen=True)
class Share:
    """What a study takes from a record: some seeds, as runs of one of its trials.

    Attributes:
        entry: number of the entry.
        trial: number of the trial.
        key: of the trial.
        seeds: of the runs.
        levels: of the trial, by the path of what is swept.
    """

    entry: int
    trial: int
    key: str
    seeds: frozenset[int]
    levels: Mapping[str, Plain] = field(default_factory=dict)


def shares(study: Study, held: Iterable[tuple[Wanted, Mapping[int, Entry]]]) -> list[Share]:
    """What a study takes from which record, trial by trial."""
    found = []
    for wanted, holders in held:
        levels = swept_values(study, wanted.trial)
        for number in dict.fromkeys(entry.number for entry in holders.values()):
            seeds = frozenset(seed for seed, entry in holders.items() if entry.number == number)
            found.append(Share(number, wanted.trial.number, wanted.key, seeds, levels))
    return found


class Reader:
    """Reads the records of one study in MLflow, which is connected to at the first use: it takes seconds.

    Args:
        study_name: name of the study, and of its experiment.
        tracking_uri: database or server.
        identity: of the study, see `harness.ledger.design`; where nobody knows it, that of the newest launch.
        artifact_folder: where artifacts of a new experiment go; None leaves it to the server.

    Raises:
        RecordError: the address is that of something else.
    """

    def __init__(
        self, study_name: str, tracking_uri: str, *, identity: str | None = None, artifact_folder: Path | None = None
    ) -> None:
        check(tracking_uri)
        self._tracking_uri = tracking_uri
        self._experiment = Experiment(study_name, tracking_uri, artifact_folder)
        self._identity = identity

    def of(self, identity: str) -> Self:
        """The same for another identity; the connection is shared."""
        other = copy(self)
        other._identity = identity
        return other

    @own_errors()
    def connect(self) -> None:
        """Connects already now.

        Raises:
            RecordError, Unreachable: the database or server cannot be used.
        """
        self._experiment.client  # noqa: B018

    @own_errors()
    def identities(self) -> list[str]:
        """Of all studies of this name that were launched here, newest launch first."""
        found = [launch.identity for launch in self._experiment.search(None, "launch")]
        return list(dict.fromkeys(identity for identity in found if identity is not None))

    @own_errors()
    def entries(self, phases: Collection[str] = ()) -> list[Entry]:
        """All recorded entries.

        Args:
            phases: whose objectives decide which trials a study has: what they were is read from the tables.
        """
        records, found = self._recorded(), list[Entry]()
        with TemporaryDirectory() as inbox:
            for number, record in records.items():
                stored = json.loads(record.entry)
                if "key" not in stored:  # of an older version
                    continue
                if record.phase in phases:
                    folder = self._experiment.fetch(record, inbox=Path(inbox))
                    table = read_table(folder / RUNS_FILE)
                    stored["outcomes"] = {} if table is None else tunable(table.to_pandas())
                found.append(entry_of(number, {"wave": 0} | stored, told=True))
        return found

    @own_errors()
    def read(self, curves: Path, wanted: Sequence[Share]) -> pd.DataFrame:
        """Runs as they were recorded, sorted by trial and seed; their curves and populations go into files.

        Args:
            curves: the Parquet file to be, sorted by trial, seed and step, with a column for each level of `wanted`; never as a
                whole in memory. The populations, see `harness.ledger.records.populations`, lie beside it as `populations.parquet`.
            wanted: what to read.

        Raises:
            LostRecords: what is wanted is not recorded, or the tables of a record are missing or damaged.
            RecordError: nothing is recorded.
        """
        recorded = self._recorded()
        if not wanted:
            raise RecordError(self._nothing())
        needed = dict.fromkeys(share.entry for share in wanted)
        lost, runs, populations = set(needed) - recorded.keys(), list[pa.Table](), list[pd.DataFrame]()
        with (
            TemporaryDirectory() as inbox,
            ThreadPoolExecutor(DOWNLOADS) as pool,
            put_in_place(curves) as path,
            put_in_place(curves.with_name(POPULATIONS_FILE)) as populations_path,
        ):
            present = [number for number in needed if number in recorded]
            fetched = pool.map(partial(self._experiment.fetch, inbox=Path(inbox)), map(recorded.__getitem__, present))
            folders = dict(zip(present, fetched, strict=True))
            levels = LevelColumns([share.levels for share in wanted])
            with closing(
                GatheredCurves(path, (folder / CURVES_FILE for folder in folders.values()), levels)
            ) as gathered:
                for _, own in itertools.groupby(sorted(wanted, key=BY_TRIAL), BY_TRIAL):
                    there = [(share, folders[share.entry]) for share in own if share.entry in folders]
                    tables = [(share, [read_table(folder / name) for name in FILES]) for share, folder in there]
                    lost |= {share.entry for share, read in tables if any(table is None for table in read)}
                    if tables and not lost:
                        parts = [_taken(share, *read) for share, read in tables]
                        runs.append(below_each_other([part[0] for part in parts]))
                        gathered.add(below_each_other([part[1] for part in parts]), tables[0][0].levels)
                        populations += [part[2] for part in parts]
            if lost:
                raise LostRecords(lost)
            numbers = {share.key: share.trial for share in reversed(wanted)}
            populations_path.write_bytes(parquet(joined_populations(populations, numbers)))
        return joined(runs).sort_values(["trial", "seed"], kind="stable", ignore_index=True)

    def read_document(self, name: str) -> str | None:
        """The text that the newest launch which has one kept under this name."""
        return self.read_documents([name]).get(name)

    @own_errors()
    def read_documents(self, names: Iterable[str]) -> dict[str, str]:
        """Name → text, of each name that a launch kept one under; where several did, of the newest of them."""
        found: dict[str, str] = {}
        wanted = set(names)
        with TemporaryDirectory() as inbox:
            for launch in self._own("launch"):
                if not wanted:
                    break
                folder = self._experiment.fetch(launch, inbox=Path(inbox), path=DOCUMENTS)
                texts = {name: folder / name for name in wanted if (folder / name).is_file()}
                found |= {name: path.read_text(encoding="utf-8") for name, path in texts.items()}
                wanted -= found.keys()
        return found

    def _own(self, kind: Kind, condition: str = "") -> list[Record]:
        """The study's runs in MLflow, newest first."""
        if self._identity is None:
            self._identity = next(iter(self.identities()), None)
        return [] if self._identity is None else self._experiment.search(self._identity, kind, condition)

    def _recorded(self) -> dict[int, Record]:
        """The record of every recorded trial."""
        records: dict[int, list[Record]] = {}
        for record in self._own("trial", "attributes.status = 'FINISHED'"):
            if record.trial is not None:
                records.setdefault(record.trial, []).append(record)
        newest = {trial: newest_finished(records[trial]) for trial in sorted(records)}
        return {trial: record for trial, record in newest.items() if record is not None}

    def _nothing(self) -> str:
        """That nothing is recorded, and what there is instead."""
        name = self._experiment.name
        if self._experiment.search(None, "trial"):
            return (
                f"No trial of this study {name!r} is recorded; those that MLflow has under its name belong to another one, "
                "or to an older version of the harness."
            )
        return f"No trial of {name!r} is recorded; MLflow has the experiments {', '.join(self._experiment.names())}."


def _taken(
    share: Share, runs: pa.Table, curves: pa.Table, populations: pa.Table
) -> tuple[pa.Table, pa.Table, pd.DataFrame]:
    """What a study takes from a record's tables."""
    there = runs["seed"].to_pylist()
    taken = (of_trial(table, share.trial, share.seeds, there) for table in (runs, curves))
    parts = populations.to_pandas()
    return *taken, parts.assign(recorded=parts["recorded"] & parts["seed"].isin(share.seeds))


def newest_finished(records: Iterable[Record]) -> Record | None:
    """The one of several records of a trial that counts."""
    finished = [record for record in records if record.finished]
    return max(finished, key=lambda record: record.ended_at_ms, default=None)
