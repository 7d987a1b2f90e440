"""`harness forget NAME`: the command line of `harness.lead.studies.forget`."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.lead.terminal.arguments import StudyName
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("name", type=StudyName())
@click.option("--unused", is_flag=True, help="Only runs that are none of the study as it was launched last.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default="results", show_default=True,
              help="Folder of all results.")  # fmt: skip
@click.option("--storage", help="Optuna storage: a journal file or a database URL [RESULTS/optuna.journal].")
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow database or server [RESULTS/mlflow.db].")
@click.option("--yes", is_flag=True, help="Do not ask.")
def main(name: str, **options: Any) -> None:
    """Delete what is recorded of the study NAME.

    That is, its trials in Optuna and its runs in MLflow. Its report stays.
    """
    from harness.lead.ending import ending
    from harness.lead.studies import forget

    sys.exit(ending(lambda: forget(name, **options), refused=f"{name} cannot be forgotten"))


if __name__ == "__main__":
    main()
