"""`harness doctor STUDY`: the command line of `harness.audit.doctor`."""

import sys
from pathlib import Path

import click

from harness.lead.terminal.arguments import StudyFile
from harness.lead.terminal.reading import Command


@click.command(cls=Command)
@click.argument("study_file", metavar="STUDY", type=StudyFile())
def main(study_file: Path) -> None:
    """Check all that STUDY, a study file, is made of.

    Its task, models, clipping rules and optimizers, in a few training steps.
    """
    from harness.audit.doctor import diagnose
    from harness.lead.ending import ending

    sys.exit(ending(lambda: diagnose(study_file), refused=f"{study_file} cannot be checked"))


if __name__ == "__main__":
    main()
