"""The search: what chooses a study's results among its runs, as JSON values for the record of claims.

Whoever changes it after results were seen has other results of the same runs. What a run itself is (its settings, code and data,
`evaluations`) is not here: another one is another run, with a key of its own. Nor is what a claim's form has (its metric and the
levels that it reads), seeds, looks and `widen`, which entries of the record have beside this.
"""

from typing import Any, Literal

from pydantic import ConfigDict
from typing_extensions import TypedDict

from harness.settings import show
from harness.settings.show import counted
from harness.study.study import Study


class Search(TypedDict, total=False):
    """How values are tuned; empty where none are.

    `tune_seeds` is there where seeds share their values, `measured_by` where an objective is a measure of the user's own.
    `ranges` are the `Tune` settings by path.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]  # a name that pydantic reads

    tune: Literal["within", "shared"]
    tune_trials: int
    tune_seeds: int
    sampler: str
    objective: list[str]
    measured_by: list[str]
    ranges: dict[str, str]


def search_of(study: Study) -> Search:
    """That of a study."""
    if not study.tunes():
        return {}
    found: Search = {
        "tune": study.tune, "tune_trials": study.tune_trials, "sampler": study.sampler, "objective": list(study.objectives()),
        "ranges": {path: show(tune) for path, tune in study.tunes().items()},
    }  # fmt: skip
    if study.tune == "shared":
        found["tune_seeds"] = study.shared_tune_seeds()
    goes_by = set(study.objectives())
    if measures := [show(each) for each in study.metrics.measures if goes_by & each.metrics().keys()]:
        found["measured_by"] = measures
    return found


def changed(was: Search, now: Search) -> str:
    """What became of a search that is another one now, a clause.

    >>> changed({"tune_trials": 7, "sampler": "qmc"}, {"tune_trials": 5, "sampler": "tpe"})
    'the search was changed from 7 to 5 trials, from sampler qmc to tpe'
    """
    if not was or not now:
        return "the search was left out" if was else "a search was added"
    before, after = _flat(was), _flat(now)
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    if "tune" in names:
        names = [name for name in names if name != "tune_seeds"]  # follows from that
    return f"the search was changed from {', from '.join(_in_words(each, before.get(each), after.get(each)) for each in names)}"


def _flat(search: Search) -> dict[str, Any]:
    return {name: value for name, value in search.items() if name != "ranges"} | dict(search.get("ranges", {}))


def _in_words(name: str, was: Any, now: Any) -> str:
    match name:
        case "tune_trials":
            return f"{was} to {counted(now, 'trial')}"
        case "tune_seeds":
            return f"{was} to {counted(now, 'seed')} of tuning"
        case "measured_by":
            return "one function of its objective to another"
    return f"{name} {_shown(was)} to {_shown(now)}"


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value if value is not None else "nothing")
