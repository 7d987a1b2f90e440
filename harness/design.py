"""The design: a study's cells and trials, kept in Optuna (the only file that imports it).

Second stage of the flow. Trials are asked in rounds: in every round each cell gets the same number of them, and the
values of the `Tune` factors come from an Optuna sampler that is seeded by study and round and has seen only earlier
rounds. So the trials do not depend on timing, on the number of workers or on interruptions. A trial that is asked is
one atomic entry in the storage; `tell` is the commit point.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from harness.settings import Tune, show
from harness.study import Levels, Study

WORST = 1e30
"""What a diverged run is told as: Optuna takes finite values only, and a diverged run ranks worst."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


class StudyChanged(Exception):
    """The storage holds another study of this name; `differences` has a line for each setting that differs."""

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        super().__init__("\n".join(differences))


@dataclass(frozen=True)
class Trial:
    """One configuration: a cell's levels and values for what is tuned.

    Attributes:
        number: of the Optuna trial.
        cell: index into `Study.cells()`.
        confirm: whether it belongs to the confirm phase.
        values: level or tuned value by factor path.
        told: whether its results are committed.
    """

    number: int
    cell: int
    confirm: bool
    values: Levels
    told: bool


class Design:
    """The trials of a study in an Optuna storage.

    Args:
        study: the study.
        storage: path of a journal file, or a database URL.
        fresh: forget what the storage holds of this study.

    Raises:
        StudyChanged: the storage holds trials of a study with the same name and other settings.
    """

    def __init__(self, study: Study, storage: str, *, fresh: bool = False) -> None:
        self.study = study
        backend = open_storage(storage)
        if fresh and study.name in optuna.get_all_study_names(backend):
            optuna.delete_study(study_name=study.name, storage=backend)
        self._optuna = optuna.create_study(
            storage=backend, study_name=study.name, directions=["minimize"] * len(study.objectives()),
            sampler=optuna.samplers.RandomSampler(0), load_if_exists=True,
        )  # fmt: skip
        self._cells = study.cells()
        self._tunes = study.tunes()
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        stored = self._optuna.user_attrs.get("study")
        if stored is None:
            self._optuna.set_user_attr("study", self.study.describe())
        elif differences := self.study.differences(stored):
            raise StudyChanged(differences)

    def remembered(self, key: str, choose: Callable[[], Any]) -> Any:
        """A choice that must stay the same when the study is continued: the stored one, or a new one, now stored."""
        if key not in self._optuna.user_attrs:
            self._optuna.set_user_attr(key, choose())
        return self._optuna.user_attrs[key]

    def collected(self, key: str, value: Any) -> list[Any]:
        """What the launches that trained something were: their distinct values, the one of this launch included."""
        stored: list[Any] = self._optuna.user_attrs.get(key, [])
        if value not in stored and (not stored or len(self.told()) < self.n_trials()):
            stored = [*stored, value]
            self._optuna.set_user_attr(key, stored)
        return stored

    def rounds(self) -> Iterator[list[Trial]]:
        """The trials of each round in turn, those already told included; ask for the next one when all are told."""
        if self._tunes:
            for first, last in tune_batches(self.study):
                yield self._ask(f"tune {first}-{last}", lambda first=first, last=last: self._tune_values(first, last))
        yield self._ask("confirm", self._confirm_values)

    def n_trials(self) -> int:
        """Trials of the whole study (with several objectives: at least)."""
        return len(self._cells) * (1 + (self.study.tune_trials if self._tunes else 0))

    def tell(self, trial: Trial, values: list[float], *, diverged: int) -> None:
        """Commit a trial's results.

        Args:
            trial: one that `rounds` gave.
            values: the mean over seeds of each objective; what is not finite is told as `WORST`.
            diverged: how many of its runs diverged.
        """
        frozen = self._optuna.get_trials(deepcopy=False)[trial.number]
        optuna.Trial(self._optuna, frozen._trial_id).set_user_attr("diverged", diverged)
        self._optuna.tell(trial.number, [min(v, WORST) if math.isfinite(v) else WORST for v in values])

    def told(self) -> set[int]:
        """Numbers of the trials whose results are committed."""
        return {trial.number for trial in self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])}

    def _ask(self, name: str, values: Any) -> list[Trial]:
        asked = self._of_round(name)
        wanted: list[tuple[int, Levels]] = values()
        for cell, tuned in wanted[len(asked) :]:
            levels = self._cells[cell]
            distributions = {path: _categories(sweep.levels) for path, sweep in self.study.sweeps().items()}
            self._optuna.add_trial(
                optuna.create_trial(
                    state=TrialState.RUNNING,
                    params={path: _plain(level) for path, level in levels.items()} | tuned,
                    distributions=distributions | {path: _distribution(tune) for path, tune in self._tunes.items()},
                    user_attrs={"round": name, "cell": cell},
                )
            )
        return [self._trial(frozen) for frozen in self._of_round(name)]

    def _of_round(self, name: str) -> list[FrozenTrial]:
        return [t for t in self._optuna.get_trials(deepcopy=False) if t.user_attrs.get("round") == name]

    def _trial(self, frozen: FrozenTrial) -> Trial:
        cell = frozen.user_attrs["cell"]
        tuned = {path: frozen.params[path] for path in self._tunes}
        confirm = frozen.user_attrs["round"] == "confirm"
        return Trial(frozen.number, cell, confirm, self._cells[cell] | tuned, frozen.state == TrialState.COMPLETE)

    def _tune_values(self, first: int, last: int) -> list[tuple[int, Levels]]:
        """Cell and tuned values of the trials of one round, trial by trial over all cells."""
        if self.study.sampler == "tpe":
            columns = [self._sampled(first, last, cell) for cell in range(len(self._cells))]
        else:
            columns = [self._sampled(first, last, None)] * len(self._cells)
        return [(cell, columns[cell][i]) for i in range(last - first) for cell in range(len(self._cells))]

    def _sampled(self, first: int, last: int, cell: int | None) -> list[Levels]:
        """Tuned values number `first` to `last` of one cell, or of all where `cell` is None."""
        space = {path: _distribution(tune) for path, tune in self._tunes.items()}
        seed = int.from_bytes(hashlib.sha256(f"{self.study.name} {first} {cell}".encode()).digest()[:4], "big")
        scratch = optuna.create_study(
            directions=["minimize"] * len(self.study.objectives()), sampler=self._sampler(seed)
        )
        if cell is None:
            # A quasi-random sampler learns the space from a finished trial.
            middle = {path: tune.low for path, tune in self._tunes.items()}
            scratch.add_trial(
                optuna.create_trial(params=middle, distributions=space, values=[0.0] * len(self.study.objectives()))
            )
        else:
            for frozen in self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
                if frozen.user_attrs["cell"] == cell:
                    params = {path: frozen.params[path] for path in space}
                    scratch.add_trial(optuna.create_trial(params=params, distributions=space, values=frozen.values))
        return [scratch.ask(space).params for _ in range(last - first)]

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        match self.study.sampler:
            case "qmc":
                with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
                    return optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed)
            case "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed, n_startup_trials=min(10, max(2, self.study.tune_trials // 2))
                )
            case _:
                return optuna.samplers.RandomSampler(seed)

    def _confirm_values(self) -> list[tuple[int, Levels]]:
        """Every cell with its best tuned values: by the objective, or all that are Pareto-optimal by several."""
        if not self._tunes:
            return [(cell, {}) for cell in range(len(self._cells))]
        told = self._optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        chosen = []
        for cell in range(len(self._cells)):
            tried = [t for t in told if t.user_attrs["cell"] == cell and t.user_attrs["round"] != "confirm"]
            chosen += [(cell, {path: t.params[path] for path in self._tunes}) for t in _best(tried)]
        return chosen


