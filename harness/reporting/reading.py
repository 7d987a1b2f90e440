"""Files of a results folder → tables as they were when they were written. No code of the folder runs: all that is read is data."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from harness.inference.verdict import OF_ESTIMANDS, OF_FORMS, OF_REGISTRATION, Verdict
from harness.reporting.tables import COUNTS
from harness.reporting.whole import REMEDY, check_unchanged
from harness.settings import InvalidStudy, Problem
from harness.settings.metrics import Metric

RUN_COLUMNS = ("trial", "seed", "phase", "status")
TEXTS = ("title", "metric", "verdict", "label", "sentence")
SHOWN = ("estimate", "low", "high", "level", "smallest_effect", "n", "registered", "registration")
NUMBERS = ("smallest_effect", "above", "estimate", "low", "high", "level", "p_value", "p_smallest_effect")
ESTIMATES = ("mean", "interquartile_mean", "probability_of_improvement")

LATER = (*OF_REGISTRATION, *OF_ESTIMANDS, *OF_FORMS)
"""Fields that verdicts of older versions lack."""

T = TypeVar("T")


def read(path: Path, reader: Callable[[Path], T], noted: Mapping[str, str]) -> T:
    """What a reader makes of a file.

    Args:
        path: the file.
        reader: reads it.
        noted: name → digest of the files that it was written with, itself included.

    Raises:
        InvalidStudy: the file is missing, damaged, or not of one state with the others.
    """
    if not path.is_file():
        raise InvalidStudy([Problem(str(path), f"is missing; {REMEDY}")])
    try:
        found = reader(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        raise InvalidStudy([Problem(str(path), f"is damaged; {REMEDY}", str(error))]) from None
    check_unchanged(path, noted)
    return found


def runs_of(path: Path) -> pd.DataFrame:
    """The table of runs."""
    runs = pd.read_parquet(path)
    if lacking := [name for name in RUN_COLUMNS if name not in runs]:
        raise ValueError(f"no column {', '.join(lacking)}")
    return runs


def cells_of(path: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """The summary, of an older version in CSV; its levels are as `runs` has them, so that the two can be joined."""
    cells = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
    if lacking := [name for name in COUNTS if name not in cells]:
        raise ValueError(f"no column {', '.join(lacking)}")
    if path.suffix == ".parquet":
        real = [str(name) for name in cells if name in runs and pd.api.types.is_float_dtype(runs[name])]
        return cells.astype({name: float for name in real if pd.api.types.is_integer_dtype(cells[name])})
    kinds = {name: runs[name].dtype for name in cells if name in runs} | dict.fromkeys(COUNTS, "int64")
    return pd.DataFrame({name: _column(column, kinds.get(name, "float64")) for name, column in cells.items()})


def pairs_of(path: Path) -> pd.DataFrame:
    """All pairs of levels, which are texts since factors have levels of many kinds."""
    pairs = pd.read_csv(path, dtype=str, keep_default_na=False)
    kinds = dict.fromkeys(["factor", "a", "b", "metric"], "object") | dict.fromkeys(
        ["difference", "p_value", "q_value"], "float64"
    )
    return pd.DataFrame({name: _column(column, kinds.get(str(name), "int64")) for name, column in pairs.items()})


def _column(texts: "pd.Series[str]", kind: Any) -> "pd.Series[Any]":
    """A column of a CSV file as it was: by Python's `float`, which reads every digit."""
    if not pd.api.types.is_numeric_dtype(kind):  # the apostrophe says to spreadsheets that what follows is no formula
        return texts.str.replace(r"^'(?=[=+\-@\t])", "", regex=True)
    if pd.api.types.is_bool_dtype(kind):
        return texts == "True"
    numbers = texts.map(lambda text: float(text or "nan")).astype(float)
    return numbers.astype(kind) if (numbers == numbers.round()).all() else numbers


def verdicts_of(path: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """The claims, one row each; an estimate with an interval of its own takes three columns."""
    claims = json.loads(path.read_text(encoding="utf-8"))
    names = [field.name for field in fields(Verdict)]
    needed = set(names) - set(LATER)
    if not isinstance(claims, list) or not all(isinstance(claim, dict) and needed <= set(claim) for claim in claims):
        raise ValueError(f"not a list of claims with {', '.join(names)}")
    absent = {field.name: field.default for field in fields(Verdict) if field.name in LATER}
    bounds = [f"{name}_{bound}" for name in ESTIMATES for bound in ("low", "high")]
    table = pd.DataFrame([_row(absent | claim, runs) for claim in claims], columns=names + bounds)
    numbers = dict.fromkeys([*NUMBERS, *ESTIMATES, *bounds], float)
    whole = dict.fromkeys(["look", "planned_seeds"], "Int64")
    return table.astype(
        numbers | whole | dict.fromkeys(["registered", "was", "looks", "cells", "catastrophes", "form"], object)
    )


def verdict_of(claim: Mapping[str, Any]) -> Verdict:
    """A verdict as `claims.json` has it, what else it says of each seed and cell left out.

    Raises:
        KeyError, TypeError: it is none.
    """
    found: dict[str, Any] = {name: str(claim[name]) for name in TEXTS}
    found |= {name: claim[name] for name in SHOWN if name in claim or name not in LATER}
    numbers = {name: float(value) for name, value in found.items() if value in ("inf", "-inf")}
    was = claim.get("was")
    return Verdict(**found | numbers, was=None if was is None else verdict_of(was))


def _row(claim: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """A claim of `claims.json` with numbers for what JSON has as text, and no value within another but levels and seeds."""
    row = claim | {arm: _levels(claim[arm], runs) for arm in ("treatment", "baseline")}
    row["per_seed"] = {int(seed): float(difference) for seed, difference in claim["per_seed"].items()}
    for name in ESTIMATES:
        found = claim[name] or {}
        row |= {name: found.get("value"), f"{name}_low": found.get("low"), f"{name}_high": found.get("high")}
    return row


def _levels(levels: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    numeric = [path for path in levels if path in runs and pd.api.types.is_numeric_dtype(runs[path])]
    return levels | {path: float(levels[path]) for path in numeric if isinstance(levels[path], str)}


def counts_of(path: Path) -> dict[str, Any]:
    """How many runs there are and there should be, and digests of the files, which an older version did not note."""
    content = json_of(path)
    return content | {"expected runs": int(content["expected runs"]), "digests": dict(content.get("digests", {}))}


def metrics_of(path: Path) -> dict[str, Metric]:
    """What a study's own metrics mean, by name."""
    return {name: Metric(**fields) for name, fields in json_of(path).items()}


def json_of(path: Path) -> dict[str, Any]:
    """A JSON object."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content
