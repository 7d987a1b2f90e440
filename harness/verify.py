"""`harness verify RESULTS`: the command line of `harness.audit.verify`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.arguments import ResultsFolder, StudyFile
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("results", type=ResultsFolder())
@click.option("--sample", default=8, show_default=True, type=click.IntRange(min=1), help="How many runs.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the choice of runs [drawn at random, and printed].")
@click.option("--devices", help="As for harness run [the kind on which the runs were trained].")
@click.option("--study", "study_file", type=StudyFile(),
              help="The original study file, where RESULTS/study.py needs what lay beside it.")  # fmt: skip
def main(results: Path, sample: int, seed: int | None, devices: str | None, study_file: Path | None) -> None:
    """Train some runs of RESULTS, a folder results/<study>, again.

    What was recorded of a random sample is compared with what comes now, and the claims are judged again.
    The study file in the folder is Python and runs as yours: look at it before you verify what a stranger gave you.
    Exit codes: 0 none differs, 1 some differ, 2 invalid folder or arguments, 3 of no sampled run it can be said.
    """
    from harness.audit.verify import verify
    from harness.lead.ending import ending

    sys.exit(
        ending(
            lambda: verify(results, sample, seed, devices, study_file),
            refused=f"{results} cannot be verified", interrupted="Interrupted; nothing was changed.",
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
