"""The report as one self-contained HTML page, and as Markdown. Pure: everything shown comes in a `Page`."""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from itertools import chain

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from harness.inference.manipulation import CHECKS
from harness.inference.ranks import DIVERGED
from harness.inference.verdict import Verdict
from harness.reporting.page.content import Captioned, Page, Picture, Table
from harness.reporting.page.forest import WIDTH, forests
from harness.reporting.page.words import (
    bracketed,
    described,
    details,
    effect,
    interval,
    mark,
    metric_of,
    number,
    on_record,
    word,
)
from harness.settings.show import level_text

__all__ = ["Captioned", "Page", "Picture", "Table", "markdown", "number", "render"]

DELTA = (
    "Δ: the estimand over n seeds (an exact claim: n runs), positive favours the claim; an equivalence: treatment less baseline. "
    "{methods}δ: smallest effect worth having. Holm's procedure holds 5 % over all claims of a family and decides; the intervals shown "
    "are at the level given, at which those of a family cover together. p: two-sided, of Δ = δ, what the verdict turns on."
)
"""Below the verdicts, with the `methods` of their intervals."""

CELLS = f"Over seeds of the confirm phase: medians, of rates means, with exact 95 % intervals; of shares means without. {DIVERGED}"
"""Below the table of cells."""

SHARED = (
    "Δ of each claim where both arms have the same tuned values (by its own estimate, over n seeds; positive favours the claim, an "
    "equivalence: treatment less baseline):"
)
"""Above the table of shared values."""

FAMILIES = (
    "Registered claims stood so before any of the runs that they read was recorded. Holm's procedure holds 5 % over them alone, those "
    "included that were changed or withdrawn later; exploratory claims, made or changed after their data came, are corrected among "
    "themselves, and so are those of which nobody knows."
)
"""Below the verdicts where not all claims are registered."""


SCRIPTS = ("uPlot.iife.min.js", "curves.js", "tables.js", "page.js")
STYLES = ("uPlot.min.css", "report.css")
"""Files of `templates/`, in the order in which the page has them."""

MOST_ANSWERS = 6
"""Claims of which the first screen says all that it has to say; of more only verdict, title and interval."""


def render(page: Page) -> str:
    """The page as HTML; every text is escaped, and the only script that may run is its own, known by its hash."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "bracketed": bracketed,
        "described": described,
        "interval": interval,
        "metric_of": metric_of,
        "effect": effect,
        "number": number,
        "mark": mark,
        "on_record": on_record,
        "word": word,
    }
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    script = f"/*\n{_part('uPlot.LICENSE')}\n*/\n" + "\n".join(map(_part, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {
        "delta": _delta(page.verdicts), "checks": CHECKS, "families": FAMILIES, "diverged": DIVERGED, "shared": SHARED, "forest_width": WIDTH,
        "most_answers": MOST_ANSWERS, "digest": digest, "script": Markup(script), "style": Markup("\n".join(map(_part, STYLES))),
    }  # fmt: skip
    drawn = forests([answer.verdict for answer in page.first.answers])
    answers = list(zip(page.first.answers, drawn, strict=True))
    return environment.from_string(_part("report.html.jinja")).render(page=page, answers=answers)


def _delta(verdicts: Sequence[Verdict]) -> str:
    """What stands below some verdicts: no method but their own."""
    all_forms = chain.from_iterable((verdict, verdict.was) for verdict in verdicts)
    methods = dict.fromkeys(each.method for each in all_forms if each is not None and each.method)
    return DELTA.format(methods=f"Estimates: {'; '.join(methods)}. " if methods else "")


def _part(name: str) -> str:
    """A file of the page; ours, so that its text is no user's."""
    return resources.files("harness.reporting").joinpath("templates", name).read_text(encoding="utf-8")


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
            f"{_delta(page.verdicts)} {CHECKS}",
            FAMILIES if any(map(mark, page.verdicts)) else "",
        ]
    parts += _markdown_section("Beside published results", page.published)
    if page.tuning:
        parts += ["## Tuning", "\n".join(f"- {_plain(sentence)}" for sentence in page.tuning)]
    if page.shared.rows:
        parts += [SHARED, _markdown_table(page.shared)]
    if page.cells.rows:
        parts += ["## Cells", _markdown_table(page.cells), CELLS]
    if page.diagnostics.rows:
        parts += ["## Diagnostics", _markdown_table(page.diagnostics)]
    if page.trials.rows:
        parts += ["## Best trials of the search", _markdown_table(page.trials)]
    parts += _markdown_section("Exploration", page.exploration)
    parts += _markdown_section(f"Against {_plain(page.baseline)}", page.against)
    if page.meanings.rows:
        parts += ["## Metrics", _markdown_table(page.meanings)]
    parts += ["Runs: " + ", ".join(f"{count} {kind}" for kind, count in page.counts.items()) + "."]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_section(title: str, parts: Sequence[Captioned]) -> list[str]:
    """A heading and what stands below it; nothing where there is nothing."""
    tables = [[_plain(part.caption), _markdown_table(part.table) if part.table.rows else ""] for part in parts]
    return [f"## {title}", *chain.from_iterable(tables)] if parts else []


def _verdict_row(v: Verdict, of: Verdict | None = None) -> list[str]:
    """A verdict; `of` a claim that is another one now."""
    marked = f" ({mark(v)})" if mark(v) else ""
    title = v.title if of is None else f"as it was: {v.title}"
    return [
        f"**{word(v)}**{marked}", title, metric_of(v), v.estimand or "–", interval(v), number(v.smallest_effect), str(v.n),
        "–" if v.level is None else f"{level_text(v.level)}%", " ".join(part for part in (v.sentence, *details(v), on_record(v)) if part),
    ]  # fmt: skip


def _markdown_table(table: Table) -> str:
    rows = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(map(_plain, row)) + " |" for row in rows)


def _plain(text: str) -> str:
    """Text that stays text: no tag, no end of a table's cell, no link and no definition of one."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text.replace("\\", "\\\\").replace("|", "\\|")).replace("<", "&lt;")
    return re.sub(r"\](?=[(:\[])", r"\\]", text).replace("\n", " ")
