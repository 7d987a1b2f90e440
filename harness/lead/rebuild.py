"""`harness report`: what MLflow holds → tables, figures, verdicts. Nothing is trained."""

import gc
import json
from pathlib import Path

import click
import pandas as pd

from harness.lead.ending import DONE
from harness.lead.interruption import what_to_do
from harness.lead.pages import lines, pages
from harness.lead.terminal.command_line import run_command
from harness.lead.terminal.verdict_lines import is_as_registered, verdict_lines
from harness.ledger.claim_record import REGISTERED, with_claims
from harness.ledger.entries import Entries, held
from harness.ledger.records.finished import CURVES_FILE
from harness.ledger.records.launch import DOCUMENTS, source_of
from harness.ledger.records.reader import shares
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.tracking import RecordError, default_tracking_uri, ui_command
from harness.ledger.run_table import run_table
from harness.ledger.sqlite import sqlite_file
from harness.ledger.stores import SEE_TO_IT, leadership, open_records
from harness.reporting.build import Told, build_report, recorded_changes
from harness.reporting.results import Results, load
from harness.reporting.tracking_page import tracking_page
from harness.reporting.whole import making
from harness.settings import InvalidStudy, Problem, printable
from harness.settings.files import disk_error
from harness.settings.patience import Unreachable
from harness.study import Study
from harness.study.changes import Changes
from harness.study.origin import Origin, load_with_origin

DEFAULT_RESULTS = Path("results")


def rebuild(
    study_file: Path, changes: Changes, *, results: Path, tracking_uri: str | None, baseline: Path | None = None
) -> int:
    """Write the report of a study anew, and keep it with the records; the exit code.

    Args:
        study_file: defines the study.
        changes: to it, which say its name; those with which it was last launched are made before them.
        results: folder of all results.
        tracking_uri: of MLflow; None for a database there.
        baseline: the folder of an earlier result, or of another study, that it is set beside.

    Raises:
        InvalidStudy: the baseline is no result, or the file defines no study, or another one than is recorded, or it is being run, or MLflow cannot be used.
    """
    gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time
    study, _ = load_with_origin(study_file, changes)
    folder, uri = results / study.name, tracking_uri or default_tracking_uri(results)
    earlier = _baseline(baseline, folder)
    _check_there("--tracking-uri" if tracking_uri else "--results", uri)
    try:
        recorder, note = open_records(study.name, results, tracking_uri)
        if note:
            click.echo(note, err=True)
        with leadership(folder), making(folder) as made:
            study, origin = load_with_origin(study_file, recorded_changes(recorder).then(changes))
            command = _command(origin, results, tracking_uri)
            runs = recorded_runs(study, recorder, made / CURVES_FILE, command)
            documents = recorder.read_documents((*DOCUMENTS, REGISTERED))
            before = documents.get(REGISTERED)
            documents |= source_of(origin) | {REGISTERED: with_claims(study, runs, before)}
            if documents[REGISTERED] != before:
                recorder.write_documents({REGISTERED: documents[REGISTERED]})
            verdicts = build_report(
                study, Told(origin.doc, [command, ui_command(uri)], earlier), documents, runs, made, folder
            )
            recorder.log_report(folder)
            recorder.show(tracking_page(study, origin.doc, verdicts, folder))
            page = recorder.page_address()
    except (RecordError, Unreachable) as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))], f"{SEE_TO_IT} --tracking-uri") from None
    except OSError as error:
        raise InvalidStudy([Problem("--results", disk_error(error))], what_to_do(error)) from None
    for line in verdict_lines([verdict for verdict in verdicts if not is_as_registered(verdict)]):
        click.echo(printable(line))
    click.echo("\n".join(lines(pages(study, folder, tracking_uri=uri, page=page, storage=None))))
    return DONE


def _check_there(option: str, uri: str) -> None:
    """Raises `InvalidStudy` where an option names a database that is not there: MLflow would make it, and its folder."""
    database = sqlite_file(uri)
    if database is not None and not database.exists():
        message = f"there is no {database}, and so nothing is recorded there"
        raise InvalidStudy([Problem(option, message)], f"give the {option} with which the study was run")


def _baseline(baseline: Path | None, folder: Path) -> Results | None:
    """An earlier result, read before anything is written."""
    if baseline is None:
        return None
    if baseline.resolve() == folder.resolve():
        message = "is the folder that the report writes; keep a copy of it elsewhere to compare with"
        raise InvalidStudy([Problem("--baseline", message, str(baseline))])
    return load(baseline)


def recorded_runs(study: Study, recorder: Recorder, curves: Path, command: str) -> pd.DataFrame:
    """The recorded runs of a study, see `harness.ledger.run_table`; of those that it has grown by there are none yet.

    Args:
        study: as it is now.
        recorder: of its records.
        curves: the file for them.
        command: that runs the study.

    Raises:
        InvalidStudy: all that is recorded is of other settings, or the study was launched and none of its runs is recorded.
    """
    deciding = ["tune"] if study.tunes() and not study.tunes_within() else []
    if study.tunes_within() and study.widen:
        deciding = [
            "tune",
            "confirm",
        ]  # what was tested when nothing was tuned within seeds may be a run that tunes now
    entries = recorder.entries(deciding)
    if not entries and recorder.identities():
        message = "was launched, and no run of it is recorded yet"
        raise InvalidStudy([Problem(study.name, message)], f"nothing is wrong; go on with `{command}`")
    holdings = held(study, Entries(entries))
    wanted = shares(study, holdings)
    if entries and not wanted:
        message = "its records are those of other settings: run it, or give the file as it was"
        raise InvalidStudy([Problem(study.name, message), *_differences(study, recorder)])
    runs = recorder.read(curves, wanted)
    return run_table(study, [each.trial for each, _ in holdings], runs, curves)


def _differences(study: Study, recorder: Recorder) -> list[Problem]:
    """In what a study differs from that of the newest launch."""
    text = recorder.read_document("study.json") or "{}"
    try:
        differences = study.differences(json.loads(text))
    except (ValueError, AttributeError) as error:
        raise RecordError(f"study.json, recorded with the study, is damaged: {error}") from None
    return [Problem(*line.split(": ", 1)) for line in differences]


def _command(origin: Origin, results: Path, tracking_uri: str | None) -> str:
    """The command line of the run."""
    arguments = [str(origin.file), *origin.changes.arguments()]
    arguments += [] if results == DEFAULT_RESULTS else ["--results", str(results)]
    arguments += ["--tracking-uri", tracking_uri] if tracking_uri else []
    return run_command(arguments)
