"""Does the budget of the search decide the comparison? The best validation objective against the number of values tried."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.inference.exploration.budget import expected_least, median_least
from harness.inference.intervals.interval import Array
from harness.inference.intervals.robust import median, median_interval
from harness.inference.selection import cell_and_seed, rivals, tried
from harness.reporting.page.words import number
from harness.reporting.plots.axes import facet_panels, label_shares, name_axes
from harness.reporting.plots.factors import Roles
from harness.reporting.plots.legends import counts_note, legend
from harness.reporting.plots.looks import look_of
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.scales import Scale, scale_of
from harness.reporting.plots.texts import metric_name, metric_words
from harness.settings.show import counted
from harness.study import Study

MEAN, MEDIAN = "mean over subsets", "median over subsets"


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """One row per line and budget: the best of so many values tried, as median over seeds with its 95 % interval.

    Of each seed and cell it is the best of the subsets of that size of the values tried there, see `harness.inference.exploration.budget`: their
    mean, or in all lines their median where a run diverged, which would make means infinite. Curves of one seed in several cells are
    first reduced to their median. Where tuning is shared, a value counts with its median over seeds, and there is no interval.
    """
    study = roles.study
    if not study.tunes() or len(study.objectives()) > 1 or study.sampler == "tpe":
        return None
    (objective,) = study.objectives()
    there = tried(study, runs)
    there = there.assign(value=rivals(there, objective))
    statistic, best = (MEAN, expected_least) if np.isfinite(there["value"]).all() else (MEDIAN, median_least)
    rows: list[dict[str, Any]] = []
    for names, inside in roles.cells(there, roles.contrasted):
        curves = _curves(study, inside, best)
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
    """Panels: levels of the facet; lines: levels of the group."""
    figure, panels = facet_panels(data, width=2.0, height=2.3)
    scale = scale_of(pd.concat([data["estimate"], data["low"], data["high"]]))
    for ax, panel in panels:
        _panel(ax, panel, scale)
        label_shares(ax, data["objective"].iloc[0])
    first = data.iloc[0]
    name = f"best {metric_name(first['objective'])},\n{first['statistic']}"
    name_axes(figure, x="values tried (budget)", y=name + (", log scale" if scale.log else ""))
    of = "seeds per line" if data["n"].max() > 1 else "search, shared by all seeds"
    legend(figure, data, note=counts_note(data["n"], of))
    return figure


def _panel(ax: Axes, panel: pd.DataFrame, scale: Scale) -> None:
    for _, line in panel.groupby("group_order"):
        kind, seen = look_of(line), line[np.isfinite(line["estimate"])]
        low, high = (scale.clipped(seen[name]) for name in ("low", "high"))
        ax.fill_between(seen["budget"], low, high, color=kind["color"], alpha=0.12, lw=0)
        ax.plot(seen["budget"], scale.clipped(seen["estimate"]), **kind)
    scale.apply(ax)
    scale.count(ax, panel["estimate"])
    ax.margins(x=0.06)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def lengths(table: pd.DataFrame) -> "pd.Series[int]":
    """How many values each line goes to."""
    return table.groupby(["facet_order", "group_order"])["budget"].max()


def title(table: pd.DataFrame) -> str:
    """From which budget on the level that is best at the end is so, in every panel, as far as all lines go."""
    name, last = metric_words(table["objective"].iloc[0]), int(lengths(table).min())
    if table["group_order"].nunique() == 1:
        ends = table[table["budget"] == last]["estimate"]
        return f"Best {name} with {counted(last, 'value')} tried: {number(ends.min())}."
    least = []
    for _, panel in table[table["budget"] <= last].groupby("facet_order"):
        wide = panel.pivot(index="budget", columns="group_order", values="estimate")
        best = wide.eq(wide.min(axis=1), axis=0)
        final = best.loc[best.index.max()]
        agrees = (best & final).any(axis=1)
        least.append(int(agrees.index[~agrees].max()) + 1 if not agrees.all() else 1)
    group, first = table["group_factor"].iloc[0], max(least)
    if first == 1:
        return f"The {group} that is best with {counted(last, 'value')} tried is best at every smaller budget too."
    return f"The {group} that is best with {counted(last, 'value')} tried is best from {counted(first, 'value')} on, not with fewer."


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a search has one objective and values that do not depend on each other."""
    table = data(runs, roles)
    if table is not None:
        statistic = table["statistic"].iloc[0]
        why = ", since runs diverged, whose loss counts as infinite" if statistic == MEDIAN else ""
        lines = "Lines: median over seeds, bands: its 95 % interval, of less than six seeds their range."
        lines = lines if roles.study.tunes_within() else "A value counts with its median over the seeds that all share."
        lost = " A line lacks the budgets at which it is infinite." if np.isinf(table["estimate"]).any() else ""
        if lengths(table).nunique() > 1:
            lost += " A line ends with the fewest values that one of its seeds has: runs of these failed."
        caption = (
            f"Would another budget change the comparison? Best {metric_name(table['objective'].iloc[0])} of a search, against the number "
            f"of values tried: {statistic} of that size{why}. {lines}{lost} All end at the best value tried, and so flat, which does not "
            f"say that more values would find no better one. No test data.{roles.said(roles.contrasted)}"
        )
        yield Plot("budget", caption, table, draw, title=title(table) + roles.where(roles.contrasted))
