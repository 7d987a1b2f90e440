"""`harness report`: what MLflow holds → tables, figures, verdicts. Nothing is trained."""

import gc
from pathlib import Path

import click

from harness.lead.command_line import run_command
from harness.lead.ending import DONE
from harness.ledger.records.finished import CURVES_FILE
from harness.ledger.records.tracking import RecordError, default_tracking_uri, ui_command
from harness.ledger.stores import open_records
from harness.reporting.build import build_report, recorded_changes
from harness.settings import InvalidStudy, Problem
from harness.settings.patience import Unreachable
from harness.study.load import Changes, load_study

DEFAULT_RESULTS = Path("results")


def rebuild(study_file: Path, results: Path, tracking_uri: str | None, *, quick: bool) -> int:
    """Write the report of a study anew; the exit code.

    Raises:
        InvalidStudy: the file defines no study, or MLflow has no records of it or cannot be used.
    """
    gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time
    uri = tracking_uri or default_tracking_uri(results)
    try:
        study, _ = load_study(study_file, Changes(quick=quick))
        recorder, note = open_records(study.name, results, tracking_uri)
        if note:
            click.echo(note, err=True)
        changes = recorded_changes(recorder, Changes(quick=quick))
        study, doc = load_study(study_file, changes)
        folder = results / study.name
        runs = recorder.read(folder / CURVES_FILE)
        arguments = [str(study_file), *changes.arguments()]
        arguments += [] if results == DEFAULT_RESULTS else ["--results", str(results)]
        arguments += ["--tracking-uri", tracking_uri] if tracking_uri else []
        build_report(study, doc, recorder, runs, folder, commands=[run_command(arguments), ui_command(uri)])
        recorder.log_report(folder)
    except (RecordError, Unreachable) as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))]) from None
    click.echo(f"Report: {results / study.name / 'report.html'}")
    return DONE
