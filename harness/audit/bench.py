"""`harness bench`: what a training step costs here, against what a user would do without us and against the hardware.

For each workload, in turns: one model trained by a plain loop with all threads; as many plain loops as cores, of one thread
each, with the fused optimizer; the way in which a study trains (on a CPU in each of several processes); and the limit, which
is the same arithmetic as batched matrix products of the same shapes plus the unavoidable memory traffic, in the same
processes. The faster of the two plain ways is the baseline. No two contenders ever run at once.
"""

import json
import math
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch

from harness.audit.contenders import STEPS, Team, chosen_width, has_limit, workers
from harness.audit.workloads import WORKLOADS
from harness.engine.devices import cores_of, device_name, find_devices
from harness.settings import InvalidStudy, Problem

WARM_UP, ROUNDS = 2, 9
"""How often each contender has its turn, unmeasured and measured."""


@dataclass(frozen=True)
class Row:
    """What was measured of one workload: medians in milliseconds per step and model.

    `limit_ms` is NaN where not all products of a step are known. `ratio` is the better of both plain ways over ours, `low` and
    `high` its quartiles over the rounds, in each of which all took their turn; a width of 1 is the plain loop.
    """

    workload: str
    processes: int
    width: int
    plain_ms: float
    per_core_ms: float
    population_ms: float
    limit_ms: float
    ratio: float
    low: float
    high: float
    share_of_limit: float


def measure(
    name: str, width: int | None, device: torch.device, peers: Mapping[str, Callable[[], float]] | None = None
) -> tuple[Row, dict[str, float]]:
    """Medians of one workload, the contenders taking turns.

    Args:
        name: of the workload.
        width: members of a population; None as a study would choose.
        device: where it trains.
        peers: further contenders: each trains for a turn and says how many seconds a step of a model took.

    Returns:
        The row, and the medians of all contenders in milliseconds.
    """
    setup = WORKLOADS[name].setup()
    assert not setup.problems(), setup.problems()
    cores = cores_of(device)
    width = width or chosen_width(setup, device)
    alone, ours = Team(1, name, ("plain",), 1, device, cores), workers(name, width, device)
    spread = Team(cores, name, ("per core",), 1, device, 1)
    turns: dict[str, Callable[[], float]] = {
        "plain": lambda: alone.turn("plain") / STEPS,
        "per core": lambda: spread.turn("per core") / STEPS / cores,
        "population": lambda: ours.turn("population") / STEPS / width / cores,
        "limit": lambda: ours.turn("limit") / width / cores,
    } | dict(peers or {})
    for _ in range(WARM_UP):
        for turn in turns.values():
            turn()
    times = [{who: turn() for who, turn in turns.items()} for _ in range(ROUNDS)]
    for team in (alone, spread, ours):
        team.dismiss()
    ms = {who: statistics.median(t[who] for t in times) * 1e3 for who in turns}
    ms["limit"] = ms["limit"] if has_limit(name) else math.nan
    baseline = min(("plain", "per core"), key=ms.__getitem__)
    low, _, high = statistics.quantiles((t[baseline] / t["population"] for t in times), n=4)
    row = Row(
        name, cores, width, ms["plain"], ms["per core"], ms["population"], ms["limit"], ms[baseline] / ms["population"],
        low, high, ms["limit"] / ms["population"],
    )  # fmt: skip
    return row, ms


def _plainly(row: Row) -> dict[str, object]:
    """For JSON, which has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(row).items()
    }


HEADER = (
    "| workload | processes × width | plain loop | one a core | ours | against the better | its quartiles | limit | share of it |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def _line(row: Row) -> str:
    known = "– | –" if math.isnan(row.limit_ms) else f"{row.limit_ms:.3g} | {row.share_of_limit:.0%}"
    return (
        f"| {row.workload} | {row.processes} × {row.width} | {row.plain_ms:.3g} | {row.per_core_ms:.3g} | {row.population_ms:.3g} | "
        f"{row.ratio:.1f} × | {row.low:.1f}–{row.high:.1f} | {known} |"
    )


def slower(rows: Sequence[Row], before: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each workload that has got slower by more than noise: all middle rounds below all of those before.

    Compared is the ratio to the baseline, which a slow hour, or another machine, changes less than milliseconds.

    Args:
        rows: of now.
        before: rows of an earlier file.
    """
    earlier = {row["workload"]: row for row in before}
    return [
        f"{row.workload}: {row.ratio:.2f} × ({row.low:.2f}–{row.high:.2f}), was {was['ratio']:.2f} × ({was['low']:.2f}–{was['high']:.2f})"
        for row in rows
        if (was := earlier.get(row.workload)) and row.high < was["low"]
    ]


def bench(names: Sequence[str], width: int | None, devices: str, json_file: Path | None, base: Path | None) -> int:
    """Print a table of the workloads named, and write it to a file; the exit code, 1 if one got slower than in `base`.

    Args:
        names: of `WORKLOADS`.
        width: members of a population; None as a study would choose.
        devices: see `find_devices`; the first is measured.
        json_file: for the same numbers; None for none.
        base: such a file of before, to compare with; None for none.

    Raises:
        InvalidStudy: there is no such device, or `base` is no such file.
    """
    before = [] if base is None else read_rows(base)
    device = find_devices(devices)[0]
    machine = f"{device_name(device)}, torch {torch.__version__}, Python {platform.python_version()}"
    click.echo(f"{machine}; milliseconds per step and model\n\n{HEADER}")
    rows = []
    for name in names:
        rows.append(measure(name, width, device)[0])
        click.echo(_line(rows[-1]))
    mean = statistics.geometric_mean(row.ratio for row in rows)
    click.echo(f"\nGeometric mean of the ratios to the better plain way: {mean:.1f} ×")
    if json_file is not None:
        document = {"machine": machine, "geometric_mean": mean, "rows": list(map(_plainly, rows))}
        json_file.write_text(json.dumps(document, indent=1))
    found = slower(rows, before)
    for line in found or ["Nothing got slower by more than noise."] * (base is not None):
        click.echo(f"Slower: {line}" if found else line)
    return 1 if found else 0


def read_rows(base: Path) -> list[dict[str, Any]]:
    """The rows of a file that `--json` wrote.

    Raises:
        InvalidStudy: it is none.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(base.read_text())["rows"]
        assert all({"workload", "ratio", "low", "high"} <= row.keys() for row in rows)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        message = "must be a file that `harness bench --json` of this version wrote"
        raise InvalidStudy([Problem("--check", message, str(base))]) from None
    return rows
