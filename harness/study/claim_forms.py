"""The form of a claim: all that decides its verdict, as JSON values, what it says by default included; its title does not.

A claim as it stood before is made from its form again, so that it can be judged beside the present one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.settings import show
from harness.settings.levels import FEW, in_short, in_words, stored
from harness.settings.show import given
from harness.study.claims import KINDS, AnyClaim
from harness.study.claims_of_factors import Trend
from harness.study.statement import Estimated
from harness.study.study import Study

Form = dict[str, Any]
"""`kind` (the claim's class), the fields of that but the title, `over` (factor path → levels of each sweep that the claim does
not name: it is averaged over them, or holds in each), and `measured_by` where the study's own measure gives its metric."""

Recorded = Sequence[tuple[Mapping[str, Any], int]]
"""Cells, as levels in JSON by factor path, with the number of their runs that were tested and are recorded."""

WORDS = {"smallest_effect": "δ", "equals": "value"}

ARMS = ("treatment", "baseline", "here", "there", "arm", "at")
"""Fields that hold levels by factor path."""

NO_FIELDS = ("kind", "over", "across", "measured_by")

INFINITE = ("inf", "-inf")

OLDER = "it was registered before claims had estimands"


def plain(level: Any) -> Any:
    """A level as a form holds it: as run tables do, infinity as text.

    >>> plain(0.5), plain(math.inf), plain(None)
    (0.5, 'inf', 'None')
    """
    value = stored(level)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def plain_levels(levels: Sequence[Any]) -> list[Any]:
    """Levels that a claim is averaged over, in an order that is not theirs."""
    return sorted(map(plain, levels), key=repr)


def form_of(claim: AnyClaim, study: Study) -> Form:
    """The form of one of a study's claims."""
    over = {path: plain_levels(sweep.levels) for path, sweep in study.sweeps().items() if path not in claim.named()}
    fields = {name: _plain(value) for name, value in claim.values().items() if name != "title"}
    if isinstance(claim, Estimated):
        fields |= {"estimand": claim.estimated()}
    if isinstance(claim, Trend):
        fields |= {"levels": _plain(claim.along(study.sweeps()))}
    metrics = set(claim.measured().values())
    measures = [show(measure) for measure in study.metrics.measures if metrics & measure.metrics().keys()]
    return {"kind": type(claim).__name__, **fields, "over": over, **({"measured_by": measures} if measures else {})}


def _plain(value: Any) -> Any:
    """A field of a claim: levels by factor path, a list of levels, a number, a text or nothing."""
    if isinstance(value, dict):
        return {path: plain(level) for path, level in value.items()}
    if isinstance(value, list | tuple):
        return [plain(level) for level in value]
    return value if value is None else plain(value)


def claim_of(title: str, form: Form, study: Study) -> AnyClaim:
    """The claim of a form, with the levels that the study has where it has them; see `obstacle` for what it cannot be judged of."""
    fields = _fields(form)
    for name, value in fields.items():
        if isinstance(value, dict):
            fields[name] = {path: _level(level, _own_levels(path, study)) for path, level in value.items()}
        elif isinstance(value, list):
            own = _own_levels(form["factor"], study)
            fields[name] = [_level(level, own) for level in value]
    return _made(title, form, fields)


def malformed(form: Form) -> str:
    """What is wrong with what should be a form, "" for nothing."""
    over = form.get("over", form.get("across"))  # forms of before claims had estimands call it so
    if not isinstance(over, dict) or not all(map(_are_levels, over.values())):
        return "over: must be levels by factor path"
    found = _made("", form, _fields(form)).problems()
    return str(found[0]) if found else ""


def _are_levels(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(level, str | int | float) for level in found)


def _fields(form: Form) -> dict[str, Any]:
    """The settings of a form's claim; numbers are real ones, as JSON may not say."""
    fields = {name: value for name, value in form.items() if name not in NO_FIELDS}
    fields |= {"across": form["across"]} if isinstance(form.get("across"), str) else {}
    whole = {name: float(v) for name, v in fields.items() if isinstance(v, int) and not isinstance(v, bool)}
    return fields | whole | {name: float(v) for name, v in fields.items() if isinstance(v, str) and v in INFINITE}


def _made(title: str, form: Form, fields: dict[str, Any]) -> AnyClaim:
    found = KINDS[form["kind"]](**{"title": title, **fields})
    assert isinstance(found, AnyClaim)
    return found


def across_of(form: Form, study: Study) -> dict[str, list[Any]]:
    """The levels that a form averages over, as the study has them."""
    own = {path: _own_levels(path, study) for path in _over(form)}
    return {path: [_level(value, own[path]) for value in values] for path, values in _over(form).items()}


