"""`python -m harness.run STUDY.py`: from a study file to a report; the stages of the flow in order."""

import importlib.util
import json
import math
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import filelock
import pandas as pd

from harness import console
from harness.commit import Commits
from harness.credentials import without_credentials
from harness.design import AlreadyLed, Design, StudyChanged
from harness.devices import find_devices
from harness.environment import environment, joint
from harness.executors import Executor, InProcess
from harness.layout import Layout, lay_out
from harness.leader import Progress, lead, n_runs, n_steps
from harness.load import Changes, load_study
from harness.patience import Patience, Stopped, Unreachable
from harness.record import LostRecords, Recorder, RecordError, default_tracking_uri, ui_command
from harness.settings import InvalidStudy, Problem, printable
from harness.spool import Spool
from harness.storage import this_process
from harness.study import Study
from harness.workers import Workers

DONE, SOME_FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130


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
@click.option("--ray", metavar="ADDRESS", help="Train on a Ray cluster: auto, host:port, ray://host:port, or local.")
@click.option(
    "--gpus-per-population",
    type=click.FloatRange(min=0, max=1),
    help="With --ray; a fraction lets several share a GPU, 0 is a core [1 if the cluster has GPUs, else 0].",
)
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
        click.echo(printable(f"{study_file} cannot run:"), err=True)
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
    study, doc = load_study(study_file, changes)
    options.say(overview(study, verbose=options.verbose))
    executor, layout = (on_host if options.ray is None else on_cluster)(study, study_file, changes, options)
    options.say(f"Training on {layout.devices}.")
    if options.dry_run:
        options.say(f"Training would take about {console.duration(layout.training_s)}{layout.words}. Nothing was run.")
        return DONE
    folder = options.results / study.name
    uri = options.tracking_uri or default_tracking_uri(options.results)
    progress = Progress(n_steps(study), n_runs(study))
    stop = Stop(started + options.timeout if options.timeout is not None else math.inf, progress)
    with leadership(folder), executor, open_stores(study, options, uri) as (design, recorder, spool):
        plan = {
            "width": design.remembered("width", lambda: layout.width),
            "abreast": design.remembered("abreast", lambda: len(layout.places)),
        }
        trained_on = joint(design.collected("environments", environment(layout.devices)))
        launch = documents(study, study_file, changes, plan, trained_on)
        with usable("--tracking-uri"):
            recorder.start_launch({"study_file": str(study_file), **asdict(changes)})
            recorder.write_documents(launch)
        told = design.told()
        options.say(f"Training begins{f': {len(told)} trials are done' if told else ''}.")
        try:
            with console.shown(progress, quiet=options.quiet), stop.listening():
                tables = train_all(study, design, recorder, spool, executor, plan, progress, stop)
            options.say(f"Trained in {console.duration(time.monotonic() - started)}; writing the report.")
            from harness.report import build_report  # with all that draws: a second that training need not wait for

            command = shlex.join(["python", "-m", "harness.run", *map(without_credentials, sys.argv[1:])])
            verdicts = build_report(study, doc, recorder, tables, folder, commands=[command, ui_command(uri)])
            failed = int((tables[0]["status"] == "failed").sum())
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


