"""`harness list`: the command line of `harness.lead.studies.say_list`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("results", type=click.Path(path_type=Path, file_okay=False), default="results")
@click.option("--storage", help="Optuna storage: a journal file or a database URL [RESULTS/optuna.journal].")
def main(results: Path, storage: str | None) -> None:
    """List the studies in RESULTS, a folder of results [results].

    Or those in a storage. Of each: runs that are done, other recorded runs such as those of earlier settings, verdicts, when, and size.
    """
    from harness.lead.ending import ending
    from harness.lead.studies import say_list

    sys.exit(ending(lambda: say_list(results, storage), refused=f"{results} cannot be listed"))


if __name__ == "__main__":
    main()
