"""`Study.run`: a study made or loaded in Python, run as the command would."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.lead import flow
from harness.lead.looks import run_until_decided
from harness.lead.options import Options
from harness.lead.terminal.displays import display_for
from harness.lead.terminal.overview import begin
from harness.reporting.results import Results, load
from harness.settings.machine import one_thread
from harness.settings.source import forget_sources
from harness.study import Study
from harness.study.changes import Changes, apply_changes
from harness.study.origin import Origin


@one_thread()
def run(
    study: Study, *, seeds: int | Sequence[int] | None, devices: str | Sequence[int | str], results: str | Path,
    widen: bool = False, quiet: bool = False, **options: Any,
) -> Results:  # fmt: skip
    """Run a study, or go on with it, and read its results; see `harness.study.Study.run`.

    Raises:
        InvalidStudy, Interrupted: see `harness.lead.flow.run`.
    """
    wanted = seeds if seeds is None or isinstance(seeds, int) else ",".join(map(str, seeds))
    changes = Changes(seeds=None if wanted is None else str(wanted), widen=widen)
    study = apply_changes(study, changes)
    forget_sources()  # a notebook may have changed what its classes use since it was made
    places = devices if isinstance(devices, str) else ",".join(map(str, devices))
    display = display_for(as_lines_of_json=False, quiet=quiet)
    settings = Options(devices=places, results=Path(results), display=display, **options)

    def run_part(part: Study) -> flow.Outcome:
        return flow.run(part, Origin(changes=changes), settings, flow.place(part, settings))

    with display:
        begin(study, settings)
        outcome = run_until_decided(study, run_part, display.tell) if settings.until_decided else run_part(study)
    return load(outcome.folder)
