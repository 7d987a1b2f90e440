"""A dry run: what a study would cost, what of it is done, and whether it would be refused. Nothing is written."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from harness.execution.placement import Placement
from harness.execution.trainer import Executor
from harness.lead.as_begun import DEVICE_KIND, check_kind
from harness.lead.ending import DONE
from harness.lead.options import Options
from harness.lead.terminal.durations import about
from harness.lead.terminal.events import Ended
from harness.ledger.entries import There
from harness.ledger.peek import look
from harness.ledger.records.tracking import RecordError, check
from harness.ledger.stores import SEE_TO_IT, check_free, journal_in
from harness.settings import InvalidStudy, Problem
from harness.settings.show import counted
from harness.study import Study


def is_complete(study: Study, options: Options) -> bool:
    """Whether Optuna was told of all runs; whether MLflow still has their records is not looked at. Nothing is written.

    Raises:
        InvalidStudy: the storage cannot be used.
    """
    return _look(study, options)[0].complete


def rehearse(study: Study, options: Options, placed: tuple[Executor, Placement]) -> None:
    """Say what a run with these options would do; what would train it is stopped.

    Raises:
        InvalidStudy: what the run itself would be refused for.
    """
    executor, placement = placed
    with ExitStack() as unused:
        unused.push(executor)
        options.say(_would_do(study, options, placement))
    options.display.tell(Ended(DONE))


def _would_do(study: Study, options: Options, placement: Placement) -> str:
    """What a run would do, in words."""
    check_free(options.results / study.name)
    try:
        check(options.uri)
    except RecordError as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))], f"{SEE_TO_IT} --tracking-uri") from None
    there, kept = _look(study, options)
    check_kind(kept.get(DEVICE_KIND, placement.kind), placement, options)
    done = f"{there.done:,} of {counted(there.wanted, 'run is', 'runs are')} there"
    if there.complete:
        return f"{done}: only the report would be written. Nothing was run."
    missing = there.wanted - there.done
    new = missing - there.tried_again
    more = [f"{new:,} new"] * (new > 0) + [f"{there.tried_again:,} failed and tried again"] * (there.tried_again > 0)
    left = about(placement.seconds(study) * missing / there.wanted)
    so_far = f"{', '.join([done, *more])}. " if there.done else ""
    return f"{so_far}Training would take {'at most ' * options.until_decided}{left}, besides the start, the records and the report. Nothing was run."


def _look(study: Study, options: Options) -> tuple[There, Mapping[str, Any]]:
    return look(study, options.storage or str(journal_in(options.results)), retry_failed=options.retry_failed)