def tune_batches(study: Study) -> list[tuple[int, int]]:
    """Tune trials of a cell in each round, as ranges: all at once unless the sampler learns from results."""
    count = study.tune_trials
    size = max(1, count // 8) if study.sampler == "tpe" else count
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def open_storage(storage: str) -> BaseStorage | str:
    """A journal file for a path, the URL itself for a database. An incomplete last line of a journal is cut off."""
    if "://" in storage:
        return storage
    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with path.open("rb+") as file:
            content = file.read()
            if content and not content.endswith(b"\n"):
                file.truncate(content.rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path)))


def _best(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that no other is better than: one by one objective (the first of equals), a Pareto front by several."""
    if len(trials[0].values) == 1:
        return [min(trials, key=lambda t: (t.values[0], t.number))]
    front: list[FrozenTrial] = []
    for t in trials:
        dominated = any(
            all(a <= b for a, b in zip(u.values, t.values, strict=True)) and u.values != t.values for u in trials
        )
        if not dominated and t.values not in [u.values for u in front]:
            front.append(t)
    return front


def _plain(level: Any) -> Any:
    return level if level is None or isinstance(level, bool | int | float | str) else show(level)


def _categories(levels: tuple[Any, ...]) -> BaseDistribution:
    return CategoricalDistribution([_plain(level) for level in levels])


def _distribution(tune: Tune) -> BaseDistribution:
    if isinstance(tune.low, int) and isinstance(tune.high, int):
        return IntDistribution(tune.low, tune.high, log=tune.log)
    return FloatDistribution(tune.low, tune.high, log=tune.log)
