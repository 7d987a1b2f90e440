"""A `Comparison` as the text of a terminal, and as a JSON document."""

import json
import math
from typing import Any

from harness.reporting.comparison import Comparison
from harness.reporting.comparison_tables import (
    Names,
    better,
    cells_table,
    legend,
    sentences,
    settings_table,
    verdicts_table,
)
from harness.reporting.page.level_names import brief, told_apart
from harness.reporting.results import Results
from harness.settings import printable
from harness.settings.show import aligned, counted

NAMES: Names = ("A", "B")


def text(found: Comparison, a: Results, b: Results) -> str:
    """All of it for a reader."""
    parts = [
        f"A: {a.folder} ({counted(len(a.runs), 'run')})\nB: {b.folder} ({counted(len(b.runs), 'run')})",
        _settings(found),
        "\n".join(sentences(found, NAMES)),
        *(_metric(found, str(metric)) for metric in found.cells["metric"].unique()),
        legend(NAMES) if len(found.cells) else "",
        _verdicts(found),
    ]
    return printable("\n\n".join(part for part in parts if part))


def _settings(found: Comparison) -> str:
    rows = [[brief(setting), *_in_short(a, b)] for setting, a, b in settings_table(found, NAMES).rows]
    if not rows:
        return "Settings and environment are the same."
    return "\n".join(["Settings that differ, A → B:", *(f"  {line}" for line in aligned(rows))])


def _in_short(a: str, b: str) -> tuple[str, str, str]:
    """Two values on a line of a terminal; the report and the JSON have them whole."""
    one, other = brief(a), brief(b)
    if one == other:
        one, other = told_apart([a, b])
    return one, "→", other


def _metric(found: Comparison, metric: str) -> str:
    """A table of its cells."""
    table = cells_table(found, metric, NAMES)
    lines = aligned([list(row) for row in [table.head, *table.rows]])
    return "\n".join([f"{better(found, metric)}:", *(f"  {line}" for line in lines)])


def _verdicts(found: Comparison) -> str:
    lines = []
    for title, a, b, why in verdicts_table(found, NAMES).rows:
        lines += [f"  {title}", f"    {a} → {b}", *([f"    {why}"] if why else [])]
    return "\n".join(["Verdicts, A → B, with Δ and its interval:", *lines]) if lines else ""


def document(found: Comparison, a: Results, b: Results) -> str:
    """All of it as JSON that any parser reads: infinities are the texts "inf" and "-inf", what is missing is null."""
    content = {
        "a": str(a.folder), "b": str(b.folder), "matched_on": found.matched_on, "only": found.only, "alone": found.alone,
        "n_common": found.n_common, "n_same": found.n_same, "unmeasured": found.unmeasured,
        "unlike": found.unlike, "unknown": found.unknown,
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
