"""Shares of runs over training steps, as stairs with bands."""

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.axes import facet_panels, name_axes
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.titles import least_and_most, levels_of

ALL = "a line has the runs of all"
"""What lines do with the runs of several combinations, for captions."""


def stairs(data: pd.DataFrame, name: str) -> Figure:
    """Panels: levels of the facet; stairs: levels of the group.

    Args:
        data: a row per line and `step` from which a `share` holds, with `low` and `high`; `end` is where the line ends.
        name: of the share.
    """
    figure, panels = facet_panels(data, width=2.0, height=2.3)
    for ax, panel in panels:
        for _, line in panel.groupby("group_order"):
            kind = look_of(line) | {"marker": ""}
            steps = [*line["step"], line["end"].iloc[0]]
            share, low, high = ([*line[column], line[column].iloc[-1]] for column in ("share", "low", "high"))
            ax.step(steps, share, where="post", **kind)
            ax.fill_between(steps, low, high, step="post", color=kind["color"], alpha=0.12, lw=0)
        ax.set_ylim(-0.03, 1.03)
    name_axes(figure, x="training step", y=name)
    legend(figure, data, note=counts_note(data["n"], "runs per line"), markers=False)
    return figure


def bands_in_words(data: pd.DataFrame) -> str:
    """What the bands are, and which stairs have none."""
    lacking = data["low"].isna()
    if not lacking.any():
        return "bands: 95 % (exact)"
    return f"{'no band' if lacking.all() else 'bands: 95 % (exact), none'} where a seed has several runs, which are not independent"


def ends_in_words(data: pd.DataFrame) -> str:
    """The least and the largest share at the end, as counts of runs."""
    last = data.groupby(["facet_order", "group_order"]).tail(1)
    rows = least_and_most(last, "share")
    said = [f"{round(row['share'] * row['n'])} of {row['n']} runs at {levels_of(row, last)}" for row in rows]
    if rows[0]["share"] == rows[1]["share"]:
        return f"{round(last['share'].mul(last['n']).sum())} of {last['n'].sum()} runs, the same share in every line"
    return f"least {said[0]}, most {said[1]}"
