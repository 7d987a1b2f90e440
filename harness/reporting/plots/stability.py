"""Stability of training: divergence, collapse, spikes, gradient norm, clipping, gradient flow."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.estimates import ONCE
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.points import across, point_data, point_panels, reading, without_constant
from harness.reporting.plots.titles import trend
from harness.settings.metrics import METRICS
from harness.settings.show import counted

SHOWN = ("diverged", "collapsed", "spike_rate", "recovery_steps", "grad_norm_q99", "clip_fraction", "gradient_flow")


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Rates with exact intervals and means of the others, those of claims first."""
    claimed = [claim.metric for claim in roles.study.claims if METRICS[claim.metric].group == "stability"]
    return point_data(runs, roles, [*claimed, *SHOWN])


def draw(data: pd.DataFrame) -> Figure:
    """One panel per metric, or a row of them where there is a facet."""
    return point_panels(data)


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a factor is swept."""
    table = data(runs, roles)
    if table is not None:
        table, constant = without_constant(table, runs)
        said = f"{constant}{_compared(table)}{roles.merged(ONCE)}{roles.said(roles.panels)}"
        caption = f"Stability, of batches while training.{reading(table)}{said}"
        yield Plot("stability", caption, table, draw, title=title(table, runs) + roles.where(roles.panels))


def title(table: pd.DataFrame, runs: pd.DataFrame) -> str:
    """How many runs diverged and collapsed, and how the first metric goes whose levels can be compared."""
    chosen = confirmed(runs)
    ends = [int((chosen["status"] == status).sum()) for status in ("diverged", "collapsed")]
    said = f"{ends[0]} of {counted(len(chosen), 'run')} diverged and {ends[1]} collapsed"
    said = said if any(ends) else f"None of {counted(len(chosen), 'run')} diverged or collapsed"
    names = [name for name in dict.fromkeys(table["metric"]) if not across(name, table)]
    way = trend(table[table["metric"] == names[0]]) if names else ""
    return f"{said}; {way[0].lower()}{way[1:]}" if way else f"{said}."


def _compared(table: pd.DataFrame) -> str:
    """What the mark of some panels means, where there are such."""
    return " †: not comparable across dropout." if any(across(name, table) for name in table["metric"].unique()) else ""
