"""The entries of a chain of claims → lines: what became of each claim from entry to entry.

A claim is the same as one of the entry before if it has its form; else if it has its title; else if it has its metric and arms.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from harness.study.claim_chain import Chain, form_in, is_widened
from harness.study.claim_forms import ARMS, Form
from harness.study.search import Search

Stated = dict[str, Any]


class Planned(NamedTuple):
    """The seeds on which a claim is to be judged, the numbers of them after which (no looks: after all), and what chooses results.

    The search is None where no entry says it.
    """

    seeds: list[int]
    looks: list[int]
    search: Search | None = None


@dataclass(frozen=True)
class Origin:
    """The form in which a claim stood when its data came, or in which it was found where runs are older than the record.

    Attributes:
        form, title: as it was entered.
        at: when.
        planned: by then.
        seen: its runs that were recorded by then: none where it is registered.
        of: its runs in all, as planned.
    """

    form: Form
    title: str
    at: str
    planned: Planned
    seen: int
    of: int

    @property
    def state(self) -> Literal["registered", "unknown"]:
        """Whether it is known to be older than its data."""
        return "unknown" if self.seen else "registered"


@dataclass(frozen=True)
class Replanned:
    """Other seeds or looks than planned: its runs that were recorded when that was entered, and whether these were all that were planned."""

    seen: int
    whole: bool


@dataclass
class Line:
    """What became of a claim.

    Attributes:
        title, form: the present ones, or the last ones.
        origin: see `Origin`; None where it was added after its data came.
        how: in which way the present form came, where that is not the origin's.
        seen: its runs that were recorded when it came.
        of: its runs in all, as planned then.
        planned: for the present form.
        standing: whether the last entry has it.
        left: its runs that were recorded when it was dropped.
        widened: its runs that were recorded when the tuned range began to be widened; 0 where none was.
        replanned: since when other seeds or looks are planned; None for no other ones.
        searched: its runs that were recorded when the search began to be another one than planned; 0 where it is none.
        forms: all that it ever had.
    """

    title: str
    form: Form
    origin: Origin | None
    planned: Planned
    of: int
    how: Literal["added", "changed"] = "added"
    seen: int = 0
    standing: bool = True
    left: int = 0
    widened: int = 0
    replanned: Replanned | None = None
    searched: int = 0
    forms: list[Form] = field(default_factory=list)

    def others(self) -> list[Form]:
        """Forms that are neither the present one nor the origin's, each once."""
        known = [self.form, *([self.origin.form] if self.origin is not None else [])]
        found: list[Form] = []
        for form in self.forms:
            if form not in known and form not in found:
                found.append(form)
        return found


SAME: Sequence[Callable[[Line, str, Form], bool]] = (
    lambda line, title, form: line.standing and line.form == form and line.title == title,
    lambda line, title, form: line.standing and line.form == form,
    lambda line, title, form: form in line.forms and line.title == title,
    lambda line, title, form: form in line.forms,
    lambda line, title, form: line.standing and line.title == title,
    lambda line, title, form: line.title == title,
    lambda line, title, form: line.standing and _place(line.form) == _place(form),
)
"""When a claim is that of a line, the surest sign first."""


def lines(chain: Chain) -> list[Line]:
    """The line of every claim that stands, in the order of the last entry, then those that were dropped after their data came."""
    found: list[Line] = []
    chain = with_searches(chain)
    for i, entry in enumerate(chain):
        same, before = _matched(found, entry["claims"]), list(found)
        standing = []
        for stated, line in zip(entry["claims"], same, strict=True):
            standing.append(_continued(line, stated, entry) if line is not None else _begun(stated, entry, first=not i))
        left = [line for line in before if all(line is not other for other in standing)]
        if is_widened(entry):
            for line, stated in zip(standing, entry["claims"], strict=True):
                line.widened = line.widened or (stated["seen"] if i and not is_widened(chain[i - 1]) else 0)
        found = standing + [line for line in left if _leave(line, entry)]
    return found


