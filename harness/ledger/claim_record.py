"""Where the chain of a study's claims is kept: in Optuna, with the study; in MLflow, with every launch; a copy among the results.

A launch enters its claims into Optuna before anything of it trains, and into MLflow with its other documents. `harness report`,
which leads nothing, enters them into MLflow alone; the next launch takes that over. Each copy is compared with the other: where
they part, one of them was written anew, and the chain says from then on that nothing is known.
"""

from typing import Any

import pandas as pd

from harness.engine.content import trial_key
from harness.ledger.design import Design
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
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


class ClaimRecord:
    """The chain of a study that is being launched.

    Args:
        study: whose claims are entered.
        design: its trials.
        recorder: its records.
        spool: what is on its way there.

    Attributes:
        chain: as it is kept; maybe damaged, then it is left as it is.
    """

    def __init__(self, study: Study, design: Design, recorder: Recorder, spool: Spool) -> None:
        self._study, self._design, self._recorder, self._spool = study, design, recorder, spool
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
        if not problems(self.chain) and extended(self.chain, self._declared) != self.chain:
            self._put(self._merged() if recorded else extended(self.chain, self._declared))

    def keep(self) -> None:
        """Keep the chain in MLflow, with the launch that is open, after a comparison with what is there."""
        if not problems(self.chain):
            self._put(self._merged())
        self._recorder.write_documents({REGISTERED: as_text(self.chain)})

    def _recorded(self) -> Recorded:
        """How many tested runs of each cell are trained, those that wait to be recorded included.

        At whatever tuned values and seeds: another search, or a study of more seeds, may have shown results that this one has no more.
        """
        trained: dict[str, set[int]] = {}
        for entry in self._design.entries():
            if entry.told or self._spool.load(entry.number) is not None:
                trained.setdefault(entry.key, set()).update(entry.seeds)
        tried = self._design.tried()
        counts = [
            (cell, sum(len(trained.get(key, ())) for key in {self._key(cell, values) for values in tried}))
            for cell in self._study.cells()
        ]
        return [(_plain(cell), count) for cell, count in counts if count]

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
