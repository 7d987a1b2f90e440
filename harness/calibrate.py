"""`harness calibrate`: the command line of `harness.audit.calibration`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.reading import Command

STUDIES, QUICK = 2000, 100


@click.command(cls=Command)
@click.argument("worlds", nargs=-1)
@click.option(
    "--studies",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Simulated for each row [{STUDIES}, with --quick {QUICK}].",
)
@click.option("--quick", is_flag=True, help=f"{QUICK} studies a row, unless --studies says how many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the simulation.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the table here too.")
def main(worlds: tuple[str, ...], studies: int | None, quick: bool, seed: int, json_file: Path | None) -> None:
    """Count how often verdicts err, on simulated studies.

    Studies of which the truth is known go through the code that makes verdicts.

    In all WORLDS, or in those named. Exit codes: 0 it holds what is required, 1 it does not somewhere, 2 invalid arguments.
    """
    from harness.audit.calibration.table import calibrate
    from harness.lead.ending import ending

    number = studies or (QUICK if quick else STUDIES)
    sys.exit(ending(lambda: calibrate(worlds, number, seed, json_file), refused="Nothing can be simulated"))


if __name__ == "__main__":
    main()
