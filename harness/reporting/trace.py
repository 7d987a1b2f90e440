"""The trace of a run: its loss and gradient norm at a few steps, small enough to be handed on where the curves are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.ledger.records.tables import parquet
from harness.settings.files import write

TRACE_FILE = "trace.parquet"
TRACE_COLUMNS = ("trial", "seed", "step", "loss", "grad_norm")


def traced(curves: pd.DataFrame) -> pd.DataFrame:
    """The first logged step from each power of two on, and the last, of every run.

    Args:
        curves: one row per run and logged step, sorted by trial, seed and step; whole runs.

    Returns:
        Some of its rows, all of its columns.

    >>> traced(pd.DataFrame({"trial": 0, "seed": 0, "step": [1, 3, 6, 9, 12, 14]}))["step"].tolist()
    [1, 3, 6, 9, 14]
    """
    run = curves[["trial", "seed"]].to_numpy()
    step = curves["step"].to_numpy()
    begins = np.ones(len(curves), dtype=bool)
    begins[1:] = (run[1:] != run[:-1]).any(axis=1)
    before = np.where(begins, 0, np.roll(step, 1))
    return curves[(_digits(step) > _digits(before)) | np.roll(begins, -1)]


def write_trace(curves: Path, trace: Path) -> None:
    """Write the trace of all runs, never with all of their curves in memory.

    Args:
        curves: `curves.parquet`: one row per run and logged step, sorted by trial, seed and step.
        trace: the Parquet file to be, with `TRACE_COLUMNS`.
    """
    file = pq.ParquetFile(curves)
    found, rest = list[pd.DataFrame](), file.schema_arrow.empty_table().select(TRACE_COLUMNS).to_pandas()
    for group in range(file.num_row_groups):
        table = pd.concat([rest, file.read_row_group(group, columns=TRACE_COLUMNS).to_pandas()])
        if table.empty:
            continue
        last = (table[["trial", "seed"]] == table[["trial", "seed"]].iloc[-1]).all(axis=1)  # it may go on in the next
        found.append(traced(table[~last]))
        rest = table[last]
    write(trace, parquet(pd.concat([*found, traced(rest)])))


def _digits(step: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    """How many binary digits each whole number has; 0 of 0."""
    return np.frexp(step)[1]
