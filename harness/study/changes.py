"""Changes to a study: `--set`, `--seeds`, `--quick` and `--widen` of the command line, applied to a checked `Study`."""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from harness.settings import Component, InvalidStudy, Problem, Sweep, Tune, nearest, show
from harness.settings.component import part_at
from harness.study.claims_of_factors import Trend
from harness.study.experiment import MOST_SEEDS, Experiment
from harness.study.expressions import NO_NAMES, parse_value
from harness.study.rules import LONGEST_NAME
from harness.study.statement import Statement
from harness.study.study import Study

QUICK = "-quick"

QUICK_STEPS, QUICK_SEEDS, QUICK_TRIALS, QUICK_EVALUATIONS = 60, 3, 2, 3

ALONE, RANGE = re.compile("[0-9]{1,9}"), re.compile("([0-9]{1,9})(?: *- *([0-9]{1,9}))?")
"""How many seeds, and one seed or a range of them."""

FOLLOWING = {"steps": {"epochs"}, "epochs": {"steps"}, "looks": {"seeds"}}
"""What is said by saying a setting: of steps and epochs a study has one, and looks end with the last seed."""


@dataclass(frozen=True)
class Changes:
    """What the command line changes about a study file: `--set`, `--seeds`, `--quick` and `--widen`."""

    settings: tuple[str, ...] = ()
    seeds: str | None = None
    quick: bool = False
    widen: bool = False

    def arguments(self) -> list[str]:
        """The command line that makes them.

        >>> Changes(("steps=5",), seeds="0-3", quick=True).arguments()
        ['--set', 'steps=5', '--seeds', '0-3', '--quick']
        """
        settings = [part for setting in self.settings for part in ("--set", setting)]
        seeds = ["--seeds", self.seeds] if self.seeds is not None else []
        return settings + seeds + ["--quick"] * self.quick + ["--widen"] * self.widen

    def then(self, later: "Changes") -> "Changes":
        """These and later ones, which win where both say something.

        >>> Changes(("name=a", "steps=5", "optimizer.lr=0.1"), seeds="4").then(Changes(("name=b", "optimizer=SGD()", "seeds=3")))
        Changes(settings=('steps=5', 'name=b', 'optimizer=SGD()', 'seeds=3'), seeds=None, quick=False, widen=False)
        """
        said = [path for path, _ in later.said()]
        settings = tuple(text for text in self.settings if not any(_replaces(path, _path(text)) for path in said))
        return Changes(
            settings + later.settings,
            later.seeds if "seeds" in said else self.seeds,
            self.quick or later.quick,
            later.widen if "widen" in said else self.widen,
        )

    def said(self) -> list[tuple[str, str]]:
        """The settings of which something is said, and how; what is said again stands where it is said last."""
        settings = reversed(dict.fromkeys(reversed(self.settings)))
        found = [(_path(text), f"--set {text}") for text in settings]
        found += [("seeds", f"--seeds {self.seeds}")] if self.seeds is not None else []
        return found + [("widen", "--widen")] * self.widen

    def contradictions(self) -> list[Problem]:
        """Where two things are said of one setting, of which the first would go unseen."""
        return [
            Problem(path, f"given as {first} and as {second}; give one of them")
            for (path, first), (other, second) in itertools.combinations(self.said(), 2)
            if _replaces(other, path)
        ]


def _path(text: str) -> str:
    """Of a setting, from `path=value`."""
    return text.partition("=")[0].strip()


def _replaces(path: str, earlier: str) -> bool:
    """Whether nothing is left of what was said of a path once something is said of another.

    >>> _replaces("optimizer", "optimizer.lr"), _replaces("optimizer.lr", "optimizer"), _replaces("epochs", "steps")
    (True, False, True)
    """
    return f"{earlier}.".startswith(f"{path}.") or {path, earlier} == {"steps", "epochs"}


NO_CHANGES = Changes()


