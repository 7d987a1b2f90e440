"""The table of single runs, failed and diverged ones included."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.reporting.page.content import Captioned, Table
from harness.settings.levels import Labels
from harness.settings.show import counted
from harness.study import Study

MOST_RUNS = 2000
PHASES = {"confirm": "result", "tune": "tuning"}


def run_table(study: Study, runs: pd.DataFrame, metrics: Sequence[str]) -> Captioned:
    """Every run, or those that matter most where they are very many.

    Args:
        study: names the factors.
        runs: one row per run, sorted.
        metrics: the columns that are shown, as far as there are any.
    """
    paths = [*study.sweeps(), *study.tunes()]
    named = Labels(study.sweeps())
    shown = [name for name in metrics if name in runs and runs[name].notna().any()]
    rows = [
        [
            *(named(path, row[path]) for path in paths), str(row["seed"]), PHASES[row["phase"]], str(row["status"]),
            _text(row["steps_done"]), *(_text(row[name]) for name in shown),
        ]
        for row in _kept(runs)[["seed", "phase", "status", "steps_done", *paths, *shown]].to_dict("records")
    ]  # fmt: skip
    table = Table([*paths, "seed", "phase", "status", "steps", *shown], rows)
    said = "All runs" if len(rows) == len(runs) else (
        f"{len(rows):,} of {counted(len(runs), 'run')}: results before those of tuning, among these first the ones that failed, diverged "
        "or collapsed"
    )  # fmt: skip
    return Captioned(f"{said}; runs.csv has all of them, and every metric.", table)


def _kept(runs: pd.DataFrame) -> pd.DataFrame:
    """As many runs as may be shown, in their order."""
    if len(runs) <= MOST_RUNS:
        return runs
    order = pd.DataFrame({"phase": runs["phase"] != "confirm", "trained": runs["status"] == "finished"})
    return runs.loc[order.sort_values(["phase", "trained"], kind="stable").index[:MOST_RUNS].sort_values()]


def _text(value: Any) -> str:
    """A number in four digits.

    >>> _text(0.123456), _text(float("nan")), _text(300), _text(float("inf"))
    ('0.1235', '–', '300', '∞')
    """
    if pd.isna(value):
        return "–"
    return f"{value:.4g}".replace("-", "−", 1).replace("inf", "∞")
