"""`harness show RESULTS`: the command line of `harness.lead.showing`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.arguments import ResultsFolder
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("results", type=ResultsFolder())
def main(results: Path) -> None:
    """Print the verdicts in RESULTS, a folder results/<study>. No code of the folder runs."""
    from harness.lead.ending import ending
    from harness.lead.showing import show_results

    sys.exit(ending(lambda: show_results(results), refused=f"{results} cannot be shown"))


if __name__ == "__main__":
    main()