def train_all(
    study: Study, design: Design, recorder: Recorder, spool: Spool, executor: Executor, plan: dict[str, int],
    progress: Progress, stop: "Stop",
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Lead the study until all of it is recorded; what has got lost from the records is trained again.

    Returns:
        All runs and all curves, see `Recorder.read`.

    Raises:
        Stopped, RecordError, OSError: see `lead`.
    """
    lost: set[int] = set()
    while True:
        with Commits(design, recorder, spool, say=progress.say, stop=stop, done=progress.committed) as commits:
            lead(study, design, commits, executor, progress, **plan, stop=stop, lost=lost)
        try:
            tables = Patience(progress.say, stop)(lambda: recorder.read(design.told()))
            spool.clear()
            return tables
        except LostRecords as error:
            if error.trials <= lost:
                raise
            lost = error.trials
            progress.say(f"{error} They are trained again.")


def why_stopped(error: BaseException, stop: "Stop") -> str:
    """Why a study ended early, in words."""
    if isinstance(error, OSError):
        return f"Stopped, {error.filename or 'disk'}: {error.strerror}"
    if str(error):
        return f"Stopped, {error}"
    return "Interrupted" if stop.asked else "Out of time"


def on_host(study: Study, study_file: Path, changes: Changes, options: Options) -> tuple[Executor, Layout]:
    """What trains the study on devices of this host, and how it lies there.

    Raises:
        InvalidStudy: a device or the memory cannot be used.
    """
    if options.gpus_per_population is not None:
        raise InvalidStudy([Problem("--gpus-per-population", "needs --ray")])
    devices = find_devices(options.devices)
    layout = lay_out(study, devices, workers=options.workers, memory=options.memory)
    if len(layout.places) == 1:
        return InProcess(devices[0], study.evaluations), layout
    return Workers(layout.places, layout.threads, study_file, changes), layout


def on_cluster(study: Study, study_file: Path, changes: Changes, options: Options) -> tuple[Executor, Layout]:
    """What trains the study on a Ray cluster, and how it lies there.

    Raises:
        InvalidStudy: Ray is not installed, the cluster or the memory cannot be used, or options contradict each other.
    """
    given = {"--devices": options.devices != "auto", "--workers": options.workers is not None}
    if any(given.values()):
        message = "is for this host; with --ray, --gpus-per-population says what a population gets"
        raise InvalidStudy([Problem(option, message) for option, is_given in given.items() if is_given])
    try:
        from harness.cluster import Ray
    except ModuleNotFoundError:
        raise InvalidStudy([Problem("--ray", "needs the extra: pip install 'ablation-harness[cluster]'")]) from None
    assert options.ray is not None
    cluster = Ray(options.ray, options.gpus_per_population, study, study_file, changes)
    options.say("Measuring populations on the cluster, as soon as it has room for one.")
    return cluster, cluster.lay_out(options.memory)


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
        InvalidStudy: another process leads it, or the folder cannot be written or could be confused with another.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in folder.parent.iterdir() if path.name != folder.name]
        if alike := [name for name in names if name.lower() == folder.name.lower()]:
            message = (
                f"the name differs in case alone from {alike[0]}, on some disks the same folder; choose another name"
            )
            raise InvalidStudy([Problem(str(folder), message)])
        folder.mkdir(exist_ok=True)
        lock, holder = filelock.FileLock(folder / ".lock"), folder / ".leader"
        with lock.acquire(timeout=0):
            holder.write_text(this_process())
            yield
            holder.unlink(missing_ok=True)
    except filelock.Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise InvalidStudy([Problem(str(folder), f"this study is being run by {who}")]) from None
    except OSError as error:
        raise InvalidStudy([Problem(str(folder), f"cannot be written: {error.strerror}")]) from None


@contextmanager
def open_stores(study: Study, options: Options, tracking_uri: str) -> Iterator[tuple[Design, Recorder, Spool]]:
    """The study's trials in Optuna, its records in MLflow, and what is on its way there; open within the block.

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
    except AlreadyLed as leader:
        raise InvalidStudy([Problem(study.name, f"this study is being run by {leader}")]) from None
    except Exception as error:
        raise InvalidStudy([Problem("--storage", without_credentials(f"{type(error).__name__}: {error}"))]) from None
    spool = Spool(options.results / study.name / ".unrecorded", study.digest())
    with usable("--tracking-uri"):
        recorder = Recorder(study.name, tracking_uri, artifact_folder=options.results / "mlartifacts")
        if options.fresh:
            recorder.forget()
            spool.clear()
    with closing(design):
        yield design, recorder, spool


@contextmanager
def usable(option: str) -> Iterator[None]:
    """Raises as `InvalidStudy` that MLflow cannot be used before anything was trained."""
    try:
        yield
    except (RecordError, Unreachable) as error:
        raise InvalidStudy([Problem(option, str(error))]) from None


def documents(
    study: Study, study_file: Path, changes: Changes, plan: dict[str, int], where: dict[str, str]
) -> dict[str, str]:
    """What is kept with a launch, by file name, so that its results can be understood, reported and verified again."""
    return {
        "study.py": importlib.util.decode_source(study_file.read_bytes()),
        "study.json": json.dumps(study.describe(), indent=1, ensure_ascii=False),
        "changes.json": json.dumps(asdict(changes)),
        "plan.json": json.dumps(plan),
        "environment.json": json.dumps(where | study.fingerprints(), indent=1, ensure_ascii=False),
    }


if __name__ == "__main__":
    main()
