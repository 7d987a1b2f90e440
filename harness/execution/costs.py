"""What training costs: the seconds that a step of each run takes, as they were measured, and its evaluations."""

from collections.abc import Mapping
from statistics import fmean

from harness.engine.evaluation import steps_worth
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
            way = self._ways.get(group_name(run, self._structures))
            if run.setup.task not in self._data:
                self._data[run.setup.task] = run.data()
            data = self._data[run.setup.task]
            steps = run.setup.steps + steps_worth(run.setup, data, self._evaluations, confirm=run.confirm)
            self._known[key] = steps * (self._usual_s if way is None else way.step_s)
        return self._known[key]

    def of_study(self, study: Study) -> float:
        """Of all runs (with several objectives: at least); where what is tuned decides how many steps these take, about."""
        runs = sample_runs(study)
        return sum(map(self.of, runs)) / len(runs) * len(study.cells()) * study.runs_per_cell()

    def seconds(self, study: Study, places: int) -> float:
        """About how long all of it takes in so many processes."""
        return self.of_study(study) / places
