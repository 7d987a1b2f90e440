"""`harness bench`: the command line of `harness.audit.bench`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.reading import Command

NAMES = (
    "mlp-784",
    "mlp-64",
    "mlp-tiny",
    "rnn-long",
    "rnn-rows",
    "char-rnn",
    "lstm",
    "gru",
    "module",
    "cnn",
    "transformer",
)
"""Of `harness.audit.workloads.WORKLOADS`."""


@click.command(cls=Command)
@click.argument("workloads", nargs=-1, type=click.Choice(NAMES))
@click.option("--width", type=click.IntRange(min=2), help="Members of a population [as a study would choose].")
@click.option("--devices", default="auto", show_default=True, help="The first of these is measured.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the table here too.")
@click.option(
    "--check", type=click.Path(path_type=Path), metavar="FILE",
    help="Such a table of before: say what got slower than there by more than noise, and exit with 1.",
)  # fmt: skip
def main(
    workloads: tuple[str, ...], width: int | None, devices: str, json_file: Path | None, check: Path | None
) -> None:
    """Measure training steps on this machine, against plain loops.

    Of all the workloads above, or of those named.
    """
    from harness.audit.bench import bench
    from harness.lead.ending import ending

    sys.exit(
        ending(lambda: bench(workloads or NAMES, width, devices, json_file, check), refused="Nothing can be measured")
    )


if __name__ == "__main__":
    main()
