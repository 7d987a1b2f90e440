"""Where to look: the report, MLflow's page and Optuna's dashboard, as the command line says at its end."""

import shlex
from pathlib import Path

from harness.ledger.records.tracking import is_server, ui_command
from harness.ledger.stores import journal_in
from harness.settings.credentials import without_credentials
from harness.study import Study


def pages(study: Study, folder: Path, *, tracking_uri: str, page: str, storage: str | None) -> list[str]:
    """Lines that say where a study's results, runs and tuning are shown. They show no password.

    Args:
        study: the study.
        folder: results/<study>.
        tracking_uri: MLflow's database or server.
        page: where its page of the study opens, see `Recorder.page_address`.
        storage: of Optuna; None for a journal beside the folder, if there is one.
    """
    lines = [f"Report: {folder / 'report.html'}"]
    if is_server(tracking_uri):
        lines.append(f"Runs:   {page}")
    else:
        lines += [f"Runs:   {ui_command(tracking_uri)}", f"        then open {page}"]
    journal = journal_in(folder.parent)
    if study.tunes() and (storage or journal.exists()):
        shown = without_credentials(storage or str(journal))
        lines.append(f"Tuning: {shlex.join(['optuna-dashboard', shown])}  (pip install optuna-dashboard)")
    return lines
