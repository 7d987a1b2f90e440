"""`Study.run`: a study made or loaded in Python, run as the command would."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.lead import flow
from harness.lead.looks import run_until_decided
from harness.lead.options import KINDS, Options, misfits
from harness.lead.refusals import loaded
from harness.lead.rehearsal import rehearse
from harness.lead.terminal.displays import display_for
from harness.lead.terminal.overview import begin
from harness.reporting.results import Results, load
from harness.settings import InvalidStudy, Problem, nearest, show
from harness.settings.machine import one_thread
from harness.settings.source import forget_sources
from harness.study import Study
from harness.study.changes import Changes, apply_changes
from harness.study.origin import Origin

FLAGS = {"quick": bool, "widen": bool, "quiet": bool}
"""Options that are none of `Options`."""


@one_thread()
def run(study: Study, *, seeds: Any, devices: Any, results: Any, **given: Any) -> Results | None:
    """Run a study, or go on with it, and read its results; see `harness.study.Study.run`.

    Raises:
        InvalidStudy, Interrupted: see `harness.lead.flow.run`.
    """
    _check(given)
    flags, options = {name: given.pop(name, False) for name in FLAGS}, given
    display = display_for(as_lines_of_json=False, quiet=flags["quiet"])
    folder = Path(results) if isinstance(results, str | os.PathLike) else results
    settings = Options(devices=_as_written(devices), results=folder, display=display, **options)
    changes = Changes(seeds=None if seeds is None else _as_written(seeds), quick=flags["quick"], widen=flags["widen"])
    forget_sources()  # a notebook may have changed what its classes use, and what its tensors hold, since it was made
    study, changes = loaded(lambda: (apply_changes(study.renewed(), changes), changes), settings)

    def run_part(part: Study) -> flow.Outcome:
        return flow.run(part, Origin(changes=changes), settings, flow.place(part, settings))

    with display:
        begin(study, settings)
        if settings.dry_run:
            rehearse(study, settings, flow.place(study, settings))
            return None
        outcome = run_until_decided(study, run_part, display.tell) if settings.until_decided else run_part(study)
    return load(outcome.folder)


def _check(given: Mapping[str, Any]) -> None:
    """Look at what the command line itself refuses.

    Raises:
        InvalidStudy: a name is none, a flag is neither true nor false, or two flags contradict each other.
    """
    valid = [*KINDS, *FLAGS, "seeds"]
    found = [
        Problem(name, f"unknown option{nearest(name, valid)}", show(value))
        for name, value in given.items()
        if name not in valid
    ]
    flags = {name: kind for name, kind in FLAGS.items() if name in given}
    found += misfits(flags, given)
    if given.get("verbose") and given.get("quiet"):
        found.append(Problem("--verbose", "contradicts --quiet; give one of them"))
    if found:
        raise InvalidStudy(found)


def _as_written(value: Any) -> str:
    """A value as the command line has it: several with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
