"""Which claims are judged together: those that were registered, those of which that is not known, and exploratory ones.

Holm's procedure holds 5 % over each family by itself. So no claim that was made after its data came weakens or strengthens what
is said of registered ones; and a registered claim that was changed or withdrawn later still counts among these, in the form that
it had: whoever drops what failed has no easier test of the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.inference.plan import Plan
from harness.inference.prospects import prospects
from harness.inference.verdict import Verdict
from harness.inference.verdicts import judge_family, unjudged
from harness.settings import Sweep
from harness.settings.levels import at
from harness.study import Estimated, Study
from harness.study.claim_forms import Form, form_of, plain_levels
from harness.study.registration import Registration


def judge_registered(study: Study, runs: pd.DataFrame, registrations: Sequence[Registration]) -> list[Verdict]:
    """The verdict on each claim, with how it stands to the record of claims.

    Args:
        study: of the runs.
        runs: its run table.
        registrations: of its claims, see `harness.study.registration.registrations`.
    """
    verdicts = {id(one): _not_judged(one) for one in _present(registrations) if one.obstacle}
    for plan, judged, others in _families(study, registrations):
        found = judge_family([(one.claim, _runs(one, runs)) for one in judged], plan, others=others)
        verdicts |= {id(one): verdict for one, verdict in zip(judged, found, strict=True)}
    return [_with_registration(one, verdicts, study) for one in registrations]


def prospects_registered(study: Study, registrations: Sequence[Registration]) -> list[str]:
    """What the planned seeds can decide of each claim, at the level that it has in its family; "" where no statistics do.

    Args:
        study: that makes the claims.
        registrations: of its claims.
    """
    said: dict[int, str] = {}
    for plan, judged, others in _families(study, registrations):
        found = prospects([one.claim for one in judged], plan, others=others)
        said |= {id(one): prospect for one, prospect in zip(judged, found, strict=True)}
    return [said.get(id(one), "") for one in registrations]


def _present(registrations: Sequence[Registration]) -> list[Registration]:
    """All forms that are judged."""
    return [one for each in registrations for one in (each, each.was) if one is not None]


def _families(study: Study, registrations: Sequence[Registration]) -> Iterator[tuple[Plan, list[Registration], int]]:
    """The claims of each family that are judged by one plan, and how many more are tested in the family."""
    for state in ("registered", "unknown", "exploratory"):
        family = [one for one in _present(registrations) if one.state == state]
        size = sum(isinstance(one.claim, Estimated) for one in family)
        for plan, judged in _by_plan(study, [one for one in family if not one.obstacle]):
            yield plan, judged, size - sum(isinstance(one.claim, Estimated) for one in judged)


def _by_plan(study: Study, family: Sequence[Registration]) -> list[tuple[Plan, list[Registration]]]:
    """The claims of a family by the levels, seeds and looks that they are judged at: Holm counts all, and none frees what is another's."""
    now = Plan.of(study)
    found: list[tuple[Plan, list[Registration]]] = []
    for one in family:
        sweeps = {path: _within(sweep, one.across.get(path, sweep.levels)) for path, sweep in now.sweeps.items()}
        plan = replace(now, sweeps=sweeps)
        if one.planned is not None:
            plan = replace(plan, seeds=one.planned.seeds, looks=one.planned.looks or [len(one.planned.seeds)])
        same = next((claims for known, claims in found if known == plan), None)
        if same is None:
            found.append((plan, same := []))
        same.append(one)
    return found


def _within(sweep: Sweep, levels: Sequence[Any]) -> Sweep:
    return Sweep(*(level for level in sweep.levels if level in levels))


def _runs(one: Registration, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that a form is judged on: at the levels that it averaged over, of the seeds that were planned."""
    if one.planned is not None:
        runs = runs[runs["seed"].isin(one.planned.seeds) | (runs["phase"] != "confirm")]
    for path, levels in one.across.items():
        inside = pd.Series(False, index=runs.index)
        for level in levels:
            inside |= at(runs, {path: level})
        runs = runs[inside]
    return runs


def _form(one: Registration, study: Study) -> Form:
    """All that is claimed, over the levels that it is judged at."""
    form = form_of(one.claim, study)
    return form | {"over": form["over"] | {path: plain_levels(levels) for path, levels in one.across.items()}}


def _not_judged(one: Registration) -> Verdict:
    claim, sentence = one.claim, f"Cannot be judged as it was: {one.obstacle}."
    if isinstance(claim, Estimated):
        return replace(unjudged(claim), sentence=sentence)
    return Verdict(claim.title, claim.metric, "inconclusive", "exact", sentence, kind=type(claim).__name__)


def _with_registration(one: Registration, verdicts: dict[int, Verdict], study: Study) -> Verdict:
    return replace(
        verdicts[id(one)], registered={"registered": True, "exploratory": False, "unknown": None}[one.state],
        registration=one.sentence, registered_at=one.registered_at, planned_seeds=one.planned_seeds,
        withdrawn=one.withdrawn, form=_form(one, study),
        was=None if one.was is None else _with_registration(one.was, verdicts, study),
    )  # fmt: skip
