"""From a study to its report: the stages of the flow in order."""

import gc
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from harness.engine.checkpoint import Checkpoints
from harness.engine.kept_weights import missing_weights
from harness.execution.examination import notes
from harness.execution.placement import Placement
from harness.execution.trainer import Executor
from harness.inference.range_ends import how_wide
from harness.inference.selection import selected
from harness.inference.verdict import Verdict
from harness.lead.as_begun import described, keep_kind, planner, still_widened
from harness.lead.interruption import Interrupted, Stop, what_to_do, why_stopped
from harness.lead.leader import Leader
from harness.lead.options import Options
from harness.lead.placing import Placing, placing
from harness.lead.preparation import preparing_report
from harness.lead.progress.best import best_of, better
from harness.lead.progress.progress import Progress
from harness.lead.progress.recording import USUAL_S
from harness.lead.terminal.ctrl_c import raised
from harness.lead.terminal.durations import duration
from harness.lead.terminal.events import Phase
from harness.lead.terminal.overview import power
from harness.lead.terminal.verdict_lines import said_of
from harness.ledger.claim_record import REGISTERED, ClaimRecord
from harness.ledger.design import Design
from harness.ledger.entries import MACHINE, Entry
from harness.ledger.environment import environment, joint
from harness.ledger.records.commit import Commits
from harness.ledger.records.finished import CURVES_FILE, FinishedTrial
from harness.ledger.records.launch import DOCUMENTS, Launch, launch_of
from harness.ledger.records.reader import LostRecords, shares
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.tracking import RecordError, ui_command
from harness.ledger.run_table import run_table
from harness.ledger.stores import Stores, leadership, open_stores
from harness.ledger.trial_runs import n_runs, n_steps
from harness.reporting.whole import making
from harness.settings import InvalidStudy
from harness.settings.machine import cores
from harness.settings.patience import Patience, Stopped, Unreachable
from harness.settings.show import counted
from harness.study import Study
from harness.study.origin import Origin
from harness.study.registration import registrations

if TYPE_CHECKING:  # the statistics take a second to import, which a start should not pay
    from harness.ledger.records.page import Page


@dataclass(frozen=True)
class Outcome:
    """What came of a study.

    Attributes:
        folder: results/<study>, with its report.
        verdicts: on its claims.
        failed: how many runs failed for good.
        out_of_memory: how many of these were killed, or memory was not enough for them, in this launch.
        errors: tracebacks of those that failed in this launch.
        page: where MLflow's page of it opens once that is served, see `Recorder.page_address`.
    """

    folder: Path
    verdicts: Sequence[Verdict]
    failed: int
    out_of_memory: int
    errors: Sequence[str]
    page: str


