"""Gradient flow along time: the norm of the gradient of each state of a recurrent net, on its way back from the last one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_panels, log_scale, name_axes
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.stairs import ALL
from harness.reporting.plots.titles import least_and_most, levels_of


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Median and quartiles over runs of ‖∂L/∂h_t‖ at each time step, counted back from the last one; None where no run has any."""
    if PROFILE not in runs:
        return None
    runs = confirmed(runs)
    runs = runs[[isinstance(norms, bytes) for norms in runs[PROFILE]]]
    rows: list[dict[str, Any]] = []
    for names, inside in roles.cells(runs, roles.lines):
        profiles = [np.frombuffer(norms)[::-1] for norms in inside[PROFILE]]
        for back in range(max(map(len, profiles), default=0)):
            norms = [profile[back] for profile in profiles if back < len(profile)]
            low, median, high = np.quantile(norms, [0.25, 0.5, 0.75])
            rows.append(names | {"time": -back, "median": median, "low": low, "high": high, "n": len(norms)})
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; lines: levels of the group."""
    figure, panels = facet_panels(data, width=2.0, height=2.3)
    for ax, panel in panels:
        for _, line in panel.groupby("group_order"):
            kind, there = look_of(line) | {"marker": ""}, line[line["median"] > 0]
            ax.plot(there["time"], there["median"], **kind)
            ax.fill_between(there["time"], there["low"], there["high"], color=kind["color"], alpha=0.15, lw=0)
        log_scale(ax)
    name_axes(figure, x="time step, the last one 0", y="norm of the gradient\nof the state, log scale")
    legend(figure, data, note=counts_note(data["n"], "runs per line"), markers=False)
    return figure


def title(table: pd.DataFrame) -> str:
    """How much larger the gradient is at the first time step than at the last one."""
    ends = table.sort_values("time").groupby(["facet_order", "group_order"], as_index=False)
    first, last = ends.first(), ends.last()
    first["times"] = first["median"] / last["median"]
    said = [
        number(row["times"]) + f" at {levels_of(row, first)}" * (len(first) > 1)
        for row in least_and_most(first, "times")
    ]
    return f"Gradient of the first state over that of the last one: {' to '.join(dict.fromkeys(said))}."


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, of recurrent nets whose study asks for `Diagnostics("full")`."""
    table = data(runs, roles)
    if table is not None:
        caption = (
            "Gradient flow along time: norm of ∂L/∂h, L the loss of the last time step alone, of one training batch, dropout off; of a run "
            "the geometric mean over evaluations and recurrent layers; median over runs, band: quartiles. What vanished to 0 is not drawn."
            f"{roles.merged(ALL)}{roles.said(roles.lines)}"
        )
        yield Plot("gradient_flow", caption, table, draw, title=title(table) + roles.where(roles.lines))
