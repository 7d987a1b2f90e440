"""`harness run`: a study file is loaded and run, and what came of it said."""

import gc
import sys
from pathlib import Path

import click

from harness.execution.reload import Reload
from harness.lead import flow
from harness.lead.command_line import run_command
from harness.lead.ending import DONE, SOME_FAILED
from harness.lead.looks import run_until_decided
from harness.lead.options import Options
from harness.lead.overview import overview
from harness.lead.pages import pages
from harness.lead.rehearsal import rehearse
from harness.lead.verdict_lines import verdict_lines
from harness.settings import printable
from harness.settings.show import counted
from harness.study import Study
from harness.study.changes import Changes
from harness.study.origin import load_with_origin


def run_file(study_file: Path, changes: Changes, options: Options) -> int:
    """Run a study file, say what came of it, and return the exit code.

    Raises:
        InvalidStudy, Interrupted: see `flow.run`.
    """
    gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time of what follows
    again = Reload(study_file, changes)
    study, origin = load_with_origin(study_file, changes)
    again.begin()
    options.say(overview(study, verbose=options.verbose))
    if options.dry_run:
        _, placement = flow.place(study, options)
        again.compare(study)
        options.say(rehearse(study, options, placement))
        return DONE

    def run(part: Study) -> flow.Outcome:
        placed = flow.place(part, options)
        again.compare(study)
        return flow.run(part, origin, options, placed, command=run_command(sys.argv[1:]))

    outcome = run_until_decided(study, run, options.say) if options.until_decided else run(study)
    for line in verdict_lines(outcome.verdicts):
        options.say(line)
    where = pages(study, outcome.folder, tracking_uri=options.uri, page=outcome.page, storage=options.storage)
    options.say("\n".join(where))
    if outcome.failed:
        tracebacks = map(printable, outcome.errors) if options.verbose else []
        failed = counted(outcome.failed, "run failed; its traceback is", "runs failed; their tracebacks are")
        click.echo("\n".join([*tracebacks, f"{failed} in MLflow."]), err=True)
        return SOME_FAILED
    return DONE