def parse_changes(stored: dict[str, Any]) -> Changes:
    """Changes as `dataclasses.asdict` and JSON keep them.

    Raises:
        KeyError, TypeError: these are none.
    """
    return Changes(tuple(stored["settings"]), stored["seeds"], stored["quick"], stored.get("widen", False))


def apply_changes(study: Study, changes: Changes, names: Mapping[str, Any] = NO_NAMES) -> Study:
    """The study as the command line changes it, checked again; the same object where nothing changes.

    Args:
        study: from a study file, or made in Python.
        changes: to make, the settings one after another.
        names: that values of `--set` may use beside the harness's own: the namespace of the study file.

    Raises:
        InvalidStudy: with everything that is wrong.
    """
    settings: dict[str, Any] = study.values()
    problems = changes.contradictions()
    named = {_path(text) for text in changes.settings} & {"steps", "epochs"}
    if len(named) == 1:  # takes the place of what the study says
        settings |= dict.fromkeys({"steps", "epochs"} - named)
    for text in changes.settings:
        try:
            _set(settings, text, names)
        except KeyError:
            path = _path(text)
            valid = list(dict.fromkeys([*study.values(), *study.factors()]))
            problems.append(Problem(path, f"unknown setting{nearest(path, valid)}", show(text)))
        except ValueError as error:
            problems.append(Problem(_path(text) or "--set", str(error), show(text)))
    if changes.seeds is not None:
        try:
            settings["seeds"] = parse_seeds(changes.seeds)
        except ValueError as error:
            problems.append(Problem("seeds", str(error), show(changes.seeds)))
    if changes.widen:
        settings["widen"] = True
    if changes.quick:
        settings |= _quick(settings, _given(changes))
    if changes.contradictions():  # what follows from one of two is not what is meant
        raise InvalidStudy(problems)
    try:
        changed = study if changes == NO_CHANGES else Study(**settings)
    except InvalidStudy as error:  # of what could be changed
        known = {problem.path for problem in problems}
        problems += [problem for problem in error.problems if problem.path not in known]
    if problems:
        raise InvalidStudy(problems)
    return changed


