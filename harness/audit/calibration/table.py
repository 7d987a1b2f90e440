"""The tables of `harness calibrate`, and the command's work."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from harness.audit.calibration.counting import LEAST_COVERAGE, MOST_FALSE, NOISE, Row
from harness.audit.calibration.run import cells, simulate
from harness.audit.calibration.worlds import worlds
from harness.settings import InvalidStudy, Problem
from harness.settings.problems import nearest

HEAD = (
    "| world | n | falsely supported | falsely refuted | falsely reversed | false verdicts | coverage | power | holds |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|---|"
)
WORST_HEAD = "| world | n | false verdicts, worst | coverage, worst | power by n |\n|---|--:|--:|--:|--:|"


def calibrate(names: Sequence[str], studies: int, seed: int, json_file: Path | None) -> int:
    """Print how often verdicts err in each world, and write it to a file; the exit code: 1 where more than is allowed.

    Args:
        names: of worlds; none: all.
        studies: of each row.
        seed: of the simulation.
        json_file: for the same numbers; None for none.

    Raises:
        InvalidStudy: there is no such world.
    """
    known = list(worlds())
    if wrong := [name for name in names if name not in known]:
        raise InvalidStudy(
            [Problem("worlds", f"there is none of this name{nearest(name, known)}", name) for name in wrong]
        )
    names = list(dict.fromkeys(names)) or known
    click.echo(
        f"{studies} simulated studies a row, {len(cells(names))} rows. Required: at most {MOST_FALSE:.0%} false verdicts, "
        f"{LEAST_COVERAGE:.1%} coverage at least, as far as {1 - NOISE:.0%} intervals (in brackets) tell.\n"
    )
    rows, code = report(simulate(names, studies, seed))
    if json_file is not None:
        document = {"studies": studies, "seed": seed, "rows": [_plainly(row) for row in rows]}
        json_file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return code


def report(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """Print rows as they come, the worst of each world at the end; all of them, and the exit code."""
    click.echo(HEAD)
    shown = []
    for row in rows:
        shown.append(row)
        click.echo(_line(row))
    click.echo(f"\nThe worst over n:\n\n{worst(shown)}\n")
    broken = [row for row in shown if not row.holds]
    for row in broken:
        click.echo(f"{row.world} does not hold at n = {row.n}.", err=True)
    return shown, 1 if broken else 0


def _line(row: Row) -> str:
    """A row as markdown."""
    c = row.counts
    shares = " | ".join(_percent(count / c.studies) for count in (c.supported, c.refuted, c.reversed))
    false = f"{_percent(c.false / c.studies)} [{_percent(row.false[0])}, {_percent(row.false[1])}]"
    coverage = f"{_percent(c.covered / c.studies)} [{_percent(row.coverage[0])}, {_percent(row.coverage[1])}]"
    return f"| {row.says} | {row.n} | {shares} | {false} | {coverage} | {_power(row)} | {_holds(row)} |"


def _holds(row: Row) -> str:
    if row.exempt:
        return f"{'yes' if row.within_limits else 'no'}, not required: {row.exempt}"
    return "yes" if row.holds else "**no**"


def _power(row: Row) -> str:
    return f"{row.counts.found / row.counts.powered:.0%}" if row.counts.powered else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def worst(rows: Sequence[Row]) -> str:
    """The worst figures of each world over its numbers of seeds, as markdown."""
    lines = [WORST_HEAD]
    reasons = dict.fromkeys(row.exempt for row in rows if row.exempt)
    marks = {why: "†" * i for i, why in enumerate(reasons, 1)}
    for _, own in groupby(rows, key=lambda row: row.world):
        of_world = list(own)
        false = max(row.counts.false / row.counts.studies for row in of_world)
        coverage = min(row.counts.covered / row.counts.studies for row in of_world)
        sizes, powers = (", ".join(each) for each in zip(*((str(row.n), _power(row)) for row in of_world), strict=True))
        says = " ".join([of_world[0].says, *filter(None, [marks.get(of_world[0].exempt)])])
        lines.append(f"| {says} | {sizes} | {_percent(false)} | {_percent(coverage)} | {powers} |")
    notes = [f"{mark} not required: {why}." for why, mark in marks.items()]
    return "\n".join([*lines, *(["", " ".join(notes)] if notes else [])])


def _plainly(row: Row) -> dict[str, Any]:
    """For JSON."""
    intervals = {"false_interval": row.false, "coverage_interval": row.coverage}
    return {"world": row.world, "n": row.n, **asdict(row.counts), **intervals, "exempt": row.exempt, "holds": row.holds}
