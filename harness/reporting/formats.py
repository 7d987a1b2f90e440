"""Tables and verdicts as the bytes of files; the same ones give the same bytes."""

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from harness.inference.verdict import Verdict, as_json
from harness.settings.metrics import Metric


def parquet(table: pd.DataFrame, *, types_of_arrow: bool = True) -> bytes:
    """A table as the bytes of a Parquet file; columns that mix numbers and text become text.

    Args:
        table: to be written.
        types_of_arrow: also what Arrow calls the types of the columns, beside Parquet and pandas; of many columns and few rows it
            takes most of the bytes.
    """
    mixed = [name for name in table if table[name].dtype == object and table[name].map(type).nunique() > 1]
    buffer = io.BytesIO()
    table.astype(dict.fromkeys(mixed, str)).to_parquet(buffer, index=False, store_schema=types_of_arrow)
    return buffer.getvalue()


def csv(table: pd.DataFrame) -> bytes:
    """A table as CSV: every digit, no value as an empty field, infinity as `inf`.

    Text that a spreadsheet would take for a formula begins with an apostrophe; the Parquet file has it as it is.
    """
    numeric = pd.api.types.is_numeric_dtype
    shown = {name: column if numeric(column) else column.map(_no_formula) for name, column in table.items()}
    return pd.DataFrame(shown).rename(columns=_no_formula).to_csv(index=False, lineterminator="\n").encode()


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value


def claims_json(found: Iterable[Verdict]) -> bytes:
    """All verdicts as JSON that any parser reads."""
    content = [as_json(verdict) for verdict in found]
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def metrics_json(own: Mapping[str, Metric]) -> bytes:
    """What a study's own metrics mean, by name."""
    return (
        json.dumps({name: vars(metric) for name, metric in own.items()}, indent=1, ensure_ascii=False) + "\n"
    ).encode()


def counts_json(n_runs: int, expected_runs: int, by_kind: Mapping[str, int], digests: Mapping[str, str]) -> bytes:
    """How many runs there are, of how many, and of each kind; and name → digest of the files that belong together."""
    content = {"runs": n_runs, "expected runs": expected_runs, **by_kind, "digests": digests}
    return (json.dumps(content, indent=1) + "\n").encode()