def run(
    study: Study, origin: Origin, options: Options, placed: tuple[Executor, Placement], *, command: str = ""
) -> Outcome:
    """All stages in order, from the stores to the report.

    Args:
        study: to be run, or gone on with.
        origin: where it came from.
        options: how it runs.
        placed: what trains it, see `place`.
        command: the command line, for the report.

    Raises:
        InvalidStudy: the study, a device, a storage or a folder cannot be used.
        Interrupted: not all was done; what is done is saved.
    """
    executor, placement = placed
    progress = progress_of(study, placement, options)
    stop = Stop(options.deadline, progress)
    folder = options.results / study.name
    opened = open_stores(
        study, options.results, options.storage, options.tracking_uri, retry_failed=options.retry_failed
    )
    with leadership(folder), executor, opened as stores:
        design, recorder, _ = stores
        try:
            with raised(), preparing_report() as helpers, making(folder) as made:
                patiently = Patience(progress.say, stop)
                study, origin = patiently(partial(still_widened, design, study, origin, options))
                patiently(partial(keep_kind, design, placement, options))
                planned = patiently(partial(planner, design, placement, patiently))
                launch = patiently(partial(launched, study, origin, design, placement))
                begin(design, options, patiently)
                checkpoints = Checkpoints(folder, recorded_keys(patiently(design.entries)))
                done = partial(count, study, progress, checkpoints)
                claims = entered(study, stores, patiently, options, folder)
                commits = Commits(stores, launch=launch, claims=claims, say=progress.say, stop=stop, done=done)
                leader = Leader(study, design, commits, executor, progress, planned, placement.costs, stop)
                with stop.listening(), commits:
                    runs = train_all(leader, recorder, made / CURVES_FILE)
                stop.check()
                options.note([*settle(stores, commits, checkpoints), *left_to_know(study, runs, folder, options)])
                options.say(trained(progress, time.monotonic() - options.started))
                options.display.tell(Phase("report"))
                from harness.reporting.build import Told, build_report
                from harness.reporting.tracking_page import tracking_page

                told = Told(origin.doc, [*again(command, origin), ui_command(options.uri)])
                documents = commits.patiently(partial(recorder.read_documents, (*DOCUMENTS, REGISTERED)))
                verdicts = build_report(study, told, documents, runs, made, folder, helpers=tuple(helpers))
                failed = int((runs["status"] == "failed").sum())
                page = tracking_page(study, origin.doc, verdicts, folder)
                address = published(recorder, commits, folder, page, failed=failed)
        except (KeyboardInterrupt, Stopped, RecordError, Unreachable, OSError, MemoryError, InvalidStudy) as error:
            with suppress(RecordError, Unreachable, OSError):
                recorder.finish_launch("KILLED")
            if isinstance(error, InvalidStudy):  # a process that trains found another study
                raise
            raise Interrupted(f"{why_stopped(error, stop)}: {saved(progress)}; {what_to_do(error)}.") from error
    return Outcome(folder, verdicts, failed, progress.out_of_memory, progress.errors, address)


def published(recorder: Recorder, commits: Commits, folder: Path, page: "Page", *, failed: int) -> str:
    """Keep the report in MLflow and show the page there, which ends the launch; returns where the page opens."""
    commits.patiently(partial(recorder.log_report, folder))
    commits.patiently(partial(recorder.show, page))
    address = commits.patiently(recorder.page_address)
    commits.patiently(partial(recorder.finish_launch, "FAILED" if failed else "FINISHED"))
    return address


def recorded_keys(entries: Sequence[Entry]) -> Iterator[str]:
    """The keys of all runs that are recorded."""
    return (key for entry in entries if entry.told for key in entry.run_keys())


def saved(progress: Progress) -> str:
    """How much of a study that ends early is kept."""
    return f"{progress.done_runs:,} of {counted(progress.runs, 'run is', 'runs are')} saved"


def launched(study: Study, origin: Origin, design: Design, placement: Placement) -> Launch:
    """A launch as it is recorded, with all that the study was trained on."""
    trained_on = joint(design.collected("environments", environment(placement.devices)))
    return launch_of(study, origin, plan=described(placement), environment=trained_on)


def begin(design: Design, options: Options, patiently: Patience) -> None:
    """Say what a launch is about to do, and keep how much that is for those who list studies."""
    for line in patiently(lambda: list(beginning(design))):
        options.say(line)
    patiently(design.keep_summary)


def settle(stores: Stores, commits: Commits, checkpoints: Checkpoints) -> list[str]:
    """Leave nothing behind of what is recorded; returns what the user should know of what nothing has used."""
    stores.spool.close(stores.design.told())
    commits.patiently(stores.design.keep_summary)
    return checkpoints.remove()


def left_to_know(study: Study, runs: pd.DataFrame, folder: Path, options: Options) -> Iterator[str]:
    """What the user should know of what was trained."""
    yield from missing_weights(folder, options.keep_weights, runs)
    yield from how_wide(study, selected(study, runs))


def again(command: str, origin: Origin) -> list[str]:
    """The command line that gives the study anew; none for one that was made in Python."""
    lacks = origin.changes.widen and "--widen" not in shlex.split(command)
    return [command + " --widen" * lacks] if command else []


