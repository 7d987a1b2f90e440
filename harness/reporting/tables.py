"""Last stage of the flow: recorded runs → `results/<study>/`, tables, figures, verdicts and the report.

Everything is a function of `runs` and `curves`: the same tables give the same bytes.
"""

import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from harness.inference import statistics, verdicts
from harness.inference.verdicts import Verdict
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE
from harness.reporting import html, plots
from harness.settings.files import put_in_place
from harness.settings.levels import at, label, stored
from harness.settings.metrics import METRICS, RATE
from harness.study import Study

SHOWN = ("test_loss", "test_error", "gap", "spike_rate", "grad_norm_q99", "clip_fraction")
"""Metrics in the first table of `report.html` and `summary.md`; `summary.csv` has all."""

BEST_TRIALS = 10


def write_report(
    study: Study,
    runs: pd.DataFrame,
    folder: Path,
    *,
    about: dict[str, str],
    doc: str,
    commands: list[str],
    helpers: Sequence[Connection] = (),
) -> list[Verdict]:
    """Write all tables, figures, verdicts and reports of a study.

    Args:
        study: what was asked.
        runs: one row per run, columns as in the public contract; left as it is.
        folder: `results/<study>`, which has `curves.parquet`: one row per run and logged step.
        about: what ran and where, by name, for the report's last table.
        doc: the study's docstring.
        commands: shell lines that reproduce the study.
        helpers: processes that draw figures, see `plots.render_all`.

    Returns:
        The verdicts, in the order of the study's claims.
    """
    runs = sort_runs(study, runs)
    found = verdicts.judge(study.claims, runs, study.sweeps())
    summary = summarize(study, runs)
    drawn = list(plots.plots(runs, plots.curves_to_show(folder / CURVES_FILE, runs, study), study))
    images = plots.render_all(drawn, helpers)
    extra = [name for name in measured(summary) if METRICS[name].level != "light"]
    page = html.Page(
        title=study.name,
        doc=doc,
        verdicts=found,
        cells=readable(study, summary, _shown(summary)),
        diagnostics=readable(study, summary, extra) if extra else html.Table([], []),
        meanings=meanings(summary),
        trials=best_trials(study, runs),
        pictures=[html.Picture(plot.name, plot.caption, svg) for plot, (svg, _) in zip(drawn, images, strict=True)],
        about=about,
        commands=commands,
        counts=counts(runs),
    )
    write(folder / RUNS_FILE, parquet(runs))
    write(folder / "runs.csv", csv(runs))
    write(folder / "summary.csv", csv(summary))
    write(folder / "claims.json", claims_json(found))
    for plot, (svg, png) in zip(drawn, images, strict=True):
        write(folder / "figures" / f"{plot.name}.csv", csv(plot.data))
        write(folder / "figures" / f"{plot.name}.svg", svg)
        write(folder / "figures" / f"{plot.name}.png", png)
    remove_stale(folder / "figures", {plot.name for plot in drawn})
    write(folder / "summary.md", html.markdown(page).encode())
    write(folder / "report.html", html.render(page).encode())
    return found


def write(path: Path, content: bytes) -> None:
    """Put a file in place whole."""
    with put_in_place(path) as beside:
        beside.write_bytes(content)


def remove_stale(figures: Path, names: set[str]) -> None:
    """Delete figures of an earlier report of this study that this one no longer has."""
    for path in figures.glob("*"):
        if path.suffix in (".svg", ".png", ".csv") and path.stem not in names:
            path.unlink()


