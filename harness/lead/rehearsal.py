"""A dry run: what a study would cost, what of it is done, and whether it would be refused. Nothing is written."""

from harness.execution.placement import Placement
from harness.lead.console import duration
from harness.lead.options import Options
from harness.ledger.peek import runs_done
from harness.ledger.records.tracking import RecordError, check
from harness.ledger.stores import check_free, journal_in
from harness.ledger.trial_runs import n_runs
from harness.settings import InvalidStudy, Problem
from harness.settings.show import counted
from harness.study import Study


def rehearse(study: Study, options: Options, placement: Placement) -> str:
    """What a run with these options would do, in words.

    Raises:
        InvalidStudy: what the run itself would be refused for.
    """
    check_free(options.results / study.name)
    try:
        check(options.uri)
    except RecordError as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))]) from None
    runs, done = n_runs(study), 0
    if not options.fresh:
        done = runs_done(study, options.storage or str(journal_in(options.results)))
    so_far = f"{done:,} of {counted(runs, 'run is', 'runs are')} done"
    if done >= runs:
        return f"{so_far}: only the report would be written. Nothing was run."
    left = duration(placement.training_s * (runs - done) / runs)
    return f"{f'{so_far}. ' if done else ''}Training would take about {left}{placement.words}. Nothing was run."
