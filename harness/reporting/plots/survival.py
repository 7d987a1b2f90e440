"""Survival: the share of runs that have not diverged, over training steps."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.estimates import share
from harness.reporting.plots.factors import Roles, confirmed
from harness.reporting.plots.plot import Plot
from harness.reporting.plots.stairs import ALL, bands_in_words, ends_in_words, stairs


def shown(runs: pd.DataFrame) -> pd.DataFrame:
    """The confirm runs where one of them diverged, else all runs that did not fail, those of tuning included."""
    chosen = confirmed(runs)
    return chosen if (chosen["status"] == "diverged").any() else runs[runs["status"] != "failed"]


def trials_to_show(runs: pd.DataFrame) -> set[int]:
    """Those whose curves `data` needs."""
    return set(map(int, shown(runs).query("status == 'diverged'")["trial"].unique()))


def lost_at(runs: pd.DataFrame, curves: pd.DataFrame) -> "pd.Series[float]":
    """The step from which on each run is lost; infinite for those that did not diverge.

    One that became non-finite is lost at that step, one that ends above guessing from the first evaluation after which its
    validation loss stays above.

    Args:
        runs: with `guess_loss`, where the task says it.
        curves: of those that diverged at least.
    """
    lost = pd.Series(math.inf, index=runs.index)
    diverged = runs[runs["status"] == "diverged"]
    lost[diverged.index] = diverged["steps_done"].astype(float)
    if diverged.empty or curves.empty or "guess_loss" not in runs:
        return lost
    seen = curves[curves["validation_loss"].notna()].merge(
        diverged.reset_index(names="run")[["run", "trial", "seed", "guess_loss"]], on=["trial", "seed"]
    )
    good = seen[seen["validation_loss"] <= seen["guess_loss"]].groupby("run")["step"].max()
    above = seen[seen["step"] > seen["run"].map(good).fillna(-1)].groupby("run")["step"].min()
    lost[above.index] = above.astype(float).clip(upper=lost[above.index])
    return lost


def data(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> pd.DataFrame | None:
    """Per cell, the share not lost at 0 steps and from each on at which a run is lost, with its exact interval, see `share`; None if no run shown diverged.

    Every run is followed to its end, so that this share is Kaplan and Meier's estimate (1958).
    """
    runs = shown(runs)
    if not (runs["status"] == "diverged").any():
        return None
    runs = runs.assign(lost=lost_at(runs, curves))
    end = float(runs["steps_done"].max())
    rows: list[dict[str, Any]] = []
    for names, inside in roles.cells(runs, roles.lines):
        for step in sorted({0.0, *inside["lost"][inside["lost"] < math.inf]}) if len(inside) else ():
            count = int((inside["lost"] > step).sum())
            rows.append(names | {"step": step, "end": end} | share(count, inside))
    return pd.DataFrame(rows) if any(row["share"] < 1 for row in rows) else None


def draw(data: pd.DataFrame) -> Figure:
    """Columns: levels of the facet; stairs: levels of the group."""
    return stairs(data, "share of runs that\nhave not diverged")


def plots(runs: pd.DataFrame, curves: pd.DataFrame, roles: Roles) -> Iterator[Plot]:
    """One figure, where a run diverged."""
    table = data(runs, curves, roles)
    if table is not None:
        every = "all that tuning tried" if roles.study.tunes_within() else "all runs, those of tuning included"
        tuning = "" if set(shown(runs)["phase"]) == {"confirm"} else f" No chosen run diverged: these are {every}."
        caption = (
            "Survival (Kaplan–Meier): a run is lost where it becomes non-finite, or where its validation loss rises above guessing for good; "
            f"{bands_in_words(table)}.{tuning}{roles.merged(ALL)}{roles.said(roles.lines)}"
        )
        title = f"Not diverged at the end: {ends_in_words(table)}.{roles.where(roles.lines)}"
        yield Plot("survival", caption, table, draw, title=title)
