"""`python -m harness.run STUDY.py`: from a study file to a report; the stages of the flow in order."""

import json
import math
import os
import platform
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click
import filelock
import torch

from harness import console
from harness.design import Design, StudyChanged
from harness.devices import describe, find_devices
from harness.executors import Executor, InProcess
from harness.layout import lay_out
from harness.leader import Progress, Stopped, lead, n_runs, n_steps
from harness.load import Changes, load_study
from harness.record import Recorder, RecordError, default_tracking_uri, ui_command, without_credentials
from harness.settings import InvalidStudy, Problem
from harness.study import Study
from harness.workers import Workers

DONE, SOME_FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130

LIBRARIES = ("torch", "optuna", "mlflow", "pandas", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Options:
    """The command line, but for the study and the changes to it."""

    dry_run: bool
    fresh: bool
    devices: str
    workers: int | None
    memory: str | None
    storage: str | None
    tracking_uri: str | None
    results: Path
    timeout: float | None
    verbose: bool
    quiet: bool

    def say(self, text: str) -> None:
        """Print unless `--quiet`."""
        if not self.quiet:
            click.echo(text)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("study_file", metavar="STUDY", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    metavar="PATH=VALUE",
    multiple=True,
    help="Change a setting, e.g. --set model.dropout=0.3 or --set 'optimizer.lr=Tune(0.01, 1, log=True)'.",
)
@click.option("--seeds", metavar="N|LIST", help="Seeds of the confirm phase: how many, or which (0,3,7 or 5-9).")
@click.option("--quick", is_flag=True, help="A small version under a name of its own: few steps, seeds and trials.")
@click.option("--dry-run", is_flag=True, help="Say what would run and how long it would take; record nothing.")
@click.option("--fresh", is_flag=True, help="Start anew: forget what is recorded of this study.")
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, or CUDA devices such as 0,1 or cuda:0.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes on each device; on a CPU they share its threads [as many as take the least time].",
)
@click.option("--memory", metavar="SIZE", help="Memory for populations, e.g. 4G [half of what is free].")
@click.option("--storage", help="Optuna storage: a journal file or a database URL [RESULTS/optuna.journal].")
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow database or server [RESULTS/mlflow.db].")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default="results",
    show_default=True,
    help="Folder of all results.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Begin no more work after this time; the same command continues.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more: every cell, the traceback of failed runs.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")  # fmt: skip
def main(study_file: Path, settings: tuple[str, ...], seeds: str | None, quick: bool, **options: object) -> None:
    """Run STUDY, a Python file that defines `study`; the same command again continues where the last one stopped."""
    try:
        sys.exit(run(study_file, Changes(settings, seeds, quick), Options(**options)))  # type: ignore[arg-type]
    except InvalidStudy as error:
        click.echo(f"{study_file} cannot run:", err=True)
        click.echo("\n".join(f"  {problem}" for problem in error.problems), err=True)
        sys.exit(INVALID)
    except KeyboardInterrupt:
        click.echo("Interrupted; what was recorded is saved, and the same command continues.", err=True)
        sys.exit(INTERRUPTED)


def run(study_file: Path, changes: Changes, options: Options) -> int:
    """All stages in order; returns the exit code.

    Raises:
        InvalidStudy: the study, a device, a storage or a folder cannot be used.
    """
    started = time.monotonic()
    devices = find_devices(options.devices)
    options.say(f"Training on {', '.join(map(describe, devices))}.")
    study, doc = load_study(study_file, changes)
    options.say(overview(study, verbose=options.verbose))
    layout = lay_out(study, devices, workers=options.workers, memory=options.memory)
    if options.dry_run:
        options.say(f"Training would take about {console.duration(layout.training_s)}{layout.words}. Nothing was run.")
        return DONE
    folder = options.results / study.name
    uri = options.tracking_uri or default_tracking_uri(options.results)
    progress = Progress(n_steps(study), n_runs(study))
    stop = Stop(started + options.timeout if options.timeout is not None else math.inf, progress)
    executor: Executor = (
        InProcess(devices[0], study.evaluations)
        if len(layout.places) == 1
        else Workers(layout.places, layout.threads, study_file, changes)
    )
    with leadership(folder), executor:
        design, recorder = open_stores(study, options, uri)
        width = design.remembered("width", lambda: layout.width)
        abreast = design.remembered("abreast", lambda: len(layout.places))
        launch = documents(study, study_file, changes, devices)
        recorder.start_launch({"study_file": str(study_file), **asdict(changes)})
        recorder.write_documents(launch)
        recorder.keep_only(design.told())
        options.say(f"Training begins{f': {len(design.told())} trials are done' if design.told() else ''}.")
        try:
            with console.shown(progress, quiet=options.quiet), stop.listening():
                lead(study, design, recorder, executor, width=width, abreast=abreast, progress=progress, stop=stop)
        except (KeyboardInterrupt, Stopped):
            recorder.finish_launch("KILLED")
            why = "Interrupted" if stop.asked else "Out of time"
            click.echo(
                f"{why}: {progress.done_runs} of {progress.runs} runs are saved; the same command continues.", err=True
            )
            return INTERRUPTED
        options.say(f"Trained in {console.duration(time.monotonic() - started)}; writing the report.")
        from harness.report import build_report  # with all that draws: a second that training need not wait for

        command = shlex.join(["python", "-m", "harness.run", *sys.argv[1:]])
        verdicts = build_report(study, doc, recorder, folder, commands=[command, ui_command(uri)])
        recorder.finish_launch("FAILED" if progress.failed else "FINISHED")
    for verdict in verdicts:
        options.say(f"{verdict.verdict.upper()}: {verdict.title}. {verdict.sentence}")
    options.say(f"Report: {folder / 'report.html'}\nRuns:   {ui_command(uri)}")
    if progress.failed:
        click.echo(f"{progress.failed} runs failed; their tracebacks are in MLflow." if not options.verbose
                   else "\n".join(progress.errors), err=True)  # fmt: skip
        return SOME_FAILED
    return DONE


