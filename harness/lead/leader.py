"""The leader: one process that holds all state and takes a study through its rounds.

    ask a round (design) → plan populations → train them (executors) → record what is finished → tell (design)

What is not committed (`harness.ledger.records.commit`) when the leader dies is committed or trained again by the next one.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import pandas as pd

from harness.engine.content import trial_key
from harness.engine.diagnostics.churn import PREDICTIONS, with_churn
from harness.engine.runs import Run
from harness.execution.costs import Costs
from harness.execution.trainer import Executor, Trained
from harness.lead.progress.progress import Progress
from harness.lead.progress.tally import Tally
from harness.ledger.asking import Portion, Round
from harness.ledger.design import Design
from harness.ledger.entries import MACHINE, RUN, wanted
from harness.ledger.records.commit import Commits
from harness.ledger.records.finished import FinishedTrial
from harness.ledger.records.populations import population_table
from harness.ledger.trial_runs import factor_values, runs_of, seeds_of
from harness.settings import ranges, show
from harness.settings.levels import label
from harness.settings.patience import Stopped
from harness.settings.show import counted
from harness.study import Study
from harness.study.widening import tuned

Planner = Callable[[list[Run]], list[list[Run]]]
"""Partitions a round's runs into populations."""


@dataclass(frozen=True)
class Leader:
    """Takes a study through its rounds.

    Attributes:
        study: the study.
        design: its trials, and what of them is there.
        commits: takes those that are trained, its block entered.
        executor: trains populations.
        progress: is kept up to date.
        plan: puts the runs of a round together, see `harness.engine.planning.plan`; the same whenever it is continued.
        costs: the work that runs are.
        stop: once it returns true, no population is begun any more.
    """

    study: Study
    design: Design
    commits: Commits
    executor: Executor
    progress: Progress
    plan: Planner
    costs: Costs
    stop: Callable[[], bool]

    def lead(self, lost: Collection[int] = ()) -> None:
        """Train, record and tell every run of the study that is not there yet.

        Args:
            lost: entries that are told, but whose records are lost: they are trained again.

        Raises:
            Stopped: before all was done.
            OSError: the disk is full or cannot be written.
            RecordError: MLflow refuses a record.
        """
        self.progress.restart()
        for name in self.design.rounds():
            asked = self.commits.patiently(partial(self.design.ask, name, lost))
            self.progress.begin(name.partition(" ")[0])
            self._count_there(asked)
            for wave in asked.waves:
                runs = {portion.number: runs_of(self.study, portion.trial, portion.seeds) for portion in wave}
                self.progress.cell_of |= {portion.number: portion.trial.cell for portion in wave}
                missing = self._missing(wave, runs)
                # Planned from the whole wave, so that a continued study trains the very same populations.
                planned = self.plan([run for of_portion in runs.values() for run in of_portion])
                self._train(planned, runs, missing)
        self.commits.wait()  # where nothing was trained, this launch is still recorded

    def _count_there(self, asked: Round) -> None:
        """Count what of a round is there: all but what is asked for."""
        wanted = [run for each in asked.trials for run in runs_of(self.study, each.trial, each.seeds)]
        missing = {(p.trial.number, seed) for wave in asked.waves for p in wave if not p.told for seed in p.seeds}
        if any(each.trial.widened(self.study) for each in asked.trials):
            self.progress.more(runs=len(wanted), steps=_steps(wanted), work=sum(map(self.costs.of, wanted)))
            self._say_widened(asked, new=len(missing))
        if len(self.study.objectives()) > 1 and any(each.trial.confirm for each in asked.trials):
            self._count_further(wanted[len(self.study.cells()) * len(self.study.confirm_seeds()) :], missing)
        there = [run for run in wanted if (run.trial, run.seed) not in missing]
        cells = {each.trial.number: each.trial.cell for each in asked.trials}
        self.progress.of_cell.update(cells[run.trial] for run in there)
        self.progress.there(runs=len(there), steps=_steps(there), work=sum(map(self.costs.of, there)))

    def _count_further(self, runs: list[Run], missing: Collection[tuple[int, int]]) -> None:
        """Count those of cells that several objectives choose several values of, which nobody could know of before."""
        self.progress.more(runs=len(runs), steps=_steps(runs), work=sum(map(self.costs.of, runs)))
        if any((run.trial, run.seed) in missing for run in runs):
            self.commits.patiently(self.design.keep_summary)
            self.progress.say(
                f"By several objectives cells have several best values: {counted(len(runs), 'more run')} of the confirm phase."
            )

    def _say_widened(self, asked: Round, *, new: int) -> None:
        """Say beyond which end a round goes, where something of it must be trained."""
        (path, tune), cells = tuned(self.study), len(self.study.cells())
        values = ", ".join(label(path, each.trial.values[path]) for each in asked.trials[::cells])
        if new:
            self.progress.say(
                f"Widened: the best {path} of a cell lies at an end of what was tried of {show(tune)}; {values} is tried in all "
                f"cells and seeds ({counted(new, 'run')})."
            )

    def _missing(self, wave: list[Portion], runs: Mapping[int, list[Run]]) -> dict[int, Portion]:
        """What of a wave must be trained; what an earlier leader trained is committed."""
        missing = {portion.number: portion for portion in wave if not portion.told}
        for number in list(missing):
            if self.commits.resume(number):
                del missing[number]
                self.progress.there(runs=0, steps=_steps(runs[number]), work=sum(map(self.costs.of, runs[number])))
        return missing

    def _train(self, planned: list[list[Run]], runs: Mapping[int, list[Run]], missing: dict[int, Portion]) -> None:
        """Train the populations that hold missing runs, and commit each portion once all its runs are there."""
        portion_of = {(run.trial, run.seed): number for number, own in runs.items() for run in own}
        keys = {(run.trial, run.seed): self._key(run) for runs in planned for run in runs}
        inside = [{portion_of.get((run.trial, run.seed)) for run in runs} & missing.keys() for runs in planned]
        populations = [runs for runs, numbers in zip(planned, inside, strict=True) if numbers]
        waiting = [numbers for numbers in inside if numbers]
        arrived: dict[int, list[Trained]] = {number: [] for number in missing}
        self.commits.begin()
        lacking = {run for run, number in portion_of.items() if number in missing}
        tally = Tally(populations, lacking, self.costs, self.progress)
        for index, trained in self.executor.train(populations, tally.report, self.stop):
            tally.arrived(index, trained)
            for note in trained.notes:
                self.progress.say(note)
            for number in arrived.keys() & waiting[index]:
                arrived[number].append(trained)
                seeds = {run.seed for run in runs[number]}
                if sum(len(_rows(t.runs, missing[number].trial.number, seeds)) for t in arrived[number]) == len(seeds):
                    self.commits.add(finish(self.study, missing[number], arrived.pop(number), keys))
        self.commits.wait()
        if arrived:
            raise Stopped

    def _key(self, run: Run) -> tuple[str, int]:
        """What a run is among those that train together: the key of its trial, and its seed."""
        return trial_key(run.setup, self.study.evaluations, confirm=run.confirm), run.seed


