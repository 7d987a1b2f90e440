"""Records: finished trials go into MLflow, and the report reads everything back from MLflow alone.

Sixth stage of the flow (study → design → populations → train → record → report). A study is an experiment; every launch
of the command is a run of it, every cell another, and every finished trial a run nested in its cell: what varies are
parameters, means over the seeds metrics, median curves metric histories, and the exact tables of the runs, curves and populations
artifacts. All carry the study's identity, and nothing that does not is touched. A trial counts as recorded once its run is
FINISHED, which is the last thing written: whatever a killed leader leaves unfinished is recorded again, and the half-written
record removed. Cells are filled with the report (`harness.ledger.records.cells`); nothing is ever read from them.
"""

import json
import math
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.ledger.records.cells import AT_ONCE, Cells
from harness.ledger.records.experiment import ENTRY, IDENTITY, KIND, LAUNCH, NOTE, PARENT, PHASE, TRIAL, Record, Status
from harness.ledger.records.finished import FinishedTrial, curves_over_seeds, seed_means, until_their_end
from harness.ledger.records.naming import OVER_SEEDS, cell_key, cell_name, metric_name
from harness.ledger.records.page import Page
from harness.ledger.records.reader import DOCUMENTS, Reader, newest_finished
from harness.ledger.records.tracking import RecordError, is_server, own_errors, page_address
from harness.ledger.records.view import TAG, as_tag, view_key
from harness.settings.files import write_durably

if TYPE_CHECKING:
    from mlflow.entities import Metric

REPORT, SETTINGS_FILE = "report", "settings.json"
OURS = "<!-- written by harness: change this line to keep a text of your own -->\n\n"
REPORT_FILES = (
    "summary.md", "summary.csv", "summary.parquet", "pairs.csv", "report.html", "claims.json", "counts.json", "figures/*.png", "tables/*",
)  # fmt: skip


