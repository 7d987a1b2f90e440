"""`harness run STUDY`, or `python -m harness.run STUDY`: the command line of `harness.lead.command`."""

import sys
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from harness.execution.processes import serve
from harness.execution.streams import printing_to_stderr
from harness.lead.terminal.arguments import StudyFile
from harness.lead.terminal.help import Sections

SECTIONS = {
    "What is run": ["settings", "seeds", "quick", "until_decided", "widen"],
    "How far": ["dry_run", "retry_failed", "timeout", "checkpoint_every", "keep_weights"],
    "Where it trains": ["devices", "workers", "memory", "ray", "gpus_per_population"],
    "Where it is kept": ["results", "storage", "tracking_uri"],
    "What is printed": ["verbose", "quiet", "as_json"],
}


@click.command(cls=Sections, sections=SECTIONS, contradicting=[("verbose", "quiet"), ("quiet", "as_json")])
@click.argument("study_file", metavar="STUDY", type=StudyFile())
@click.option(
    "--set",
    "settings",
    metavar="PATH=VALUE",
    multiple=True,
    help="Change a setting, e.g. --set model.dropout=0.3 or --set 'optimizer.lr=Tune(0.01, 1, log=True)'.",
)
@click.option("--seeds", metavar="N|LIST", help="Seeds of the confirm phase: how many, or which (0,3,7 or 5-9).")
@click.option("--quick", is_flag=True, help="A small version under a name of its own: few steps, seeds and trials.")
@click.option(
    "--until-decided", is_flag=True, help="Train look by look, as the study plans them, until no claim is open."
)
@click.option(
    "--widen",
    is_flag=True,
    help="Try values beyond an end of the tuned range where a best one lies at it, in all cells and seeds.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run and how long it would take; record nothing.")
@click.option(
    "--retry-failed", is_flag=True, help="Train again the runs that failed; those that were killed always are."
)
@click.option(
    "--devices",
    metavar="LIST",
    default="auto",
    show_default=True,
    help="auto, cpu, or CUDA devices such as 0,1 or cuda:0.",
)
@click.option(
    "--workers",
    type=int,
    metavar="N",
    help="Processes on each device [one; on a CPU one for each core].",
)
@click.option("--memory", metavar="SIZE", help="Memory for populations, e.g. 4G [half of what is free].")
@click.option("--ray", metavar="ADDRESS", help="Train on a Ray cluster: auto, host:port, ray://host:port, or local.")
@click.option(
    "--gpus-per-population",
    type=float,
    metavar="SHARE",
    help="With --ray; a fraction lets several share a GPU, 0 is a core [1 if the cluster has GPUs, else 0].",
)
@click.option(
    "--storage", metavar="PLACE", help="Optuna storage: a journal file or a database URL [RESULTS/optuna.journal]."
)
@click.option(
    "--tracking-uri",
    metavar="PLACE",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow database or server [RESULTS/mlflow.db].",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default="results",
    show_default=True,
    help="Folder of all results.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Begin no more work after this time; the same command continues.",
)
@click.option(
    "--checkpoint-every",
    type=float,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the state of what trains is written, to go on from after a kill; inf: never.",
)
@click.option(
    "--keep-weights", type=click.Choice(["best", "last"]), help="Keep each run's weights, for Results.weights."
)
@click.option("-v", "--verbose", is_flag=True, help="Say more: every cell, the traceback of failed runs.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and warnings only.")
@click.option("--json", "as_json", is_flag=True, help="Print what happens as lines of JSON, for programs.")
def main(
    study_file: Path, settings: tuple[str, ...], seeds: str | None, quick: bool, widen: bool, quiet: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Run STUDY, a Python file that defines `study`.

    The same command again continues where the last one stopped. Exit codes: 0 done, 1 some runs failed, 2 invalid study or
    arguments, 3 an error of the harness itself, 130 interrupted and saved.
    """
    started = time.monotonic()
    with printing_to_stderr() if as_json else nullcontext():
        serve()
    from harness.lead.command import run_file  # takes seconds, in which the server of processes gets ready too
    from harness.lead.ending import ending
    from harness.lead.options import Options
    from harness.lead.terminal.ctrl_c import INTERRUPTED, say_before_the_end
    from harness.lead.terminal.displays import display_for
    from harness.lead.terminal.events import Ended
    from harness.study.changes import Changes

    display = display_for(as_lines_of_json=as_json, quiet=quiet)
    changes = Changes(settings, seeds, quick, widen)

    def work() -> int:
        return run_file(study_file, changes, Options(**options, display=display, started=started))

    def last_words() -> None:
        display.__exit__(None, None, None)
        display.tell(Ended(INTERRUPTED, "Interrupted."))

    say_before_the_end(last_words)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # what a user's code prints is no line of JSON
        code = ending(work, refused=f"{study_file} cannot run", tell=display.tell, listens=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
