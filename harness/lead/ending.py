"""How every command ends: its exit code, and, where something kept it from its work, what to do in the first line."""

import os
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext

import click

from harness.lead.interruption import Interrupted
from harness.lead.terminal.ctrl_c import INTERRUPTED, raised
from harness.lead.terminal.events import Ended, Tell
from harness.settings import InvalidStudy, Problem, first_line, printable
from harness.settings.credentials import without_credentials
from harness.settings.files import disk_error

DONE, SOME_FAILED, INVALID, BROKEN = 0, 1, 2, 3


def ending(
    work: Callable[[], int], *, refused: str, interrupted: str = "Interrupted.", tell: Tell = lambda event: None,
    listens: bool = False,
) -> int:  # fmt: skip
    """The exit code of a command's work.

    Args:
        work: returns the exit code where nothing keeps it from that.
        refused: what cannot be done of an invalid study, folder or option, such as "mine.py cannot run".
        interrupted: said after Ctrl-C.
        tell: is told how it ended, where something kept it.
        listens: whether the work listens to Ctrl-C where it must be ended in order; elsewhere that ends it at once.
    """
    try:
        with nullcontext() if listens else raised():
            return work()
    except InvalidStudy as error:
        text = f"{refused}: {error.remedy or remedy(error.problems)}."
        ended = Ended(
            INVALID, "\n".join([printable(text), *(f"  {problem}" for problem in error.problems)]), error.problems
        )
    except Interrupted as stopped:
        ended = Ended(INTERRUPTED, printable(str(stopped)))
    except (KeyboardInterrupt, click.Abort):  # at a question
        ended = Ended(INTERRUPTED, interrupted)
    except Exception as error:
        what = "Run the same command again, and report this if it comes again: an error that is no fault of the study"
        kept = f"What was recorded is saved. {_kept_traceback(error)}"
        ended = Ended(BROKEN, printable(f"{what}, {first_line(error)}\n{kept}"))
    click.echo(ended.text, err=True)
    tell(ended)
    return ended.exit_code


def remedy(problems: list[Problem]) -> str:
    """What to do about problems, where who found them says nothing else.

    >>> remedy([Problem("--devices", "there is no GPU")]), remedy([Problem("steps", "must be above 0"), Problem("seeds", "too many")])
    ('change that option', 'mend these 2 things and run the same command again')
    """
    count = len(problems)
    if all(problem.path.startswith("--") for problem in problems):
        return "change that option" if count == 1 else f"change these {count} options"
    return f"mend {'this' if count == 1 else f'these {count} things'} and run the same command again"


def _kept_traceback(error: Exception) -> str:
    """Says which new file has the traceback of an error, without passwords; where none can be written, the traceback itself."""
    text = without_credentials("".join(traceback.format_exception(error)))
    try:
        handle, name = tempfile.mkstemp(prefix=f"harness-error-{time.strftime('%Y%m%d-%H%M%S')}-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as unwritten:
        return f"Add this to the report, for which there is no room in a file ({disk_error(unwritten)}):\n{text}"
    return f"The traceback is in {name}: add it to the report."