def obstacle(form: Form, study: Study) -> str:
    """Why a form of before cannot be judged on the study's runs, "" where it can."""
    if "over" not in form and form["kind"] != "Exact":
        return OLDER
    known = {*_over(form), *_named(form)}
    if gone := sorted(known - study.sweeps().keys()):
        return f"{', '.join(gone)} is swept no more"
    if new := sorted(study.sweeps().keys() - known):
        return f"{', '.join(new)} was not swept then"
    if without := [line for path, levels in _read_levels(form) if (line := _gone(path, levels, study))]:
        return without[0]
    measured = study.metrics.metrics()
    lacking = [form[name] for name in ("metric", "unless") if form.get(name) is not None and form[name] not in measured]
    if lacking:
        return f"{', '.join(lacking)} is measured no more"
    now = [show(measure) for measure in study.metrics.measures]
    return "its metric was another function" if set(form.get("measured_by", ())) - set(now) else ""


def _read_levels(form: Form) -> list[tuple[str, list[Any]]]:
    """The levels whose runs a form needs, by path."""
    arms = [(path, [level]) for name in ARMS for path, level in (form.get(name) or {}).items()]
    return [*_over(form).items(), *arms, *([(form["factor"], form["levels"])] if "factor" in form else [])]


def _gone(path: str, levels: Sequence[Any], study: Study) -> str:
    """That the study has some of these levels no more, "" where it has all."""
    gone = [level for level in levels if level not in _own_levels(path, study)]
    return f"{path} = {_levels(path, gone)} is swept no more" if gone else ""


def _over(form: Form) -> dict[str, list[Any]]:
    """The levels averaged over; forms of before claims had estimands call them otherwise."""
    found: dict[str, list[Any]] = form["over"] if "over" in form else form["across"]
    return found


def _named(form: Form) -> set[str]:
    """The factors that a claim names."""
    named = {path for name in ARMS for path in form.get(name) or ()}
    return named | ({form["factor"]} if "factor" in form else set())


def _own_levels(path: str, study: Study) -> dict[Any, Any]:
    """The levels that a study sweeps at a path, by how a form holds them."""
    sweep = study.sweeps().get(path)
    return {plain(level): level for level in reversed(sweep.levels)} if sweep else {}


def _level(value: Any, own: Mapping[Any, Any]) -> Any:
    """A level as the study has it, of a form's; else as it stands there."""
    return own[value] if value in own else _number(value)


def _levels(path: str, levels: Sequence[Any]) -> str:
    """All of a few levels as JSON has them; of many, how many there are and the first and the last."""
    return ", ".join(map(str, levels)) if len(levels) <= FEW else in_short(path, map(_number, levels))


def _number(value: Any) -> Any:
    """A level as JSON has it: infinity is a text there."""
    return float(value) if value in INFINITE else value


def reads(form: Form, cell: Mapping[str, Any]) -> bool:
    """Whether a claim reads the runs of a cell, which is given as plain levels by factor path."""
    if any(path in cell and cell[path] not in levels for path, levels in _over(form).items()):
        return False
    if "factor" in form and cell.get(form["factor"]) not in form["levels"]:
        return False
    pairs = (("treatment", "baseline"), ("here", "there"), ("arm",), ("at",))
    return all(
        any(_inside(cell, form[name]) for name in pair if name in form)
        for pair in pairs
        if any(name in form for name in pair)
    )


def _inside(cell: Mapping[str, Any], levels: Mapping[str, Any]) -> bool:
    return all(cell.get(path) == level for path, level in levels.items())


def seen(form: Form, recorded: Recorded) -> int:
    """How many of the runs that a claim reads are recorded."""
    return sum(count for cell, count in recorded if reads(form, cell))


def planned_runs(form: Form, study: Study) -> int:
    """How many runs a claim reads when all of the study is recorded (with several objectives: at least)."""
    cells = [{path: plain(level) for path, level in cell.items()} for cell in study.cells()]
    tried = study.tune_trials if study.tunes_within() else 1
    return sum(reads(form, cell) for cell in cells) * tried * len(study.planned_seeds())


def differences(was: Form, now: Form) -> str:
    """What a form was where it is something else now, in words."""
    return ", ".join(
        _in_words(name, was.get(name)) for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name)
    )


def _in_words(name: str, value: Any) -> str:
    match name, value:
        case "over" | "across", dict():
            over = "; ".join(f"{path} in {_levels(path, levels)}" for path, levels in value.items())
            return f"over {over}" if over else "averaged over no factor"
        case _, dict():
            return f"{name} {in_words(value)}"
        case "measured_by", _:
            return "measured by another function"
        case _, list() if len(value) > FEW:
            return f"{WORDS.get(name, name)} = {_levels(name, value)}"
        case _, float() | int():
            return f"{WORDS.get(name, name)} = {given(value)}"
    return f"{WORDS.get(name, name)} = {value if value is not None else 'nothing'}"