def sort_runs(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """Runs by factor paths, then seed, phase and trial; columns that mix numbers and text in the order of their text."""
    keys = [path for path in study.factors() if path in runs] + ["seed", "phase", "trial"]
    return runs.sort_values(keys, kind="stable", ignore_index=True, key=_sortable)


def _sortable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column if pd.api.types.is_numeric_dtype(column) else column.map(str)


def parquet(table: pd.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file; columns that mix numbers and text become text."""
    mixed = [name for name in table if table[name].dtype == object and table[name].map(type).nunique() > 1]
    buffer = io.BytesIO()
    table.astype(dict.fromkeys(mixed, str)).to_parquet(buffer, index=False)
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
    content = [verdicts.as_json(verdict) for verdict in found]
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Runs by phase, and those that diverged or failed."""
    return {
        "confirm runs": int((runs["phase"] == "confirm").sum()),
        "tune runs": int((runs["phase"] == "tune").sum()),
        "diverged": int((runs["status"] == "diverged").sum()),
        "failed": int((runs["status"] == "failed").sum()),
    }


def cells(study: Study, runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The confirm runs of every cell that has some, with its levels; by trial where a cell confirms several."""
    confirm = runs[runs["phase"] == "confirm"]
    for cell in study.cells():
        inside = confirm[at(confirm, cell)]
        for _, rows in inside.groupby("trial"):
            yield cell, rows


def summarize(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: levels, tuned values, counts, and each metric's mean, median and 95 % interval.

    The interval is Wilson's for `diverged`, else t of the mean. A cell with a diverged run has the mean `inf` in
    metrics that are infinite there, and no interval: nothing is dropped.
    """
    rows, names = [], [name for name in METRICS if name in runs]
    for cell, inside in cells(study, runs):
        row: dict[str, Any] = {path: stored(level) for path, level in cell.items()}
        row |= {path: inside[path].iloc[0] for path in study.tunes()}
        statuses = inside["status"]
        row |= {"n": int((statuses != "failed").sum()), "n_diverged": int((statuses == "diverged").sum())}
        row["n_failed"] = int((statuses == "failed").sum())
        for name in names:
            row |= {f"{name}_{key}": value for key, value in _estimate(name, inside[name]).items()}
        rows.append(row)
    keys = ("mean", "median", "low", "high")
    head = [*study.sweeps(), *study.tunes(), "n", "n_diverged", "n_failed"]
    return pd.DataFrame(rows, columns=head + [f"{name}_{key}" for name in names for key in keys])


def _estimate(name: str, column: "pd.Series[float]") -> dict[str, float]:
    values = column.dropna().to_numpy(float)
    if not len(values):
        return dict.fromkeys(("mean", "median", "low", "high"), math.nan)
    if METRICS[name].unit == RATE:
        low, high = statistics.wilson(values.sum(), len(values))
    else:
        low, high = statistics.t_interval(values)
    bounded = (low, high) if math.isfinite(low) else (math.nan, math.nan)
    return {"mean": float(values.mean()), "median": statistics.median(values), "low": bounded[0], "high": bounded[1]}


def measured(summary: pd.DataFrame) -> list[str]:
    """The metrics that have a number somewhere in a summary."""
    return [name for name in METRICS if f"{name}_median" in summary and summary[f"{name}_median"].notna().any()]


def _shown(summary: pd.DataFrame) -> list[str]:
    shown = [name for name in SHOWN if name in measured(summary)]
    tested = any(name in shown for name in ("test_loss", "test_error"))
    return shown if tested or "validation_loss" not in measured(summary) else ["validation_loss", *shown]


def meanings(summary: pd.DataFrame) -> html.Table:
    """What each measured metric means, its unit and which direction is good."""
    rows = [[n, METRICS[n].meaning, METRICS[n].unit, METRICS[n].better or "–"] for n in measured(summary)]
    return html.Table(["metric", "meaning", "unit", "better"], rows)


def readable(study: Study, summary: pd.DataFrame, shown: list[str]) -> html.Table:
    """The summary as a reader wants it: levels, tuned values, rate of divergence, some metrics "mean [low, high]".

    Where runs diverged a mean would be infinite; the median over all runs stands in its place, marked "median".
    """
    head = [*study.sweeps(), *(f"{path} (tuned)" for path in study.tunes()), "n", "diverged", *shown]
    names = {
        path: {stored(level): label(path, level) for level in sweep.levels} for path, sweep in study.sweeps().items()
    }
    rows = []
    for row in summary.to_dict("records"):
        levels = [names[path][row[path]] for path in names] + [label(path, row[path]) for path in study.tunes()]
        rate = f"{row['n_diverged']}/{row['n']}"
        if row["n"]:
            rate += f" [{row['diverged_low']:.2f},\u00a0{row['diverged_high']:.2f}]"
        rows.append([*levels, str(row["n"]), rate, *(_cell_text(row, name) for name in shown)])
    return html.Table(head, rows)


def _cell_text(row: dict[Any, Any], name: str) -> str:
    mean, middle, low, high = (float(row[f"{name}_{key}"]) for key in ("mean", "median", "low", "high"))
    if math.isnan(middle):
        return "–"
    if math.isinf(middle):
        return "∞ (median)"
    if math.isinf(mean):
        return f"{_short(middle)} (median)"
    return f"{_short(mean)} [{_short(low)},\u00a0{_short(high)}]" if math.isfinite(low) else _short(mean)


def _short(value: float) -> str:
    """Three significant digits, never more than needed.

    >>> _short(0.12345), _short(12345.6), _short(0.0)
    ('0.123', '1.23e+04', '0')
    """
    return f"{value:.3g}"


def best_trials(study: Study, runs: pd.DataFrame) -> html.Table:
    """The best trials of a plain search by its first objective, over their tune seeds.

    Empty where factors are swept: cells are not rivals, and the summary says what was chosen in each.
    """
    objectives, paths = list(study.objectives()), list(study.tunes())
    tune = runs[(runs["phase"] == "tune") & (runs["status"] != "failed")]
    if tune.empty or study.sweeps():
        return html.Table([], [])
    trials = [(int(str(trial)), rows) for trial, rows in tune.groupby("trial")]
    trials = sorted(trials, key=lambda pair: float(pair[1][objectives[0]].mean()))[:BEST_TRIALS]
    rows = [
        [str(trial), *(label(path, seeds[path].iloc[0]) for path in paths), *(_short(seeds[name].mean()) for name in objectives),
         str(len(seeds))]
        for trial, seeds in trials
    ]  # fmt: skip
    return html.Table(["trial", *paths, *(f"{name} (mean)" for name in objectives), "n"], rows)
