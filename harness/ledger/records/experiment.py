"""A study's experiment in MLflow: its runs, found by the identity that they belong to, and their artifacts.

Several studies of one name may share an experiment: two people with one tracking server, or one started anew. Each has an
identity, which its runs carry as a tag. What carries another one, or none, is never found here, and so never read or deleted.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.ledger.records.tracking import connect
from harness.ledger.sqlite import sqlite_file

if TYPE_CHECKING:  # imported at the first connection: it takes two seconds, which `--dry-run` should not pay
    from mlflow import MlflowClient
    from mlflow.entities import Experiment as MlflowExperiment
    from mlflow.entities import Metric, Run

KIND, TRIAL, PHASE, IDENTITY = "harness.kind", "harness.trial", "harness.phase", "harness.identity"
ENTRY = "harness.entry"
"""What the runs of a trial's record are, in JSON: key, seeds, what was measured, which failed; see `harness.ledger.entries`."""

PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
LAUNCH, CELL, CONTENT = "harness.launch", "harness.cell", "harness.content"
"""Of a trial, the name of the launch that trained it; of a cell, the key of its levels and a digest of all that it shows."""

MAX_PARAMETER_LENGTH = 6000
MAX_TAG_LENGTH = 8000
MAX_BATCH, MAX_PARAMETERS = 1000, 100
MAX_DATA_LENGTH, MAX_DIGEST_LENGTH = 500, 36
PAGE = 200

Status = Literal["FINISHED", "KILLED", "FAILED"]
Kind = Literal["launch", "cell", "trial"]


@dataclass(frozen=True)
class Record:
    """A run in MLflow: that of a launch, that of a cell, or that of a trial's entry, which has a number."""

    run_id: str
    artifact_uri: str
    name: str = ""
    identity: str | None = None
    finished: bool = False
    started_at_ms: int = 0
    ended_at_ms: int = 0
    measured: bool = False
    trial: int | None = None
    phase: str = ""
    entry: str = "{}"
    parent: str = ""
    launch: str = ""
    cell: str = ""
    content: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: "Run") -> "Record":
        """What matters of a run."""
        info, tags = run.info, run.data.tags
        return cls(
            run_id=info.run_id,
            artifact_uri=info.artifact_uri or "",
            name=info.run_name or "",
            identity=tags.get(IDENTITY),
            finished=info.status == "FINISHED",
            started_at_ms=info.start_time or 0,
            ended_at_ms=info.end_time or 0,
            measured=bool(run.data.metrics),
            trial=int(tags[TRIAL]) if TRIAL in tags else None,
            phase=tags.get(PHASE, ""),
            entry=tags.get(ENTRY, "{}"),
            parent=tags.get(PARENT, ""),
            launch=tags.get(LAUNCH, ""),
            cell=tags.get(CELL, ""),
            content=tags.get(CONTENT, ""),
            params=dict(run.data.params),
        )


