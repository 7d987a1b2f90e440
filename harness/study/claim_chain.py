"""The record of a study's claims: a chain of entries, each with the hash of the one before.

An entry says what was claimed from some time on: every claim's form (`claim_forms`), the planned seeds, whether the tuned
range is widened, the search that chooses results among runs (`harness.study.search`), which claims are judged together and at which α, how many of a claim's own runs were recorded by then, and which claims were dropped with it. A new
entry is appended whenever something of this differs from the last one; none is ever changed.

What this protects against: whoever changes, removes, inserts or moves an entry has to write all later ones anew, in every place
where the chain is kept (see `harness.ledger.claim_record`): the next launch compares these, and `harness verify` looks through
the copy among the results. What it does not: entries that are cut off at the end are missed by another copy alone; times are
those of the computer's clock; whoever owns all the places can write all of them anew; and `harness forget`, or another results folder,
begins a new chain, though the same seeds give the same runs. Only a copy that others hold proves more.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from harness.study.claim_forms import Form, Recorded, form_of, malformed, planned_runs, seen
from harness.study.search import Search, search_of
from harness.study.study import Study

BEFORE_THE_FIRST = "0" * 64
"""What the first entry holds as the hash of the one before."""

NO_FORM = ("title", "seen", "of")


def _is_claim(stated: "Stated") -> "Stated":
    if wrong := malformed(form_in(dict(stated))):
        raise ValueError(wrong)
    return stated


class Stated(TypedDict):
    """What an entry says of every claim: its runs that were recorded, and those planned in all; its form is beside these."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # a name that pydantic reads

    title: str
    kind: Literal["Claim", "Equivalence", "Trend", "Interaction", "Threshold", "Exact"]
    metric: str
    seen: int
    of: int


Claims = list[Annotated[Stated, AfterValidator(_is_claim)]]


class Entry(TypedDict):
    """See the module. `at` is in UTC; `conflict` says why nothing is known from here on, mostly "" for nothing.

    `widen` is there where the range of what is tuned is to be widened, `search` in all entries but those of before it was recorded.
    """

    at: str
    seeds: list[int]
    widen: NotRequired[Literal[True]]
    search: NotRequired[Search]
    family: dict[str, Any]
    claims: Claims
    dropped: Claims
    conflict: str
    previous: str
    sha256: str


Chain = list[dict[str, Any]]
"""Entries in order, as JSON values."""

_SCHEMA = TypeAdapter(list[Entry])


@dataclass(frozen=True)
class Declared:
    """What a study claims at some time.

    Attributes:
        claims: as in an entry.
        seeds: planned.
        widen: whether the range of what is tuned is to be widened.
        search: what chooses results among runs.
        family: how the claims are judged together.
        at: the time.
        recorded: what was recorded of the study by then.
    """

    claims: list[dict[str, Any]]
    seeds: list[int]
    widen: bool
    search: Search
    family: dict[str, Any]
    at: str
    recorded: Recorded

    @classmethod
    def of(cls, study: Study, recorded: Recorded, *, alpha: float) -> "Declared":
        """What a study claims now; its claims are one family."""
        forms = [form_of(claim, study) for claim in study.claims]
        claims = [
            {"title": claim.title, **form, "seen": seen(form, recorded), "of": planned_runs(form, study)}
            for claim, form in zip(study.claims, forms, strict=True)
        ]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(claims, study.planned_seeds(), study.widen, search_of(study), family_of(study, alpha), now, recorded)


def family_of(study: Study, alpha: float) -> dict[str, Any]:
    """How a study's claims are judged together: by Holm's procedure at `alpha`, after its planned looks."""
    looks = {"looks": list(study.looks)} if study.looks else {}
    return {"alpha": alpha, "correction": "Holm", **looks}


def form_in(stated: dict[str, Any]) -> Form:
    """The form of a claim in an entry."""
    return {name: value for name, value in stated.items() if name not in NO_FORM}


