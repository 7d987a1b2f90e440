"""How levels look: colours, and markers and lines that tell them apart in grey print too."""

from functools import cache
from typing import Any

import pandas as pd

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
COLOURS = 8
QUIET = "0.4"


@cache
def palette() -> list[tuple[float, float, float]]:
    """So many `COLOURS`, which colour-blind people tell apart."""
    import seaborn as sns  # type: ignore[import-untyped]  # takes a second or two, which a report that draws nothing anew is spared

    colours = sns.color_palette("colorblind")
    return [colour for i, colour in enumerate(colours) if i not in (6, 8)]  # pink and yellow are too light on white


def look_of(rows: pd.DataFrame, role: str = "group") -> dict[str, Any]:
    """Colour, marker and line of the level that all `rows` have in a role."""
    first = rows.iloc[0]
    return look(int(first[f"{role}_colour"]), int(first[f"{role}_order"]))


def look(colour: int, order: int) -> dict[str, Any]:
    """Colour, marker and line; the latter two tell levels apart in grey print."""
    return {
        "color": palette()[colour], "marker": MARKERS[order % len(MARKERS)], "ls": LINES[order % len(LINES)], "ms": 5,
        "mec": "white", "mew": 0.6,
    }  # fmt: skip
