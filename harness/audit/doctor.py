"""`python -m harness.doctor STUDY`: whether all that a study is made of does what the engine takes for granted.

Trains a few steps of a few runs; takes seconds, writes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from harness.audit import checks, data_checks
from harness.audit.checks import Finding
from harness.engine.allocator import prepare_process
from harness.engine.planning import population_key
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings.machine import one_thread
from harness.study import Study
from harness.study.load import load_study
from harness.tasks.task import Task

T = TypeVar("T", Task, Setup, list[Setup])
Item = TypeVar("Item")

MOST_GROUPS = 4
"""Architectures that are checked, at most."""

MOST_MEMBERS = 4
"""Cells of each of them, at most."""

SEVERITY = ("ok", "warning", "failed")


def groups(study: Study) -> Iterator[list[Setup]]:
    """Cells of the study that train together, as (some of) its populations would; tuned values at the middle."""
    middle = {path: _middle(tune.low, tune.high, log=tune.log) for path, tune in study.tunes().items()}
    found: dict[tuple[str, ...], list[Setup]] = {}
    for cell in study.cells():
        setup = study.setup(cell | middle)
        found.setdefault(population_key(Run(0, 0, setup)), []).append(setup)
    for members in _some(list(found.values()), MOST_GROUPS):
        yield _some(members, MOST_MEMBERS)


def _middle(low: float, high: float, *, log: bool) -> float:
    middle = (low * high) ** 0.5 if log else (low + high) / 2
    return round(middle) if isinstance(low, int) and isinstance(high, int) else middle


def _some(items: list[Item], most: int) -> list[Item]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return items
    return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]


def examine(study: Study) -> Iterator[tuple[str, Finding]]:
    """Every check by name, each with the worst that it found."""
    cells = list(groups(study))
    tasks = list(dict.fromkeys(setup.task for cell in cells for setup in cell))
    yield "data as read", _worst(data_checks.as_read, tasks)
    yield "data repeat", _worst(data_checks.same_data, tasks)
    yield "one test set", _worst(data_checks.test_set, tasks)
    yield "splits are apart", _worst(data_checks.splits, tasks)
    yield "text is not repeated", _worst(data_checks.text, tasks)
    yield "data are sane", _worst(data_checks.sane, tasks)
    yield "no input is the answer", _worst(data_checks.answer, tasks)
    yield "every class occurs", _worst(data_checks.classes, tasks)
    lasts = [cell[-1] for cell in cells]
    yield "as written", _worst(checks.as_written, cells)
    yield "torch finds all layers", _worst(checks.registered, lasts)
    yield "gradient reaches all", _worst(checks.reach, lasts)
    yield "dropout", _worst(checks.dropout, cells)
    yield "examples are apart", _worst(checks.apart_in_batch, lasts)
    yield "training repeats", _worst(checks.repeats, cells)
    yield "first loss", _worst(checks.first_loss, lasts)
    yield "learns by heart", _worst(checks.learns, lasts)


def _worst(check: Callable[[T], Finding], subjects: list[T]) -> Finding:
    """The worst finding of a check, the first of several; says what it is about if there are several subjects."""
    found = [(_guarded(check, subject), subject) for subject in subjects]
    worst, subject = max(found, key=lambda pair: SEVERITY.index(pair[0].level))
    if worst.level == "ok" or len(subjects) == 1:
        return worst
    return replace(worst, sentence=f"{worst.sentence}: {_name(subject)}")


def _guarded(check: Callable[[T], Finding], subject: T) -> Finding:
    try:
        return check(subject)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return Finding("failed", f"raised {type(error).__name__}: {lines[0] if lines else ''}", "mend what raised it")


def _name(subject: Task | Setup | list[Setup]) -> str:
    if isinstance(subject, Task):
        return repr(subject)
    setup = subject[0] if isinstance(subject, list) else subject
    return f"{setup.model} on {setup.task}"


def diagnose(study_file: Path) -> int:
    """Print every finding; the exit code is 1 where results would be wrong.

    Raises:
        InvalidStudy: the file defines no study that can run.
    """
    study, _ = load_study(study_file)
    prepare_process()
    failed = False
    with one_thread():  # a check's operations are small: threads would only wait for one another
        for name, finding in examine(study):
            click.echo(f"{finding.level:8} {name:22} {finding.sentence}")
            if finding.way_out:
                click.echo(f"{'':31} {finding.way_out}")
            failed |= finding.level == "failed"
    return 1 if failed else 0
