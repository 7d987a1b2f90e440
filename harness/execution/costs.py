"""What training costs: the seconds that a step of each run takes, as they were measured, and its evaluations."""

from bisect import bisect_right
from collections.abc import Mapping
from statistics import fmean

from harness.engine.evaluation import steps_worth
from harness.engine.history import LoggingSteps
from harness.engine.planning import group_name
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.way import Way
from harness.ledger.trial_runs import sample_runs
from harness.study import Study
from harness.tasks.task import Data, Task


class Costs:
    """The work that runs are, in seconds of one core.

    Args:
        ways: how groups of runs train, by their names; a group that is not among them costs what the others do on average.
        evaluations: of a run, while it trains.
    """

    def __init__(self, ways: Mapping[str, Way], evaluations: int) -> None:
        self._ways, self._evaluations = ways, evaluations
        self._usual_s = fmean(way.step_s for way in ways.values()) if ways else 1.0
        self._structures: dict[tuple[object, ...], str] = {}
        self._known: dict[tuple[Setup, bool], float] = {}
        self._data: dict[Task, Data] = {}  # of one seed: another one has as many examples

    def of(self, run: Run) -> float:
        """Of all of a run."""
        key = run.setup, run.confirm
        if key not in self._known:
            way = self._ways.get(group_name(run, self._structures)) if self._ways else None
            self._known[key] = self._in_steps(run, run.setup.steps, tests=run.confirm) * (
                way.step_s if way else self._usual_s
            )
        return self._known[key]

    def share(self, run: Run, steps: int) -> float:
        """Of all of a run, how much is done after so many of its steps: with the evaluations up to there, without what is measured at its end."""
        return self._in_steps(run, steps, tests=False) / self._in_steps(run, run.setup.steps, tests=run.confirm)

    def _in_steps(self, run: Run, steps: int, *, tests: bool) -> float:
        """Of steps and the evaluations after them, in steps."""
        if run.setup.task not in self._data:
            self._data[run.setup.task] = run.data()
        evaluated = LoggingSteps(run.setup.steps, self._evaluations).evaluated()
        return steps + steps_worth(run.setup, self._data[run.setup.task], bisect_right(evaluated, steps), tests=tests)

    def of_study(self, study: Study) -> float:
        """Of all runs (with several objectives: at least); where what is tuned decides how many steps these take, about."""
        runs = sample_runs(study)
        return sum(map(self.of, runs)) / len(runs) * len(study.cells()) * study.runs_per_cell()

    def seconds(self, study: Study, places: int) -> float:
        """About how long all of it takes in so many processes."""
        return self.of_study(study) / places
