"""Generalization: what claims name and the test loss, error and gap, of the last weights beside the best ones."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.estimates import ONCE
from harness.reporting.plots.factors import Roles
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.points import measured, point_data, point_panels, reading, without_constant
from harness.reporting.plots.titles import trend
from harness.settings.metrics import METRICS
from harness.study import Study

SHOWN = ("test_loss", "test_error", "gap")
UNTESTED = ("validation_loss", "validation_error")


def metrics(runs: pd.DataFrame, study: Study) -> list[str]:
    """Those of claims about generalization first, then the usual ones, as far as measured."""
    claimed = [claim.metric for claim in study.claims if METRICS[claim.metric].group == "generalization"]
    return measured(runs, [*claimed, *SHOWN]) or measured(runs, UNTESTED)


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Estimates of each metric, and without panels for a third factor also of its value at the step of least validation loss."""
    shown = metrics(runs, roles.study)
    if "facet" not in roles.panels:
        shown = list(dict.fromkeys(name for metric in shown for name in (metric, f"best_{metric}") if name in METRICS))
    return point_data(runs, roles, shown)


def draw(data: pd.DataFrame) -> Figure:
    """Rows: metrics; columns: levels of the facet, or the last step and that of the least validation loss."""
    found = list(dict.fromkeys(data["metric"]))
    rows = list(dict.fromkeys(metric.removeprefix("best_") for metric in found))
    places = {metric: (rows.index(metric.removeprefix("best_")), int(metric.startswith("best_"))) for metric in found}
    return point_panels(data, places if data["facet_order"].nunique() == 1 else None)


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a factor is swept."""
    table = data(runs, roles)
    if table is not None:
        table, constant = without_constant(table, runs)
        best = " Right: at the step of least validation loss." if table["metric"].str.startswith("best_").any() else ""
        caption = f"Generalization.{best}{reading(table)}{constant}{roles.merged(ONCE)}{roles.said(roles.panels)}"
        first = table["metric"].iloc[0]
        title = trend(table[table["metric"] == first]) + roles.where(roles.panels)
        yield Plot("generalization", caption, table, draw, title=title)
