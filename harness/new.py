"""`harness new NAME`: the command line of `harness.lead.new`."""

import sys

import click

from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("name")
def main(name: str) -> None:
    """Write NAME.py, a study to start from.

    It runs as it is; its data, its model and its question are there to be replaced by yours.
    """
    from harness.lead.ending import ending
    from harness.lead.new import write_study

    sys.exit(ending(lambda: write_study(name), refused=f"{name} cannot be written"))


if __name__ == "__main__":
    main()
