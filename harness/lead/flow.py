"""From a study file to a report: the stages of the flow in order."""

import gc
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

import click
import pandas as pd

from harness.execution.device_layout import Layout
from harness.execution.placement import on_cluster, on_host
from harness.execution.trainer import Executor
from harness.lead import console
from harness.lead.ending import DONE, INTERRUPTED, SOME_FAILED
from harness.lead.interruption import Stop, why_stopped
from harness.lead.leader import lead
from harness.ledger.design import Design
from harness.ledger.environment import environment, joint
from harness.ledger.records.commit import Commits
from harness.ledger.records.finished import CURVES_FILE, FinishedTrial
from harness.ledger.records.launch import launch_of
from harness.ledger.records.recorder import LostRecords, Recorder
from harness.ledger.records.tracking import RecordError, default_tracking_uri, ui_command
from harness.ledger.stores import leadership, open_stores
from harness.ledger.trial_runs import n_runs, n_steps
from harness.settings import InvalidStudy, Problem, printable
from harness.settings.patience import Stopped, Unreachable
from harness.settings.progress import Progress
from harness.settings.show import counted
from harness.study import Study
from harness.study.load import Changes, load_study

PREPARE_REPORT_AFTER_S = 10.0


@dataclass(frozen=True)
class Options:
    """The command line, but for the study and the changes to it."""

    dry_run: bool
    fresh: bool
    devices: str
    workers: int | None
    memory: str | None
    ray: str | None
    gpus_per_population: float | None
    storage: str | None
    tracking_uri: str | None
    results: Path
    timeout: float | None
    verbose: bool
    quiet: bool

    def say(self, text: str) -> None:
        """Print unless `--quiet`."""
        if not self.quiet:
            click.echo(printable(text))


def run(study_file: Path, changes: Changes, options: Options) -> int:
    """All stages in order; returns the exit code.

    Raises:
        InvalidStudy: the study, a device, a storage or a folder cannot be used.
    """
    started = time.monotonic()
    study, doc = load_study(study_file, changes)
    options.say(overview(study, verbose=options.verbose))
    executor, layout = place(study, study_file, changes, options)
    options.say(f"Training on {layout.devices}.")
    if options.dry_run:
        options.say(f"Training would take about {console.duration(layout.training_s)}{layout.words}. Nothing was run.")
        return DONE
    folder = options.results / study.name
    uri = options.tracking_uri or default_tracking_uri(options.results)
    progress = Progress(n_steps(study), n_runs(study))
    stop = Stop(started + options.timeout if options.timeout is not None else math.inf, progress)
    stores = open_stores(study, options.results, options.storage, options.tracking_uri, fresh=options.fresh)
    with leadership(folder), executor, stores as (design, recorder, spool):
        plan = {
            "width": design.remembered("width", lambda: layout.width),
            "abreast": design.remembered("abreast", lambda: len(layout.places)),
        }
        trained_on = joint(design.collected("environments", environment(layout.devices)))
        launch = launch_of(study, study_file, changes, plan=plan, environment=trained_on)
        told = design.told()
        options.say(f"Training begins{f': {len(told)} trials are done' if told else ''}.")
        try:
            with (
                _preparing_report() as helpers,
                console.shown(progress, quiet=options.quiet),
                stop.listening(),
                Commits(design, recorder, spool, launch=launch, say=progress.say, stop=stop, done=partial(count, progress))
                as commits,
            ):  # fmt: skip
                runs = train_all(study, design, recorder, commits, executor, plan, folder / CURVES_FILE, progress, stop)
            spool.clear()
            options.say(f"Trained in {console.duration(time.monotonic() - started)}; writing the report.")
            from harness.reporting.build import build_report, run_command

            commands = [run_command(sys.argv[1:]), ui_command(uri)]
            verdicts = build_report(study, doc, recorder, runs, folder, commands=commands, helpers=tuple(helpers))
            failed = int((runs["status"] == "failed").sum())
            recorder.finish_launch("FAILED" if failed else "FINISHED")
        except (KeyboardInterrupt, Stopped, RecordError, Unreachable, OSError) as error:
            with suppress(RecordError, Unreachable):
                recorder.finish_launch("KILLED")
            click.echo(
                f"{why_stopped(error, stop)}: {progress.done_runs} of {progress.runs} runs are saved; "
                "the same command continues.", err=True,
            )  # fmt: skip
            return INTERRUPTED
    for verdict in verdicts:
        options.say(f"{verdict.verdict.upper()}: {verdict.title}. {verdict.sentence}")
    options.say(f"Report: {folder / 'report.html'}\nRuns:   {ui_command(uri)}")
    if failed:
        click.echo("\n".join([*(map(printable, progress.errors) if options.verbose else []),
                              f"{failed} runs failed; their tracebacks are in MLflow."]), err=True)  # fmt: skip
        return SOME_FAILED
    return DONE