class Experiment:
    """The experiment of a study's name, or the one with the study's runs if it was renamed; connected to at the first use: it takes seconds.

    Args:
        name: of the study.
        tracking_uri: database or server.
        artifact_folder: where artifacts go if the experiment is new; None leaves it to the server.
    """

    def __init__(self, name: str, tracking_uri: str, artifact_folder: Path | None) -> None:
        self.name = name
        self._tracking_uri = tracking_uri
        self._artifact_folder = None if artifact_folder is None else artifact_folder.absolute() / name
        database = sqlite_file(tracking_uri)
        beside = None if artifact_folder is None else artifact_folder.absolute().parent
        self._one_folder = database is not None and database.absolute().parent == beside
        self._id: str | None = None
        self._followed: str | None = None

    @cached_property
    def client(self) -> "MlflowClient":
        """The connection; with it comes the experiment, if there is one."""
        client = connect(self._tracking_uri)
        found = client.get_experiment_by_name(self.name)
        if found is not None and found.lifecycle_stage != "deleted":
            self._id = found.experiment_id
        return client

    def names(self) -> list[str]:
        """Of all experiments there."""
        return sorted(each.name for each in self.client.search_experiments())

    def search(self, identity: str | None, kind: Kind, condition: str = "") -> list[Record]:
        """Its runs that are not deleted, newest first.

        Args:
            identity: whose; None for everybody's.
            kind: of launches, cells or trials.
            condition: what else must hold, in MLflow's language.
        """
        conditions = [f"tags.`{KIND}` = '{kind}'", *([condition] if condition else [])]
        if identity is not None:
            conditions.append(f"tags.`{IDENTITY}` = '{identity}'")
            self._follow(identity)
        client, records = self.client, list[Record]()
        token: str | None = None
        while self._id is not None:
            found = client.search_runs([self._id], " and ".join(conditions), max_results=PAGE, page_token=token)
            records += map(Record.of, found)
            token = found.token
            if not token:
                break
        return records

    def _follow(self, identity: str) -> None:
        """Take the experiment that has the study's runs, where somebody gave it another name."""
        if identity == self._followed:
            return
        client, wanted = self.client, f"tags.`{IDENTITY}` = '{identity}'"
        if self._id is None or not client.search_runs([self._id], wanted, max_results=1):
            others = [each.experiment_id for each in client.search_experiments()]
            if found := client.search_runs(others, wanted, max_results=1):
                self._id = found[0].info.experiment_id
        self._followed = identity

    def create(self, name: str, tags: Mapping[str, str], *, started_at_s: float | None = None) -> Record:
        """A new run; started now where it is not said when."""
        start_ms = None if started_at_s is None else round(started_at_s * 1000)
        return Record.of(self.client.create_run(self._required(), start_time=start_ms, tags=dict(tags), run_name=name))

    def log(
        self,
        record: Record,
        params: Mapping[str, object],
        metrics: list["Metric"],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Give a run parameters, metrics and tags; the tags, of which one may say that all is there, last."""
        from mlflow.entities import Param, RunTag

        texts = [Param(name, str(value)[:MAX_PARAMETER_LENGTH]) for name, value in params.items()]
        last = [RunTag(name, value[:MAX_TAG_LENGTH]) for name, value in (tags or {}).items()]
        one_batch = len(metrics) + len(texts) + len(last) <= MAX_BATCH and len(texts) <= MAX_PARAMETERS
        self.client.log_batch(record.run_id, metrics=metrics, params=texts, tags=last if one_batch else [])
        if not one_batch:  # MLflow would split what it takes at once, and give the tags with the first part
            self.client.log_batch(record.run_id, tags=last)

    def tag(self, record: Record, tags: Mapping[str, str]) -> None:
        """Give a run tags, in place of those of these names."""
        self.log(record, {}, [], tags)

    def log_data(self, record: Record, data: Mapping[str, str]) -> None:
        """Say which data a run was made from: digest by what they are."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        sets = [
            Dataset(what[:MAX_DATA_LENGTH], digest[:MAX_DIGEST_LENGTH], "code", json.dumps({"task": what}))
            for what, digest in data.items()
        ]
        tags = [InputTag("mlflow.data.context", "training, validation, test")]
        if sets:
            self.client.log_inputs(record.run_id, [DatasetInput(each, tags) for each in sets])

    def own_tags(self) -> dict[str, str]:
        """The tags of the experiment itself."""
        return dict(self.client.get_experiment(self._required()).tags)

    def tag_itself(self, tags: Mapping[str, str | None]) -> None:
        """Give the experiment itself tags; None takes one away."""
        for name, value in tags.items():
            if value is None:
                self.client.delete_experiment_tag(self._required(), name)
            else:
                self.client.set_experiment_tag(self._required(), name, value)

    def address(self, record: Record | None = None, artifact: str = "") -> str:
        """Of its page of runs, or of an artifact of one of them, below that of the server."""
        runs = f"#/experiments/{self._required()}/runs"
        return runs if record is None else f"{runs}/{record.run_id}/artifacts/{artifact}"

    def end(self, record: Record, status: Status, *, ended_at_s: float | None = None) -> Record:
        """Close a run, which ended now where it is not said when, and never before it started; returns it as it is then."""
        ended_at_ms = max(record.started_at_ms, int((time.time() if ended_at_s is None else ended_at_s) * 1000))
        self.client.set_terminated(record.run_id, status, ended_at_ms)
        return replace(record, finished=status == "FINISHED", ended_at_ms=ended_at_ms)

    def delete(self, record: Record) -> None:
        """Delete a run, the way MLflow does: `mlflow gc` would free the space."""
        self.client.delete_run(record.run_id)

    @contextmanager
    def outbox(self, record: Record, path: str = "") -> Iterator[Path]:
        """A folder whose files become artifacts: the right one already if it is on this machine, else uploaded."""
        local = self._local(record)
        if local is not None:
            own = self._own(record) if self._one_folder else None
            if own is not None and own != local:
                local = copytree(local, own) if local.exists() else own
            (local / path).mkdir(parents=True, exist_ok=True)
            yield local / path
            return
        with TemporaryDirectory() as folder:
            yield Path(folder)
            self.client.log_artifacts(record.run_id, folder, path or None)

    def fetch(self, record: Record, *, inbox: Path, path: str = "") -> Path:
        """The folder with artifacts of a run: where it was written, where it was moved with all results, or a download."""
        from mlflow.artifacts import download_artifacts

        local = self._local(record)
        if local is not None:
            return local / path
        target = inbox / record.run_id
        if path and not self.client.list_artifacts(record.run_id, path):
            return target
        uri = f"{record.artifact_uri}/{path}".rstrip("/")
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(target), tracking_uri=self._tracking_uri))

    def _local(self, record: Record) -> Path | None:
        """The folder of a run's artifacts on this machine: beside these results, to which they may have been moved or copied, else as written."""
        written, own = local_path(record.artifact_uri), self._own(record)
        return own if written is not None and own is not None and own.exists() else written

    def _own(self, record: Record) -> Path | None:
        """Where a run's artifacts are where all results were moved or copied.

        There they are written, too, if MLflow's database lies with them: nothing is ever written beside what they are a copy of.
        With a server, or a database that others use, they go where it says.
        """
        return None if self._artifact_folder is None else self._artifact_folder / record.run_id / "artifacts"

    def _required(self) -> str:
        """The experiment's id; it is created, or restored if somebody deleted it: MLflow keeps its name taken."""
        client = self.client
        if self._id is None:
            found = client.get_experiment_by_name(self.name) or self._created()
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            self._id = found.experiment_id
        return self._id

    def _created(self) -> "MlflowExperiment":
        from mlflow.exceptions import MlflowException

        location = None if self._artifact_folder is None else self._artifact_folder.as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}
        try:
            return self.client.get_experiment(self.client.create_experiment(self.name, location, tags))
        except MlflowException:
            found = self.client.get_experiment_by_name(self.name)
            if found is None:
                raise
            return found  # somebody with a study of the same name was faster


def local_path(uri: str) -> Path | None:
    """The path of a URI on this machine.

    >>> local_path("file:///a%20b/c"), local_path("mlflow-artifacts:/1/abc")
    (PosixPath('/a b/c'), None)
    """
    parts = urlsplit(uri)
    return {"file": Path(url2pathname(parts.path)), "": Path(uri)}.get(parts.scheme)
