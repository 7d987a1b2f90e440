"""How every command ends: its exit code, and a sentence where something kept it from its work."""

from collections.abc import Callable

import click

from harness.settings import InvalidStudy, printable

DONE, SOME_FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130


def ending(work: Callable[[], int], *, refused: str, interrupted: str = "Interrupted.") -> int:
    """The exit code of a command's work.

    Args:
        work: returns the exit code where nothing keeps it from that.
        refused: said before the problems of an invalid study, folder or option.
        interrupted: said after Ctrl-C.
    """
    try:
        return work()
    except InvalidStudy as error:
        click.echo(printable(refused), err=True)
        click.echo("\n".join(f"  {problem}" for problem in error.problems), err=True)
        return INVALID
    except KeyboardInterrupt:
        click.echo(interrupted, err=True)
        return INTERRUPTED
