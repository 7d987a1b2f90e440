"""`Command`: what all commands have in common: how their lines are read, that who reads their output may go, and how they end.

Nothing on a line is ignored since something else is there too.
"""

from collections.abc import Sequence
from typing import Any

import click

from harness.execution.streams import outlive_readers
from harness.lead.terminal.ctrl_c import end_at_once
from harness.lead.terminal.leaving import leaving


class Command(click.Command):
    """A command that refuses a line that says two things of one.

    Args:
        contradicting: names of flags, in pairs of which one may be given.
    """

    def __init__(self, *, contradicting: Sequence[tuple[str, str]] = (), **settings: Any) -> None:
        super().__init__(context_settings={"help_option_names": ["-h", "--help"]}, **settings)
        self._contradicting = contradicting

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """See `click.Command`."""
        end_at_once()
        outlive_readers()
        with leaving():
            return super().__call__(*args, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command`.

        Raises:
            click.UsageError: an option of one value has several, or an empty one, or flags contradict each other.
        """
        if not ctx.resilient_parsing:  # where a shell completes what is not finished
            self._check(ctx, list(args))
        return super().parse_args(ctx, args)

    def _check(self, ctx: click.Context, args: list[str]) -> None:
        options = {option.name: option for option in self.get_params(ctx) if isinstance(option, click.Option)}
        single = [option for option in options.values() if not option.multiple and not option.is_flag]
        parser = self.make_parser(ctx)
        for option in single:  # all values of each, where click has the last
            parser.add_option(option, option.opts, option.name, action="append", nargs=option.nargs)
        given, _, _ = parser.parse_args(args)
        for option in single:
            values = list(dict.fromkeys(given.get(option.name, ())))
            # As of a variable that is not set: what it stands for would not be used, and nobody would know.
            if "" in values:
                raise click.UsageError(f"{_called(option)}: is empty; give a value, or leave the option out", ctx)
            if len(values) > 1:
                raise click.UsageError(f"{_called(option)}: given as {_shown(values)}; give one of them", ctx)
        for one, other in self._contradicting:
            if given.get(one) and given.get(other):
                names = f"{_called(options[one])} and {_called(options[other])}"
                raise click.UsageError(f"{names} contradict each other; give one of them", ctx)


def _called(option: click.Option) -> str:
    """The long name of an option."""
    return max(option.opts, key=len)


def _shown(values: Sequence[str]) -> str:
    """Values, without passwords."""
    from harness.settings import printable  # imports much, where a command that is sound may end in no time
    from harness.settings.credentials import without_credentials

    return " and as ".join(printable(without_credentials(value)) for value in values)
