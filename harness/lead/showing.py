"""`harness show`: the verdicts of a folder of results, in the terminal. No code of the folder runs."""

import json
from pathlib import Path

import click

from harness.inference.verdict import Verdict
from harness.lead.ending import DONE
from harness.lead.terminal.verdict_lines import verdict_lines
from harness.reporting.reading import verdict_of
from harness.reporting.results import CLAIMS_FILE, Results, load
from harness.reporting.whole import REMEDY
from harness.settings import InvalidStudy, Problem, printable
from harness.settings.levels import in_short
from harness.settings.show import counted

STATUSES = ("diverged", "collapsed", "failed")


def show_results(folder: Path) -> int:
    """Print what a study found; the exit code.

    Args:
        folder: results/<study>.

    Raises:
        InvalidStudy: it is missing, incomplete or damaged.
    """
    results = load(folder)
    lines = [_head(results), *filter(None, [results.incomplete]), *_swept(results)]
    lines += verdict_lines(_verdicts(folder)) if len(results.verdicts) else ["It makes no claims."]
    click.echo(printable("\n".join([*lines, f"Report: {results.report}"])))
    return DONE


def _head(results: Results) -> str:
    counts = results.runs["status"].value_counts()
    others = [f"{counts[status]:,} {status}" for status in STATUSES if counts.get(status)]
    return ", ".join(
        [
            f"{results.folder.name}: {counted(len(results.runs), 'run')} in {results.extent}",
            *others,
        ]
    )


def _swept(results: Results) -> list[str]:
    """The levels of each swept factor."""
    swept = [str(name) for name in results.cells if str(results.study.get(str(name))).startswith("Sweep(")]
    return [f"  {path}: {in_short(path, results.cells[path])}" for path in swept]


def _verdicts(folder: Path) -> list[Verdict]:
    """As they are in the file, which `load` has found to be sound."""
    path = folder / CLAIMS_FILE
    try:
        return [verdict_of(claim) for claim in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidStudy([Problem(str(path), f"is damaged; {REMEDY}", str(error))]) from None
