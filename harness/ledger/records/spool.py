"""The spool: finished trials on their way into the records, on disk from the moment they are trained.

First step of a trial's commit (spool → MLflow → Optuna). What a killed leader leaves here is committed by the next one
without being trained again; what is damaged counts as never trained. Every study has a folder of its own here, by its identity:
one in another storage may share the results folder.
"""

import json
import shutil
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE, FinishedTrial
from harness.ledger.records.populations import POPULATIONS_FILE

ABOUT = "trial.json"

PLAIN = ("key", "level", "name", "phase", "started_at_s", "ended_at_s")
"""Fields that JSON takes as they are."""


class Spool:
    """Finished trials in a folder, each in a folder of its own that appears whole.

    Args:
        folder: of all spools; made when the first trial comes.
        identity: of the study, see `harness.ledger.design`.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder = folder / identity

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
        about = {name: getattr(finished, name) for name in PLAIN} | {
            "params": dict(finished.params), "measures": dict(finished.measures),
            "cell": finished.cell if finished.cell is None else dict(finished.cell), "tuned": list(finished.tuned),
            "errors": list(finished.errors.items()), "failed": list(finished.failed.items()),
        }  # fmt: skip
        (beside / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        beside.rename(place)

    def load(self, number: int) -> FinishedTrial | None:
        """The trial of this number, if it is here and whole."""
        place = self._place(number)
        try:
            about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
            kept = {name: (place / name).read_bytes() for name in (RUNS_FILE, CURVES_FILE, POPULATIONS_FILE)}
            runs, curves, populations = (pd.read_parquet(BytesIO(content)) for content in kept.values())
            return FinishedTrial(
                number=number, **{name: about[name] for name in PLAIN}, params=about["params"], measures=about["measures"],
                cell=about.get("cell"), tuned=tuple(about.get("tuned", ())),
                runs=runs, curves=curves, populations=populations, errors=dict(about["errors"]), failed=dict(about["failed"]),
                kept=kept,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def discard(self, number: int) -> None:
        """Forget a trial: it is committed."""
        shutil.rmtree(self._place(number), ignore_errors=True)

    def close(self, told: Collection[int]) -> None:
        """Leave behind only what waits still: runs that this study has no use for now.

        Args:
            told: numbers of what is committed; its leader may have died before it was discarded.
        """
        for place in self._folder.glob("*"):
            if not place.name.isdecimal() or int(place.name) in told:
                shutil.rmtree(place, ignore_errors=True)
        for folder in (self._folder, self._folder.parent):
            with suppress(OSError):  # not empty
                folder.rmdir()

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # not empty: other studies' trials wait there
            self._folder.parent.rmdir()

    def _place(self, number: int) -> Path:
        return self._folder / str(number)
