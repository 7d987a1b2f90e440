"""What training costs: the seconds that a step of each run takes, as the placement has measured them."""

from collections.abc import Mapping
from statistics import fmean

from harness.engine.planning import group_name
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.way import Way
from harness.ledger.trial_runs import sample_runs
from harness.study import Study


class Costs:
    """The work that runs are, in seconds of one core.

    Args:
        ways: how groups of runs train, by their names; a group that is not among them costs what the others do on average.
    """

    def __init__(self, ways: Mapping[str, Way]) -> None:
        self._step_s = {name: way.step_s for name, way in ways.items()}
        self._usual_s = fmean(self._step_s.values()) if self._step_s else 1.0
        self._structures: dict[tuple[object, ...], str] = {}
        self._known: dict[Setup, float] = {}

    def of(self, run: Run) -> float:
        """Of all steps of a run."""
        if run.setup not in self._known:
            step_s = self._step_s.get(group_name(run, self._structures), self._usual_s)
            self._known[run.setup] = run.setup.steps * step_s
        return self._known[run.setup]

    def of_study(self, study: Study) -> float:
        """Of all runs (with several objectives: at least); where what is tuned decides how many steps these take, about."""
        runs = sample_runs(study)
        return sum(map(self.of, runs)) / len(runs) * len(study.cells()) * study.runs_per_cell()
