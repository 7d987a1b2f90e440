"""`cell_map`: the cells of a study as a small picture in characters, each as dark as it is done."""

import math
from collections.abc import Mapping, Sequence

SHADES = "·░▒▓█"
"""Nothing, some, half, most and all of a cell's runs."""

MOST_ROWS = 6


def cell_map(factors: Mapping[str, Sequence[str]], done: Sequence[float], width: int) -> list[str]:
    """The lines of the picture: a row for each combination of all factors but the last, whose levels are the columns.

    Where that does not fit, all cells in their order on one line, each character standing for as many as need be.

    Args:
        factors: levels by path, as text.
        done: of each cell, from 0 to 1, the last factor varying fastest.
        width: characters of a line.

    >>> cell_map({"model.dropout": ["0", "0.5"], "clipping.max_norm": ["1", "5", "∞"]}, [1, 1, 0.5, 0, 0, 0], 40)
    ['dropout 0    ██▒', 'dropout 0.5  ···', '             max_norm 1, 5, ∞']
    """
    if not factors:
        return []
    names = [path.rpartition(".")[2] for path in factors]
    *rows, columns = [
        [f"{name} {level}" for level in levels] for name, levels in zip(names, factors.values(), strict=True)
    ]
    labels = _products(rows)
    edge = max(map(len, labels)) + 2 if rows else 0
    below = f"{names[-1]} {', '.join(list(factors.values())[-1])}"
    if len(labels) > MOST_ROWS or edge + max(len(columns), len(below)) > width:
        return ["".join(map(_shade, _buckets(done, width)))]
    lines = ["".join(map(_shade, done[i * len(columns) : (i + 1) * len(columns)])) for i in range(len(labels))]
    return [f"{label:{edge}}{line}" for label, line in zip(labels, lines, strict=True)] + [" " * edge + below]


def _products(parts: Sequence[Sequence[str]]) -> list[str]:
    found = [""]
    for levels in parts:
        found = [f"{before}, {level}" if before else level for before in found for level in levels]
    return found


def _buckets(done: Sequence[float], most: int) -> list[float]:
    """Means of consecutive values, as many as there may be."""
    size = math.ceil(len(done) / most)
    parts = [done[i : i + size] for i in range(0, len(done), size)]
    return [sum(part) / len(part) for part in parts]


def _shade(share: float) -> str:
    """All is black, nothing a dot, and all between is between."""
    if share <= 0:
        return SHADES[0]
    return SHADES[-1] if share >= 1 else SHADES[1 + min(2, int(share * 3))]
