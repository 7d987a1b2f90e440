"""`Sections`: a command whose help shows its options in groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from harness.lead.terminal.reading import Command


class Sections(Command):
    """A command with many options.

    Args:
        sections: names of options by the title of their group; the others come last.
        contradicting: see `Command`.
    """

    def __init__(self, *, sections: Mapping[str, Sequence[str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command`."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        rows = {param.name: row for param in options if (row := param.get_help_record(ctx)) is not None}
        for title, names in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([rows.pop(name) for name in names])
        with formatter.section("Other options"):
            formatter.write_dl(list(rows.values()))
