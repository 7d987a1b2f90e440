"""The spool: finished trials on their way into the records, on disk from the moment they are trained.

First step of a trial's commit (spool → MLflow → Optuna). What a killed leader leaves here is committed by the next one
without being trained again; what is damaged, or of another study, counts as never trained.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE, FinishedTrial

ABOUT = "trial.json"


class Spool:
    """Finished trials in a folder, each in a folder of its own that appears whole.

    Args:
        folder: made when the first trial comes.
        study: what tells the study from others: a trial of another one is not taken for one of this.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self._folder, self._study = folder, study

    def save(self, finished: FinishedTrial) -> None:
        """Keep a trial.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        place = self._place(finished.number)
        beside = place.with_name(f"{place.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name, content in finished.files.items():
            (beside / name).write_bytes(content)
        about = {
            "study": self._study, "name": finished.name, "phase": finished.phase, "params": dict(finished.params),
            "errors": list(finished.errors.items()),
        }  # fmt: skip
        (beside / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)

    def load(self, number: int) -> FinishedTrial | None:
        """The trial of this number, if it is here, whole and of this study."""
        place = self._place(number)
        try:
            about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
            runs, curves = pd.read_parquet(place / RUNS_FILE), pd.read_parquet(place / CURVES_FILE)
        except (OSError, ValueError, pa.ArrowException):
            return None
        if about["study"] != self._study:
            return None
        return FinishedTrial(
            number=number, name=about["name"], phase=about["phase"], params=about["params"], runs=runs, curves=curves,
            errors=dict(about["errors"]),
        )  # fmt: skip

    def discard(self, number: int) -> None:
        """Forget a trial: it is committed."""
        shutil.rmtree(self._place(number), ignore_errors=True)

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, number: int) -> Path:
        return self._folder / str(number)