def extended(chain: Chain, declared: Declared, *, conflict: str = "") -> Chain:
    """The chain with an entry for what is declared; the same chain where its last entry says that already.

    Args:
        chain: sound, see `problems`.
        declared: at present. Its time counts as that of the last entry where clocks disagree.
        conflict: why the chain proves nothing from here on.
    """
    last = chain[-1] if chain else None
    if last is not None and not conflict and stands(chain, declared):
        return chain
    gone = _gone(last, declared.claims)
    entry = {
        "at": max(declared.at, last["at"]) if last else declared.at,
        "seeds": declared.seeds, **({"widen": True} if declared.widen else {}), "search": declared.search,
        "family": declared.family, "claims": declared.claims,
        "dropped": [claim | {"seen": seen(form_in(claim), declared.recorded)} for claim in gone],
        "conflict": conflict, "previous": last["sha256"] if last else BEFORE_THE_FIRST,
    }  # fmt: skip
    return [*chain, entry | {"sha256": _digest(entry)}]


def stands(chain: Chain, declared: Declared) -> bool:
    """Whether the last entry says what is declared, in whatever order."""
    last = chain[-1]
    said = (last["seeds"], is_widened(last), last.get("search"), last["family"], _sorted(last["claims"]))
    return said == (declared.seeds, declared.widen, declared.search, declared.family, _sorted(declared.claims))


def is_widened(entry: dict[str, Any]) -> bool:
    """Whether the range of what is tuned was to be widened from an entry on."""
    return bool(entry.get("widen", False))


def _sorted(claims: list[dict[str, Any]]) -> list[tuple[str, Form]]:
    return sorted(((claim["title"], form_in(claim)) for claim in claims), key=_canonical)


def problems(chain: Any) -> list[str]:
    """What shows that a chain is not as it was written, a line each; none: each entry follows from the one before."""
    try:
        _SCHEMA.validate_python(chain, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        return [f"is no chain of entries: {'.'.join(map(str, first['loc']))}: {first['msg']}"]
    found: list[str] = []
    before: dict[str, Any] | None = None
    for i, entry in enumerate(chain, 1):
        if entry["sha256"] != _digest({name: value for name, value in entry.items() if name != "sha256"}):
            found.append(f"entry {i} was changed: its hash is not that of what it says")
        if entry["previous"] != (before["sha256"] if before else BEFORE_THE_FIRST):
            after = f"entry {i - 1}" if before else "nothing"
            found.append(f"entry {i} does not follow {after}: one was removed, inserted, moved or written anew")
        if before and entry["at"] < before["at"]:
            found.append(f"entry {i} is older than the one before it")
        if [form_in(claim) for claim in entry["dropped"]] != [
            form_in(claim) for claim in _gone(before, entry["claims"])
        ]:
            found.append(f"entry {i} drops other claims than those that the one before it has and it has not")
        before = entry
    return found


def _gone(before: dict[str, Any] | None, claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims of an entry whose forms are not among those that follow."""
    now = [form_in(claim) for claim in claims]
    return [claim for claim in (before["claims"] if before else []) if form_in(claim) not in now]


def joined(one: Chain, other: Chain) -> Chain | None:
    """The longer of two copies of a chain; None where they part, so that one of them was written anew."""
    shorter, longer = sorted((one, other), key=len)
    return longer if longer[: len(shorter)] == shorter else None


def as_text(chain: Chain) -> str:
    """The chain as the text of a document."""
    return json.dumps(chain, indent=1, ensure_ascii=False) + "\n"


def from_text(text: str | None) -> Any:
    """What a document holds: a chain, if `problems` finds none; an empty one where there is no document."""
    try:
        return json.loads(text) if text is not None else []
    except (ValueError, RecursionError):
        return None


def _digest(entry: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(entry).encode()).hexdigest()


def _canonical(value: Any) -> str:
    """The same text for the same JSON value, whatever the order of its keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
