"""How each claim of a study stands to the record of its claims: registered before its data, exploratory, or not known.

A claim is *registered* if, in the form that it has, it stood in the record (`claim_chain`) when its data came: none of the runs
that it reads was recorded when it was entered. What was added or changed later is *exploratory*, for good, unless it goes back to
the form that was registered; and so it is while other seeds or looks are planned for it than before its data, or another search chooses its results. A claim that was dropped after its data came stays here, as withdrawn. Where runs are older than
the record, nobody can say: `unknown`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.settings import show
from harness.settings.levels import FEW
from harness.settings.show import counted
from harness.study.claim_chain import Chain, form_in, is_widened, problems
from harness.study.claim_forms import across_of, claim_of, differences, form_of, obstacle
from harness.study.claim_lines import Line, Planned, Replanned, lines, planned_in, with_searches
from harness.study.claims import AnyClaim
from harness.study.search import changed, search_of
from harness.study.study import Study

State = Literal["registered", "exploratory", "unknown"]

NOT_KNOWN = "not known whether older than its data"


@dataclass(frozen=True)
class Registration:
    """A claim, and how it stands to the record.

    Attributes:
        claim: to be judged.
        state: see the module.
        sentence: on that, for a reader.
        registered_at: when this form was entered, in UTC; None unless it is registered.
        planned_seeds: how many were planned when it was entered; None where that is not recorded.
        withdrawn: whether the study makes the claim no more.
        was: the form that stood when its data came, where the present one is another.
        across: levels to which runs are restricted, by factor path: those of before, where the study has others now.
        planned: seeds and looks of before, where they are others now; None for those of the study.
        obstacle: why it cannot be judged, "" where it can.
    """

    claim: AnyClaim
    state: State
    sentence: str
    registered_at: str | None = None
    planned_seeds: int | None = None
    withdrawn: bool = False
    was: "Registration | None" = None
    across: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    planned: Planned | None = None
    obstacle: str = ""


def registrations(study: Study, chain: Any) -> list[Registration]:
    """How every claim of a study stands to the record, in the order of the study; withdrawn ones come last.

    Args:
        study: whose claims the last entry of the chain should have, see `undeclared`.
        chain: what is kept as such; maybe damaged, or empty.
    """
    if chain in ([], ()):
        return _unknown(study, "nothing is recorded of when it was made")
    if wrong := problems(chain):
        return _unknown(study, f"the record of claims {wrong[0]}")
    if conflict := next((entry["conflict"] for entry in chain if entry["conflict"]), ""):
        return _unknown(study, conflict)
    if others := undeclared(study, chain):
        return _unknown(study, f"the record of claims {others[0]}")
    found, last = lines(chain), with_searches(chain)[-1]
    standing = [(found[i], claim) for i, claim in zip(_places(study, last["claims"]), study.claims, strict=True)]
    return [_of_line(line, claim, study, planned_in(last)) for line, claim in standing] + [
        _withdrawn(line, study, planned_in(last)) for line in found if not line.standing
    ]


def undeclared(study: Study, chain: Chain) -> list[str]:
    """What the last entry of a sound chain says otherwise than the study, a line each."""
    last = chain[-1]
    said = [(claim["title"], form_in(claim)) for claim in last["claims"]]
    found = []
    for claim in study.claims:
        stated = (claim.title, form_of(claim, study))
        if stated in said:
            said.remove(stated)
        else:
            found.append(f"has no “{claim.title}” as the study makes it")
    found += [f"has “{title}”, which the study does not make" for title, _ in said]
    if is_widened(last) != study.widen:
        found.append(f"{'widens' if is_widened(last) else 'does not widen'} the tuned range, other than the study")
    if "search" in last and last["search"] != search_of(study):
        found.append(f"is of another search than the study's: {changed(last['search'], search_of(study))}")
    if last["seeds"] != study.planned_seeds():
        found.append(f"plans the seeds {show(last['seeds'])}, the study {show(study.planned_seeds())}")
    if planned_in(last).looks != list(study.looks):
        found.append(f"plans {_looks(planned_in(last))}, the study {_looks(Planned([], list(study.looks)))}")
    return found


def _unknown(study: Study, why: str) -> list[Registration]:
    return [Registration(claim, "unknown", f"{NOT_KNOWN}: {why}") for claim in study.claims]


def _places(study: Study, stated: Sequence[dict[str, Any]]) -> list[int]:
    """The place of each of the study's claims in an entry."""
    left = {i: (claim["title"], form_in(claim)) for i, claim in enumerate(stated)}
    places = []
    for claim in study.claims:
        wanted = (claim.title, form_of(claim, study))
        places.append(next(i for i, one in left.items() if one == wanted))
        del left[places[-1]]
    return places


def _of_line(line: Line, claim: AnyClaim, study: Study, planned: Planned) -> Registration:
    """A claim that the study makes."""
    origin = line.origin
    notes = [
        *_replanned(line.planned, line.replanned, planned),
        *_searched(line, planned),
        *_other_forms(line),
        *_widened(line),
    ]
    as_planned = line.replanned is None and not line.searched
    if origin is not None and line.form == origin.form and (as_planned or origin.state == "unknown"):
        renamed = [f"its title was “{origin.title}”"] if origin.title != claim.title else []
        at = origin.at if origin.state == "registered" else None
        sentence = _sentence([_of_origin(line), *renamed, *notes])
        return Registration(claim, origin.state, sentence, at, len(line.planned.seeds))
    was = _former(line, study, planned) if origin is not None else None
    if origin is not None and line.form == origin.form:
        return Registration(
            claim, "exploratory", f"exploratory: {_sentence(notes)}", None, len(line.planned.seeds), was=was
        )
    said = [f"exploratory: {line.how} after {_were_seen(line.seen)}"]
    said += [f"was {differences(origin.form, line.form)}"] if origin is not None else []
    said += ["which is not known to be older than its data either"] if was and was.state == "unknown" else []
    return Registration(claim, "exploratory", _sentence([*said, *notes]), None, len(line.planned.seeds), was=was)


