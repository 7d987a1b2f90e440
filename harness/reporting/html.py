"""The report as one self-contained HTML page, and as Markdown. Pure: everything shown comes in a `Page`."""

import base64
import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined

from harness.inference.manipulation import CHECKS
from harness.inference.resampling import Estimated
from harness.inference.verdict import Verdict
from harness.settings.levels import in_words

DELTA = (
    "Δ: the estimand over n seeds (an exact claim: n runs), positive favours the claim; an equivalence: treatment less baseline. "
    "Median: interval by the sign test; mean: over seeds whose runs trained, t; rate: exact paired score interval. δ: smallest effect "
    "worth having. Holm's procedure holds 5 % over all claims of a family and decides; the intervals shown are at the level given, at "
    "which those of a family cover together. p: two-sided, of Δ = δ, what the verdict turns on."
)
"""Below the verdicts."""

SHARED = "Δ of each claim where both arms have the same tuned values (median over n seeds, positive favours the claim):"
"""Above the table of shared values."""

FAMILIES = (
    "Registered claims stood so before any of the runs that they read was recorded. Holm's procedure holds 5 % over them alone, those "
    "included that were changed or withdrawn later; exploratory claims, made or changed after their data came, are corrected among "
    "themselves, and so are those of which nobody knows."
)
"""Below the verdicts where not all claims are registered."""


