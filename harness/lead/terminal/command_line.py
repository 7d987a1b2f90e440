"""A run's command line, as reports and messages show it."""

import shlex
from collections.abc import Sequence

from harness.settings.credentials import without_credentials


def run_command(arguments: Sequence[str]) -> str:
    """The command line of a run, without passwords.

    >>> run_command(["my study.py", "--seeds", "20"])
    "python -m harness.run 'my study.py' --seeds 20"
    """
    return shlex.join(["python", "-m", "harness.run", *map(without_credentials, arguments)])
