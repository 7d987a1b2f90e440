"""Records: finished trials go into MLflow, and the report reads everything back from MLflow alone.

Sixth stage of the flow (study → design → populations → train → record → report). A study is an experiment; every launch
of the command is a run of it, and every finished trial a run nested in its launch: factors are parameters, means over the
seeds metrics, mean curves metric histories, and the exact tables of the runs and their curves artifacts. A trial counts as
recorded once its run is FINISHED, which is the last thing written: whatever a killed leader leaves unfinished is recorded
again, and the half-written record removed. Only this file and `tracking` import mlflow.
"""

import math
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE, FinishedTrial, mean_curves, seed_means
from harness.ledger.records.tracking import RecordError, check, connect, own_errors
from harness.settings.files import put_in_place

if TYPE_CHECKING:  # imported when a recorder connects: it takes two seconds, which `--dry-run` should not pay
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

DOCUMENTS, REPORT = "study", "report"
REPORT_FILES = ("summary.md", "summary.csv", "report.html", "claims.json", "figures/*.png")

KIND, TRIAL, PHASE = "harness.kind", "harness.trial", "harness.phase"
PARENT = "mlflow.parentRunId"

MAX_PARAMETER_LENGTH = 6000
PAGE = 200
TABLES_AT_ONCE = 100
DOWNLOADS = 8

Status = Literal["FINISHED", "KILLED", "FAILED"]


@dataclass(frozen=True)
class _Record:
    """A run in MLflow: that of a launch, or that of a trial, which has a number."""

    run_id: str
    artifact_uri: str
    finished: bool = False
    ended_at_ms: int = 0
    trial: int | None = None

    @classmethod
    def of(cls, run: "Run") -> "_Record":
        info, trial = run.info, run.data.tags.get(TRIAL)
        return cls(
            run_id=info.run_id,
            artifact_uri=info.artifact_uri or "",
            finished=info.status == "FINISHED",
            ended_at_ms=info.end_time or 0,
            trial=None if trial is None else int(trial),
        )


class LostRecords(RecordError):
    """Records that should be there are not, or cannot be read: those of `trials`."""

    def __init__(self, trials: set[int]) -> None:
        self.trials = trials
        numbers = ", ".join(map(str, sorted(trials)[:10]))
        super().__init__(f"The records of {len(trials)} trials are missing or damaged ({numbers}).")


