"""`Study`: an experiment that is checked as a whole when it is built, and what tells it from another one."""

import hashlib
import re
import typing
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import torch.nn as nn

from harness.models.model import Model
from harness.settings import InvalidStudy, Problem, Sweep, show
from harness.settings.problems import refusals
from harness.settings.signatures import FieldSignature
from harness.study.beforehand import notes_beforehand
from harness.study.experiment import SETUP_FIELDS, Experiment
from harness.study.rules import problems_between
from harness.study.target_kinds import target_problems
from harness.study.trial_run import trial_runs
from harness.tasks.task import Task

if TYPE_CHECKING:
    from harness.reporting.results import Results

DECIDE_NOTHING = ("claims", "published", "figures", "looks")
"""Settings that change no number."""


class Study(Experiment):
    """An experiment: its settings in three roles (fixed, `Sweep`, `Tune`) and its claims.

    Args:
        name: names the results folder, the Optuna study and the MLflow experiment.
        task, model, clipping, optimizer, batch_size, steps, tf32, accumulate, precision, label_smoothing, patience, differ: what one
            run trains, and how; see `Setup`.
        epochs: in place of `steps`: how often a run sees each training example on average, a real number above 0. Runs with
            other training sets or batches then take other numbers of steps, ⌈epochs · training examples / examples of a step⌉.
        metrics: what is measured of the runs of the confirm phase, `Diagnostics("light")`, `("standard")` or `("full")`, and
            what of a user's own, `Diagnostics(measures=[Measure(…)])`.
        seeds: replicates of the confirm phase, a number n for 0 … n−1 or the seeds themselves; 10 by default, 20 where a claim is
            about a median. Where looks are planned it is the last of these.
        looks: planned numbers of seeds, rising, after each of which the claims that are still open are judged, such as
            (10, 20, 40); see `harness.inference.looks`. Without any there is one, at the end.
        claims: `Claim`, `Equivalence`, `Trend`, `Interaction`, `Threshold` and `Exact` statements to be given verdicts.
        published: numbers that others have published, each a `Published`, which the report sets beside ours.
        figures: of a user's own, for the report: each a function of the table of all runs, as in `runs.parquet`, that returns a
            matplotlib figure; its docstring is the caption. They decide no results.
        tune: who chooses the values of the `Tune` factors. `within`: every seed trains at every value tried, and the one best
            on its own validation data is its result, so that luck in tuning is part of the spread over seeds. `shared`: a cell
            has one for all its seeds, by the median rank over `tune_seeds`; cheaper, and claims hold for these values only.
        tune_trials: values of the `Tune` factors tried in every cell, the same ones in all cells and seeds.
        tune_seeds: replicates of each of them where they are shared, on seeds of their own [5].
        sampler: of Optuna. `qmc`: quasi-random points; `random`: random ones; `tpe`: adapts to each cell, where values are shared.
        widen: whether values beyond an end of the range of the one `Tune` are tried where the best of a cell lies at it, in all
            cells and seeds alike, see `harness.study.widening`.
        objective: the metric that tuning minimises, measured on the validation split; several give a Pareto front.
        evaluations: times during training at which the validation loss is measured, the end included.

    Raises:
        InvalidStudy: with every problem, each named by its factor path.
    """

    __signature__ = FieldSignature(by_name=True)

    @property
    def notes(self) -> list[str]:
        """What a user should know before the study runs."""
        return typing.cast(list[str], self.__dict__["_notes"])

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        if args:
            raise InvalidStudy([Problem("study", "takes keyword arguments only, e.g. Study(name=…, task=…)")])
        if "model" in settings:
            settings["model"] = _as_model(settings["model"])
        super().__init__(**settings)
        if not self.problems() and isinstance(self.claims, list | tuple):
            sweeps = self.sweeps()
            of_levels = {
                name: [each.with_levels_of(sweeps) for each in self.values()[name]] for name in ("claims", "published")
            }
            super().__init__(**settings | of_levels)
        found = self.problems()
        found += problems_between(self, {problem.path for problem in found})
        tried = [] if found else trial_runs(self)
        found = found or refusals(tried) or list(target_problems(self))
        if found:
            raise InvalidStudy(found)
        self.__dict__["_notes"] = [str(note) for note in notes_beforehand(self) + tried]

    @overload
    def run(self, *, dry_run: Literal[True], **options: Any) -> None: ...

    @overload
    def run(
        self, *, seeds: int | str | Sequence[int] | None = None, devices: str | Sequence[int | str] = "auto",
        results: str | Path = "results", **options: Any,
    ) -> "Results": ...  # fmt: skip

    def run(
        self, *, seeds: int | str | Sequence[int] | None = None, devices: str | Sequence[int | str] = "auto",
        results: str | Path = "results", **options: Any,
    ) -> "Results | None":  # fmt: skip
        """Run this study from Python, with the command's engine, records, progress and resume.

        The same call again goes on where the last one stopped; of a finished study it trains nothing, of one that has grown
        what it lacks.

        Args:
            seeds: of the confirm phase, how many or which, as numbers or as `"5-9"`; None for those of the study.
            devices: `auto`, `cpu`, or CUDA devices such as `[0, 1]`.
            results: folder of all results.
            **options: the other ones of the command, by name: `workers`, `memory`, `ray`, `gpus_per_population`, `storage`,
                `tracking_uri`, `timeout`, `checkpoint_every`, `keep_weights`, `retry_failed`, `until_decided`, `dry_run`, `verbose`,
                `quiet`, `quick`; see `harness.lead.options.Options`; and `widen=True`, as in `Study(widen=True)`.

        Returns:
            What `harness.load` reads from the study's folder; runs that failed are among its `runs`. None of a dry run.

        Raises:
            InvalidStudy: it cannot run so.
            Interrupted: by Ctrl-C, at `timeout`, or by a disk or database; what is done is saved.
        """
        api = import_module("harness.lead.api")  # by name, the one way up: what a user has in hand is the study
        found: Results | None = api.run(self, seeds=seeds, devices=devices, results=results, **options)
        return found

    def description(self) -> dict[str, str]:
        """Everything that decides the results, as text by path: two studies with equal descriptions are the same."""
        return self.settings() | self.fingerprints()

    def settings(self) -> dict[str, str]:
        """Likewise of what is written: values and code, without the data."""
        shown = {path: show(value) for path, value in self.factors().items()}
        parts = [(path, part) for path, part in self.components() if re.split(r"[.[]", path)[0] not in DECIDE_NOTHING]
        kinds = {path: part.identity() for path, part in parts}
        reached = {f"{path} reaches {name}": line for path, part in parts for name, line in part.reached().items()}
        planned = self.written() | {"seeds": self.seeds if self.seeds is not None else len(self.planned_seeds())}
        plan = {name: show(value) for name, value in planned.items() if name not in (*SETUP_FIELDS, *DECIDE_NOTHING)}
        return kinds | shown | reached | plan

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
            first.setdefault(task.data_digest(), task)
        return {f"data of {task!r}": digest for digest, task in first.items() if digest}


def _as_model(value: Any) -> Any:
    """A module class without arguments needs no `Model` around it, nor has `DropoutNet` to be called."""
    if isinstance(value, Sweep):
        return Sweep(*map(_as_model, value.levels))
    if isinstance(value, partial) and value.func is Model:
        return value()
    return Model(value) if isinstance(value, type | nn.Module) else value  # type: ignore[arg-type]  # says what is wrong
