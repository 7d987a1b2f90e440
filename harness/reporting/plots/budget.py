"""Does the budget of the search decide the comparison? The best validation objective against the number of values tried."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.inference.budget import expected_least, median_least
from harness.inference.intervals import Array
from harness.inference.robust import median, median_interval
from harness.inference.selection import cell_and_seed, rivals, tried
from harness.reporting.plots.axes import name_panel, row_of_panels
from harness.reporting.plots.factors import contrasted, panels, rows_at
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.texts import metric_name
from harness.study import Study

MEAN, MEDIAN = "mean over subsets", "median over subsets"


def data(runs: pd.DataFrame, study: Study) -> pd.DataFrame | None:
    """One row per line and budget: the best of so many values tried, as median over seeds with its 95 % interval.

    Of each seed and cell it is the best of the subsets of that size of the values tried there, see `harness.inference.budget`: their
    mean, or in all lines their median where a run diverged, which would make means infinite. Curves of one seed in several cells are
    first reduced to their median. Where tuning is shared, a value counts with its median over seeds, and there is no interval.
    """
    if not study.tunes() or len(study.objectives()) > 1 or study.sampler == "tpe":
        return None
    (objective,) = study.objectives()
    there = tried(study, runs)
    there = there.assign(value=rivals(there, objective))
    statistic, best = (MEAN, expected_least) if np.isfinite(there["value"]).all() else (MEDIAN, median_least)
    rows: list[dict[str, Any]] = []
    for names, levels in panels(study, contrasted):
        curves = _curves(study, rows_at(there, levels), best)
        for budget in range(min((len(curve) for of_seed in curves for curve in of_seed), default=0)):
            found = [median([curve[budget] for curve in of_seed]) for of_seed in curves]
            low, high = median_interval(found)
            point = {"budget": budget + 1, "objective": objective, "statistic": statistic, "estimate": median(found),
                     "low": low, "high": high, "n": len(found)}  # fmt: skip
            rows.append(names | point)
    return pd.DataFrame(rows) if rows and max(row["budget"] for row in rows) > 1 else None


def _curves(study: Study, runs: pd.DataFrame, best: Callable[[Array], Array]) -> list[list[Array]]:
    """Of each seed the curve of its search in each cell; where tuning is shared, all searches as those of one seed."""
    search = cell_and_seed(study, runs if study.tunes_within() else runs.assign(seed=0))
    found: dict[int, list[Array]] = {}
    for levels_and_seed, rows in runs.groupby(search):
        values = rows.groupby("trial")["value"].agg(median)
        found.setdefault(int(str(levels_and_seed[-1])), []).append(best(np.asarray(values, dtype=np.float64)))
    return list(found.values())


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; lines: levels of the group."""
    figure, panels = row_of_panels(data, width=2.9, height=3.3)
    bounds = data[["estimate", "high"]].to_numpy(float)
    top = bounds[np.isfinite(bounds)].max(initial=0.0)
    for ax, panel in panels:
        _panel(ax, panel, top)
    first = data.iloc[0]
    panels[0][0].set_ylabel(f"best {metric_name(first['objective'])},\n{first['statistic']}")
    legend(
        figure,
        data,
        note=counts_note(data["n"], "seed(s) per line" if data["n"].max() > 1 else "search, shared by all seeds"),
    )
    return figure


def _panel(ax: Axes, panel: pd.DataFrame, top: float) -> None:
    ax.margins(x=0.06, y=0.08)
    for _, line in panel.groupby("group_order"):
        kind, seen = look_of(line), line[np.isfinite(line["estimate"])]
        high = seen["high"].where(np.isfinite(seen["high"]), top)
        ax.fill_between(seen["budget"], seen["low"], high, color=kind["color"], alpha=0.12, lw=0)
        ax.plot(seen["budget"], seen["estimate"], **kind)
    name_panel(ax, panel)
    ax.set_xlabel("values tried (budget)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def plots(runs: pd.DataFrame, curves: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure, where a search has one objective and values that do not depend on each other."""
    table = data(runs, study)
    if table is not None:
        statistic = table["statistic"].iloc[0]
        why = ", since runs diverged, whose loss counts as infinite" if statistic == MEDIAN else ""
        lines = "Lines: median over seeds, bands: its 95 % interval, of less than six seeds their range."
        lines = lines if study.tunes_within() else "A value counts with its median over the seeds that all share."
        lost = " A line lacks the budgets at which it is infinite." if np.isinf(table["estimate"]).any() else ""
        caption = (
            f"Would another budget change the comparison? Best {metric_name(table['objective'].iloc[0])} of a search, against the number "
            f"of values that it tries: {statistic} of that size of the values tried{why}. {lines}{lost} Where lines "
            "cross, the budget decides which level is better. All end at the best value that was tried and so end flat, which does not say that "
            "more values would find no better one. No test data."
        )
        yield Plot("budget", caption, table, draw)
