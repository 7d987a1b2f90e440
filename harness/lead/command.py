"""`harness run`: a study file is loaded and run, and what came of it said."""

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from harness.execution.placement import Placement
from harness.execution.reload import Reload
from harness.execution.trainer import Executor
from harness.lead import flow
from harness.lead.ending import DONE, SOME_FAILED
from harness.lead.looks import run_until_decided
from harness.lead.options import Options
from harness.lead.pages import pages
from harness.lead.placing import placing
from harness.lead.refusals import loaded
from harness.lead.rehearsal import is_complete, rehearse
from harness.lead.terminal.command_line import run_command
from harness.lead.terminal.events import Ended, Judged
from harness.lead.terminal.overview import begin
from harness.settings import printable
from harness.settings.machine import one_thread
from harness.settings.show import counted
from harness.study import Study
from harness.study.changes import Changes
from harness.study.origin import load_with_origin


@one_thread()  # of each process: this one as well draws examples, and what comes of them decides what a run is
def run_file(study_file: Path, changes: Changes, options: Options) -> int:
    """Run a study file, say what came of it, and return the exit code.

    Raises:
        InvalidStudy, Interrupted: see `flow.run`.
    """
    gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time of what follows
    again = Reload(study_file, changes)
    study, origin = loaded(partial(load_with_origin, study_file, changes), options)
    again.begin(study)

    begun = placing(study, options)
    report = options.results / study.name / "report.html"

    def place(part: Study) -> tuple[Executor, Placement]:
        placed = flow.place(part, options, begun if part is study else None)
        again.compare(study)
        return placed

    def run(part: Study) -> flow.Outcome:
        placed = place(part)
        if part is study and report.exists() and is_complete(study, options):  # said where nothing was refused
            options.say(f"Complete, unless records have got lost: {report} is written anew.")
        return flow.run(part, origin, options, placed, command=run_command(sys.argv[1:]))

    with options.display:
        begin(study, options)
        if options.dry_run:
            rehearse(study, options, place(study))
            return DONE
        outcome = run_until_decided(study, run, options.display.tell) if options.until_decided else run(study)
    return _ended(study, outcome, options)


def _ended(study: Study, outcome: flow.Outcome, options: Options) -> int:
    """Say what came of it; the exit code."""
    for verdict in outcome.verdicts:
        options.display.tell(Judged(verdict))
    exit_code = SOME_FAILED if outcome.failed else DONE
    if outcome.failed:
        tracebacks = map(printable, outcome.errors) if options.verbose else []
        click.echo("\n".join([*what_failed(outcome), *tracebacks]), err=True)
    found_at = pages(study, outcome.folder, tracking_uri=options.uri, page=outcome.page, storage=options.storage)
    options.display.tell(Ended(exit_code, more=found_at | {"failed": outcome.failed}))
    return exit_code


def what_failed(outcome: flow.Outcome) -> Iterator[str]:
    """How many runs failed and what to do about it, and the last line of each traceback of this launch."""
    failed = (
        counted(outcome.failed, "run failed; its traceback is", "runs failed; their tracebacks are") + " in MLflow."
    )
    if outcome.failed == outcome.out_of_memory:
        yield f"Give them more memory (fewer --workers, other programs closed) and run the same command again: {failed}"
    else:
        yield f"Mend the cause and run the same command with --retry-failed: {failed}"
    last_lines = Counter(error.strip().splitlines()[-1] for error in outcome.errors if error.strip())
    for line, count in last_lines.most_common(3):
        yield printable(f"  {line} ({counted(count, 'run')})")