@contextmanager
def _preparing_report() -> Iterator[list[Connection]]:
    """Import all that draws, which takes a second, while others train, and start processes that will help; yields these.

    In a short block both is left.
    """
    helpers: list[Connection] = []

    def prepare() -> None:
        import harness.reporting.build  # noqa: F401
        from harness.reporting.plots import start_helpers

        helpers.extend(start_helpers())

    timer = Timer(PREPARE_REPORT_AFTER_S, prepare)
    timer.start()
    try:
        yield helpers
    finally:
        timer.cancel()


def train_all(
    study: Study, design: Design, recorder: Recorder, commits: Commits, executor: Executor, plan: dict[str, int],
    curves: Path, progress: Progress, stop: Stop,
) -> pd.DataFrame:  # fmt: skip
    """Lead the study until all of it is recorded; what has got lost from the records is trained again.

    Returns:
        All runs; the curves go into a file, see `Recorder.read`.

    Raises:
        Stopped, RecordError, OSError: see `lead`.
    """
    lost: set[int] = set()
    while True:
        lead(study, design, commits, executor, progress, **plan, stop=stop, lost=lost)
        gc.freeze()  # what is imported is no garbage: to search it takes a tenth of the time of what follows
        try:
            return commits.patiently(lambda: recorder.read(curves, design.told()))
        except LostRecords as error:
            if error.trials <= lost:
                raise
            lost = error.trials
            progress.say(f"{error} They are trained again.")


def count(progress: Progress, finished: FinishedTrial) -> None:
    """Count a trial that is committed."""
    progress.diverged += finished.count("diverged")
    progress.failed += finished.count("failed")
    progress.errors += finished.errors.values()
    progress.add(runs=len(finished.runs))


def place(study: Study, study_file: Path, changes: Changes, options: Options) -> tuple[Executor, Layout]:
    """What trains the study, and how it lies there.

    Raises:
        InvalidStudy: it cannot train there, or options contradict each other.
    """
    if options.ray is None:
        if options.gpus_per_population is not None:
            raise InvalidStudy([Problem("--gpus-per-population", "needs --ray")])
        return on_host(
            study, study_file, changes, devices=options.devices, workers=options.workers, memory=options.memory
        )
    given = {"--devices": options.devices != "auto", "--workers": options.workers is not None}
    if any(given.values()):
        message = "is for this host; with --ray, --gpus-per-population says what a population gets"
        raise InvalidStudy([Problem(option, message) for option, is_given in given.items() if is_given])
    return on_cluster(
        study, study_file, changes, address=options.ray, gpus=options.gpus_per_population, memory=options.memory,
        say=options.say,
    )  # fmt: skip


def overview(study: Study, *, verbose: bool) -> str:
    """What a study consists of, in words."""
    cells, tunes = study.cells(), study.tunes()
    swept = ", ".join(f"{path} in {sweep!r}" for path, sweep in study.sweeps().items()) or "nothing swept"
    lines = [f"{study.name}: {counted(len(cells), 'cell')} ({swept})"]
    if tunes:
        searched = ", ".join(f"{path} in {tune!r}" for path, tune in tunes.items())
        trials, seeds = counted(study.tune_trials, "trial"), counted(study.tune_seeds, "seed")
        lines.append(f"  tune:    {searched}: {trials} a cell on {seeds} ({study.sampler})")
    steps = counted(study.steps, "step") if isinstance(study.steps, int) else f"{study.steps!r} steps"
    seeds, runs = counted(len(study.confirm_seeds()), "seed"), counted(n_runs(study), "run")
    lines.append(f"  confirm: {seeds} a cell; {runs} of {steps} in all")
    lines += [f"  note:    {note}" for note in study.notes]
    if verbose:
        lines += [f"  cell {i}: {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines)
