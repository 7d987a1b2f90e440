"""`harness reproduce STUDY…`: the command line of `harness.audit.reproduce`."""

import sys
from pathlib import Path

import click

from harness.execution.processes import serve
from harness.lead.terminal.arguments import StudyFile
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("studies", nargs=-1, required=True, type=StudyFile(), metavar="STUDY...")
@click.option(
    "--set", "settings", metavar="PATH=VALUE", multiple=True,
    help="As the study was published: `--set name=NAME` says which one; all other settings are on record, and may be changed.",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(path_type=Path, file_okay=False), default="results", show_default=True,
    help="Folder of the published results.",
)  # fmt: skip
@click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), default="reproduced", show_default=True,
    help="Where they are run; the same command again goes on there.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="As for harness run.")
@click.option("-q", "--quiet", is_flag=True, help="Print the outcome only.")
def main(
    studies: tuple[Path, ...],
    settings: tuple[str, ...],
    against: Path,
    results: Path,
    workers: int | None,
    quiet: bool,
) -> None:
    """Run studies anew and compare them with their published results.

    Such as all of this repository: harness reproduce studies/*.py

    Exit codes: 0 all verdicts are the same, 1 some are not, others as for harness run. On another kind of processor, or with
    other versions, runs are seldom the same in every bit.
    """
    serve()
    from harness.audit.reproduce import reproduce
    from harness.lead.ending import ending
    from harness.study.changes import Changes

    changes = Changes(settings, None, quick=False)
    named = ", ".join(map(str, studies))
    sys.exit(
        ending(
            lambda: reproduce(studies, changes, against, results, workers, quiet=quiet),
            refused=f"{named} cannot be reproduced",
        )
    )


if __name__ == "__main__":
    main()
