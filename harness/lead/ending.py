"""How every command ends: its exit code, and a sentence where something kept it from its work."""

import os
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from harness.lead.interruption import Interrupted
from harness.settings import InvalidStudy, first_line, printable
from harness.settings.credentials import without_credentials

DONE, SOME_FAILED, INVALID, BROKEN, INTERRUPTED = 0, 1, 2, 3, 130


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
    except Interrupted as stopped:
        click.echo(printable(str(stopped)), err=True)
        return INTERRUPTED
    except KeyboardInterrupt:
        click.echo(interrupted, err=True)
        return INTERRUPTED
    except Exception as error:
        click.echo(
            printable(
                f"Stopped by an error that is no fault of the study: {first_line(error)}\n"
                f"What was recorded is saved. The traceback is in {_kept_traceback(error)}: please report it."
            ),
            err=True,
        )
        return BROKEN


def _kept_traceback(error: Exception) -> Path:
    """A new file with the traceback of an error, without passwords."""
    text = without_credentials("".join(traceback.format_exception(error)))
    handle, name = tempfile.mkstemp(prefix=f"harness-error-{time.strftime('%Y%m%d-%H%M%S')}-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
