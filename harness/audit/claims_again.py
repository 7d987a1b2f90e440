"""Verdicts judged again from a recorded run table: whether `claims.json` follows from `runs.parquet` and the record of claims."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.audit.recorded import Recorded
from harness.inference.families import judge_registered
from harness.inference.verdict import OF_FORMS, OF_REGISTRATION, as_json
from harness.ledger.claim_record import REGISTERED, chain_among
from harness.settings import InvalidStudy, Problem
from harness.settings.levels import spelled, stored
from harness.settings.show import counted
from harness.study.claim_chain import problems
from harness.study.registration import registrations, undeclared

ROUNDING = 1e-6
"""Relative difference of two numbers that other versions of the libraries explain."""


def claims_that_differ(recorded: Recorded, folder: Path, *, exactly: bool) -> list[str]:
    """What `claims.json` holds that does not follow from the runs, a line each; none: all of it does.

    Args:
        recorded: the runs and the study whose claims are judged.
        folder: with `claims.json`.
        exactly: whether every digit must agree; else numbers within rounding, and not the sentences that repeat them.

    Raises:
        InvalidStudy: `claims.json` is missing or damaged.
    """
    there = _verdicts(folder / "claims.json")
    runs = recorded.runs.reset_index()
    for name, sweep in recorded.study.sweeps().items():
        levels = {spelled(level): stored(level) for level in sweep.levels}
        runs[name] = [levels[spelled(value)] for value in runs[name]]
    registered = registrations(recorded.study, chain_among(folder))
    again = [json.loads(json.dumps(as_json(v))) for v in judge_registered(recorded.study, runs, registered)]
    if _are_older(there, folder):
        again = [_without(OF_REGISTRATION, claim) for claim in again]
    if not any(name in claim for claim in there for name in OF_FORMS):
        again = [_without(OF_FORMS, claim) for claim in again]
    if there and not any("estimand" in claim for claim in there):
        return [
            "was judged by the rules of before claims had estimands; `harness report` judges the recorded runs anew"
        ]
    if len(there) != len(again):
        return [f"{len(there)} verdicts, where the study has {counted(len(again), 'claim')}, withdrawn ones included"]
    return [
        f"{new['title']}: {name} is {old.get(name)} recorded, {value} from the runs"
        for old, new in zip(there, again, strict=True)
        for name, value in new.items()
        if (exactly or name != "sentence") and not _same(old.get(name), value, 0.0 if exactly else ROUNDING)
    ]


def _without(names: Sequence[str], claim: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict without some of its fields, nor those of what it was."""
    left = {name: value for name, value in claim.items() if name not in names}
    return left | ({"was": _without(names, left["was"])} if left.get("was") else {})


def _verdicts(path: Path) -> list[dict[str, Any]]:
    """What is recorded of the verdicts."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidStudy([Problem(str(path), f"cannot be read: {error}")]) from None
    if not (isinstance(there, list) and all(isinstance(claim, dict) for claim in there)):
        raise InvalidStudy([Problem(str(path), "must hold a list of verdicts")])
    return there


def _are_older(claims: list[dict[str, Any]], folder: Path) -> bool:
    """Neither `claims.json` nor another file knows of registration."""
    return not (folder / REGISTERED).is_file() and not any(
        name in claim for claim in claims for name in OF_REGISTRATION
    )


def chain_problems(recorded: Recorded, folder: Path) -> list[str]:
    """What shows that the record of claims is not as it was written, or is that of other claims, a line each.

    Args:
        recorded: the study.
        folder: with the record, or without one where the results are of before claims were registered.
    """
    chain = chain_among(folder)
    if chain == []:
        return [] if _are_older(_verdicts(folder / "claims.json"), folder) else ["is missing or empty"]
    return problems(chain) or _conflicts(chain) or undeclared(recorded.study, chain)


def _conflicts(chain: list[dict[str, Any]]) -> list[str]:
    return [f"says: {entry['conflict']}" for entry in chain if entry["conflict"]]


def chain_in_words(folder: Path) -> str:
    """What there is to say of a record of claims in which nothing is wrong."""
    chain = chain_among(folder)
    if not chain:
        return "is missing: the results are of before claims were registered, and nobody knows whether these are older than their data"
    return f"{counted(len(chain), 'entry follows', 'entries follow')} one from another and from the study, the first of {chain[0]['at']}"


def _same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two JSON values agree, numbers within a relative tolerance."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name], tolerance) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(one, other, tolerance) for one, other in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return bool(a == b)
