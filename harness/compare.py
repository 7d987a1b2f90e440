"""`harness compare A B`: the command line of `harness.audit.compare`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.arguments import ResultsFolder
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("a", type=ResultsFolder())
@click.argument("b", type=ResultsFolder())
@click.option("--metric", "metrics", multiple=True, help="To be compared; may be given again [those of the claims].")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write all of it here too, with every seed's difference.",
)
def main(a: Path, b: Path, metrics: tuple[str, ...], json_file: Path | None) -> None:
    """Set two results side by side.

    A and B are folders results/<study>: of two studies, or of one before and after a change.

    Settings, metrics with their paired differences by seed, and verdicts. Nothing is trained, and no code of the folders runs.
    Exit codes: 0 compared, 2 invalid folder or arguments.
    """
    from harness.audit.compare import compare_folders
    from harness.lead.ending import ending

    sys.exit(
        ending(lambda: compare_folders(a, b, metrics or None, json_file), refused=f"{a} and {b} cannot be compared")
    )


if __name__ == "__main__":
    main()
