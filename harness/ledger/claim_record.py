"""Where the chain of a study's claims is kept: in Optuna, with the study; in MLflow, with every launch; a copy among the results.

A launch enters its claims into Optuna before anything of it trains, and into MLflow with its other documents. `harness report`,
which leads nothing, enters them into MLflow alone; the next launch takes that over. Each copy is compared with the other: where
they part, one of them was written anew, and the chain says from then on that nothing is known.

A study that is begun anew where results of its name lie goes on with the chain among these, and the runs in their table count as
seen: a lost storage, or another one, makes no claim older than its data. `harness forget` alone begins a new chain there.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.engine.content import seed_key, trial_key
from harness.ledger.design import Design
from harness.ledger.records.finished import RUNS_FILE
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
from harness.ledger.records.tables import read_table
from harness.ledger.sampling import plain as plain_level
from harness.settings import InvalidStudy
from harness.settings.levels import at
from harness.study import Levels, Study
from harness.study.claim_chain import Chain, Declared, as_text, extended, from_text, joined, problems
from harness.study.claim_forms import Recorded, plain
from harness.study.claims import ALPHA

REGISTERED = "claims_registered.json"
"""The chain as a document of a launch, and in a results folder."""

ATTRIBUTE = "claims"
"""The chain as an attribute of a study in Optuna."""


FORGOTTEN = ".forgotten"
"""In a results folder whose study was forgotten: the end of the chain there, which no later one continues."""


class ClaimRecord:
    """The chain of a study that is being launched.

    Args:
        study: whose claims are entered.
        design: its trials.
        recorder: its records.
        spool: what is on its way there.
        folder: results/<study>, maybe with results.

    Attributes:
        chain: as it is kept; maybe damaged, then it is left as it is.
    """

    def __init__(self, study: Study, design: Design, recorder: Recorder, spool: Spool, *, folder: Path) -> None:
        self._study, self._design, self._recorder, self._spool, self._folder = study, design, recorder, spool, folder
        self.chain: Chain = []

    def enter(self) -> None:
        """Enter the claims into Optuna, where they differ from its last entry. To be called before anything trains.

        Where runs are older than that entry, MLflow may have entries of `harness report` that come first.

        Raises:
            RecordError, Unreachable: MLflow is needed and cannot be used.
        """
        recorded = self._recorded()
        self._declared = Declared.of(self._study, recorded, alpha=ALPHA)
        self.chain = self._design.kept(ATTRIBUTE, [])
        if not self.chain and not is_forgotten(self._folder):
            self._put(self._begun(chain_among(self._folder)))
        if not problems(self.chain) and extended(self.chain, self._declared) != self.chain:
            self._put(self._merged() if recorded else extended(self.chain, self._declared))

    def _begun(self, there: Any) -> Chain:
        """What a study that is begun anew goes on with, of the chain among the results."""
        if wrong := problems(there):
            return extended([], self._declared, conflict=f"the record of claims among the results {wrong[0]}")
        found: Chain = there
        return found

    def keep(self) -> None:
        """Keep the chain in MLflow, with the launch that is open, after a comparison with what is there."""
        if not problems(self.chain):
            self._put(self._merged())
        self._recorder.write_documents({REGISTERED: as_text(self.chain)})

    def _recorded(self) -> Recorded:
        """How many tested runs of each cell are trained, those that wait to be recorded included.

        At whatever tuned values and seeds: another search, or a study of more seeds, may have shown results that this one has no more.
        """
        trained, ours = dict[str, set[int]](), set[str]()
        for entry in self._design.entries():
            if entry.told or self._spool.load(entry.number) is not None:
                trained.setdefault(entry.key, set()).update(entry.seeds)
                ours.update(entry.run_keys())
        among = [each for each in self._among_results() if each["key"] not in ours]
        keys, seeds = {each["key"] for each in among}, {each["seed"] for each in among}
        values_at = self._values_tried(among)

        def count(cell: Levels) -> int:
            of_cell = {
                self._key(cell, dict(zip(self._study.tunes(), values, strict=True))) for values in values_at(cell)
            }
            there = {key: {seed for seed in seeds if seed_key(key, seed) in keys} for key in of_cell}
            return sum(len(trained.get(key, set()) | there[key]) for key in of_cell)

        counts = [(_plain(cell), count(cell)) for cell in self._study.cells()]
        return [(cell, number) for cell, number in counts if number]

    def _values_tried(self, among: list[dict[str, Any]]) -> Callable[[Levels], set[tuple[Any, ...]]]:
        """The tuned values at which a cell may have been trained: its own, and those of which it is not known whose they are."""
        sweeps, tunes = list(self._study.sweeps()), list(self._study.tunes())

        def name(levels: Levels) -> tuple[Any, ...]:
            return tuple(plain_level(levels[path]) if path in levels else () for path in sweeps)

        own: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {name(cell): set() for cell in self._study.cells()}
        anyones = {tuple(each[path] for path in tunes) for each in among}
        for each in self._design.tried():
            own.get(name(each), anyones).add(tuple(each[path] for path in tunes))
        return lambda cell: own[name(cell)] | anyones

    def _among_results(self) -> list[dict[str, Any]]:
        """Key, seed and tuned values of each run in the results folder; none of a study that was forgotten."""
        columns = ["key", "seed", *self._study.tunes()]
        table = None if is_forgotten(self._folder) else read_table(self._folder / RUNS_FILE)
        if table is None or not set(columns) <= set(table.column_names):
            return []
        found: list[dict[str, Any]] = table.select(columns).to_pylist()
        return found

    def _key(self, cell: Levels, tuned: Levels) -> str:
        """That of the tested runs of a cell; "" where the study takes no such values."""
        try:
            return trial_key(self._study.setup(cell | tuned), self._study.evaluations, confirm=True)
        except InvalidStudy:
            return ""

    def _put(self, chain: Chain) -> None:
        if chain != self.chain:
            self._design.keep(ATTRIBUTE, chain)
            self.chain = chain

    def _merged(self) -> Chain:
        """The chain with what MLflow has and with what is declared."""
        there = from_text(self._recorder.read_document(REGISTERED))
        if wrong := problems(there):
            conflict = f"the record of claims in MLflow {wrong[0]}"
            return extended(self.chain, self._declared, conflict=conflict)
        both = joined(self.chain, there)
        if both is None:
            conflict = "the records of claims in Optuna and in MLflow part: one of them was written anew"
            return extended(self.chain, self._declared, conflict=conflict)
        return extended(both, self._declared)


def chain_among(folder: Path) -> Any:
    """The chain in a results folder, maybe damaged; an empty one where there is none."""
    path = folder / REGISTERED
    try:
        return from_text(path.read_text(encoding="utf-8") if path.is_file() else None)
    except (OSError, ValueError):
        return None


def forget_chain(folder: Path) -> None:
    """Let a study that is begun anew in a results folder begin a new chain, whatever results stay there."""
    (folder / FORGOTTEN).write_text(_end(folder), encoding="utf-8")


def is_forgotten(folder: Path) -> bool:
    """Whether the study whose results lie in a folder was forgotten."""
    path = folder / FORGOTTEN
    return path.is_file() and path.read_text(encoding="utf-8") == _end(folder)


def _end(folder: Path) -> str:
    """What tells the chain in a results folder from a later one."""
    return hashlib.sha256(as_text(chain_among(folder)).encode()).hexdigest()


def with_claims(study: Study, runs: pd.DataFrame, text: str | None) -> str:
    """The chain with the claims of a study entered whose report is built; one that is damaged stays as it is.

    Args:
        study: makes the claims.
        runs: all that are recorded, as they are recorded.
        text: of the chain so far; None where there is none.
    """
    chain = from_text(text)
    if text is not None and problems(chain):
        return text
    return as_text(extended(chain, Declared.of(study, recorded_rows(study, runs), alpha=ALPHA)))


def recorded_rows(study: Study, runs: pd.DataFrame) -> Recorded:
    """How many tested runs of each cell a table has."""
    tested = runs if study.tunes_within() else runs[runs["phase"] == "confirm"]
    counts = [(_plain(cell), int(at(tested, cell).sum())) for cell in study.cells()]
    return [(cell, count) for cell, count in counts if count]


def _plain(cell: Levels) -> dict[str, Any]:
    return {path: plain(level) for path, level in cell.items()}
