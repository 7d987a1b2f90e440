"""`python -m harness.report STUDY`: what MLflow holds → tables, figures, verdicts. Nothing is trained.

Last stage of the flow; `harness.run` ends with it too.
"""

import gc
import json
import shlex
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import pandas as pd

from harness.credentials import without_credentials
from harness.load import Changes, load_study, parse_changes
from harness.patience import Unreachable
from harness.recorded import DOCUMENTS
from harness.records.finished import CURVES
from harness.records.recorder import Recorder
from harness.records.tracking import RecordError, default_tracking_uri, ui_command
from harness.settings import InvalidStudy, Problem
from harness.study import Study
from harness.tables import write_report
from harness.verdicts import Verdict

DEFAULT_RESULTS = Path("results")


def build_report(
    study: Study, doc: str, recorder: Recorder, runs: pd.DataFrame, folder: Path,
    *, commands: list[str], helpers: Sequence[Connection] = (),
) -> list[Verdict]:  # fmt: skip
    """Write `folder` from the study's records and keep the report with them.

    Args:
        study: the study; its claims are judged as they stand now.
        doc: what the study file says of itself.
        recorder: its records.
        runs: all of them, from `Recorder.read`.
        folder: results/<study>/, where it wrote the curves.
        commands: command lines that the report names.
        helpers: processes that draw figures, see `harness.plots.render_all`.

    Returns:
        The verdict on each claim.
    """
    documents = recorder.read_documents(DOCUMENTS)
    about = _json("environment.json", documents.get("environment.json"))
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")
    verdicts = write_report(study, runs, folder, about=about, doc=doc, commands=commands, helpers=helpers)
    recorder.log_report(folder)
    return verdicts


def run_command(arguments: list[str]) -> str:
    """The command line of a run, as the report shows it: without passwords."""
    return shlex.join(["python", "-m", "harness.run", *map(without_credentials, arguments)])


def recorded_changes(recorder: Recorder, changes: Changes) -> Changes:
    """The command line's changes with which the study was last launched."""
    stored = _json("changes.json", recorder.read_document("changes.json"))
    return parse_changes(stored) if stored else changes


def _json(name: str, text: str | None) -> dict[str, Any]:
    """What a recorded document holds; nothing if there is none."""
    try:
        return dict(json.loads(text or "{}"))
    except ValueError as error:
        raise RecordError(f"{name}, recorded with the study, is damaged: {error}") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("study_file", metavar="STUDY", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="The report of the --quick version.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_RESULTS, show_default=True,
              help="Folder of all results.")  # fmt: skip
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow database or server [results/mlflow.db].")
def main(study_file: Path, quick: bool, results: Path, tracking_uri: str | None) -> None:
    """Rebuild the report of STUDY, a study file, from what MLflow holds."""
    gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time
    uri = tracking_uri or default_tracking_uri(results)
    try:
        study, _ = load_study(study_file, Changes(quick=quick))
        recorder = Recorder(study.name, uri, artifact_folder=results / "mlartifacts")
        changes = recorded_changes(recorder, Changes(quick=quick))
        study, doc = load_study(study_file, changes)
        folder = results / study.name
        runs = recorder.read(folder / CURVES)
        arguments = [str(study_file), *changes.arguments()]
        arguments += [] if results == DEFAULT_RESULTS else ["--results", str(results)]
        arguments += ["--tracking-uri", tracking_uri] if tracking_uri else []
        build_report(study, doc, recorder, runs, folder, commands=[run_command(arguments), ui_command(uri)])
    except InvalidStudy as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except (RecordError, Unreachable) as error:
        click.echo(str(Problem("--tracking-uri", str(error))), err=True)
        sys.exit(2)
    click.echo(f"Report: {results / study.name / 'report.html'}")


if __name__ == "__main__":
    main()