def beginning(design: Design) -> Iterator[str]:
    """What a launch is about to do, in words."""
    changes, there = design.changes(), design.there()
    if changes:
        yield "\n".join(["Since the launch before the study has changed:", *(f"  {line}" for line in changes)])
    new = there.wanted - there.done - there.tried_again
    counts = [f"{there.done:,} of {counted(there.wanted, 'run is', 'runs are')} there"] if there.done else []
    counts += [f"{new:,} {'are' if new > 1 else 'is'} new"] if new and (counts or there.tried_again) else []
    counts += [f"{there.tried_again:,} failed and will be tried again"] if there.tried_again else []
    if not there.complete:
        yield f"Training begins{': ' if counts else ''}{', '.join(counts)}."
    if there.others:
        others = counted(there.others, "recorded run is none", "recorded runs are none")
        yield f"{others} of the study as it is now and left alone; `harness list` shows such runs, `harness forget` deletes them."


def entered(study: Study, stores: Stores, patiently: Patience, options: Options, folder: Path) -> ClaimRecord:
    """The record of the claims, which are entered into it; says which are not registered as they are, and what seeds can decide of each."""
    claims = ClaimRecord(study, *stores, folder=folder)
    patiently(claims.enter)
    found = registrations(study, claims.chain)
    for line in (*said_of(found), *power(study, found)):
        options.say(line)
    return claims


def train_all(leader: Leader, recorder: Recorder, curves: Path) -> pd.DataFrame:
    """Lead the study until all of it is recorded; what has got lost from the records is trained again.

    Returns:
        All runs, see `harness.ledger.run_table`; the curves go into a file, see `Recorder.read`.

    Raises:
        Stopped, RecordError, OSError: see `Leader.lead`.
    """
    lost: set[int] = set()
    while True:
        leader.lead(lost)
        gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time of what follows
        try:
            held = leader.design.held()
            runs = leader.commits.patiently(lambda: recorder.read(curves, shares(leader.study, held)))  # noqa: B023
            return run_table(leader.study, [wanted.trial for wanted, _ in held], runs, curves)
        except LostRecords as error:
            if error.entries <= lost:
                raise
            lost = error.entries
            leader.progress.say(f"{error} They are trained again.")


def progress_of(study: Study, placement: Placement, options: Options) -> Progress:
    """How far a study is before anything is looked at."""
    work = placement.costs.of_study(study)
    return Progress(
        n_runs(study), n_steps(study), work, len(study.cells()), timed=True, record_s=USUAL_S, cores=cores(), tell=options.display.tell
    )  # fmt: skip


def count(study: Study, progress: Progress, checkpoints: Checkpoints, finished: FinishedTrial, took_s: float) -> None:
    """Count a trial that is committed, which took so long; what would train it again goes."""
    checkpoints.remove_recorded(finished.run_keys())
    progress.diverged += finished.count("diverged")
    progress.collapsed += finished.count("collapsed")
    progress.failed += finished.count("failed")
    progress.out_of_memory += sum(why == MACHINE for why in finished.failed.values())
    progress.errors += finished.errors.values()
    progress.trained_runs += len(finished.runs)
    progress.best = better(progress.best, best_of(study, finished))
    progress.recorded(len(finished.runs), finished.number, took_s=took_s)


def trained(progress: Progress, seconds: float) -> str:
    """What this launch trained, in words."""
    if not progress.trained_runs:
        recorded = f"{progress.done_runs:,} of {counted(progress.runs, 'run is', 'runs are')} recorded"
        return f"Nothing to train: {recorded}; writing the report."
    return f"Trained {counted(progress.trained_runs, 'run')} in {duration(seconds)}; writing the report."


def place(study: Study, options: Options, begun: Placing | None = None) -> tuple[Executor, Placement]:
    """What trains the study, and where and how it does; says what is no population and why.

    Args:
        study: to be run.
        options: how it runs.
        begun: `placing` of them, if it was called.

    Raises:
        InvalidStudy: it cannot train there, or options contradict each other.
    """
    options.display.tell(Phase("prepare"))
    executor, placement = (begun or placing(study, options))()
    options.note([*notes(placement.ways), *placement.without_effect(study)])
    options.say(f"Training on {placement.devices}{placement.words}.")
    return executor, placement
