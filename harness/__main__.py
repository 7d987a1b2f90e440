"""The command `harness`, or `python -m harness`: all commands in one."""

import click

from harness import bench, calibrate, compare, completion, doctor, forget, new, report, reproduce, run, show, verify
from harness import list as list_studies
from harness.lead.terminal.reading import Command

SECTIONS = {
    "Studies": (new, doctor, run, report),
    "Results": (show, list_studies, compare, verify, reproduce, forget),
    "The harness itself": (bench, calibrate, completion),
}


class Commands(Command, click.Group):
    """All commands, in the order in which they are met."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group`."""
        for title, modules in SECTIONS.items():
            with formatter.section(title):
                names = [module.__name__.rpartition(".")[2] for module in modules]
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=100)) for name in names])


@click.group(cls=Commands)
@click.version_option(package_name="ablation-harness", prog_name="harness")
def main() -> None:
    """Ablations of dropout and gradient clipping that can be trusted.

    To begin: harness new mine, then harness run mine.py --quick
    """


for modules in SECTIONS.values():
    for command in modules:
        main.add_command(command.main, command.__name__.rpartition(".")[2])


if __name__ == "__main__":
    main(prog_name="harness")
