"""The leader: one process that holds all state and takes a study through its rounds.

    ask a round (design) → plan populations → train them (executors) → record each finished trial → tell (design)

A trial that is not committed (`harness.ledger.records.commit`) when the leader dies is committed or trained again by the next one.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from harness.engine.diagnostics.churn import with_churn
from harness.engine.runs import Run
from harness.execution.trainer import Executor, Trained
from harness.ledger.design import Design, Trial
from harness.ledger.records.commit import Commits
from harness.ledger.records.finished import FinishedTrial
from harness.ledger.records.populations import population_table
from harness.ledger.trial_runs import factor_values, runs_of
from harness.settings import show
from harness.settings.patience import Stopped
from harness.settings.progress import Progress
from harness.study import Study

Planner = Callable[[list[Run]], list[list[Run]]]
"""Partitions a round's runs into populations."""


@dataclass(frozen=True)
class Leader:
    """Takes a study through its rounds.

    Attributes:
        study: the study.
        design: its trials.
        commits: takes those that are trained, its block entered.
        executor: trains populations.
        progress: is kept up to date.
        plan: puts the runs of a round together, see `harness.engine.planning.plan`; the same whenever it is continued.
        stop: once it returns true, no population is begun any more.
    """

    study: Study
    design: Design
    commits: Commits
    executor: Executor
    progress: Progress
    plan: Planner
    stop: Callable[[], bool]

    def lead(self, lost: Collection[int] = ()) -> None:
        """Train, record and tell every trial of the study that is not told yet.

        Args:
            lost: numbers of trials that are told, but whose records are lost: they are trained again.

        Raises:
            Stopped: before all was done.
            OSError: the disk is full or cannot be written.
            RecordError: MLflow refuses a trial.
        """
        self.progress.restart()
        for name in self.design.rounds():
            trials = self.commits.patiently(partial(self.design.ask, name))
            runs = {trial.number: runs_of(self.study, trial) for trial in trials}
            missing = self._missing(trials, runs, lost)
            # Planned from the whole round, so that a continued study trains the very same populations.
            planned = self.plan([run for rs in runs.values() for run in rs])
            self._train([p for p in planned if any(run.trial in missing for run in p)], runs, missing)

    def _missing(self, trials: list[Trial], runs: Mapping[int, list[Run]], lost: Collection[int]) -> dict[int, Trial]:
        """The trials of a round that must be trained; those that an earlier leader trained are committed."""
        missing = {trial.number: trial for trial in trials if not trial.told or trial.number in lost}
        for trial in trials:
            if trial.number not in missing:
                self.progress.add(runs=len(runs[trial.number]))
            elif self.commits.resume(trial):
                del missing[trial.number]
            if trial.number not in missing:
                self.progress.add(steps=sum(run.setup.steps for run in runs[trial.number]))
        return missing

    def _train(self, populations: list[list[Run]], runs: Mapping[int, list[Run]], missing: dict[int, Trial]) -> None:
        """Train populations and commit each missing trial once all its runs are there."""
        arrived: dict[int, list[Trained]] = {number: [] for number in missing}
        self.commits.begin()
        for index, trained in self.executor.train(
            populations, lambda steps, _: self.progress.add(steps=steps), self.stop
        ):
            for note in trained.notes:
                self.progress.say(note)
            for number in arrived.keys() & {run.trial for run in populations[index]}:
                arrived[number].append(trained)
                if sum(int((t.runs["trial"] == number).sum()) for t in arrived[number]) == len(runs[number]):
                    self.commits.add(missing[number], finish(self.study, missing[number], arrived.pop(number)))
        self.commits.wait()
        if arrived:
            raise Stopped


def finish(study: Study, trial: Trial, parts: list[Trained]) -> FinishedTrial:
    """A trial as it is recorded, from the populations that held its runs."""
    runs = with_churn(_of_trial(trial.number, [part.runs for part in parts], ["seed"]))
    factors, phase = factor_values(study, trial), "confirm" if trial.confirm else "tune"
    identity = pd.DataFrame({"trial": runs["trial"], "seed": runs["seed"], "phase": phase})
    settings = pd.DataFrame({path: [value] * len(runs) for path, value in factors.items()})
    return FinishedTrial(
        number=trial.number, name=_name(study, trial), phase=phase, params=factors,
        runs=pd.concat([identity, settings, runs.drop(columns=["trial", "seed"])], axis=1),
        curves=_of_trial(trial.number, [part.curves for part in parts], ["seed", "step"]),
        populations=population_table(trial.number, [members for part in parts for members in part.parts]),
        errors={s: error for part in parts for (number, s), error in part.errors.items() if number == trial.number},
        started_at_s=min(part.started_at_s for part in parts), ended_at_s=max(part.ended_at_s for part in parts),
    )  # fmt: skip


def _of_trial(number: int, tables: list[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    """A trial's rows of several tables, in an order that does not depend on which came first."""
    found = pd.concat([table[table["trial"] == number] for table in tables])
    return found.sort_values(order, kind="stable", ignore_index=True)


def _name(study: Study, trial: Trial) -> str:
    levels = ", ".join(f"{path.rpartition('.')[2]}={show(trial.values[path])}" for path in study.sweeps())
    return f"{trial.number} {'confirm' if trial.confirm else 'tune'} {levels}"[:250]
