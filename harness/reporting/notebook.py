"""`Results` as a notebook shows them: the question, a line for each verdict, a small table of cells. Text alone, all of it escaped."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from harness.inference.verdict import Verdict
from harness.reporting.html import CELLS
from harness.reporting.page.level_names import brief
from harness.reporting.page.words import effect, mark, number, word
from harness.reporting.page_tables import cell_text
from harness.reporting.tables import MAIN, UNTESTED
from harness.settings.levels import label
from harness.settings.show import counted

if TYPE_CHECKING:
    from harness.reporting.results import Results

MOST_CELLS, MOST_METRICS = 20, 4
"""Rows and metrics of the table; `results.cells` has all."""

COUNTED = ("n_diverged", "n_collapsed", "n_failed")


def as_html(results: "Results") -> str:
    """What `Results` are to a reader of a notebook."""
    question = " ".join(results.question.partition("\n\n")[0].split())
    parts = [f"<p><b>{escape(results.folder.name)}</b>{f': {escape(question)}' if question else ''}</p>"]
    parts += [f"<p>{escape(results.incomplete)}</p>"] if results.incomplete else []
    lines = [_line(row) for row in results.verdicts.to_dict("records")]
    parts += [f"<ul>{''.join(lines)}</ul>"] if lines else []
    parts.append(_cells(results))
    more = len(results.cells) - MOST_CELLS
    left_out = f"{counted(more, 'more row')} in results.cells. " if more > 0 else ""
    runs = counted(len(results.runs), "run")
    parts.append(f"<p><small>{left_out}{CELLS} {runs} in {escape(str(results.folder))}.</small></p>")
    return f"<div>{''.join(parts)}</div>"


def _line(row: Mapping[Any, Any]) -> str:
    """A verdict, as the report words it."""
    given = {name: _given(row[name]) for name in ("above", "smallest_effect", "estimate", "low", "high", "registered")}
    names = ("title", "metric", "verdict", "label", "sentence", "registration", "withdrawn")
    verdict = Verdict(**{name: row[name] for name in names}, **given, n=int(row["n"]))
    marked = f" ({mark(verdict)})" if mark(verdict) else ""
    said = f"{effect(verdict)}, n = {verdict.n}"
    said += "" if verdict.smallest_effect is None else f", δ {number(verdict.smallest_effect)}"
    return f"<li><b>{escape(word(verdict))}</b>{escape(marked)}: {escape(verdict.title)} <small>({escape(said)})</small></li>"


def _given(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _cells(results: "Results") -> str:
    claimed = [metric for metric in results.verdicts["metric"] if f"{metric}_median" in results.cells]
    there = [
        name for name in (*MAIN, *UNTESTED) if f"{name}_median" in results.cells and results.cells[f"{name}_n"].any()
    ]
    metrics = list(dict.fromkeys([*claimed, *there]))[:MOST_METRICS]
    counts = [name for name in COUNTED if results.cells[name].any()]
    paths = [path for path in (*results.swept, *results.tuned) if path in results.cells]
    rows = [
        [*(brief(label(path, row[path])) for path in paths), str(row["n"]), *(str(row[name]) for name in counts), *(cell_text(row, name) for name in metrics)]
        for row in results.cells.head(MOST_CELLS).to_dict("records")
    ]  # fmt: skip
    return _table([*paths, "n", *(name.removeprefix("n_") for name in counts), *metrics], rows) if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