class Recorder:
    """Records of one study in MLflow, which is connected to at the first use: it takes seconds.

    Safe to use from any one thread at a time.

    Args:
        study_name: name of the study, and of its experiment.
        tracking_uri: database or server.
        artifact_folder: where artifacts of a new experiment go; None leaves it to the server.

    Raises:
        RecordError: the database is a file that is none.
    """

    def __init__(self, study_name: str, tracking_uri: str, *, artifact_folder: Path | None = None) -> None:
        check(tracking_uri)
        self._study_name = study_name
        self._tracking_uri = tracking_uri
        self._artifact_folder = None if artifact_folder is None else artifact_folder.absolute() / study_name
        self._experiment_id: str | None = None
        self._launch: _Record | None = None
        self._records: dict[int, list[_Record]] = {}  # of each trial, finished or not
        self._uncertain: set[int] = set()  # trials of which there may be records that are not among these

    @own_errors()
    def connect(self) -> None:
        """Connects already now.

        Raises:
            RecordError, Unreachable: the database or server cannot be used.
        """
        self._client  # noqa: B018

    # --- What a leader writes

    @own_errors()
    def start_launch(self, params: Mapping[str, object], *, tags: Mapping[str, str] | None = None) -> None:
        """Opens the parent of all trials recorded from now on; launches that were killed are marked so."""
        experiment_id, launches = self._require_experiment(), self._launches()
        for launch in launches:
            if not launch.ended_at_ms:
                self._client.set_terminated(launch.run_id, "KILLED")
        run = self._client.create_run(
            experiment_id, tags={**(tags or {}), KIND: "launch"}, run_name=f"launch {len(launches) + 1}"
        )
        self._launch = _Record.of(run)
        self._log(self._launch, params, [])

    @own_errors()
    def keep_only(self, told: Collection[int]) -> None:
        """Removes records of trials that are not told, unfinished records and all but the newest of a trial."""
        self._records = {}
        for record in self._search(f"tags.`{KIND}` = 'trial'"):
            if record.trial is not None:
                self._records.setdefault(record.trial, []).append(record)
        for trial, records in list(self._records.items()):
            self._replace(trial, _newest_finished(records) if trial in told else None)

    @own_errors()
    def record(self, finished: FinishedTrial) -> None:
        """Records a trial, in place of what there may be of it. Once this returns, nothing of it can be lost."""
        if finished.number in self._uncertain:
            self._records[finished.number] = self._search(f"tags.`{TRIAL}` = '{finished.number}'")
        self._uncertain.add(finished.number)
        record = self._create(finished)
        with self._outbox(record) as folder:
            for name, content in finished.files.items():
                _write(content, folder / name)
            for seed, error in finished.errors.items():
                (folder / f"error_seed_{seed}.txt").write_text(error, encoding="utf-8")
        self._log(record, finished.params, _metrics(finished))
        self._client.set_terminated(record.run_id, "FINISHED")
        self._replace(finished.number, record)
        self._uncertain.remove(finished.number)

    @own_errors()
    def finish_launch(self, status: Status) -> None:
        """Closes the launch, if it was opened: FINISHED, KILLED (interrupted, saved) or FAILED (some runs failed for good)."""
        if self._launch is not None:
            self._client.set_terminated(self._launch.run_id, status)

    @own_errors()
    def write_documents(self, documents: Mapping[str, str]) -> None:
        """Keeps texts, file name → content, with the launch: the study's source and description, the environment."""
        with self._outbox(self._current_launch(), DOCUMENTS) as folder:
            for name, text in documents.items():
                (folder / name).write_text(text, encoding="utf-8")

    @own_errors()
    def log_report(self, folder: Path) -> None:
        """Keeps the report's files (`REPORT_FILES`) with the launch, or with the last one if none is open here."""
        with self._outbox(self._current_launch(), REPORT) as kept:
            for file in (file for pattern in REPORT_FILES for file in folder.glob(pattern)):
                target = kept / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)

    @own_errors()
    def forget(self) -> None:
        """Deletes all launches and trials, the way MLflow does: `mlflow gc` would free the space.

        Runs of others in the same experiment stay.
        """
        for record in [*self._launches(), *self._search(f"tags.`{KIND}` = 'trial'")]:
            self._client.delete_run(record.run_id)
        self._launch, self._records = None, {}

    # --- What a report reads

    @own_errors()
    def trials(self) -> set[int]:
        """Numbers of the recorded trials."""
        return set(self._recorded())

    @own_errors()
    def read(self, curves: Path, expected: Collection[int] = ()) -> pd.DataFrame:
        """All runs, as they were recorded, sorted by trial and seed; all curves go into a file.

        Args:
            curves: the Parquet file to be, sorted by trial, seed and step; never as a whole in memory.
            expected: trials that must be there.

        Raises:
            LostRecords: an expected trial is not recorded, or the tables of a recorded one are missing or damaged.
            RecordError: nothing is recorded.
        """
        recorded = self._recorded()
        if not recorded and not expected:
            names = ", ".join(sorted(experiment.name for experiment in self._client.search_experiments()))
            raise RecordError(f"No trial of {self._study_name!r} is recorded; MLflow has the experiments {names}.")
        lost, runs = set(expected) - recorded.keys(), list[pa.Table]()
        with (
            TemporaryDirectory() as inbox,
            ThreadPoolExecutor(DOWNLOADS) as pool,
            put_in_place(curves) as path,
        ):
            folders = list(pool.map(partial(self._fetch, inbox=Path(inbox)), recorded.values()))
            with closing(_Gathered(path, (folder / CURVES_FILE for folder in folders))) as gathered:
                for trial, folder in zip(recorded, folders, strict=True):
                    of_trial, its_curves = _table(folder / RUNS_FILE), _table(folder / CURVES_FILE)
                    if of_trial is None or its_curves is None:
                        lost.add(trial)
                    else:
                        runs.append(of_trial)
                        gathered.add(its_curves)
            if lost:
                raise LostRecords(lost)
        return _joined(runs).sort_values(["trial", "seed"], kind="stable", ignore_index=True)

    def read_document(self, name: str) -> str | None:
        """The text that the newest launch which has one kept under this name."""
        return self.read_documents([name]).get(name)

    @own_errors()
    def read_documents(self, names: Iterable[str]) -> dict[str, str]:
        """Name → text, of each name that a launch kept one under; where several did, of the newest of them."""
        found: dict[str, str] = {}
        wanted = set(names)
        with TemporaryDirectory() as inbox:
            for launch in self._launches():
                if not wanted:
                    break
                folder = self._fetch(launch, inbox=Path(inbox), path=DOCUMENTS)
                texts = {name: folder / name for name in wanted if (folder / name).is_file()}
                found |= {name: path.read_text(encoding="utf-8") for name, path in texts.items()}
                wanted -= found.keys()
        return found

    # --- Runs and artifacts of MLflow

    @cached_property
    def _client(self) -> "MlflowClient":
        """The connection; with it comes the experiment, if there is one."""
        client = connect(self._tracking_uri)
        experiment = client.get_experiment_by_name(self._study_name)
        if experiment is not None and experiment.lifecycle_stage != "deleted":
            self._experiment_id = experiment.experiment_id
        return client

    def _require_experiment(self) -> str:
        """The experiment, created, or restored if somebody deleted it: MLflow keeps its name taken."""
        client = self._client
        if self._experiment_id is not None:
            return self._experiment_id
        deleted = client.get_experiment_by_name(self._study_name)
        if deleted is None:
            location = None if self._artifact_folder is None else self._artifact_folder.as_uri()
            self._experiment_id = client.create_experiment(
                self._study_name, artifact_location=location, tags={"mlflow.experimentKind": "custom_model_development"}
            )
        else:
            client.restore_experiment(deleted.experiment_id)
            self._experiment_id = deleted.experiment_id
        return self._experiment_id

    def _search(self, condition: str = "") -> list[_Record]:
        """The experiment's runs that are not deleted, newest first."""
        client, records = self._client, list[_Record]()
        token: str | None = None
        while self._experiment_id is not None:
            found = client.search_runs([self._experiment_id], condition, max_results=PAGE, page_token=token)
            records += map(_Record.of, found)
            token = found.token
            if not token:
                break
        return records

    def _launches(self) -> list[_Record]:
        return self._search(f"tags.`{KIND}` = 'launch'")

    def _current_launch(self) -> _Record:
        launch = self._launch or next(iter(self._launches()), None)
        if launch is None:
            raise RecordError(f"No launch of {self._study_name!r} is recorded.")
        return launch

    def _recorded(self) -> dict[int, _Record]:
        """The record of every recorded trial."""
        records: dict[int, list[_Record]] = {}
        for record in self._search(f"tags.`{KIND}` = 'trial' and attributes.status = 'FINISHED'"):
            if record.trial is not None:
                records.setdefault(record.trial, []).append(record)
        newest = {trial: _newest_finished(records[trial]) for trial in sorted(records)}
        return {trial: record for trial, record in newest.items() if record is not None}

    def _create(self, finished: FinishedTrial) -> _Record:
        tags = {
            PARENT: self._current_launch().run_id,
            KIND: "trial",
            TRIAL: str(finished.number),
            PHASE: finished.phase,
        }
        started_at_s = time.time() if finished.started_at_s is None else finished.started_at_s
        run = self._client.create_run(
            self._require_experiment(), start_time=int(started_at_s * 1000), tags=tags, run_name=finished.name
        )
        record = _Record.of(run)
        self._records.setdefault(finished.number, []).append(record)
        return record

    def _replace(self, trial: int, kept: _Record | None) -> None:
        """Deletes what there is of a trial, but for one record."""
        for record in self._records.pop(trial, []):
            if kept is None or record.run_id != kept.run_id:
                self._client.delete_run(record.run_id)
        if kept is not None:
            self._records[trial] = [kept]

    def _log(self, record: _Record, params: Mapping[str, object], metrics: list["Metric"]) -> None:
        from mlflow.entities import Param

        texts = [Param(name, str(value)[:MAX_PARAMETER_LENGTH]) for name, value in params.items()]
        self._client.log_batch(record.run_id, metrics=metrics, params=texts)  # in batches of what MLflow takes at once

    @contextmanager
    def _outbox(self, record: _Record, path: str = "") -> Iterator[Path]:
        """A folder whose files become artifacts: the right one already if it is on this machine, else uploaded."""
        local = _local_path(record.artifact_uri)
        if local is not None:
            (local / path).mkdir(parents=True, exist_ok=True)
            yield local / path
            return
        with TemporaryDirectory() as folder:
            yield Path(folder)
            self._client.log_artifacts(record.run_id, folder, path or None)

    def _fetch(self, record: _Record, *, inbox: Path, path: str = "") -> Path:
        """The folder with artifacts of a run: where it was written, where it was moved with all results, or a download."""
        from mlflow.artifacts import download_artifacts

        local = _local_path(record.artifact_uri)
        if local is not None:
            moved = local if self._artifact_folder is None else self._artifact_folder / record.run_id / "artifacts"
            return (local if local.exists() else moved) / path
        target = inbox / record.run_id
        if path and not self._client.list_artifacts(record.run_id, path):
            return target
        uri = f"{record.artifact_uri}/{path}".rstrip("/")
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(target), tracking_uri=self._tracking_uri))


