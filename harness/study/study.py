"""`Study` and `Claim`: what is fixed, swept, tuned and claimed. Checked as a whole when it is built."""

import hashlib
import itertools
import math
import re
import typing
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.engine.diagnostics import Diagnostics
from harness.engine.setup import Setup
from harness.models.model import Model
from harness.settings import (
    Component,
    Count,
    InvalidStudy,
    Note,
    Problem,
    Sweep,
    Tune,
    metrics,
    nearest,
    show,
)
from harness.settings.levels import stored
from harness.study.claims import Claim, Exact, Levels
from harness.study.trial_run import trial_run
from harness.tasks.task import Task

MOST_SEEDS = 10**6
MOST_RUNS = 10**6
"""Runs of a study, at most: all are planned, and end in one table."""

RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|mlartifacts|mlflow\.db.*|optuna\.journal.*|default|.*\.", re.IGNORECASE
)
"""Names that mean something else: a device on Windows, what lies beside the studies' folders, MLflow's own experiment."""


class Study(Setup):
    """An experiment: its settings in three roles (fixed, `Sweep`, `Tune`) and its claims.

    Args:
        name: names the results folder, the Optuna study and the MLflow experiment.
        task, model, clipping, optimizer, batch_size, steps, tf32: what one run trains; see `Setup`.
        metrics: what is measured of the runs of the confirm phase, `Diagnostics("light")`, `("standard")` or `("full")`.
        seeds: replicates of the confirm phase, a number n for 0 … n−1 or the seeds themselves.
        claims: `Claim` and `Exact` statements to be given verdicts.
        tune_trials: values of the `Tune` factors tried in every cell.
        tune_seeds: replicates of each of them, on seeds of their own.
        sampler: of Optuna. `qmc`: one quasi-random point a round, shared by all cells; `random`: likewise at random;
            `tpe`: adapts to each cell.
        objective: the metric that tuning minimises, measured on the validation split; several give a Pareto front.
        evaluations: times during training at which the validation loss is measured, the end included.

    Raises:
        InvalidStudy: with every problem, each named by its factor path.
    """

    name: str = ""
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | list[int] | tuple[int, ...] = 10
    claims: list[Claim | Exact] | tuple[Claim | Exact, ...] = ()
    tune_trials: Count = 8
    tune_seeds: Count = 1
    sampler: Literal["qmc", "tpe", "random"] = "qmc"
    objective: str | list[str] | tuple[str, ...] = "validation_loss"
    evaluations: Count = 10

    @property
    def notes(self) -> list[str]:
        """What a user should know before the study runs."""
        return typing.cast(list[str], self.__dict__["_notes"])

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        if args:
            raise InvalidStudy([Problem("study", "takes keyword arguments only, e.g. Study(name=…, task=…)")])
        if isinstance(settings.get("model"), type):
            settings["model"] = Model(settings["model"])
        super().__init__(**settings)
        found = self.problems()
        found += self._study_problems({re.split(r"[.\[]", problem.path)[0] for problem in found})
        if found:
            raise InvalidStudy(found)

    def _study_problems(self, broken: set[str]) -> list[Problem]:
        """Rules between the parts, as far as the parts named in `broken` do not get in the way."""
        found = self._role_problems(broken)
        broken = broken | {problem.path.partition("[")[0] for problem in found}
        if "name" not in broken:
            found += _name_problems(self.name)
        if "seeds" not in broken and not (isinstance(self.seeds, int) or _valid_seeds(self.seeds)):
            message = f"must be different whole numbers from 0 to {MOST_SEEDS - 1}"
            found.append(Problem("seeds", message, show(list(self.seeds))))
        if "objective" not in broken:
            found += self._objective_problems()
        if "claims" not in broken:
            found += self._claim_problems()
        if not found and not broken:
            found += self._size_problems() or self._trial_run_problems()
        return found

    def _role_problems(self, broken: set[str]) -> list[Problem]:
        """Only what decides how a run trains can be swept or tuned."""
        plan = {name: value for name, value in self.values().items() if name not in SETUP_FIELDS}
        if "claims" not in broken and not isinstance(self.claims, Sweep | Tune):
            for i, claim in enumerate(self.claims):
                plan |= {f"claims[{i}].{name}": value for name, value in claim.values().items()}
        return [
            Problem(path, "cannot be swept or tuned", show(value))
            for path, value in plan.items()
            if isinstance(value, Sweep | Tune)
        ]

    def _objective_problems(self) -> list[Problem]:
        objectives = self.objectives()
        valid = [name for name, metric in metrics.METRICS.items() if metric.tunable and metric.better != "higher"]
        if not objectives or len(set(objectives)) < len(objectives):
            return [Problem("objective", "needs one metric, or several different ones", show(objectives))]
        wrong = {name: f"cannot be tuned for{nearest(name, valid)}" for name in objectives if name not in valid}
        lacking = {name: self._lacks(name) for name in objectives if name in valid}
        return [Problem("objective", message, show(name)) for name, message in (wrong | lacking).items() if message]

    def _lacks(self, metric: str) -> str:
        """What the study must set so that a metric is measured, "" for nothing."""
        path, value = metrics.METRICS[metric].needs or ("", None)
        return (
            f"needs {path}: at {show(value)} it is not measured" if path and self.factors().get(path) == value else ""
        )

    def _size_problems(self) -> list[Problem]:
        cells = math.prod(len(sweep.levels) for sweep in self.sweeps().values())
        confirm = self.seeds if isinstance(self.seeds, int) else len(self.seeds)
        runs = cells * (confirm + (self.tune_trials * self.tune_seeds if self.tunes() else 0))
        if runs <= MOST_RUNS:
            return []
        message = f"has {runs:,} runs, more than {MOST_RUNS:,}; take fewer levels, seeds or tune trials"
        return [Problem("study", message, f"{cells:,} cells")]

    def _claim_problems(self) -> list[Problem]:
        found = []
        sweeps = self.sweeps()
        known = isinstance(self.metrics, Diagnostics) and not self.metrics.problems()
        measured = self.metrics.metrics() if known else metrics.METRICS
        for i, claim in enumerate(self.claims):
            for field, name in claim.measured().items():
                if name in metrics.METRICS and name not in measured:
                    way_out = f'needs metrics=Diagnostics("{metrics.METRICS[name].level}")'
                    found.append(Problem(f"claims[{i}].{field}", way_out, name))
                elif name in measured and (lacking := self._lacks(name)):
                    found.append(Problem(f"claims[{i}].{field}", lacking, name))
            for field, levels in claim.arms():
                for path, level in levels.items():
                    where = f"claims[{i}].{field}.{path}"
                    if path not in sweeps:
                        found.append(Problem(where, f"is not a swept factor{nearest(path, list(sweeps))}"))
                    elif stored(level) not in map(stored, sweeps[path].levels):
                        found.append(Problem(where, f"is not a level of {show(sweeps[path])}", show(level)))
        return found

    def _trial_run_problems(self) -> list[Problem]:
        """Take a step of every distinct model, at both ends of what is tuned, so that what cannot train is known before."""
        found: dict[str, Problem] = {}
        tried = set()
        shape = any(path.partition(".")[0] in ("task", "model", "batch_size") for path in self.tunes())
        for cell, end in itertools.product(self.cells(), ("low", "high") if shape else ("low",)):
            setup = self.setup(cell | {path: getattr(tune, end) for path, tune in self.tunes().items()})
            key = (setup.task, setup.model, setup.batch_size, type(setup.clipping), type(setup.optimizer))
            problems = setup.problems() if key in tried else trial_run(setup)
            tried.add(key)
            found |= {str(problem): problem for problem in problems}
        self.__dict__["_notes"] = [text for text, problem in found.items() if isinstance(problem, Note)]
        return [problem for problem in found.values() if not isinstance(problem, Note)]

    def factors(self) -> dict[str, Any]:
        """Every training setting by factor path, in the order of the study; values may be `Sweep` or `Tune`."""
        training = {name: value for name, value in self.values().items() if name in SETUP_FIELDS}
        found: dict[str, Any] = {}
        for name, value in training.items():
            found |= dict(value.walk(f"{name}.")) if isinstance(value, Component) else {name: value}
        return found

    def sweeps(self) -> dict[str, Sweep]:
        """The scientific factors by path."""
        return {path: value for path, value in self.factors().items() if isinstance(value, Sweep)}

    def tunes(self) -> dict[str, Tune]:
        """The nuisance factors by path."""
        return {path: value for path, value in self.factors().items() if isinstance(value, Tune)}

    def cells(self) -> list[Levels]:
        """Every combination of swept levels, the last factor varying fastest; one empty cell without sweeps."""
        sweeps = self.sweeps()
        return [
            dict(zip(sweeps, levels, strict=True)) for levels in itertools.product(*(s.levels for s in sweeps.values()))
        ]

    def objectives(self) -> tuple[str, ...]:
        """The metrics that tuning minimises."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)

    def confirm_seeds(self) -> list[int]:
        """The seeds of the confirm phase."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    def setup(self, values: Levels) -> Setup:
        """The settings of one trial.

        Args:
            values: a level or tuned value for every swept and tuned factor path.
        """
        made: dict[tuple[Any, ...], Setup] = self.__dict__.setdefault("_setups", {})
        key = tuple(sorted((path, show(value)) for path, value in values.items()))
        if key not in made and not values:
            made[key] = Setup(**{name: value for name, value in self.values().items() if name in Setup.__annotations__})
        elif key not in made:
            *others, (path, value) = values.items()
            made[key] = self.setup(dict(others)).with_value(path, value)  # cells share all but their last level
        return made[key]

    def description(self) -> dict[str, str]:
        """Everything that decides the results, as text by path: two studies with equal descriptions are the same."""
        shown = {path: show(value) for path, value in self.factors().items()}
        parts = {name: value for name, value in self.values().items() if isinstance(value, Component)}
        kinds = {name: part.identity() for name, part in parts.items()}
        plan = {
            name: show(value) for name, value in self.values().items() if name not in SETUP_FIELDS and name != "claims"
        }
        return kinds | shown | plan | self.fingerprints()

    def digest(self) -> str:
        """`description` in short."""
        return hashlib.sha256(repr(sorted(self.description().items())).encode()).hexdigest()

    def differences(self, stored: dict[str, str]) -> list[str]:
        """A line for each setting in which this study differs from one that was described before; none: the same study."""
        now = self.description()
        paths = [path for path in stored | now if stored.get(path) != now.get(path)]
        return [f"{path}: {stored.get(path, 'absent')} → {now.get(path, 'absent')}" for path in paths]

    def fingerprints(self) -> dict[str, str]:
        """What the tasks' data are, by content: it may come from files or differ between versions of Python."""
        lowest = {path: tune.low for path, tune in self.tunes().items()}
        tasks = dict.fromkeys(self.setup(cell | lowest).task for cell in self.cells())
        first: dict[str, Task] = {}
        for task in tasks:
            first.setdefault(task.fingerprint(), task)
        return {f"data of {task!r}": digest for digest, task in first.items() if digest}


def _name_problems(name: str) -> list[Problem]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        message = "1 to 64 letters, digits, '_', '-' or '.', the first a letter or digit"
        return [Problem("name", message, show(name))]
    return [Problem("name", "is reserved; choose another one", show(name))] if RESERVED.fullmatch(name) else []


def _valid_seeds(seeds: Sequence[int]) -> bool:
    return len(set(seeds)) == len(seeds) > 0 and all(0 <= seed < MOST_SEEDS for seed in seeds)


SETUP_FIELDS = tuple(name for name in Setup.__annotations__ if name != "metrics")
"""Settings that decide how a run trains: those that may be swept and tuned."""
