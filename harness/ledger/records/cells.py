"""A study's cells as MLflow shows them: a run each, above the trials that it was tuned and tested by.

They are a projection of the recorded runs and can be made anew at any time: nothing reads them. A cell is found again by its
levels, and written again only where it would say something else; then it takes the place of the older one. Trials of the
study become its children; those that the study has no use for now go back to the launch that trained them.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.engine.content import seed_key
from harness.ledger.records.experiment import (
    CELL,
    CONTENT,
    IDENTITY,
    KIND,
    LAUNCH,
    NOTE,
    PARENT,
    Experiment,
    Record,
    Status,
)  # fmt: skip
from harness.ledger.records.naming import level_text

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Metric

SEEDS_FILE = "seeds.csv"
AT_ONCE = 8
"""Cells that are written to a server at a time: it takes a network's time to answer."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What MLflow shows of a cell.

    Attributes:
        key: of its levels, see `naming.cell_key`.
        name: what MLflow lists it as.
        params: what varies in the study: path → value.
        metrics: name as MLflow has it → value; what is not finite is left out.
        curves: likewise, of each a value by step.
        runs: keys of all its runs, those that tuned it included.
        note: what it says of itself, in Markdown.
        seeds: its confirm runs as a CSV file.
        failed: whether a run of it failed for good.
    """

    key: str
    name: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    curves: Mapping[str, "pd.Series[float]"] = field(default_factory=dict)
    runs: frozenset[str]
    note: str = ""
    seeds: bytes = b""
    failed: bool = False

    @cached_property
    def points(self) -> list[tuple[str, int, float]]:
        """All that is plotted: name, step, value."""
        found = [(name, 0, value) for name, value in self.metrics.items()]
        for name, curve in self.curves.items():
            found += [(name, int(step), float(value)) for step, value in curve.items()]  # type: ignore[call-overload]
        return [point for point in found if math.isfinite(point[2])]

    def content(self, trained: tuple[int, int]) -> str:
        """A digest of all that would be written, its times included."""
        said = [self.name, _texts(self.params), self.points, self.note]
        text = json.dumps([*said, self.failed, trained])
        return hashlib.sha256(text.encode(errors="backslashreplace") + self.seeds).hexdigest()[:16]


class Cells:
    """Writes the cells of one study into its experiment.

    Args:
        experiment: the experiment.
        identity: of the study; runs of others are neither found nor touched.
        at_once: cells that are written at a time.
    """

    def __init__(self, experiment: Experiment, identity: str, *, at_once: int) -> None:
        self._experiment, self._identity, self._at_once = experiment, identity, at_once

    def write(self, cells: Sequence[Cell], trials: Iterable[Record]) -> None:
        """Make the experiment show these cells and no others of the study.

        Args:
            cells: of the study.
            trials: all its recorded trials.
        """
        holders = {key: cell.key for cell in cells for key in cell.runs}
        of_cell: dict[str | None, list[Record]] = {}
        for trial in trials:
            of_cell.setdefault(_cell_of(trial, holders), []).append(trial)
        there = self._experiment.search(self._identity, "cell")
        with ThreadPoolExecutor(self._at_once) as pool:
            written = dict(pool.map(lambda cell: self._put(cell, of_cell.get(cell.key, []), there), cells))
            list(pool.map(lambda move: self._experiment.tag(*move), self._moves(of_cell, written)))
            kept = {record.run_id for record in written.values()}
            list(pool.map(self._experiment.delete, (record for record in there if record.run_id not in kept)))

    def open(self, levels_key: str, name: str, params: Mapping[str, object], *, started_at_s: float) -> Record:
        """A run for a cell whose first trial is being recorded; `write` fills it."""
        record = self._create(levels_key, name, round(started_at_s * 1000))
        self._experiment.log(record, _texts(params), [])
        return record

    def _put(self, cell: Cell, trials: Sequence[Record], there: Sequence[Record]) -> tuple[str, Record]:
        """The run of a cell: as it is where it says the same, else filled or made."""
        trained = min((t.started_at_ms for t in trials), default=0), max((t.ended_at_ms for t in trials), default=0)
        content = cell.content(trained)
        own = [record for record in there if record.cell == cell.key]
        same = [record for record in own if record.content == content]
        if same:
            return cell.key, same[0]
        empty = [each for each in own if each.started_at_ms == trained[0] and _takes(each, _texts(cell.params))]
        record = empty[0] if empty else self._create(cell.key, cell.name, trained[0])
        self._fill(record, cell, trained, content)
        return cell.key, record

    def _create(self, key: str, name: str, started_at_ms: int) -> Record:
        tags = {KIND: "cell", CELL: key, IDENTITY: self._identity}
        return self._experiment.create(name, tags, started_at_s=started_at_ms / 1000)

    def _fill(self, record: Record, cell: Cell, trained: tuple[int, int], content: str) -> None:
        with self._experiment.outbox(record) as folder:
            (folder / SEEDS_FILE).write_bytes(cell.seeds)
        self._experiment.log(
            record, _texts(cell.params), _metrics(cell, trained[1]), {NOTE: cell.note, CONTENT: content}
        )
        status: Status = "FAILED" if cell.failed else "FINISHED"
        self._experiment.end(record, status, ended_at_s=trained[1] / 1000)

    def _moves(
        self, of_cell: Mapping[str | None, Sequence[Record]], written: Mapping[str, Record]
    ) -> Iterable[tuple[Record, dict[str, str]]]:
        """What trials are to be tagged with, those whose parent is another one now."""
        launches = self._experiment.search(self._identity, "launch")
        names, ids = {each.run_id: each.name for each in launches}, {each.name: each.run_id for each in launches}
        for key, trials in of_cell.items():
            for trial in trials:
                launch = trial.launch or names.get(trial.parent, "")
                parent = written[key].run_id if key is not None and key in written else ids.get(launch)
                if parent is not None and parent != trial.parent:
                    yield trial, {PARENT: parent, LAUNCH: launch}


def _metrics(cell: Cell, at_ms: int) -> list["Metric"]:
    from mlflow.entities import Metric

    return [Metric(name, value, at_ms, step) for name, step, value in cell.points]


def _cell_of(trial: Record, holders: Mapping[str, str]) -> str | None:
    """The cell that uses runs of a trial, if one does."""
    entry = json.loads(trial.entry)
    found = (holders.get(seed_key(entry["key"], int(seed))) for seed in entry.get("seeds", ()) if "key" in entry)
    return next((key for key in found if key is not None), None)


def _takes(record: Record, params: Mapping[str, str]) -> bool:
    """Whether a run that `open` made is still to be filled, and says nothing else: MLflow refuses a parameter that changes."""
    filled = bool(record.content) or record.measured
    return not filled and all(record.params.get(path, text) == text for path, text in params.items())


def _texts(params: Mapping[str, object]) -> dict[str, str]:
    return {path: level_text(value) for path, value in params.items()}
