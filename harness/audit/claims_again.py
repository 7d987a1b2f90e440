"""Verdicts judged again from a recorded run table: whether `claims.json` follows from `runs.parquet`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.audit.recorded import Recorded
from harness.inference.verdict import as_json
from harness.inference.verdicts import judge
from harness.settings import InvalidStudy, Problem
from harness.settings.levels import spelled, stored

ROUNDING = 1e-6
"""Relative difference of two numbers that other versions of the libraries explain."""


def claims_that_differ(recorded: Recorded, folder: Path, *, exactly: bool) -> list[str]:
    """What `claims.json` holds that does not follow from the runs, a line each; none: all of it does.

    Args:
        recorded: the runs and the study whose claims are judged.
        folder: with `claims.json`.
        exactly: whether every digit must agree; else numbers within rounding, and not the sentences that repeat them.

    Raises:
        InvalidStudy: `claims.json` is missing or damaged.
    """
    path = folder / "claims.json"
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidStudy([Problem(str(path), f"cannot be read: {error}")]) from None
    if not (isinstance(there, list) and all(isinstance(claim, dict) for claim in there)):
        raise InvalidStudy([Problem(str(path), "must hold a list of verdicts")])
    runs = recorded.runs.reset_index()
    for name, sweep in recorded.study.sweeps().items():
        levels = {spelled(level): stored(level) for level in sweep.levels}
        runs[name] = [levels[spelled(value)] for value in runs[name]]
    again = [json.loads(json.dumps(as_json(v))) for v in judge(recorded.study.claims, runs, recorded.study.sweeps())]
    if len(there) != len(again):
        return [f"{len(there)} verdicts, where the study has {len(again)} claims"]
    return [
        f"{new['title']}: {name} is {old.get(name)} recorded, {value} from the runs"
        for old, new in zip(there, again, strict=True)
        for name, value in new.items()
        if (exactly or name != "sentence") and not _same(old.get(name), value, 0.0 if exactly else ROUNDING)
    ]


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two JSON values agree, numbers within a relative tolerance."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name], tolerance) for name in a)
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return bool(a == b)