def _former(line: Line, study: Study, planned: Planned) -> Registration:
    """The form that a claim had when its data came."""
    origin = line.origin
    assert origin is not None
    at = origin.at if origin.state == "registered" else None
    sentence = _sentence(
        [
            _of_origin(line),
            f"judged on {_plan_in_words(origin.planned)}" if origin.planned[:2] != planned[:2] else "",
            *_widened(line),
        ]
    )
    claim, across = claim_of(origin.title, origin.form, study), across_of(origin.form, study)
    return Registration(
        claim, origin.state, sentence, at, len(origin.planned.seeds), across=across, planned=origin.planned,
        obstacle=obstacle(origin.form, study) or _other_search(origin.planned, planned) or _seeds_left_out(line, planned),
    )  # fmt: skip


def _other_search(was: Planned, now: Planned) -> str:
    """Why what was planned cannot be judged by the results that another search chose."""
    if was.search is None or now.search is None or was.search == now.search:
        return ""
    return f"{changed(was.search, now.search)} since; run it with the former one for its verdict"


def _plan_in_words(planned: Planned) -> str:
    return f"the {counted(len(planned.seeds), 'seed')} planned then" + (f", {_looks(planned)}" if planned.looks else "")


def _withdrawn(line: Line, study: Study, planned: Planned) -> Registration:
    """A claim that the study makes no more, in the form that it had when its data came, if it had one."""
    gone = f"withdrawn after {_were_seen(line.left)}"
    if line.origin is not None:
        former = _former(line, study, planned)
        others = [*_other_forms(line), *_replanned(line.origin.planned, None, planned), *_widened(line)]
        sentence = _sentence([_of_origin(line), *_changed(line), gone, *others])
        return Registration(**vars(former) | {"sentence": sentence, "withdrawn": True})
    sentence = _sentence([f"exploratory: {line.how} after {_were_seen(line.seen)}", gone, *_other_forms(line)])
    return Registration(
        claim_of(line.title, line.form, study), "exploratory", sentence, None, len(line.planned.seeds), withdrawn=True,
        across=across_of(line.form, study), obstacle=obstacle(line.form, study),
    )  # fmt: skip


def _of_origin(line: Line) -> str:
    origin = line.origin
    assert origin is not None
    if origin.state == "registered":
        return "registered"
    return f"{NOT_KNOWN}: {_were_seen(origin.seen)} before claims were registered"


def _changed(line: Line) -> list[str]:
    changed = line.origin is not None and line.form != line.origin.form
    return [f"changed after {_were_seen(line.seen)}"] if changed else []


def _other_forms(line: Line) -> list[str]:
    """How many forms were tried that are neither the present one nor that of its data."""
    tried = len(line.others())
    return [f"{counted(tried, 'other form was', 'other forms were')} tried"] if tried else []


def _widened(line: Line) -> list[str]:
    """That the range was widened by somebody who knew results."""
    return [f"the tuned range was widened after {_were_seen(line.widened)}"] if line.widened else []


def _seeds_left_out(line: Line, now: Planned) -> str:
    """That the study has some seeds no more without which not even the first planned look can be taken."""
    assert line.origin is not None
    was = line.origin.planned
    left_out = set(was.seeds[: was.looks[0] if was.looks else None]) - set(now.seeds)
    if not left_out:
        return ""
    seen = "after they were seen" if line.replanned is not None and line.replanned.whole else "since"
    verb = "was" if len(left_out) == 1 else "were"
    return f"{len(left_out)} of the {counted(len(was.seeds), 'planned seed')} {verb} left out {seen}"


def _searched(line: Line, now: Planned) -> list[str]:
    """That its results are chosen otherwise by somebody who knew some."""
    was = line.planned.search
    if not line.searched or was is None or now.search is None:
        return []
    return [f"{changed(was, now.search)} after {_were_seen(line.searched)}"]


def _replanned(was: Planned, replanned: Replanned | None, now: Planned) -> list[str]:
    """That it is judged on other seeds, or after other looks, than were planned."""
    after = ""
    if replanned is not None:
        result = f"the result of {len(was.seeds)} was seen" if replanned.whole else _were_seen(replanned.seen)
        after = f" after {result}"
    found = []
    if set(was.seeds) < set(now.seeds):
        found.append(f"planned {counted(len(was.seeds), 'seed')}; judged on {len(now.seeds)}{after}")
    elif was.seeds != now.seeds:
        found.append(f"planned the seeds {_listed(was.seeds)}; judged on {_listed(now.seeds)}{after}")
    if was.looks != now.looks:
        found.append(f"planned {_looks(was)}; judged after {_looks(now)}{after}")
    return found


def _looks(planned: Planned) -> str:
    return f"looks at {', '.join(map(str, planned.looks))}" if planned.looks else "one look"


def _listed(seeds: Sequence[int]) -> str:
    """Seeds in few characters.

    >>> _listed([0, 1, 2, 3]), _listed([4, 9]), _listed(range(0, 100, 2))
    ('0–3', '4, 9', '50 seeds, 0 … 98')
    """
    together = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    if together:
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds)) if len(seeds) <= FEW else f"{len(seeds)} seeds, {seeds[0]} … {seeds[-1]}"


def _were_seen(count: int) -> str:
    return f"{count:,} of its runs {'was' if count == 1 else 'were'} seen"


def _sentence(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)
