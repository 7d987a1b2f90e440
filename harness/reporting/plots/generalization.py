"""Generalization against one swept factor: test loss, test error and gap, of the last weights beside the best ones."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.plot import Plot
from harness.reporting.plots.points import point_data, point_panels
from harness.study import Study

METRICS = ("test_loss", "best_test_loss", "test_error", "best_test_error", "gap", "best_gap")


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study, factor: str) -> pd.DataFrame | None:
    """Median and interval of each metric at every level of `factor` and of its partner."""
    return point_data(runs, study, factor, METRICS)


def draw(data: pd.DataFrame) -> Figure:
    """One panel per metric, those of the last step on the left and those of the least validation loss on the right."""
    return point_panels(data, columns=2)


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure per swept factor."""
    for factor in study.sweeps():
        table = data(runs, curves, study, factor)
        if table is not None:
            caption = (
                f"Generalization against {factor}. Left: at the last step; right: at the step of least "
                "validation loss. Lower is better; a larger gap means more overfitting. "
                "Points: median over seeds; bars: 95 % interval of the median (the range below 6 seeds). "
                "k×: so many runs diverged; those that became non-finite count as infinite, and an arrow or ∞ marks what they push off the "
                "scale."
            )
            yield Plot(f"generalization_{factor}", caption, table, draw)