def planned_in(entry: dict[str, Any]) -> Planned:
    """What an entry of a chain plans."""
    return Planned(entry["seeds"], entry["family"].get("looks", []), entry.get("search"))


def with_searches(chain: Chain) -> Chain:
    """The entries, those that do not say what the search is with that of the next one that does, else of the last one: the rest is unknown."""
    return _passed_on(reversed(_passed_on(reversed(chain))))


def _passed_on(entries: Iterable[dict[str, Any]]) -> Chain:
    found: Chain = []
    for entry in entries:
        known = found[-1].get("search") if found else None
        found.append(entry if "search" in entry or known is None else entry | {"search": known})
    return found


def _matched(found: Sequence[Line], claims: Sequence[Stated]) -> list[Line | None]:
    """The line of each claim of an entry, each line once."""
    chosen: list[Line | None] = [None] * len(claims)
    for same in SAME:
        for i, stated in enumerate(claims):
            free = (line for line in found if all(line is not other for other in chosen))
            if chosen[i] is None:
                chosen[i] = next((line for line in free if same(line, stated["title"], form_in(stated))), None)
    return chosen


def _place(form: Form) -> tuple[Any, ...]:
    return form["kind"], form["metric"], *(form.get(name) for name in (*ARMS, "factor"))


def _begun(stated: Stated, entry: dict[str, Any], *, first: bool) -> Line:
    """The line of a claim that was not there before; in the first entry of a chain nobody knows of what is older."""
    form = form_in(stated)
    origin = _origin(stated, entry) if first or not stated["seen"] else None
    return Line(stated["title"], form, origin, planned_in(entry), stated["of"], seen=stated["seen"], forms=[form])


def _origin(stated: Stated, entry: dict[str, Any]) -> Origin:
    return Origin(form_in(stated), stated["title"], entry["at"], planned_in(entry), stated["seen"], stated["of"])


def _continued(line: Line, stated: Stated, entry: dict[str, Any]) -> Line:
    """The line of a claim after one more entry that has it; another line where it is a new claim on other data."""
    form, seen = form_in(stated), stated["seen"]
    if form != line.form and not seen and not (line.origin and form == line.origin.form):
        return _begun(stated, entry, first=False)
    if form != line.form:
        back = line.origin is not None and form == line.origin.form
        line.form, line.how, line.seen = form, "changed", seen
        line.forms.append(form)
        if back and line.origin is not None:
            line.planned, line.of = line.origin.planned, line.origin.of
        else:
            line.planned, line.of = planned_in(entry), stated["of"]
        line.replanned, line.searched = None, 0
    line.title, line.standing = stated["title"], True
    _plan(line, stated, entry)
    return line


def _plan(line: Line, stated: Stated, entry: dict[str, Any]) -> None:
    """Take note of the seeds and the search that an entry plans: they are the line's as long as none of its runs is there."""
    if not stated["seen"]:
        line.planned, line.of = planned_in(entry), stated["of"]
        if line.origin is not None and line.form == line.origin.form:
            line.origin = _origin(stated | {"title": line.origin.title}, entry | {"at": line.origin.at})
    was, now = line.planned, planned_in(entry)
    line.searched = (line.searched or stated["seen"]) if now.search != was.search else 0
    if (now.seeds, now.looks) == (was.seeds, was.looks):
        line.replanned = None
    elif line.replanned is None:
        line.replanned = Replanned(stated["seen"], whole=stated["seen"] >= line.of)


def _leave(line: Line, entry: dict[str, Any]) -> bool:
    """Mark a line that an entry drops; whether it is worth keeping: its data came while it stood."""
    if line.standing:
        line.standing = False
        gone = [one["seen"] for one in (*entry["dropped"], *entry["claims"]) if form_in(one) == line.form]
        line.left = gone[0] if gone else 0
    return line.left > 0
