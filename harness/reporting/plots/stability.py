"""Stability of training against one swept factor: divergence, collapse, spikes, gradient norm, clipping."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.plot import Plot
from harness.reporting.plots.points import point_data, point_panels
from harness.reporting.plots.texts import metric_name
from harness.settings.metrics import not_comparable
from harness.study import Study

METRICS = ("diverged", "collapsed", "spike_rate", "recovery_steps", "grad_norm_q99", "clip_fraction")


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
                f"Stability against {factor}. Shares of runs that diverged (ended above the loss of guessing, or non-finite) "
                "and that collapsed (ended no better than guessing), 95 % Wilson intervals; medians over seeds with 95 % interval "
                "for the share of steps with a loss spike, the steps until the loss is back, the 99 % quantile of the gradient "
                "norm before clipping, and the share of steps at which the clipping rule changed the gradient. Runs that became "
                "non-finite are measured up to that step. Losses and norms of steps are those of training batches."
                + _not_comparable(table)
            )
            yield Plot(f"stability_{factor}", caption, table, draw)


def _not_comparable(table: pd.DataFrame) -> str:
    """Which panels do not compare what stands in them, as a sentence."""
    factors = {*table["x_factor"], *table["group_factor"]} - {""}
    named = [metric_name(name) for name in dict.fromkeys(table["metric"]) if not_comparable(name, factors)]
    return f" Not comparable across dropout: {', '.join(named)}." if named else ""
