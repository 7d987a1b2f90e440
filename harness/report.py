"""`harness report STUDY`: the command line of `harness.lead.rebuild`."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.lead.terminal.arguments import StudyFile
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("study_file", metavar="STUDY", type=StudyFile())
@click.option(
    "--set",
    "settings",
    metavar="PATH=VALUE",
    multiple=True,
    help="As the study was run: `--set name=NAME` says which one, all other settings are on record.",
)
@click.option("--seeds", metavar="N|LIST", help="As the study was run; on record too.")
@click.option("--quick", is_flag=True, help="The report of the --quick version.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default="results", show_default=True,
              help="Folder of all results.")  # fmt: skip
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="MLflow database or server [RESULTS/mlflow.db].")
@click.option("--baseline", metavar="OTHER", type=click.Path(path_type=Path),
              help="Set it beside an earlier result, or another study: a folder results/<study>.")  # fmt: skip
def main(study_file: Path, settings: tuple[str, ...], seeds: str | None, quick: bool, **stores: Any) -> None:
    """Rebuild the report of STUDY, a study file, from what MLflow holds."""
    from harness.lead.ending import ending
    from harness.lead.rebuild import rebuild
    from harness.study.changes import Changes

    changes = Changes(settings, seeds, quick)
    sys.exit(ending(lambda: rebuild(study_file, changes, **stores), refused=f"{study_file} has no report"))


if __name__ == "__main__":
    main()