def _set(settings: dict[str, Any], text: str, names: Mapping[str, Any]) -> None:
    """Change one of the settings, as `path=value` says.

    Raises:
        KeyError: there is no such path.
        ValueError: no value.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    head, _, rest = path.partition(".")
    if not equals or not path:
        raise ValueError("needs the form path=value")
    new = parse_value(value, names, is_text=_is_text(settings[head], rest))
    settings[head] = settings[head].with_value(rest, new) if rest else new


def _is_text(setting: Any, path: str) -> bool:
    """Whether a setting holds a text now, in all cells.

    Raises:
        KeyError: there is no such path.
    """
    if path and not isinstance(setting, Component):
        raise KeyError(path)
    for name in path.split(".") if path else ():
        setting = part_at(setting, name)
    levels = setting.levels if isinstance(setting, Sweep) else (setting,)
    return len(levels) > 0 and all(isinstance(level, str | PurePath) for level in levels)


def _given(changes: Changes) -> set[str]:
    """The settings that the command line itself gives, and those that follow from these.

    >>> sorted(_given(Changes(("epochs=2", "model.dropout=0.1"), seeds="5")))
    ['epochs', 'model.dropout', 'seeds', 'steps']
    """
    given = {path for path, _ in changes.said()}
    return given.union(*(FOLLOWING[name] for name in given & FOLLOWING.keys()))


def _quick(settings: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """A small version under a name of its own: same cells, few steps, whatever the epochs, few evaluations, seeds and trials.

    Args:
        settings: of the study, as the command line changes them.
        given: settings that stay as large as they are.
    """
    few = {
        "evaluations": _at_most(QUICK_EVALUATIONS, settings["evaluations"]),
        "seeds": QUICK_SEEDS if settings["seeds"] is None else _at_most(QUICK_SEEDS, settings["seeds"]),
        "looks": (),
    }
    if Experiment(**settings).tunes():  # elsewhere neither has a meaning
        by_default = settings["tune_seeds"] is None and settings["tune"] == "shared"  # nor has this one elsewhere
        few["tune_trials"] = _at_most(QUICK_TRIALS, settings["tune_trials"])
        few["tune_seeds"] = 1 if by_default else _at_most(1, settings["tune_seeds"])
    short = {} if "steps" in given else _short(settings)
    return {"name": _quick_name(settings["name"])} | short | {n: few[n] for n in few.keys() - given}


def _short(settings: dict[str, Any]) -> dict[str, Any]:
    """Few steps, whatever the epochs; swept ones become fewer in proportion, in claims and in what is published, too."""
    steps = settings["steps"]
    found: dict[str, Any] = {}
    if isinstance(steps, Sweep) and all(type(level) is int and level > 0 for level in steps.levels):
        fewer = _fewer(steps.levels)
        steps = Sweep(*map(fewer.get, steps.levels))
        for name in ("claims", "published"):
            if isinstance(settings[name], list | tuple):
                found[name] = [_at_fewer(each, fewer) for each in settings[name]]
    elif steps is None or isinstance(steps, Sweep | Tune):
        steps = QUICK_STEPS
    else:
        steps = _at_most(QUICK_STEPS, steps)
    return found | {"steps": steps, "epochs": None}


def _fewer(levels: Sequence[int]) -> dict[int, int]:
    """Numbers of steps → fewer ones in proportion, all different.

    >>> _fewer((10, 120, 600)), _fewer((1, 2, 1000)), _fewer((20, 40))
    ({10: 1, 120: 12, 600: 60}, {1: 1, 2: 2, 1000: 60}, {20: 20, 40: 40})
    """
    longest, last, found = max(levels), 0, {}
    for level in sorted(levels):
        last = found[level] = max(last + 1, level * min(QUICK_STEPS, longest) // longest)
    return found


def _at_fewer(statement: Any, fewer: Mapping[int, int]) -> Any:
    """A claim, or what is published, of the fewer steps in place of those it names; others are left for the study to refuse."""
    if not isinstance(statement, Statement) or statement.problems():
        return statement
    changed: dict[str, Any] = {
        field: {path: fewer.get(level, level) if path == "steps" else level for path, level in levels.items()}
        for field, levels in statement.arms()
    }
    if isinstance(statement, Trend) and statement.factor == "steps":
        changed["levels"] = [fewer.get(level, level) for level in statement.levels]
    return statement.replace(**changed) if changed else statement


def _quick_name(name: Any) -> Any:
    """A name of its own, cut where it would be too long; what is no name is left for the study to refuse.

    >>> _quick_name("rnn_clip"), _quick_name("a" * 64)
    ('rnn_clip-quick', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-ffe054fe-quick')
    """
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return name
    whole = f"{name}{QUICK}"
    if len(whole) <= LONGEST_NAME:
        return whole
    end = f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}{QUICK}"
    return name[: LONGEST_NAME - len(end)] + end


def _at_most(most: int, value: Any) -> Any:
    """A number or list cut down; anything else is left for the study to refuse."""
    if isinstance(value, list | tuple):
        return value[:most]
    return min(value, most) if isinstance(value, int) else value


def parse_seeds(text: str) -> int | list[int]:
    """`10` is how many; `0,3,7` or `5-9` which ones.

    >>> parse_seeds("10"), parse_seeds("0,3"), parse_seeds("5-7,9")
    (10, [0, 3], [5, 6, 7, 9])

    Raises:
        ValueError: it is neither.
    """
    if ALONE.fullmatch(text.strip()):
        return int(text)
    seeds: list[int] = []
    for part in text.split(","):
        found = RANGE.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, MOST_SEEDS)
        if max(last, len(seeds)) >= MOST_SEEDS:
            raise ValueError(f"needs a number of seeds, or seeds below {MOST_SEEDS} such as 0,3,7 or 5-9")
        if last < first:
            raise ValueError(f"{part.strip()} ends before it begins; write {last}-{first}")
        seeds += range(first, last + 1)
    return seeds
