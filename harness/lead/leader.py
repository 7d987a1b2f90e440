"""The leader: one process that holds all state and takes a study through its rounds.

    ask a round (design) → plan populations → train them (executors) → record each finished trial → tell (design)

A trial that is not committed (`harness.ledger.records.commit`) when the leader dies is committed or trained again by the next one.
"""

from collections.abc import Callable, Collection
from functools import partial

import pandas as pd

from harness.engine.diagnostics.churn import with_churn
from harness.engine.planning import plan
from harness.execution.trainer import Executor, Trained
from harness.ledger.design import Design, Trial
from harness.ledger.records.commit import Commits
from harness.ledger.records.finished import FinishedTrial
from harness.ledger.trial_runs import factor_values, runs_of
from harness.settings import show
from harness.settings.patience import Stopped
from harness.settings.progress import Progress
from harness.study import Study


def lead(
    study: Study, design: Design, commits: Commits, executor: Executor, progress: Progress,
    *, width: int, abreast: int, stop: Callable[[], bool] = lambda: False, lost: Collection[int] = (),
) -> None:  # fmt: skip
    """Train, record and tell every trial of the study that is not told yet.

    Args:
        study: the study.
        design: its trials.
        commits: takes those that are trained, its block entered.
        executor: trains populations.
        progress: is kept up to date.
        width: see `plan`; the same whenever the study is continued.
        abreast: likewise.
        stop: once it returns true, no population is begun any more.
        lost: numbers of trials that are told, but whose records are lost: they are trained again.

    Raises:
        Stopped: before all was done.
        OSError: the disk is full or cannot be written.
        RecordError: MLflow refuses a trial.
    """
    for name in design.rounds():
        trials = commits.patiently(partial(design.ask, name))
        runs = {trial.number: runs_of(study, trial) for trial in trials}
        missing = {trial.number: trial for trial in trials if not trial.told or trial.number in lost}
        for trial in trials:
            if trial.number not in missing:
                progress.add(runs=len(runs[trial.number]))
            elif commits.resume(trial):
                del missing[trial.number]
            if trial.number not in missing:
                progress.add(steps=sum(run.setup.steps for run in runs[trial.number]))
        # Planned from the whole round, so that a continued study trains the very same populations.
        planned = plan([run for rs in runs.values() for run in rs], width, abreast)
        populations = [p for p in planned if any(run.trial in missing for run in p)]
        arrived: dict[int, list[Trained]] = {number: [] for number in missing}
        commits.begin()
        for index, trained in executor.train(populations, lambda steps, _: progress.add(steps=steps), stop):
            for note in trained.notes:
                progress.say(note)
            for number in arrived.keys() & {run.trial for run in populations[index]}:
                arrived[number].append(trained)
                if sum(int((t.runs["trial"] == number).sum()) for t in arrived[number]) == len(runs[number]):
                    commits.add(missing[number], finish(study, missing[number], arrived.pop(number)))
        commits.wait()
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
        started_at_s=min((part.started_at_s for part in parts if part.started_at_s is not None), default=None),
        ended_at_s=max((part.ended_at_s for part in parts if part.ended_at_s is not None), default=None),
        errors={s: error for part in parts for (number, s), error in part.errors.items() if number == trial.number},
    )  # fmt: skip


def _of_trial(number: int, tables: list[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    """A trial's rows of several tables, in an order that does not depend on which came first."""
    found = pd.concat([table[table["trial"] == number] for table in tables])
    return found.sort_values(order, kind="stable", ignore_index=True)


def _name(study: Study, trial: Trial) -> str:
    levels = ", ".join(f"{path.rpartition('.')[2]}={show(trial.values[path])}" for path in study.sweeps())
    return f"{trial.number} {'confirm' if trial.confirm else 'tune'} {levels}"[:250]
