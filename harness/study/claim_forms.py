"""The form of a claim: all that decides its verdict, as JSON values; its title does not.

A claim as it stood before is made from its form again, so that it can be judged beside the present one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.settings import show
from harness.settings.levels import in_words, stored
from harness.study.claims import Claim, Exact, Levels
from harness.study.study import Study

Form = dict[str, Any]
"""`kind` (`Claim` or `Exact`), the fields of that but the title, `across` (factor path → levels of each sweep that the claim does
not name: it is averaged over them), and `measured_by` where the study's own measure gives its metric."""

Recorded = Sequence[tuple[Mapping[str, Any], int]]
"""Cells, as levels in JSON by factor path, with the number of their runs that were tested and are recorded."""

WORDS = {"smallest_effect": "δ", "equals": "value"}


def plain(level: Any) -> Any:
    """A level as a form holds it: as run tables do, infinity as text.

    >>> plain(0.5), plain(math.inf), plain(None)
    (0.5, 'inf', 'None')
    """
    value = stored(level)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def form_of(claim: Claim | Exact, study: Study) -> Form:
    """The form of one of a study's claims."""
    arms = {name: {path: plain(level) for path, level in levels.items()} for name, levels in claim.arms()}
    named = {path for levels in arms.values() for path in levels}
    across = {
        path: sorted(map(plain, sweep.levels), key=repr)
        for path, sweep in study.sweeps().items() if path not in named
    }  # fmt: skip
    fields = {
        name: value if value is None else plain(value)
        for name, value in claim.values().items()
        if name not in ("title", *arms)
    }
    metrics = set(claim.measured().values())
    measures = [show(measure) for measure in study.metrics.measures if metrics & measure.metrics().keys()]
    return {
        "kind": type(claim).__name__, **fields, **arms, "across": across,
        **({"measured_by": measures} if measures else {}),
    }  # fmt: skip


def claim_of(title: str, form: Form, study: Study) -> Claim | Exact:
    """The claim of a form, with the levels that the study has where it has them."""
    fields = {name: value for name, value in form.items() if name not in ("kind", "across", "measured_by")}
    if form["kind"] == "Exact":
        return Exact(title, **fields | {"equals": float(form["equals"])})
    arms = {name: _levels(form[name], study) for name in ("treatment", "baseline")}
    return Claim(title, **fields | arms | {"smallest_effect": float(form["smallest_effect"])})


def across_of(form: Form, study: Study) -> dict[str, list[Any]]:
    """The levels that a form averages over, as the study has them."""
    return {path: [_level(path, value, study) for value in values] for path, values in form["across"].items()}


def obstacle(form: Form, study: Study) -> str:
    """Why a form of before cannot be judged on the study's runs, "" where it can."""
    known = {*form["across"], *form.get("treatment", ())}
    if gone := sorted(known - study.sweeps().keys()):
        return f"{', '.join(gone)} is swept no more"
    if new := sorted(study.sweeps().keys() - known):
        return f"{', '.join(new)} was not swept then"
    measured = study.metrics.metrics()
    lacking = [form[name] for name in ("metric", "unless") if form.get(name) is not None and form[name] not in measured]
    if lacking:
        return f"{', '.join(lacking)} is measured no more"
    now = [show(measure) for measure in study.metrics.measures]
    return "its metric was another function" if set(form.get("measured_by", ())) - set(now) else ""


def _levels(levels: Mapping[str, Any], study: Study) -> Levels:
    return {path: _level(path, value, study) for path, value in levels.items()}


def _level(path: str, value: Any, study: Study) -> Any:
    sweep = study.sweeps().get(path)
    own = [level for level in sweep.levels if plain(level) == value] if sweep else []
    return own[0] if own else float(value) if value in ("inf", "-inf") else value


def reads(form: Form, cell: Mapping[str, Any]) -> bool:
    """Whether a claim reads the runs of a cell, which is given as plain levels by factor path."""
    arms = [form[name] for name in ("treatment", "baseline") if name in form] or [{}]
    inside = all(cell[path] in levels for path, levels in form["across"].items() if path in cell)
    return inside and any(all(cell.get(path) == level for path, level in arm.items()) for arm in arms)


def seen(form: Form, recorded: Recorded) -> int:
    """How many of the runs that a claim reads are recorded."""
    return sum(count for cell, count in recorded if reads(form, cell))


def planned_runs(form: Form, study: Study) -> int:
    """How many runs a claim reads when all of the study is recorded (with several objectives: at least)."""
    cells = [{path: plain(level) for path, level in cell.items()} for cell in study.cells()]
    tried = study.tune_trials if study.tunes_within() else 1
    return sum(reads(form, cell) for cell in cells) * tried * len(study.confirm_seeds())


def differences(was: Form, now: Form) -> str:
    """What a form was where it is something else now, in words."""
    return ", ".join(
        _in_words(name, was.get(name)) for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)
    )


def _in_words(name: str, value: Any) -> str:
    match name, value:
        case (("treatment" | "baseline"), dict()):
            return f"{name} {in_words(value)}"
        case "across", dict():
            over = "; ".join(f"{path} in {', '.join(map(str, levels))}" for path, levels in value.items())
            return f"over {over}" if over else "averaged over no factor"
        case "measured_by", _:
            return "measured by another function"
        case _, float() | int():
            return f"{WORDS.get(name, name)} = {value:g}"
    return f"{WORDS.get(name, name)} = {value if value is not None else 'nothing'}"
