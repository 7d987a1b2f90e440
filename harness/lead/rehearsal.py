"""A dry run: what a study would cost, what of it is done, and whether it would be refused. Nothing is written."""

from harness.execution.placement import Placement
from harness.lead.options import Options
from harness.lead.terminal.durations import about
from harness.ledger.peek import look
from harness.ledger.records.tracking import RecordError, check
from harness.ledger.stores import SEE_TO_IT, check_free, journal_in
from harness.settings import InvalidStudy, Problem
from harness.settings.show import counted
from harness.study import Study


def is_complete(study: Study, options: Options) -> bool:
    """Whether nothing is left to train. Nothing is written.

    Raises:
        InvalidStudy: the storage cannot be used.
    """
    return look(study, options.storage or str(journal_in(options.results))).complete


def rehearse(study: Study, options: Options, placement: Placement) -> str:
    """What a run with these options would do, in words.

    Raises:
        InvalidStudy: what the run itself would be refused for.
    """
    check_free(options.results / study.name)
    try:
        check(options.uri)
    except RecordError as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))], f"{SEE_TO_IT} --tracking-uri") from None
    there = look(study, options.storage or str(journal_in(options.results)))
    done = f"{there.done:,} of {counted(there.wanted, 'run is', 'runs are')} there"
    if there.complete:
        return f"{done}: only the report would be written. Nothing was run."
    missing = there.wanted - there.done
    left = about(placement.seconds(study) * missing / there.wanted)
    so_far = f"{done}, {missing:,} new. " if there.done else ""
    return f"{so_far}Training would take {left}. Nothing was run."
