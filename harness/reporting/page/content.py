"""`Page`: all that a report shows, as texts and numbers; nothing of it is HTML."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from harness.inference.verdict import Verdict
from harness.reporting.page.advice import Advice
from harness.reporting.page.answers import Answer
from harness.reporting.page.compact_svg import compact_svg
from harness.reporting.page.curves import Curves

AS_IT_IS = " !$'()*+,-./:;=?@[]^_`{|}~"
"""Characters of a data URI that need no code, which is a third shorter than base64 would be."""

TAG = re.compile("<[^>]*>")


@dataclass(frozen=True)
class Table:
    """Texts in rows under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def constant(self) -> dict[str, str]:
        """Head → text of the columns that say the same in every row, of a table with several rows and one that does not."""
        columns = list(zip(*self.rows, strict=True))
        same = {head: column[0] for head, column in zip(self.head, columns, strict=False) if len(set(column)) == 1}
        return same if len(self.rows) > 1 and len(same) < len(self.head) else {}

    def varying(self) -> "Table":
        """Its other columns."""
        kept = [i for i, head in enumerate(self.head) if head not in self.constant]
        return Table([self.head[i] for i in kept], [[row[i] for i in kept] for row in self.rows])


@dataclass(frozen=True)
class Captioned:
    """What stands above a table, and the table; maybe without rows where the caption says why."""

    caption: str
    table: Table


@dataclass(frozen=True)
class Picture:
    """A figure ready to be shown; its title says what is seen."""

    name: str
    caption: str
    svg: bytes
    title: str = ""

    @property
    def source(self) -> str:
        """A data URI, for an attribute between double quotes.

        As an image, no script of the SVG could run and no id of one figure meets another's. Quotes of attributes become single
        ones, which need no code.
        """
        text = TAG.sub(
            lambda tag: tag[0].replace("'", "&apos;").replace('"', "'"), " ".join(compact_svg(self.svg).split())
        )
        return "data:image/svg+xml," + quote(text, safe=AS_IT_IS)


@dataclass(frozen=True)
class FirstScreen:
    """What a reader sees first.

    Attributes:
        question: one sentence of the study file; "" where it says nothing.
        answers: one for each claim.
        explored: the factors and their levels, a phrase each.
        advice: what to use, or why nobody can say.
        trust: how far to trust the result, sentences.
        counts: of runs and how they ended, a phrase for each phase.
    """

    question: str
    answers: Sequence[Answer]
    explored: Sequence[str]
    advice: Advice
    trust: Sequence[str]
    counts: Sequence[str]


@dataclass(frozen=True)
class Page:
    """What a report says.

    Attributes:
        title: name of the study.
        first: what stands on the first screen.
        notice: what a reader must know before all else; mostly nothing.
        scope: sentences on what its numbers are conditional on, see `trust.conditions`.
        doc: its docstring.
        verdicts: on its claims.
        curves: of single runs.
        cells: the summary per cell.
        runs: one row per run.
        diagnostics: likewise, of the metrics that `Diagnostics` add.
        meanings: of the metrics.
        tuning: what a reader must know of the tuning, a sentence each.
        shared: Δ of each claim at each value tried.
        trials: the best tuned trials.
        published: what others have published, beside ours.
        exploration: what explains the metrics and differs, none of it a claim.
        pictures: the figures.
        about: environment, by name.
        commands: shell lines that reproduce it.
        counts: of runs, by kind.
        baseline: an earlier result that it is set beside; "" for none.
        against: how it differs from that.
    """

    title: str
    first: FirstScreen
    notice: str
    scope: Sequence[str]
    doc: str
    verdicts: Sequence[Verdict]
    curves: Curves
    cells: Table
    runs: Captioned
    diagnostics: Table
    meanings: Table
    tuning: Sequence[str]
    shared: Table
    trials: Table
    published: Sequence[Captioned]
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