def _newest_finished(records: Iterable[_Record]) -> _Record | None:
    finished = [record for record in records if record.finished]
    return max(finished, key=lambda record: record.ended_at_ms, default=None)


def _local_path(uri: str) -> Path | None:
    """The path of a URI on this machine.

    >>> _local_path("file:///a%20b/c"), _local_path("mlflow-artifacts:/1/abc")
    (PosixPath('/a b/c'), None)
    """
    parts = urlsplit(uri)
    return {"file": Path(url2pathname(parts.path)), "": Path(uri)}.get(parts.scheme)


# --- Tables and their means


def _write(content: bytes, path: Path) -> None:
    """Writes a file so that it survives a power failure, as the databases do that say it is there."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _table(path: Path) -> pa.Table | None:
    """The table in a file; None where it is missing or damaged."""
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException):
        return None


def _schema(path: Path) -> pa.Schema | None:
    """The columns of the table in a file; None where it is missing or damaged."""
    try:
        return pq.read_schema(path).remove_metadata()
    except (OSError, pa.ArrowException):
        return None


def _joined(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """The tables below each other. Those of one schema become one frame first, which takes a tenth of the time."""
    kinds: dict[tuple[pa.Schema, bytes], list[pa.Table]] = {}
    for table in tables:
        kinds.setdefault((table.schema, table.schema.metadata[b"pandas"]), []).append(table)
    # In one chunk: of text in a thousand, pandas takes rows fifty times slower.
    frames: list[pd.DataFrame] = [pa.concat_tables(same).combine_chunks().to_pandas() for same in kinds.values()]
    return pd.concat(frames, ignore_index=True)


class _Gathered:
    """One Parquet file of the curves of many trials, some at a time; it has the columns of all of them."""

    def __init__(self, path: Path, files: Iterable[Path]) -> None:
        schemas = [schema for schema in map(_schema, files) if schema is not None]
        self._schema = pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
        self._writer = pq.ParquetWriter(path, self._schema)
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table.replace_schema_metadata())
        if len(self._waiting) == TABLES_AT_ONCE:
            self._write()

    def close(self) -> None:
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            joined = pa.concat_tables([self._schema.empty_table(), *self._waiting], promote_options="permissive")
            self._writer.write_table(joined.sort_by([(name, "ascending") for name in ("trial", "seed", "step")]))
            self._waiting = []


def _metrics(finished: FinishedTrial) -> list["Metric"]:
    """What MLflow plots: seed means as `test_loss`, curves as `curve/loss`, finite values only."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    factors = list(finished.params)
    runs = finished.runs.drop(columns=factors, errors="ignore")
    curves = mean_curves(finished.curves.drop(columns=factors, errors="ignore"))
    points = [(name, 0, mean) for name, mean in seed_means(runs).items()]
    for name, curve in curves.items():
        points += [
            (f"curve/{name}", step, mean) for step, mean in zip(curve.index.tolist(), curve.tolist(), strict=True)
        ]
    return [Metric(name, mean, now_ms, step) for name, step, mean in points if math.isfinite(mean)]
