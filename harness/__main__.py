"""The command `harness`, or `python -m harness`: all commands in one."""

import click

from harness import bench, calibrate, compare, doctor, forget, report, run, verify
from harness import list as list_studies


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Ablations of dropout and gradient clipping that can be trusted.

    Shell completion, for bash: eval "$(_HARNESS_COMPLETE=bash_source harness)"
    """


for command in (run, report, verify, compare, list_studies, forget, doctor, bench, calibrate):
    main.add_command(command.main, command.__name__.rpartition(".")[2])


if __name__ == "__main__":
    main(prog_name="harness")