@dataclass(frozen=True)
class Table:
    """Texts in rows under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Captioned:
    """What stands above a table, and the table; maybe without rows where the caption says why."""

    caption: str
    table: Table


@dataclass(frozen=True)
class Picture:
    """A figure ready to be shown."""

    name: str
    caption: str
    svg: bytes

    @property
    def source(self) -> str:
        """A data URI. As an image, no script of the SVG could run and no id of one figure meets another's."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: name of the study.
        notice: what a reader must know before all else; mostly nothing.
        scope: sentences on what its numbers are conditional on: the examples, and how long runs train.
        doc: its docstring.
        verdicts: on its claims.
        cells: the summary per cell.
        diagnostics: likewise, of the metrics that `Diagnostics` add.
        meanings: of the metrics.
        tuning: what a reader must know of the tuning, a sentence each.
        shared: Δ of each claim at each value tried.
        trials: the best tuned trials.
        exploration: what explains the metrics and differs, none of it a claim.
        pictures: the figures.
        about: environment, by name.
        commands: shell lines that reproduce it.
        counts: of runs, by kind.
        baseline: an earlier result that it is set beside; "" for none.
        against: how it differs from that.
    """

    title: str
    notice: str
    scope: Sequence[str]
    doc: str
    verdicts: Sequence[Verdict]
    cells: Table
    diagnostics: Table
    meanings: Table
    tuning: Sequence[str]
    shared: Table
    trials: Table
    exploration: Sequence[Captioned]
    pictures: Sequence[Picture]
    about: Mapping[str, str]
    commands: Sequence[str]
    counts: Mapping[str, int]
    baseline: str = ""
    against: Sequence[Captioned] = ()

    @property
    def question(self) -> str:
        """The docstring without its indentation; only empty lines break it, since a page has its own width."""
        return "\n\n".join(" ".join(p.split()) for p in inspect.cleandoc(self.doc).split("\n\n"))


def render(page: Page) -> str:
    """The page as HTML; every text is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "interval": interval,
        "metric_of": metric_of,
        "in_words": in_words,
        "number": number,
        "mark": mark,
        "on_record": on_record,
    }
    environment.globals |= {"delta": DELTA, "checks": CHECKS, "families": FAMILIES, "details": details}
    source = resources.files("harness.reporting").joinpath("templates", "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(page=page, shared=SHARED)


def details(verdict: Verdict) -> list[str]:
    """What stands below a verdict: its cells, the runs that diverged or collapsed, and what describes it, a line each."""
    lines: list[str] = []
    if verdict.cells:
        each = (
            f"{cell.name}: {number(cell.estimate)} [{number(cell.low)}, {number(cell.high)}]" for cell in verdict.cells
        )
        lines.append(f"Each by itself: {'; '.join(each)}.")
    if verdict.catastrophes is not None and verdict.catastrophes.any:
        lines.append(_catastrophes(verdict))
    if described := _described(verdict):
        lines.append(f"Description at 95 %: {', '.join(described)}.")
    if verdict.power and not verdict.withdrawn:
        lines.append(f"Power of the planned seeds: {verdict.power}.")
    return lines


def _described(verdict: Verdict) -> list[str]:
    named = {
        "mean (t)": verdict.mean if verdict.estimand != "mean" else None,
        "interquartile mean (bootstrap)": verdict.interquartile_mean,
    }
    found = [f"{name} {_estimated(value)}" for name, value in named.items() if value is not None]
    if (better := verdict.probability_of_improvement) is not None and verdict.kind == "Claim":
        share, low, high = (f"{100 * value:.0f}" for value in (better.value, better.low, better.high))
        found.append(f"better in {share} % of seeds [{low}, {high}] (exact, ties half)")
    return found


def _catastrophes(verdict: Verdict) -> str:
    found = verdict.catastrophes
    assert found is not None
    arms = "; ".join(f"{count} of {n} with {arm}" for arm, (count, n) in found.arms.items())
    difference = ""
    if found.difference is not None and found.low is not None and found.high is not None:
        difference = (
            f"; rates differ by {number(found.difference)} [{number(found.low)}, {number(found.high)}] (95 %, exact)"
        )
    return f"Diverged or no better than guessing: {arms}{difference}."


def _estimated(found: Estimated) -> str:
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def word(verdict: Verdict) -> str:
    """The verdict and its label.

    >>> word(Verdict("t", "gap", "refuted", "reversed", ""))
    'Refuted: reversed'
    """
    label = "" if verdict.label == "exact" else verdict.label
    return verdict.verdict.capitalize() + (f": {label}" if label else "")


def mark(verdict: Verdict) -> str:
    """What a reader must know of a claim with its verdict: that it is not, or not known to be, older than its data."""
    marks = ["withdrawn"] if verdict.withdrawn else []
    if verdict.registration and not verdict.registered:
        marks.append("registration not known" if verdict.registered is None else "exploratory")
    return ", ".join(marks)


def on_record(verdict: Verdict) -> str:
    """How a claim stands to the record of claims, with the time at which it was registered.

    >>> on_record(Verdict("t", "gap", "refuted", "", "", registration="registered", registered_at="2026-01-31T07:05:09Z"))
    'Registered on 2026-01-31 at 07:05 UTC.'
    """
    said = verdict.registration
    if verdict.registered_at is not None:
        day, _, time = verdict.registered_at.partition("T")
        said = said.replace("registered", f"registered on {day} at {time[:5]} UTC", 1)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def number(value: float | None) -> str:
    """A number in three digits.

    >>> number(0.12345), number(None), number(-math.inf)
    ('0.123', '–', '−∞')
    """
    if value is None or math.isnan(value):
        return "–"
    return ("−∞" if value < 0 else "∞") if math.isinf(value) else f"{value:.3g}".replace("-", "−", 1)


def metric_of(verdict: Verdict) -> str:
    """The metric, with what makes a rate of it."""
    return verdict.metric if verdict.above is None else f"{verdict.metric} > {verdict.above:g}"


def interval(verdict: Verdict) -> str:
    """Estimate and interval, a side without bound as ∞."""
    if verdict.estimate is None:
        return "–"
    if verdict.label == "exact":
        return f"largest deviation {number(verdict.estimate)}"
    low = "−∞" if verdict.low is None else number(verdict.low)
    high = "∞" if verdict.high is None else number(verdict.high)
    return f"{number(verdict.estimate)} [{low}, {high}]"


def markdown(page: Page) -> str:
    """The report in short: verdicts and cells."""
    notice = f"**{_plain(page.notice)}**" if page.notice else ""
    parts = [f"# {_plain(page.title)}", notice, _plain(" ".join(page.scope)), *map(_plain, page.question.split("\n\n"))]
    if page.verdicts:
        head = ["verdict", "claim", "metric", "estimand", "Δ [interval]", "δ", "n", "level", "why"]
        rows = [
            row for v in page.verdicts for row in (_verdict_row(v), *([_verdict_row(v.was, of=v)] if v.was else []))
        ]
        parts += [
            "## Verdicts",
            _markdown_table(Table(head, rows)),
            f"{DELTA} {CHECKS}",
            FAMILIES if any(map(mark, page.verdicts)) else "",
        ]
    if page.tuning:
        parts += ["## Tuning", "\n".join(f"- {_plain(sentence)}" for sentence in page.tuning)]
    if page.shared.rows:
        parts += [SHARED, _markdown_table(page.shared)]
    if page.cells.rows:
        parts += ["## Cells", _markdown_table(page.cells), "Mean [95 % interval] over seeds of the confirm phase."]
    if page.diagnostics.rows:
        parts += ["## Diagnostics", _markdown_table(page.diagnostics)]
    if page.trials.rows:
        parts += ["## Best trials of the search", _markdown_table(page.trials)]
    if page.exploration:
        parts += ["## Exploration"]
    for part in page.exploration:
        parts += [_plain(part.caption), _markdown_table(part.table) if part.table.rows else ""]
    parts += [f"## Against {_plain(page.baseline)}"] if page.against else []
    for part in page.against:
        parts += [_plain(part.caption), _markdown_table(part.table) if part.table.rows else ""]
    if page.meanings.rows:
        parts += ["## Metrics", _markdown_table(page.meanings)]
    parts += ["Runs: " + ", ".join(f"{count} {kind}" for kind, count in page.counts.items()) + "."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict_row(v: Verdict, of: Verdict | None = None) -> list[str]:
    """A verdict; `of` a claim that is another one now."""
    marked = f" ({mark(v)})" if mark(v) else ""
    title = v.title if of is None else f"as it was: {v.title}"
    return [
        f"**{word(v)}**{marked}", title, metric_of(v), v.estimand or "–", interval(v), number(v.smallest_effect), str(v.n),
        "–" if v.level is None else f"{v.level:.1%}", " ".join(part for part in (v.sentence, *details(v), on_record(v)) if part),
    ]  # fmt: skip


def _markdown_table(table: Table) -> str:
    rows = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(map(_plain, row)) + " |" for row in rows)


def _plain(text: str) -> str:
    """Text that stays text: no tag, no end of a table's cell, no link and no definition of one."""
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"\](?=[(:\[])", r"\\]", text).replace("\n", " ")
