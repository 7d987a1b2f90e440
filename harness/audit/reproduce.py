"""`harness reproduce`: studies run anew, and what comes of them set beside the results that were published with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pandas as pd

from harness.audit.verify import outcome
from harness.inference.outcomes import in_bits
from harness.lead.command import run_file
from harness.lead.ending import DONE, SOME_FAILED
from harness.lead.options import Options
from harness.lead.terminal.displays import display_for
from harness.ledger.environment import obstacles
from harness.reporting.comparison import numbered, worded
from harness.reporting.reading import json_of, read
from harness.reporting.results import Results, load
from harness.settings import InvalidStudy, Problem
from harness.settings.show import counted
from harness.study.changes import NO_CHANGES, Changes, parse_changes
from harness.study.load import load_study

DIFFER = 1


def reproduce(
    study_files: Sequence[Path], changes: Changes, against: Path, results: Path, workers: int | None, *, quiet: bool
) -> int:
    """Run each study and compare; the exit code, 1 where a verdict is another or is missing.

    Args:
        study_files: of the studies.
        changes: to each, which say its name; those with which it was published are made before them.
        against: folder of published results, one folder for each study.
        results: where they are run; what is there already is not trained again.
        workers: see `Options`.
        quiet: say the outcome only.

    Raises:
        InvalidStudy: a study cannot run, there is nothing to compare it with, or both folders are one.
    """
    if against.resolve() == results.resolve():
        raise InvalidStudy([Problem("--results", f"must be another folder than {against}, which would be overwritten")])
    names = {file: load_study(file, changes)[0].name for file in study_files}
    published = {file: load(against / name) for file, name in names.items()}
    as_published = {file: _changes(against / name / "changes.json").then(changes) for file, name in names.items()}
    said = []
    for file in study_files:
        display = display_for(as_lines_of_json=False, quiet=quiet)
        code = run_file(file, as_published[file], Options(results=results, workers=workers, display=display))
        if code not in (DONE, SOME_FAILED):
            return code
        said.append(differences(published[file], load(results / names[file])))
        click.echo(f"{names[file]}: {'; '.join(said[-1][1])}.")
    same = sum(same for same, _ in said)
    click.echo(
        f"{'REPRODUCED' if same == len(said) else 'DIFFERS'}: {same} of {counted(len(said), 'study', 'studies')} with the same verdicts."
    )
    return DONE if same == len(said) else DIFFER


def _changes(file: Path) -> Changes:
    """Those with which a study was published; none where nothing is said of them."""
    return read(file, lambda path: parse_changes(json_of(path)), {}) if file.exists() else NO_CHANGES


def differences(published: Results, again: Results) -> tuple[bool, list[str]]:
    """Whether all verdicts are the same, and in words how much is."""
    before, now = (dict(numbered(results.verdicts)) for results in (published, again))
    others = [
        f"“{claim[0]}” is {_said(now.get(claim), 'no claim any more')}, was {_said(before.get(claim), 'no claim')}"
        for claim in before | now
        if claim not in before or claim not in now or before[claim]["verdict"] != now[claim]["verdict"]
    ]
    there, here = (results.runs.set_index(["trial", "seed"]) for results in (published, again))
    same = sum(_same(there, here, key) for key in there.index.intersection(here.index))
    n = len(there.index.union(here.index))
    why = obstacles(*(results.study["environment"] for results in (published, again))) if same < n else []
    verdicts = others or [f"{counted(len(before), 'verdict')} the same" if before else "no claims"]
    return not others, [
        *verdicts,
        f"{same:,} of {counted(n, 'run')} the same in every bit"
        + (f", which need not be: {', '.join(why)}" if why else ""),
    ]


def _said(claim: "pd.Series[Any] | None", otherwise: str) -> str:
    return otherwise if claim is None else worded(claim)


def _same(before: pd.DataFrame, now: pd.DataFrame, key: tuple[int, int]) -> bool:
    one, other = (outcome(table, None, key) for table in (before, now))
    return one.row.keys() == other.row.keys() and in_bits(one, other) is None
