"""From a study file and the command line's changes to a checked `Study`.

A study file is Python and runs as its author's. Everything wrong with it is reported as `path: message`.
"""

import ast
import importlib.util
import math
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.settings import Component, InvalidStudy, Problem, Sweep, Tune, nearest, show
from harness.settings.credentials import without_credentials
from harness.study import MOST_SEEDS, Study

QUICK_STEPS, QUICK_SEEDS, QUICK_TRIALS = 60, 3, 2


@dataclass(frozen=True)
class Changes:
    """What the command line changes about a study file: `--set`, `--seeds` and `--quick`."""

    settings: tuple[str, ...] = ()
    seeds: str | None = None
    quick: bool = False

    def arguments(self) -> list[str]:
        """The command line that makes them.

        >>> Changes(("steps=5",), seeds="0-3", quick=True).arguments()
        ['--set', 'steps=5', '--seeds', '0-3', '--quick']
        """
        settings = [part for setting in self.settings for part in ("--set", setting)]
        return settings + (["--seeds", self.seeds] if self.seeds is not None else []) + ["--quick"] * self.quick


def parse_changes(stored: dict[str, Any]) -> Changes:
    """Changes as `dataclasses.asdict` and JSON keep them.

    Raises:
        KeyError, TypeError: these are none.
    """
    return Changes(tuple(stored["settings"]), stored["seeds"], stored["quick"])


def load_study(path: Path, changes: Changes = Changes()) -> tuple[Study, str]:
    """Run a study file and apply changes to its study.

    Args:
        path: a Python file that defines `study`.
        changes: of the command line.

    Returns:
        The study and the file's docstring.

    Raises:
        InvalidStudy: with everything that is wrong.
    """
    module = _run(path)
    study = getattr(module, "study", None)
    if not isinstance(study, Study):
        got = "nothing of that name" if study is None else f"a {type(study).__name__}"
        raise InvalidStudy([Problem(str(path), "must define `study = Study(…)`", got)])
    return _changed(study, changes), (module.__doc__ or "").strip()


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a folder, not a study file" if path.is_dir() else "no such study file"
        raise InvalidStudy([Problem(str(path), what)])
    name = f"study {path.stem}"  # no name that a module could have: a study file may be called json.py
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InvalidStudy([Problem(str(path), "is not a Python file")])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its classes can be found by name
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except InvalidStudy:
        raise
    except (Exception, SystemExit) as error:
        message = without_credentials(f"{type(error).__name__}: {error}")
        raise InvalidStudy([Problem(f"{path}:{_line(error, path)}", message)]) from error
    finally:
        sys.path.pop(0)
    return module


def _line(error: BaseException, path: Path) -> int:
    """The line of the study file at which an error arose."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return error.lineno
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    return (frames[-1].lineno or 0) if frames else 0


def _changed(study: Study, changes: Changes) -> Study:
    settings: dict[str, Any] = study.values()
    problems: list[Problem] = []
    for text in changes.settings:
        name, equals, value = text.partition("=")
        name = name.strip()
        head, _, rest = name.partition(".")
        try:
            if not equals or not name:
                raise ValueError("needs the form path=value")
            if head not in settings:
                raise KeyError
            new = parse_value(value)
            settings[head] = _inside(settings[head], rest, new) if rest else new
        except KeyError:
            valid = [*study.factors(), *(n for n, v in study.values().items() if not isinstance(v, Component))]
            problems.append(Problem(name, f"unknown setting{nearest(name, list(dict.fromkeys(valid)))}", show(text)))
        except ValueError as error:
            problems.append(Problem(name or "--set", str(error), show(text)))
    if changes.seeds is not None:
        try:
            settings["seeds"] = parse_seeds(changes.seeds)
        except ValueError as error:
            problems.append(Problem("seeds", str(error), show(changes.seeds)))
    if changes.quick:
        settings |= _quick(settings)
    if problems:
        raise InvalidStudy(problems)
    return study if changes == Changes() else Study(**settings)


def _inside(component: Any, path: str, value: Any) -> Component:
    if not isinstance(component, Component):
        raise KeyError(path)
    return component.with_value(path, value)


def _quick(settings: dict[str, Any]) -> dict[str, Any]:
    """A small version under a name of its own: same cells, few steps, seeds and trials."""
    steps = settings["steps"]
    return {
        "name": f"{settings['name']}-quick",
        "steps": QUICK_STEPS if isinstance(steps, Sweep | Tune) else _at_most(QUICK_STEPS, steps),
        "seeds": _at_most(QUICK_SEEDS, settings["seeds"]),
        "tune_trials": _at_most(QUICK_TRIALS, settings["tune_trials"]),
        "tune_seeds": _at_most(1, settings["tune_seeds"]),
    }


def _at_most(most: int, value: Any) -> Any:
    """A number or list cut down; anything else is left for the study to refuse."""
    if isinstance(value, list | tuple):
        return value[:most]
    return min(value, most) if isinstance(value, int) else value


def parse_value(text: str) -> Any:
    """A value of `--set`: a Python literal, `inf`, `Sweep(…)` or `Tune(…)` of these; anything else is a string.

    >>> parse_value("0.5"), parse_value("Sweep(1, inf)"), parse_value("some/file.txt")
    (0.5, Sweep(1, inf), 'some/file.txt')
    """
    try:
        return _literal(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):  # the last two: too many brackets
        if text.strip().startswith(("Sweep(", "Tune(")):
            raise ValueError("is not a Sweep or Tune of plain values") from None
        return text


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(map(_literal, node.elts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Sweep", "Tune"):
        role = Sweep if node.func.id == "Sweep" else Tune
        return role(*map(_literal, node.args), **{str(k.arg): _literal(k.value) for k in node.keywords})
    return ast.literal_eval(node)


def parse_seeds(text: str) -> int | list[int]:
    """`10` is how many; `0,3,7` or `5-9` which ones.

    >>> parse_seeds("10"), parse_seeds("0,3"), parse_seeds("5-7,9")
    (10, [0, 3], [5, 6, 7, 9])
    """
    try:
        if text.strip().isdigit():
            return int(text)
        seeds: list[int] = []
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            if max(int(last or first), len(seeds)) >= MOST_SEEDS:
                raise ValueError
            seeds += range(int(first), int(last or first) + 1)
        return seeds
    except ValueError:
        raise ValueError(f"needs a number of seeds, or seeds below {MOST_SEEDS} such as 0,3,7 or 5-9") from None