def finish(
    study: Study, portion: Portion, parts: list[Trained], keys: Mapping[tuple[int, int], tuple[str, int]]
) -> FinishedTrial:
    """A portion as it is recorded, from the populations that held its runs.

    Args:
        study: the study.
        portion: what is recorded.
        parts: what came of the populations, or of parts of them.
        keys: (trial, seed) → (key of the trial, seed) of the runs that trained together.
    """
    trial, own = portion.trial, {(portion.trial.number, seed) for seed in portion.seeds}
    runs = _ordered([_rows(part.runs, trial.number, portion.seeds) for part in parts], ["seed"])
    runs = with_churn(runs).assign(**{PREDICTIONS: runs[PREDICTIONS]}) if PREDICTIONS in runs else runs
    factors, phase = factor_values(study, trial), "confirm" if trial.confirm else "tune"
    identity = pd.DataFrame({"trial": runs["trial"], "seed": runs["seed"], "phase": phase})
    settings = pd.DataFrame({path: [value] * len(runs) for path, value in factors.items()})
    of_seed = {seed: error for part in parts for (number, seed), error in part.errors.items() if (number, seed) in own}
    by_machine = {seed for part in parts for number, seed in part.by_machine if (number, seed) in own}
    wants = wanted(study, trial)
    return FinishedTrial(
        number=portion.number, key=portion.key, level=wants.level, measures=wants.measures,
        name=_name(study, portion), phase=phase, params=factors,
        cell={path: factors[path] for path in study.sweeps()}, tuned=tuple(study.tunes()),
        runs=pd.concat([identity, settings, runs.drop(columns=["trial", "seed"])], axis=1),
        curves=_ordered([_rows(part.curves, trial.number, portion.seeds) for part in parts], ["seed", "step"]),
        populations=population_table(
            portion.key, [tuple(keys[member] for member in members) for part in parts for members in part.parts]
        ),
        errors=of_seed, failed={seed: MACHINE if seed in by_machine else RUN for seed in of_seed},
        started_at_s=min(part.started_at_s for part in parts), ended_at_s=max(part.ended_at_s for part in parts),
    )  # fmt: skip


def _steps(runs: list[Run]) -> int:
    return sum(run.setup.steps for run in runs)


def _rows(table: pd.DataFrame, trial: int, seeds: Collection[int]) -> pd.DataFrame:
    """The rows of some runs of a trial."""
    return table[(table["trial"] == trial) & table["seed"].isin(seeds)]


def _ordered(tables: list[pd.DataFrame], order: list[str]) -> pd.DataFrame:
    """Rows of several tables in an order that does not depend on which came first."""
    return pd.concat(tables).sort_values(order, kind="stable", ignore_index=True)


def _name(study: Study, portion: Portion) -> str:
    trial, phase = portion.trial, "confirm" if portion.trial.confirm else "tune"
    levels = ", ".join(f"{path.rpartition('.')[2]}={show(trial.values[path])}" for path in study.sweeps())
    some = "" if set(portion.seeds) == set(seeds_of(study, trial)) else f" seeds {ranges(portion.seeds)}"
    return f"{trial.number} {phase} {levels}{some}"[:250]
