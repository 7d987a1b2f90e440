"""The legend above a figure: factor, levels and a note, in as many columns as have room."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.reporting.page.level_names import told_apart
from harness.reporting.plots.looks import look
from harness.reporting.plots.texts import text_width, wrapped

HANDLE = 0.55
"""Width of a line with its spaces, in inches."""


def legend(figure: Figure, data: pd.DataFrame, *, note: str = "", role: str = "group", markers: bool = True) -> None:
    """Above the figure: factor and levels of a role, and a note, in one row; where it has no room, the levels below the others."""
    handles: list[Line2D] = []
    levels = data.drop_duplicates(f"{role}_order").sort_values(f"{role}_order")
    factor = str(levels[f"{role}_factor"].iloc[0])
    if factor:
        for (_, row), name in zip(levels.iterrows(), told_apart(levels[role].to_list()), strict=True):
            kind = look(int(row[f"{role}_colour"]), int(row[f"{role}_order"]))
            handles.append(Line2D([], [], label=wrapped(name, 40), **(kind if markers else kind | {"marker": ""})))
    before, after = ([Line2D([], [], ls="", label=text)] if text else [] for text in (factor, note))
    every, width, title = [*before, *handles, *after], figure.get_figwidth(), None
    columns = legend_columns([str(handle.get_label()) for handle in every], width)
    if handles and columns < len(every):
        title = ";  ".join(filter(None, (factor, note)))
        every = handles
        columns = legend_columns([str(handle.get_label()) for handle in every], width)
    if every:
        figure.legend(handles=every, loc="outside upper center", ncols=columns, handlelength=2.6, columnspacing=1.2,
                      title=title)  # fmt: skip


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Columns of a legend, at most six, that fit into a width in inches: each is as wide as its longest label."""
    for columns in range(min(len(labels), 6), 1, -1):
        longest = [max(map(text_width, part)) for part in np.array_split(labels, columns)]
        if sum(longest) + columns * HANDLE < width:
            return columns
    return 1


def counts_note(counts: "pd.Series[int]", of: str) -> str:
    """How many there are of something, or from how many to how many.

    >>> counts_note(pd.Series([8, 10]), "runs per line")
    'n = 8–10 runs per line'
    """
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low if low == high else f'{low}–{high}'} {of}"
