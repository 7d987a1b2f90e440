"""The leader: one process that holds all state and takes a study through its rounds.

    ask a round (design) → plan populations → train them (executors) → record each finished trial → tell (design)

A finished trial is committed in this order: MLflow, in place of whatever is there of it, then Optuna's `tell`. What is
not told when the leader dies is trained again and takes the place of the same records.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from harness.design import WORST, Design, Trial
from harness.executors import Executor, Trained
from harness.population import Run, plan
from harness.record import FinishedTrial, Recorder
from harness.settings import show
from harness.study import Study

TUNE_SEEDS = 1_000_000
"""First seed of the tune phase; the confirm phase has smaller ones, so that the two never meet."""

Plain = float | int | str | bool
"""A setting as it appears in tables."""


class Stopped(Exception):
    """`lead` was asked to stop before all was done; all finished trials are saved."""


@dataclass
class Progress:
    """How far a study is; `show` is called at every change.

    Attributes:
        steps, done_steps: training steps, summed over runs, in all and done.
        runs, done_runs, diverged: numbers of runs.
        say: is told what the user should know at once.
    """

    steps: int
    runs: int
    show: Callable[["Progress"], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    done_steps: int = 0
    done_runs: int = 0
    diverged: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, *, steps: int = 0, runs: int = 0, diverged: int = 0) -> None:
        """Count what was done and show it."""
        self.done_steps += steps
        self.done_runs += runs
        self.diverged += diverged
        self.show(self)


def runs_of(study: Study, trial: Trial) -> list[Run]:
    """The runs of one trial, a seed each."""
    seeds = study.confirm_seeds() if trial.confirm else [TUNE_SEEDS + i for i in range(study.tune_seeds)]
    setup = study.setup(trial.values)
    return [Run(trial.number, seed, setup, trial.values, trial.confirm) for seed in seeds]


def sample_runs(study: Study) -> list[Run]:
    """The runs of a round that could train together with those of the first cell: what a population may be cut from."""
    low = {path: tune.low for path, tune in study.tunes().items()}
    trials = [Trial(i, i, True, cell | low, told=False) for i, cell in enumerate(study.cells())]
    runs = [run for trial in trials for run in runs_of(study, trial)]
    return max(plan(runs, len(runs)), key=len)


def n_steps(study: Study) -> int:
    """Training steps of the whole study, summed over its runs (with several objectives: at least)."""
    tune = study.tune_trials * study.tune_seeds if study.tunes() else 0
    steps = [study.setup(cell | {path: t.low for path, t in study.tunes().items()}).steps for cell in study.cells()]
    return sum(steps) * (tune + len(study.confirm_seeds()))


def n_runs(study: Study) -> int:
    """Runs of the whole study (with several objectives: at least)."""
    tune = study.tune_trials * study.tune_seeds if study.tunes() else 0
    return len(study.cells()) * (tune + len(study.confirm_seeds()))


def lead(
    study: Study, design: Design, recorder: Recorder, executor: Executor, *, width: int, abreast: int,
    progress: Progress, stop: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Train, record and tell every trial of the study that is not told yet.

    Args:
        study: the study.
        design: its trials.
        recorder: its records, a launch opened.
        executor: trains populations.
        width: see `plan`; the same whenever the study is continued.
        abreast: likewise.
        progress: is kept up to date.
        stop: once it returns true, no population is begun any more.

    Raises:
        Stopped: before all was done.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="record") as thread:
        for trials in design.rounds():
            runs = {trial.number: runs_of(study, trial) for trial in trials}
            told = {trial.number for trial in trials if trial.told}
            for number in told:
                progress.add(steps=sum(run.setup.steps for run in runs[number]), runs=len(runs[number]))
            # Planned from the whole round, so that a continued study trains the very same populations.
            planned = plan([r for rs in runs.values() for r in rs], width, abreast)
            populations = [p for p in planned if not {r.trial for r in p} <= told]
            waiting = {trial.number: (trial, len(runs[trial.number])) for trial in trials if not trial.told}
            arrived: dict[int, list[Trained]] = {number: [] for number in waiting}
            commits: list[Future[None]] = []
            for index, trained in executor.train(populations, lambda steps, _: progress.add(steps=steps), stop):
                for note in trained.notes:
                    progress.say(note)
                for number in dict.fromkeys(run.trial for run in populations[index]):
                    if number not in arrived:
                        continue
                    arrived[number].append(trained)
                    trial, wanted = waiting[number]
                    if sum(int((t.runs["trial"] == number).sum()) for t in arrived[number]) == wanted:
                        commits.append(
                            thread.submit(_commit, study, design, recorder, trial, arrived.pop(number), progress)
                        )
            for commit in commits:
                commit.result()
            if arrived:
                raise Stopped


def _of_trial(number: int, tables: list[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    """A trial's rows of several tables, in an order that does not depend on which came first."""
    found = pd.concat([table[table["trial"] == number] for table in tables])
    return found.sort_values(order, kind="stable", ignore_index=True)


def _commit(
    study: Study, design: Design, recorder: Recorder, trial: Trial, parts: list[Trained], progress: Progress
) -> None:
    runs = _of_trial(trial.number, [part.runs for part in parts], ["seed"])
    curves = _of_trial(trial.number, [part.curves for part in parts], ["seed", "step"])
    factors = factor_values(study, trial)
    identity = pd.DataFrame(
        {"trial": runs["trial"], "seed": runs["seed"], "phase": "confirm" if trial.confirm else "tune"}
    )
    settings = pd.DataFrame({path: [value] * len(runs) for path, value in factors.items()})
    table = pd.concat([identity, settings, runs.drop(columns=["trial", "seed"])], axis=1)
    errors = {key: error for part in parts for key, error in part.errors.items() if key[0] == trial.number}
    recorder.record(
        FinishedTrial(
            number=trial.number, name=_name(study, trial), phase=str(identity["phase"][0]), params=factors, runs=table,
            curves=curves, errors={seed: error for (_, seed), error in errors.items()},
        )
    )  # fmt: skip
    objectives = [table[name].where(np.isfinite(table[name]), WORST).mean() for name in study.objectives()]
    design.tell(trial, [float(value) for value in objectives], diverged=int((table["status"] == "diverged").sum()))
    progress.failed += int((table["status"] == "failed").sum())
    progress.errors += errors.values()
    progress.add(runs=len(table), diverged=int((table["status"] == "diverged").sum()))


def factor_values(study: Study, trial: Trial) -> dict[str, Plain]:
    """Every setting of a trial by factor path, and every level of a sweep; what is not a plain value as text."""
    levels = {path: trial.values[path] for path in study.sweeps()}  # may be components, which `walk` enters
    values = dict(study.setup(trial.values).walk()) | levels
    return {path: v if isinstance(v, bool | int | float | str) else show(v) for path, v in values.items()}


def _name(study: Study, trial: Trial) -> str:
    levels = ", ".join(f"{path.rpartition('.')[2]}={show(trial.values[path])}" for path in study.sweeps())
    return f"{trial.number} {'confirm' if trial.confirm else 'tune'} {levels}"[:250]
