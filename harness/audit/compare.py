"""`harness compare A B`: two results side by side, said and written."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.lead.ending import DONE
from harness.reporting.comparison import compare
from harness.reporting.comparison_text import document, text
from harness.reporting.results import load
from harness.settings import InvalidStudy, Problem


def compare_folders(a: Path, b: Path, metrics: Sequence[str] | None, json_file: Path | None) -> int:
    """Print how two results differ, and write it to a file; the exit code.

    Args:
        a: results/<study>.
        b: another.
        metrics: that are compared; None for those of the claims.
        json_file: for all of it as JSON; None for none.

    Raises:
        InvalidStudy: a folder, a metric or the file does not serve.
    """
    results = load(a), load(b)
    found = compare(*results, metrics)
    if json_file is not None:
        try:
            json_file.write_text(document(found, *results), encoding="utf-8")
        except OSError as error:
            raise InvalidStudy([Problem("--json", f"cannot be written: {error.strerror}", str(json_file))]) from None
    click.echo(text(found, *results))
    return DONE
