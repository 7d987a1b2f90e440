"""Time to solve: the share of runs that have solved their task, over training steps."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.estimates import share
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.stairs import ALL, bands_in_words, ends_in_words, stairs


def data(runs: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Per cell, the share solved after 0 steps, after each at which a run did, and after all, with its exact interval, see `share`.

    Runs of a line that train for as many steps are censored at the same one, so this is one minus Kaplan and Meier's
    estimate (1958); a run that ends earlier counts as not solved from there on.
    """
    if "solved" not in runs or runs["solved"].isna().all():
        return None
    runs = confirmed(runs.dropna(subset="solved"))
    rows: list[dict[str, Any]] = []
    for names, inside in roles.cells(runs, roles.lines):
        end = float(inside[["steps_done", "solve_step"]].to_numpy(float).max(initial=0.0))
        for step in sorted({0.0, *inside["solve_step"]}) if len(inside) else ():
            count = int(((inside["solved"] == 1) & (inside["solve_step"] <= step)).sum())
            rows.append(names | {"step": step, "end": end} | share(count, inside))
    return pd.DataFrame(rows) if rows else None


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; stairs: levels of the group."""
    return stairs(data, "share of runs that\nhave solved the task")


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, all cells, if the task says when it is solved."""
    table = data(runs, roles)
    if table is not None:
        caption = (
            "Time to solve: share of runs whose validation error has come below the task's target_error, by the step at which "
            f"it was first seen there; {bands_in_words(table)}. A diverged run counts as never solved.{roles.merged(ALL)}{roles.said(roles.lines)}"
        )
        title = f"Solved at the end: {ends_in_words(table)}.{roles.where(roles.lines)}"
        yield Plot("solving", caption, table, draw, title=title)
