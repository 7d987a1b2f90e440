"""`Tally`: how much populations have done of the runs that a study lacks."""

from collections.abc import Collection

from harness.engine.runs import Run
from harness.execution.costs import Costs
from harness.execution.trainer import Trained
from harness.lead.progress.progress import Progress


class Tally:
    """Counts a population by the steps that are done and the evaluations among them, and as all of it once all of its runs are back.

    It may train companions that the study has already, and a run that diverged takes no more steps: neither makes the study look
    more or less done than it is.

    Args:
        populations: that train now.
        lacking: (trial, seed) of the runs that the study lacks.
        costs: the work that runs are.
        progress: is kept up to date.
    """

    def __init__(
        self, populations: list[list[Run]], lacking: Collection[tuple[int, int]], costs: Costs, progress: Progress
    ) -> None:  # fmt: skip
        own = [[run for run in runs if (run.trial, run.seed) in lacking] for runs in populations]
        self._populations, self._costs, self._progress = populations, costs, progress
        self._whole = [sum(run.setup.steps for run in runs) for runs in populations]
        self._own = [sum(run.setup.steps for run in runs) for runs in own]
        self._work = [sum(map(costs.of, runs)) for runs in own]
        self._planned = [sum(map(costs.of, runs)) for runs in populations]
        self._taken, self._counted, self._back = ([0] * len(populations) for _ in range(3))
        self._share = [0.0] * len(populations)
        if populations:
            progress.together([len(runs) for runs in populations])

    def report(self, index: int, steps: int, _diverged: int) -> None:
        """So many steps more of a population are done: `harness.execution.trainer.OnPopulation`."""
        self._taken[index] += steps
        part, before = min(1.0, self._taken[index] / max(1, self._whole[index])), self._share[index]
        any_run = self._populations[index][0]  # all take as many steps
        share = self._costs.share(any_run, round(part * any_run.setup.steps)) if part else 0.0
        self._count(index, steps, round(part * self._own[index]), share)
        self._progress.went_on(index, planned_s=self._planned[index] * (share - before))

    def arrived(self, index: int, trained: Trained) -> None:
        """Runs of a population are back."""
        self._back[index] += len(trained.runs)
        if self._back[index] >= len(self._populations[index]):
            self._count(index, 0, self._own[index], 1.0)

    def _count(self, index: int, taken: int, done: int, share: float) -> None:
        """Of a population's own runs so many steps, and this share of their work, are done."""
        steps, work = done - self._counted[index], self._work[index] * (share - self._share[index])
        self._counted[index], self._share[index] = done, share
        self._progress.trained(taken=taken, steps=steps, work=work)