class Recorder(Reader):
    """Records of one study in MLflow, written and read; see `Reader` for the arguments.

    Safe to use from any one thread at a time. Each method can be called again where it raised `Unreachable`.
    """

    def __init__(
        self, study_name: str, tracking_uri: str, *, identity: str | None = None, artifact_folder: Path | None = None
    ) -> None:
        super().__init__(study_name, tracking_uri, identity=identity, artifact_folder=artifact_folder)
        self._begin_anew()

    def of(self, identity: str) -> Self:
        """See `Reader`."""
        other = super().of(identity)
        other._begin_anew()
        return other

    def _begin_anew(self) -> None:
        self._launch: Record | None = None
        self._records: dict[int, list[Record]] = {}  # of each trial, finished or not
        self._uncertain: set[int] = set()  # trials of which there may be records that are not among these
        self._cells: dict[str, Record] | None = None  # by key; None until one is needed

    @own_errors()
    def start_launch(
        self,
        params: Mapping[str, object],
        *,
        data: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Opens the launch of all trials recorded from now on; launches that were killed are marked so.

        It is the newest of the study, whatever the clocks of the machines that launch it say: it started no sooner than the others.

        Args:
            params: of the launch.
            data: what it trains on: digest by what they are.
            tags: of the launch.
        """
        launches = self._own("launch")
        for launch in launches:
            if not launch.ended_at_ms:
                self._experiment.end(launch, "KILLED")
        newest_ms = max((launch.started_at_ms for launch in launches), default=-1)
        self._launch = self._experiment.create(
            f"launch {len(launches) + 1}",
            {**(tags or {}), KIND: "launch", **self._tag()},
            started_at_s=max(time.time(), (newest_ms + 1) / 1000),
        )
        self._experiment.log(self._launch, params, [])
        self._experiment.log_data(self._launch, data or {})

    @own_errors()
    def keep_only(self, told: Collection[int]) -> None:
        """Removes records of trials that are not told, unfinished records and all but the newest of a trial."""
        self._records = {}
        for record in self._own("trial"):
            if record.trial is not None:
                self._records.setdefault(record.trial, []).append(record)
        for trial, records in list(self._records.items()):
            self._replace(trial, newest_finished(records) if trial in told else None)

    @own_errors()
    def record(self, finished: FinishedTrial) -> None:
        """Records a trial, in place of what there may be of it. Once this returns, nothing of it can be lost."""
        if finished.number in self._uncertain:
            self._records[finished.number] = self._own("trial", f"tags.`{TRIAL}` = '{finished.number}'")
        self._uncertain.add(finished.number)
        record = self._create(finished)
        with self._experiment.outbox(record) as folder:
            for name, content in finished.files.items():
                write_durably(content, folder / name)
            for seed, error in finished.errors.items():
                (folder / f"error_seed_{seed}.txt").write_text(error, encoding="utf-8")
            settings = {path: str(value) for path, value in finished.params.items()}
            (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")
        self._experiment.log(record, finished.varied, _metrics(finished))
        self._replace(finished.number, self._experiment.end(record, "FINISHED", ended_at_s=finished.ended_at_s))
        self._uncertain.remove(finished.number)

    @own_errors()
    def finish_launch(self, status: Status) -> None:
        """Closes the launch, if it was opened: FINISHED, KILLED (interrupted, saved) or FAILED (some runs failed for good)."""
        if self._launch is not None:
            self._experiment.end(self._launch, status)
        for cell in (self._cells or {}).values():  # that no report has filled
            if not cell.ended_at_ms:
                self._experiment.end(cell, status)

    @own_errors()
    def write_documents(self, documents: Mapping[str, str]) -> None:
        """Keeps texts, file name → content, with the launch: the study's source and description, the environment."""
        with self._experiment.outbox(self._current_launch(), DOCUMENTS) as folder:
            for name, text in documents.items():
                (folder / name).write_text(text, encoding="utf-8")

    @own_errors()
    def log_report(self, folder: Path) -> None:
        """Keeps the report's files (`REPORT_FILES`) with the launch, or with the last one if none is open here."""
        with self._experiment.outbox(self._current_launch(), REPORT) as kept:
            for pattern in REPORT_FILES:
                names = {file.relative_to(folder) for file in folder.glob(pattern)}
                for before in kept.glob(pattern):  # of an earlier report
                    if before.relative_to(kept) not in names:
                        before.unlink()
                for name in names:
                    (kept / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / name, kept / name)

    @own_errors()
    def show(self, page: Page) -> None:
        """Makes MLflow's page of the experiment what a page says: cells and their trials, a view, notes. The same again changes nothing."""
        identity = self._tag()[IDENTITY]
        if not self._records:
            for number, record in self._recorded().items():
                self._records[number] = [record]
        trials = [record for records in self._records.values() for record in records]
        at_once = AT_ONCE if is_server(self._tracking_uri) else 1
        Cells(self._experiment, identity, at_once=at_once).write(page.cells, trials)
        self._cells = None
        launch = self._current_launch()
        report = self._experiment.address(launch, f"{REPORT}/report.html")
        note = f"{page.note}\n\n[The report with all figures]({report})"
        self._experiment.tag(launch, {NOTE: note})
        newest_ms = max((trial.ended_at_ms for trial in trials), default=0)
        view = as_tag(page.view, identity, name=page.title, made_at_ms=newest_ms)
        self._experiment.tag_itself(self._changed({**view, NOTE: OURS + note}))

    @own_errors()
    def page_address(self) -> str:
        """Where the view of the study opens once MLflow's page is served."""
        return page_address(self._tracking_uri, self._experiment.address(), view_key(self._tag()[IDENTITY]))

    def _changed(self, wanted: Mapping[str, str]) -> dict[str, str | None]:
        """Of these tags of the experiment those that are other ones now; a description that a user wrote stays."""
        there = self._experiment.own_tags()
        theirs = {NOTE} if there.get(NOTE) and not there[NOTE].startswith(OURS) else set()
        return {name: text for name, text in wanted.items() if there.get(name) != text and name not in theirs}

    @own_errors()
    def forget(self, entries: Collection[int] | None = None) -> None:
        """Deletes all launches and trials, or the records of some entries, the way MLflow does: `mlflow gc` would free the space.

        Runs of others in the same experiment stay.
        """
        trials = self._own("trial")
        whole = [*self._own("launch"), *self._own("cell"), *trials]
        for record in whole if entries is None else [record for record in trials if record.trial in set(entries)]:
            self._experiment.delete(record)
        if entries is None and whole:
            self._forget_page()
        self._begin_anew()

    def _forget_page(self) -> None:
        """Takes the study's view from the experiment, and the description unless it is a user's or of another study there."""
        there = self._experiment.own_tags()
        names = {TAG + view_key(self._tag()[IDENTITY])}
        if there.get(NOTE, "").startswith(OURS) and not self._experiment.search(None, "launch"):
            names.add(NOTE)
        self._experiment.tag_itself(dict.fromkeys(names & there.keys()))

    def _tag(self) -> dict[str, str]:
        """What marks a run in MLflow as this study's."""
        if self._identity is None:
            raise RecordError(f"No launch of {self._experiment.name!r} is recorded.")
        return {IDENTITY: self._identity}

    def _current_launch(self) -> Record:
        launch = self._launch or next(iter(self._own("launch")), None)
        if launch is None:
            raise RecordError(f"No launch of {self._experiment.name!r} is recorded.")
        return launch

    def _create(self, finished: FinishedTrial) -> Record:
        entry = {"key": finished.key, "seeds": finished.seeds, "level": finished.level,
                 "measures": finished.measures, "failed": finished.failed}  # fmt: skip
        started_at_s = finished.started_at_s if finished.started_at_s is not None else time.time()
        launch = self._current_launch()
        parent = launch if finished.cell is None else self._cell(finished.cell, started_at_s)
        tags = {PARENT: parent.run_id, LAUNCH: launch.name, KIND: "trial", TRIAL: str(finished.number),
                PHASE: finished.phase, ENTRY: json.dumps(entry), **self._tag()}  # fmt: skip
        record = self._experiment.create(finished.name, tags, started_at_s=started_at_s)
        self._records.setdefault(finished.number, []).append(record)
        return record

    def _cell(self, levels: Mapping[str, object], started_at_s: float) -> Record:
        """The run of a cell, opened if there is none."""
        if self._cells is None:
            self._cells = {cell.cell: cell for cell in self._own("cell")}
        key = cell_key(levels)
        if key not in self._cells:
            cells = Cells(self._experiment, self._tag()[IDENTITY], at_once=1)
            self._cells[key] = cells.open(key, cell_name(levels), levels, started_at_s=started_at_s)
        return self._cells[key]

    def _replace(self, trial: int, kept: Record | None) -> None:
        """Deletes what there is of a trial, but for one record."""
        for record in self._records.pop(trial, []):
            if kept is None or record.run_id != kept.run_id:
                self._experiment.delete(record)
        if kept is not None:
            self._records[trial] = [kept]


def _metrics(finished: FinishedTrial) -> list["Metric"]:
    """What MLflow plots: seed means as `generalization/test_loss`, curves as `curve/loss_median`, finite values only."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    runs = finished.runs.drop(columns=list(finished.params), errors="ignore")
    curves = curves_over_seeds(until_their_end(finished.curves, finished.runs))
    points = [(metric_name(name), 0, mean) for name, mean in seed_means(runs).items()]
    for name, curve in curves.items():
        points += [(f"{OVER_SEEDS}/{name}", int(step), value) for step, value in curve.items()]  # type: ignore[call-overload]
    return [Metric(name, value, now_ms, step) for name, step, value in points if math.isfinite(value)]
