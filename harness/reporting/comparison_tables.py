"""A `Comparison` as tables of texts and sentences; how both sides are called is the reader's."""

import math
from typing import Any

from harness.inference.ranks import DIVERGED
from harness.reporting.comparison import STATUSES, VERDICT, Comparison, worded
from harness.reporting.page.content import Captioned, Table
from harness.reporting.page.level_names import brief
from harness.reporting.page.words import bracketed, number
from harness.settings.levels import in_words, label
from harness.settings.show import counted

Names = tuple[str, str]
"""What both sides are called, the first one first."""


def legend(names: Names) -> str:
    """What stands below the tables of cells."""
    return (
        f"{names[1]} − {names[0]}: median over seeds of the paired differences and its 95 % interval, from order statistics; of what is "
        "0 or 1 for a run the difference of rates with the paired score interval. Each interval covers for itself, not all of them together. "
        f"{DIVERGED} Two that rank worst tie. Under six seeds a median has no 95 % interval. Of those that diverged, collapsed or failed all runs of a cell are counted."
    )


def settings_table(found: Comparison, names: Names) -> Table:
    """Settings and facts of the environment that differ."""
    rows = [[row["setting"], row["a"] or "–", row["b"] or "–"] for row in found.settings.to_dict("records")]
    return Table(["setting", *names], rows)


def sentences(found: Comparison, names: Names) -> list[str]:
    """How many runs are compared, and what cannot be."""
    by = ", ".join([*found.matched_on, "seed"])
    lines = [f"Runs in common, by {by}: {found.n_common}, of which {found.n_same} the same to the bit."]
    for side, name, other in zip("ab", names, reversed(names), strict=True):
        lines += [
            f"{path}: {other} does not sweep it; each of {name}'s levels stands beside the same cell of {other}."
            for path in found.only[side]
        ]
        lines += [f"{name} alone has the cell {in_words(levels)}." for levels in found.alone[side]]
    if found.unmeasured:
        lines.append(f"Not compared, since just one of both has recorded it: {', '.join(found.unmeasured)}.")
    if found.unlike:
        lines.append(f"Not compared, since it means something else in each of both: {', '.join(found.unlike)}.")
    lines += [
        f"What {name} means is not known, since {names[0]} and {names[1]} do not say: it is taken for a rate if all runs have 0 or 1."
        for name in found.unknown
    ]
    return lines


def cells_table(found: Comparison, metric: str, names: Names) -> Table:
    """A row per pair of cells."""
    cells = found.cells[found.cells["metric"] == metric]
    paths = [*found.matched_on, *found.only["a"], *found.only["b"]]
    first, second = names
    changes = [f"{status} {first} → {second}" for status in STATUSES]
    rows = []
    for cell in cells.to_dict("records"):
        counts = (f"{cell[f'n_{status}_a']} → {cell[f'n_{status}_b']}" for status in STATUSES)
        interval = _with_interval(cell["difference"], cell["low"], cell["high"])
        rows.append(
            [
                *(brief(label(path, cell[path])) for path in paths), str(cell["n"]), str(cell["n_same"]), plain(cell["a"]),
                plain(cell["b"]), interval, *counts, _left_out(cell),
            ]
        )  # fmt: skip
    head = [*paths, "seeds", "same", first, second, f"{second} − {first}", *changes]
    if any(row[-1] for row in rows):
        return Table([*head, "left out"], rows)
    return Table(head, [row[:-1] for row in rows])


def better(found: Comparison, metric: str) -> str:
    """The metric, and which direction is good."""
    direction = found.cells.loc[found.cells["metric"] == metric, "better"].iloc[0]
    return f"{metric}{f', {direction} is better' if direction else ''}"


def verdicts_table(found: Comparison, names: Names) -> Table:
    """A row per claim of either."""
    rows = []
    for row in found.verdicts.to_dict("records"):
        alone = [name for name, side in zip(names, "ba", strict=True) if row[f"verdict_{side}"] is None]
        why = f"only {alone[0]} has this claim" if alone else row["why"]
        rows.append(
            [row["title"], *(_verdict({name: row[f"{name}_{side}"] for name in VERDICT}) for side in "ab"), why]
        )
    return Table(["claim", *names, "why"], rows)


def _left_out(cell: dict[Any, Any]) -> str:
    said = [counted(cell["n_missing"], "seed without a value", "seeds without a value")] if cell["n_missing"] else []
    said += [counted(cell["n_copies"], "copy of another seed", "copies of other seeds")] if cell["n_copies"] else []
    return ", ".join(said)


def plain(value: float | None) -> str:
    """A number in three digits; infinite where just one of two runs ranks worst."""
    if value is None or math.isnan(value):
        return "–"
    return number(value).replace("inf", "∞")


def _verdict(found: dict[str, Any]) -> str:
    if found["verdict"] is None:
        return "–"
    said = worded(found)
    named = f"{said}: {found['label']}" if found["label"] else said
    return f"{named} {_with_interval(found['estimate'], found['low'], found['high'])}"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """An estimate and its interval, where it has one; without bound at an end that is missing."""
    return bracketed(_known(value, math.nan), _known(low, -math.inf), _known(high, math.inf))


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


BASELINE: Names = ("the baseline", "this study")


def against(found: Comparison) -> list[Captioned]:
    """What a page says of an earlier result, a table each: settings, cells by metric, verdicts."""
    settings = settings_table(found, BASELINE)
    said = "Settings and environment that differ:" if settings.rows else "Settings and environment are the same."
    parts = [Captioned(f"{' '.join(sentences(found, BASELINE))} {said}", settings)]
    metrics = [str(metric) for metric in found.cells["metric"].unique()]
    parts += [Captioned(f"{better(found, metric)}:", cells_table(found, metric, BASELINE)) for metric in metrics]
    parts += [Captioned(legend(BASELINE), Table([], []))] if metrics else []
    verdicts = verdicts_table(found, BASELINE)
    return [*parts, Captioned("Verdicts, with Δ and its interval:", verdicts)] if verdicts.rows else parts
