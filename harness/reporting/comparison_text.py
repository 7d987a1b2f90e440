"""A `Comparison` as the text of a terminal, and as a JSON document."""

import json
import math
from typing import Any

from harness.reporting.comparison import STATUSES, VERDICT, Comparison
from harness.reporting.page.words import number
from harness.reporting.results import Results
from harness.settings import printable
from harness.settings.levels import in_words, label
from harness.settings.show import aligned, counted

LEGEND = (
    "B − A: median over seeds of the paired differences and its 95 % interval, from order statistics; of what is 0 or 1 the difference "
    "of rates with the paired score interval. Each interval covers for itself, not all of them together. A run that diverged is worse "
    "than any other in what measures generalization, and two such tie; under six seeds a median has no 95 % interval. Of those that "
    "diverged, collapsed or failed all runs of a cell are counted."
)


def text(found: Comparison, a: Results, b: Results) -> str:
    """All of it for a reader."""
    parts = [
        f"A: {a.folder} ({counted(len(a.runs), 'run')})\nB: {b.folder} ({counted(len(b.runs), 'run')})",
        _settings(found),
        _runs(found),
        *(_metric(found, str(metric)) for metric in found.cells["metric"].unique()),
        LEGEND if len(found.cells) else "",
        _verdicts(found),
    ]
    return printable("\n\n".join(part for part in parts if part))


def _settings(found: Comparison) -> str:
    if found.settings.empty:
        return "Settings and environment are the same."
    rows = [[row["setting"], row["a"] or "–", "→", row["b"] or "–"] for row in found.settings.to_dict("records")]
    return "\n".join(["Settings that differ, A → B:", *(f"  {line}" for line in aligned(rows))])


def _runs(found: Comparison) -> str:
    by = ", ".join([*found.matched_on, "seed"])
    lines = [f"Runs in common, by {by}: {found.n_common}, of which {found.n_same} the same to the bit."]
    for side in "ab":
        name, other = side.upper(), "BA"["ab".index(side)]
        lines += [
            f"{path}: {other} does not sweep it; each of {name}'s levels stands beside the same cell of {other}."
            for path in found.only[side]
        ]
        lines += [f"{name} alone has the cell {in_words(levels)}." for levels in found.alone[side]]
    if found.unmeasured:
        lines.append(f"Not compared, since just one of both has recorded it: {', '.join(found.unmeasured)}.")
    return "\n".join(lines)


def _metric(found: Comparison, metric: str) -> str:
    """A table of its cells."""
    cells = found.cells[found.cells["metric"] == metric]
    paths = [*found.matched_on, *found.only["a"], *found.only["b"]]
    rows = [[*paths, "seeds", "same", "A", "B", "B − A", *(f"{status} A → B" for status in STATUSES), ""]]
    for cell in cells.to_dict("records"):
        counts = (f"{cell[f'n_{status}_a']} → {cell[f'n_{status}_b']}" for status in STATUSES)
        interval = f"{_number(cell['difference'])} [{_number(cell['low'])}, {_number(cell['high'])}]"
        rows.append(
            [
                *(label(path, cell[path]) for path in paths), str(cell["n"]), str(cell["n_same"]), _number(cell["a"]),
                _number(cell["b"]), interval, *counts, _left_out(cell),
            ]
        )  # fmt: skip
    better = cells["better"].iloc[0]
    return "\n".join(
        [f"{metric}{f', {better} is better' if better else ''}:", *(f"  {line}" for line in aligned(rows))]
    )


def _left_out(cell: dict[Any, Any]) -> str:
    said = [counted(cell["n_missing"], "seed without a value", "seeds without a value")] if cell["n_missing"] else []
    said += [counted(cell["n_copies"], "copy of another seed", "copies of other seeds")] if cell["n_copies"] else []
    return ", ".join(said)


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return number(value).replace("inf", "∞")


def _verdicts(found: Comparison) -> str:
    lines = []
    for row in found.verdicts.to_dict("records"):
        sides = [_verdict({name: row[f"{name}_{side}"] for name in VERDICT}) for side in "ab"]
        lines += [f"  {row['title']}", f"    {' → '.join(sides)}"]
        lines += [f"    {row['why']}"] if row["why"] else []
    return "\n".join(["Verdicts, A → B, with Δ and its interval:", *lines]) if lines else ""


def _verdict(found: dict[str, Any]) -> str:
    if found["verdict"] is None:
        return "–"
    named = f"{found['verdict']}{': ' if found['label'] else ''}{found['label']}"
    return f"{named} {_number(found['estimate'])} [{_number(found['low'])}, {_number(found['high'])}]"


def document(found: Comparison, a: Results, b: Results) -> str:
    """All of it as JSON that any parser reads: infinities are the texts "inf" and "-inf", what is missing is null."""
    content = {
        "a": str(a.folder), "b": str(b.folder), "matched_on": found.matched_on, "only": found.only, "alone": found.alone,
        "n_common": found.n_common, "n_same": found.n_same, "unmeasured": found.unmeasured,
        "settings": found.settings.to_dict("records"), "cells": found.cells.to_dict("records"),
        "verdicts": found.verdicts.to_dict("records"),
    }  # fmt: skip
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
