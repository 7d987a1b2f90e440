"""What MLflow shows of a study, from the files of its report: a row for each cell, with the numbers of `summary.csv`.

After the report: a function of its folder alone, so that the page says what the report says, and says it again when rebuilt.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from harness.inference.description import statistic
from harness.inference.ranks import DIVERGED
from harness.inference.reading import as_read
from harness.inference.verdict import Verdict
from harness.ledger.records.cells import SEEDS_FILE, Cell
from harness.ledger.records.finished import CURVES_FILE, MAX_STEPS, curves_over_seeds, until_their_end
from harness.ledger.records.launch import recordable
from harness.ledger.records.naming import OVER_SEEDS, cell_key, cell_name, metric_name
from harness.ledger.records.page import Page
from harness.ledger.records.view import View
from harness.reporting.formats import csv
from harness.reporting.page_tables import explored_metrics
from harness.reporting.results import load
from harness.settings.levels import label, places, stored
from harness.settings.metrics import METRICS
from harness.settings.show import counted
from harness.study import Study

MANY_CELLS = 100
"""Of more, each shows the metrics of the columns alone, and shorter curves: MLflow takes half a millisecond for a point."""

FEW_STEPS = 8

COLUMNS = 8
"""Metrics that stand in columns; a page as wide as a screen shows so many."""

FAR_APART = 30
"""A curve whose values differ by such a factor is drawn on logs."""


class Extent(NamedTuple):
    """How much is shown of a cell: which metrics, and of a curve how many steps at most."""

    metrics: Sequence[str]
    steps: int


def tracking_page(study: Study, doc: str, verdicts: Sequence[Verdict], folder: Path) -> Page:
    """What MLflow is to show of a study.

    Args:
        study: the study.
        doc: what its file says of itself.
        verdicts: on its claims.
        folder: results/<study>, with its report.
    """
    found = load(folder)
    metrics, many = explored_metrics(study, found.runs), len(found.cells) > MANY_CELLS
    extent = Extent(metrics if many else list(METRICS), FEW_STEPS if many else MAX_STEPS)
    cells = list(_cells(study, found.runs, found.cells, folder / CURVES_FILE, extent))
    varied = [*study.sweeps(), *study.tunes()]
    title = f"{study.name}: cells and their trials"
    return Page(title, cells, _view(varied, metrics, cells), _note(recordable(doc), verdicts))


def _cells(study: Study, runs: pd.DataFrame, summary: pd.DataFrame, curves: Path, extent: Extent) -> Iterator[Cell]:
    """The cells of which there are runs, in the order of the study; of one that confirms several trials, one for each."""
    sweeps = {path: sweep.levels for path, sweep in study.sweeps().items()}
    place = pd.Series(places(runs, sweeps), index=runs.index)
    confirm = runs[runs["phase"] == "confirm"]
    of_cell = confirm.groupby([place] if study.tunes_within() else [place, "trial"], sort=True)
    drawn = _drawn(curves, confirm, of_cell.ngroup(), extent.steps)
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in summary.to_dict("records")
    ]
    all_runs = runs["key"].groupby(place).agg(frozenset).to_dict()
    seen: set[str] = set()
    for number, ((_, inside), row) in enumerate(zip(of_cell, rows, strict=True)):
        levels = {path: row[path] for path in sweeps}
        several = cell_key(levels) in seen
        seen.add(cell_key(levels))
        tuned = {path: _tuned(row, path) for path in study.tunes()}
        told = levels | tuned if several else levels
        own = frozenset(inside["key"]) if several else all_runs[place[inside.index[0]]]
        yield Cell(
            key=cell_key(told), name=cell_name(told), params=levels | tuned, metrics=_metrics(row, extent.metrics),
            curves={f"{OVER_SEEDS}/{name}": curve for name, curve in drawn.get(number, {}).items()},
            runs=own, note=_note_of_cell(row, study), seeds=csv(_seeds(study, inside)), failed=bool(row["n_failed"]),
        )  # fmt: skip
    yield from _untested(sweeps, runs, place, seen)


def _untested(
    sweeps: Mapping[str, Sequence[Any]], runs: pd.DataFrame, place: "pd.Series[int]", seen: set[str]
) -> Iterator[Cell]:
    """The cells that only tuning has runs of."""
    for _, inside in runs.groupby(place, sort=True):
        levels = {path: stored(inside[path].iloc[0]) for path in sweeps}
        if cell_key(levels) not in seen:
            note = "Not tested yet: so far only what tunes it has run."
            yield Cell(key=cell_key(levels), name=cell_name(levels), params=levels, metrics={"runs/seeds": 0.0},
                       runs=frozenset(inside["key"]), note=note)  # fmt: skip


def _tuned(row: Mapping[str, Any], path: str) -> str:
    """A tuned value; where seeds have their own, the median and the range. The trials below have it to the last digit."""
    least, largest = row.get(f"{path}_least", row[path]), row.get(f"{path}_largest", row[path])
    shown = label(path, row[path])
    return shown if least == largest else f"{shown} ({label(path, least)} to {label(path, largest)})"


def _metrics(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """Means over the seeds, and medians where these describe a metric; infinite ones are left out, as MLflow would show a number instead."""
    found = {"runs/seeds": float(row["n"]), "runs/failed": float(row["n_failed"])}
    for name in names:
        kinds = dict.fromkeys(["mean", statistic(name)])
        found |= {metric_name(name, of_seeds=kind): row.get(f"{name}_{kind}", math.nan) for kind in kinds}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _seeds(study: Study, inside: pd.DataFrame) -> pd.DataFrame:
    """The confirm runs of a cell: what each seed was tuned to, and its metrics."""
    columns = ["seed", "trial", *study.tunes(), "status", "steps_done", *(name for name in METRICS if name in inside)]
    return inside[columns].dropna(axis=1, how="all").sort_values("seed", kind="stable")


def _drawn(
    path: Path, confirm: pd.DataFrame, numbers: "pd.Series[int]", steps: int
) -> dict[int, dict[str, "pd.Series[float]"]]:
    """The curves of each group of confirm runs, over its seeds."""
    groups = dict(zip(zip(confirm["trial"], confirm["seed"], strict=True), numbers, strict=True))
    wanted = pa.array(sorted({trial for trial, _ in groups}), pa.int64())
    file, parts = pq.ParquetFile(path), list[pd.DataFrame]()
    for number in range(file.num_row_groups):  # never all curves of a study at a time
        table = file.read_row_group(number)
        part = table.filter(pc.is_in(table["trial"], wanted)).to_pandas()
        group = [groups.get(key, -1) for key in zip(part["trial"].tolist(), part["seed"].tolist(), strict=True)]
        parts.append(part.assign(group=group)[lambda rows: rows["group"] >= 0])
    rows = until_their_end(pd.concat(parts), confirm) if parts else pd.DataFrame(columns=["group"])
    return {
        int(str(group)): curves_over_seeds(own.drop(columns="group"), steps) for group, own in rows.groupby("group")
    }


def _view(varied: Sequence[str], metrics: Iterable[str], cells: Sequence[Cell]) -> View:
    there = {name for cell in cells for name in cell.metrics}
    columns = list[str]()
    for name in metrics:
        shown = metric_name(name, of_seeds=statistic(name))
        columns += [shown] if shown in there else []
    curves = dict.fromkeys(name for cell in cells for name, curve in cell.curves.items() if len(curve) > 1)
    on_logs = [name for name in curves if _far_apart([cell.curves[name] for cell in cells if name in cell.curves])]
    return View(varied, columns[:COLUMNS], list(curves), on_logs, len(cells))


def _far_apart(curves: Sequence["pd.Series[float]"]) -> bool:
    low, high = (min(curve.min() for curve in curves), max(curve.max() for curve in curves))
    return bool(low > 0 and high > FAR_APART * low)


def _note(doc: str, verdicts: Sequence[Verdict]) -> str:
    """The question and what came of it, in Markdown."""
    claims = [
        f"- **{as_read(v.verdict, v.registered, v.registration, v.withdrawn)}**: {v.title}. {v.sentence}"
        for v in verdicts
    ]
    rows = (
        "One row for each cell, or for each combination where several are confirmed in a cell: means over the seeds of its test runs; `_median` says where it is their median. A mean that is "
        "infinite, since a run diverged, is left out. Below each cell are its trials, of several seeds each."
    )
    question, _, more = doc.strip().partition("\n\n")
    return "\n\n".join(filter(None, [question, "\n".join(claims), more, rows]))


def _note_of_cell(row: Mapping[str, Any], study: Study) -> str:
    """What a cell's numbers are, in Markdown."""
    kinds = [f"{int(row[f'n_{kind}'])} {kind}" for kind in ("diverged", "collapsed", "failed") if row[f"n_{kind}"]]
    ended = f" Of its runs: {', '.join(kinds)}." if kinds else ""
    how = "each tuned by itself" if study.tunes_within() else "all at the same settings"
    return (
        f"Means over {counted(int(row['n']), 'seed')}, {how}; `{SEEDS_FILE}` has each of them.{ended} Metrics that end in "
        f"`_median`, and curves, are medians over the seeds. {DIVERGED} In curves a run counts as infinite once it became non-finite."
    )
