"""Stability of training against one swept factor: divergence, spikes, gradient norm, clipping."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.plot import Plot
from harness.reporting.plots.points import point_data, point_panels
from harness.study import Study

METRICS = ("diverged", "spike_rate", "grad_norm_q99", "clip_fraction")


def data(runs: pd.DataFrame, curves: pd.DataFrame, study: Study, factor: str) -> pd.DataFrame | None:
    """Divergence rate with its Wilson interval; medians of the others, at every level of `factor` and its partner."""
    return point_data(runs, study, factor, METRICS)


def draw(data: pd.DataFrame) -> Figure:
    """One panel per metric, the gradient norm on a log axis."""
    return point_panels(data, columns=2, logarithmic=("grad_norm_q99",))


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure per swept factor."""
    for factor in study.sweeps():
        table = data(runs, curves, study, factor)
        if table is not None:
            caption = (
                f"Stability against {factor}. Share of runs that diverged (95 % Wilson interval); medians over seeds with "
                "95 % interval for the share of steps with a loss spike, the 99 % quantile of the gradient norm before "
                "clipping, and the share of steps at which the clipping rule acted. Diverged runs are measured up to the "
                "step they diverged. All of it on training batches."
            )
            yield Plot(f"stability_{factor}", caption, table, draw)