def overview(study: Study, *, verbose: bool) -> str:
    """What a study consists of, in words."""
    cells, tunes = study.cells(), study.tunes()
    swept = ", ".join(f"{path} in {sweep!r}" for path, sweep in study.sweeps().items()) or "nothing swept"
    lines = [f"{study.name}: {len(cells)} cells ({swept})"]
    if tunes:
        searched = ", ".join(f"{path} in {tune!r}" for path, tune in tunes.items())
        lines.append(
            f"  tune:    {searched}: {study.tune_trials} trials a cell on {study.tune_seeds} seeds ({study.sampler})"
        )
    lines.append(
        f"  confirm: {len(study.confirm_seeds())} seeds a cell; {n_runs(study)} runs of {study.steps} steps in all"
    )
    lines += [f"  note:    {note}" for note in study.notes]
    if verbose:
        lines += [f"  cell {i}: {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines)


class Stop:
    """Whether no more work is to be begun: at a deadline, or after Ctrl-C; a second Ctrl-C stops at once.

    Attributes:
        asked: by Ctrl-C.
    """

    def __init__(self, deadline: float, progress: Progress) -> None:
        self.asked = False
        self._deadline, self._progress = deadline, progress

    def __call__(self) -> bool:
        """True from the deadline or the first Ctrl-C on."""
        return self.asked or time.monotonic() > self._deadline

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block the first Ctrl-C only asks to stop."""

        def ask(*_: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            self._progress.say("Finishing what is being trained; Ctrl-C again stops at once.")

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def leadership(folder: Path) -> Iterator[None]:
    """Be the only leader of a study while the block runs.

    Raises:
        InvalidStudy: another process leads it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock, holder = filelock.FileLock(folder / ".lock"), folder / ".leader"
        with lock.acquire(timeout=0):
            holder.write_text(
                f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
            )
            yield
            holder.unlink(missing_ok=True)
    except filelock.Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise InvalidStudy([Problem(str(folder), f"this study is being run by {who}")]) from None
    except OSError as error:
        raise InvalidStudy([Problem(str(folder), f"cannot be written: {error.strerror}")]) from None


def open_stores(study: Study, options: Options, tracking_uri: str) -> tuple[Design, Recorder]:
    """The study's trials in Optuna and its records in MLflow.

    Raises:
        InvalidStudy: they cannot be opened, or hold another study of the same name.
    """
    storage = options.storage or str(options.results / "optuna.journal")
    try:
        design = Design(study, storage, fresh=options.fresh)
    except StudyChanged as changed:
        raise InvalidStudy(
            [Problem(study.name, "was begun with other settings; --fresh starts it anew, or give the study another name"),
             *(Problem(*difference.split(": ", 1)) for difference in changed.differences)]
        ) from None  # fmt: skip
    except Exception as error:
        raise InvalidStudy([Problem("--storage", without_credentials(f"{type(error).__name__}: {error}"))]) from None
    try:
        recorder = Recorder(study.name, tracking_uri, artifact_folder=options.results / "mlartifacts")
        if options.fresh:
            recorder.forget()
    except RecordError as error:
        raise InvalidStudy([Problem("--tracking-uri", str(error))]) from None
    return design, recorder


def documents(study: Study, study_file: Path, changes: Changes, devices: list[torch.device]) -> dict[str, str]:
    """What is kept with a launch, by file name, so that its results can be understood and its report made again."""
    environment = {
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "devices": ", ".join(map(describe, devices)),
        "threads": str(torch.get_num_threads()),
        **study.fingerprints(),
    }
    return {
        "study.py": study_file.read_text(),
        "study.json": json.dumps(study.describe(), indent=1, ensure_ascii=False),
        "changes.json": json.dumps(asdict(changes)),
        "environment.json": json.dumps(environment, indent=1, ensure_ascii=False),
    }


if __name__ == "__main__":
    main()
