"""Titles: what is seen in a figure, as a sentence that follows from its data and says where intervals overlap."""

from typing import Any

import numpy as np
import pandas as pd

from harness.reporting.page.level_names import told_apart
from harness.reporting.page.words import bracketed, number
from harness.reporting.plots.texts import metric_words
from harness.settings.metrics import METRICS
from harness.settings.show import capital, counted


def trend(points: pd.DataFrame) -> str:
    """How one metric goes along the x axis, line by line, and where it is best; "" where neither can be said.

    Args:
        points: one metric, a row per level of `x`, `group` and `facet`, with `estimate`, `low` and `high`; one number at least.
    """
    points = points[points["estimate"].notna()]
    metric = str(points["metric"].iloc[0])
    name = metric_words(metric)
    if len(points) == 1:
        row = points.iloc[0]
        return f"{capital(name)} is {_value(row)} (n = {row['n']})."
    direction, best = _direction(points, name), _best(points, metric)
    said = [part for part in (direction or (best and f"{name} is"), best) if part]
    return f"{capital(('; ' if direction else ' ').join(said))}." if said else ""


def _direction(points: pd.DataFrame, name: str) -> str:
    """Along numbers: that it rises or falls in every line, or in how many; "" along other levels."""
    lines = [line.sort_values("x_order") for _, line in points.groupby(["facet_order", "group_order"])]
    lines = [line for line in lines if len(line) > 1]
    if not lines or not points["x_numeric"].all():
        return ""
    ways = [_way(line["estimate"].to_numpy(float)) for line in lines]
    factor = points["x_factor"].iloc[0]
    rises, falls, same = (ways.count(way) for way in ("rises", "falls", "is the same"))
    everywhere = next((way for way in ("rises", "falls", "is the same") if ways.count(way) == len(lines)), None)
    if everywhere:
        at = f" at every {_lines(points)}" if len(lines) > 1 else ""
        verb = f"{everywhere} with" if everywhere != "is the same" else "is the same along"
        return f"{name} {verb} {factor}{at}{_overlap(lines) if everywhere != 'is the same' else ''}"
    if not (rises or falls or same):
        where = f" in any of {len(lines)} lines" if len(lines) > 1 else ""
        return f"{name} does not only rise or only fall with {factor}{where}"
    parts = [f"{way} in {n}" for way, n in (("rises", rises), ("falls", falls), ("is the same", same)) if n]
    turns = len(lines) - rises - falls - same
    parts += [f"turns in {turns}"] if turns else []
    return f"along {factor}, of {len(lines)} lines {name} {', '.join(parts)}"


def _way(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    """Of numbers in order, which may be infinite."""
    before, after = values[:-1], values[1:]
    if (before == after).all():
        return "is the same"
    if (after >= before).all():
        return "rises"
    return "falls" if (after <= before).all() else "turns"


def _lines(points: pd.DataFrame) -> str:
    """What makes the lines."""
    factors = [str(points[f"{role}_factor"].iloc[0]) for role in ("group", "facet")]
    return " and ".join(factor for factor in factors if factor)


def _overlap(lines: list[pd.DataFrame]) -> str:
    """In how many lines the intervals of both ends overlap, or are not known."""
    ends = [(line.iloc[0], line.iloc[-1]) for line in lines]
    unknown = sum(not _known(first) or not _known(last) for first, last in ends)
    unsure = sum(not _apart(first, last) for first, last in ends) - unknown
    parts = [
        f"{what}{f' in {n} of {len(lines)} lines' if len(lines) > 1 else ''}"
        for what, n in (("95 % intervals of its ends overlap", unsure), ("no intervals", unknown))
        if n
    ]
    return f" ({'; '.join(parts)})" if parts else ""


def _known(row: "pd.Series[float]") -> bool:
    return bool(row["low"] <= row["high"])


def _apart(a: "pd.Series[float]", b: "pd.Series[float]") -> bool:
    return bool(a["high"] < b["low"] or b["high"] < a["low"])


def _best(points: pd.DataFrame, metric: str) -> str:
    """Where it is best, and how many other intervals overlap the one there; "" where no value is better than another."""
    better = METRICS[metric].better
    if points["estimate"].nunique() == 1:
        return f"{number(points['estimate'].iloc[0])} everywhere"
    if better is None:
        return ""
    signed = points["estimate"] * (1 if better == "lower" else -1)
    best = points[signed == signed.min()]
    word = {"lower": "lowest", "higher": "highest"}[better]
    first = best.iloc[0]
    if len(best) > 1:
        return f"{word} ({number(first['estimate'])}) at {place_of(best, points)}"
    near = int(((points["low"] <= first["high"]) & (points["high"] >= first["low"])).sum()) - 1
    noise = f"; {counted(near, 'other interval overlaps it', 'other intervals overlap it')}" if near > 0 else ""
    return f"{word} at {place_of(best, points)}: {_value(first)}{noise}"


def place_of(
    best: pd.DataFrame, table: pd.DataFrame, roles: tuple[str, ...] = ("x", "group", "facet"), of: str = "points"
) -> str:
    """Where the best of a table's rows are, which are equal: the levels of one alone, of several how many of how many."""
    return levels_of(best.iloc[0], table, roles) if len(best) == 1 else f"{len(best)} of {len(table)} {of}"


def levels_of(row: "pd.Series[Any]", table: pd.DataFrame, roles: tuple[str, ...] = ("x", "group", "facet")) -> str:
    """The levels of a row of a table, as a phrase, each as short as tells it from the others of the table."""
    there = [role for role in roles if row.get(f"{role}_factor")]
    levels = {role: table[role].unique().tolist() for role in there}
    named = {role: dict(zip(each, told_apart(each), strict=True)) for role, each in levels.items()}
    return ", ".join(f"{row[f'{role}_factor']} = {named[role][row[role]]}" for role in there) or "all runs"


def lacking_in_words(every: pd.DataFrame, lines: pd.DataFrame) -> str:
    """How many of the lines of a figure have no number that a title could rank, after a comma; "" for none."""
    lacking = len(every) - len(lines)
    return f", {lacking} of {len(every)} have none" if lacking else ""


def least_and_most(table: pd.DataFrame, column: str) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """The rows with the least and the largest value of a column, of equal ones the first."""
    values = table[column].to_numpy(float)
    return table.iloc[int(np.argmin(values))], table.iloc[int(np.argmax(values))]


def _value(row: "pd.Series[float]") -> str:
    return bracketed(row["estimate"], row["low"], row["high"]) if row["low"] < row["high"] else number(row["estimate"])
