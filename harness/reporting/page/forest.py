"""Where the marks of a forest plot stand: Δ of a claim, its interval, δ, and Δ of each cell, on one axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.inference.verdict import Verdict
from harness.reporting.page.words import at_worst, ends, interval, metric_of, number

WIDTH, MARGIN = 420.0, 22.0
"""Of the drawing, and of its sides, in its own units."""

FARTHEST = 8.0
"""How many times as far as the estimates and δ an end of an interval may stretch an axis; what lies beyond is an arrow at its edge."""

TICKS = 5


@dataclass(frozen=True)
class Mark:
    """A place on the axis; `beyond` −1 or 1 where the value lies beyond its left or right end."""

    x: float
    beyond: int = 0


@dataclass(frozen=True)
class Forest:
    """The marks of one claim.

    Attributes:
        estimate, low, high: of Δ.
        deltas: δ, of an equivalence −δ and δ.
        cells: Δ of each cell.
        ticks: of the axis, with their labels.
        text: all of it in words.
    """

    estimate: Mark
    low: Mark
    high: Mark
    deltas: Sequence[Mark]
    cells: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]
    text: str


def forests(verdicts: Sequence[Verdict]) -> list[Forest | None]:
    """The marks of each claim, those of one metric on one axis; None where there is no Δ to be drawn."""
    drawn = [verdict for verdict in verdicts if _is_drawn(verdict)]
    spans = {
        metric: _span([verdict for verdict in drawn if metric_of(verdict) == metric])
        for metric in dict.fromkeys(map(metric_of, drawn))
    }
    return [_forest(verdict, *spans[metric_of(verdict)]) if _is_drawn(verdict) else None for verdict in verdicts]


def _is_drawn(verdict: Verdict) -> bool:
    return verdict.estimate is not None and verdict.label != "exact" and math.isfinite(verdict.estimate)


def _span(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """The ends of an axis: 0, all estimates and δ lie within, and of the intervals and cells what does not lie too far out."""
    near = [0.0, *(value for v in verdicts for value in (v.estimate or 0.0, *_deltas(v)))]
    far = [value for v in verdicts for value in (*ends(v), *(cell.estimate for cell in v.cells))]
    most = FARTHEST * max(map(abs, near)) or 1.0
    there = [value for value in (*near, *far) if abs(value) <= most]
    low, high = min(there), max(there)
    beyond = [value for value in far if math.isfinite(value) and abs(value) > most]
    return (low if min(beyond, default=0) >= 0 else -most), (high if max(beyond, default=0) <= 0 else most)


def _deltas(verdict: Verdict) -> list[float]:
    delta = verdict.smallest_effect
    if not delta:
        return []
    return [-delta, delta] if verdict.kind == "Equivalence" else [delta]


def _forest(verdict: Verdict, least: float, most: float) -> Forest:
    scale = (WIDTH - 2 * MARGIN) / (most - least) if most > least else 0.0

    def mark(value: float) -> Mark:
        beyond = int(value > most) - int(value < least)
        return Mark(round(MARGIN + scale * (min(max(value, least), most) - least), 1), beyond)

    low, high = ends(verdict)
    ticks = [(mark(value).x, number(value)) for value in _ticks(least, most)]
    return Forest(
        mark(verdict.estimate or 0.0), mark(low), mark(high), [mark(delta) for delta in _deltas(verdict)],
        [mark(cell.estimate) for cell in verdict.cells if not math.isnan(cell.estimate)], ticks, _text(verdict),
    )  # fmt: skip


def _ticks(least: float, most: float) -> list[float]:
    """Round numbers from end to end, 0 among them where it lies between.

    >>> _ticks(0.0, 0.24), _ticks(-0.4, 0.5)
    ([0.0, 0.05, 0.1, 0.15, 0.2], [-0.4, -0.2, 0.0, 0.2, 0.4])
    """
    rough = (most - least) / TICKS or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(size * unit for size in (1, 2, 5, 10) if size * unit >= rough * (1 - 1e-9))
    first, last = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
    return [float(np.round(k * step, 12)) for k in range(first, last + 1)]


def _text(verdict: Verdict) -> str:
    """What is drawn, for those who do not see it."""
    said = f"Δ of {metric_of(verdict)} {interval(verdict)}{at_worst(verdict)}"
    if deltas := _deltas(verdict):
        said += f"; δ {' and '.join(map(number, deltas))}"
    shown = verdict.cells[:12]
    if shown:
        each = ", ".join(f"{cell.name}: {number(cell.estimate)}" for cell in shown)
        more = f" and {len(verdict.cells) - len(shown)} more" if len(verdict.cells) > len(shown) else ""
        said += f"; cells: {each}{more}"
    return f"{said}. {'Treatment less baseline' if verdict.kind == 'Equivalence' else 'Positive favours the claim'}."
