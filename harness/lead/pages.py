"""Where to look: the report, MLflow's page and Optuna's dashboard, as the command line says at its end."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from harness.ledger.records.tracking import is_server, ui_command
from harness.ledger.stores import journal_in
from harness.settings.credentials import without_credentials
from harness.study import Study

LABELS = {"report": "Report:", "tracking": "Runs:  ", "page": "        then open", "tuning": "Tuning:"}
"""What is said before each place."""


def pages(study: Study, folder: Path, *, tracking_uri: str, page: str, storage: str | None) -> dict[str, str]:
    """Where a study's `report`, its runs and its `tuning` are shown: `tracking` is the command that serves the `page`, if it is needed.

    No password is shown.

    Args:
        study: the study.
        folder: results/<study>.
        tracking_uri: MLflow's database or server.
        page: where its page of the study opens, see `Recorder.page_address`.
        storage: of Optuna; None for a journal beside the folder, if there is one.
    """
    found = {"report": str(folder / "report.html")}
    if not is_server(tracking_uri):
        found["tracking"] = ui_command(tracking_uri)
    found["page"] = page
    journal = journal_in(folder.parent)
    if study.tunes() and (storage or journal.exists()):
        found["tuning"] = shlex.join(["optuna-dashboard", without_credentials(storage or str(journal))])
    return found


def lines(found: Mapping[str, str]) -> list[str]:
    """The same to be read.

    >>> lines({"report": "results/x/report.html", "page": "http://host/#/x"})
    ['Report: results/x/report.html', 'Runs:   http://host/#/x']
    """
    labels = LABELS if "tracking" in found else {**LABELS, "page": LABELS["tracking"]}
    needs = {"tuning": "  (pip install optuna-dashboard)"}
    return [f"{label} {found[name]}{needs.get(name, '')}" for name, label in labels.items() if name in found]
