"""`Tally`: how much populations have done of the runs that a study lacks."""

from collections.abc import Callable, Collection

from harness.engine.runs import Run
from harness.execution.trainer import Trained
from harness.lead.progress.progress import Progress


class Tally:
    """Counts a population by the share of its steps that is done, and as all of it once all of its runs are back.

    It may train companions that the study has already, and a run that diverged takes no more steps: neither makes the study look
    more or less done than it is.

    Args:
        populations: that train now.
        lacking: (trial, seed) of the runs that the study lacks.
        cost: the work that a run is.
        progress: is kept up to date.
    """

    def __init__(
        self, populations: list[list[Run]], lacking: Collection[tuple[int, int]], cost: Callable[[Run], float], progress: Progress
    ) -> None:  # fmt: skip
        own = [[run for run in runs if (run.trial, run.seed) in lacking] for runs in populations]
        self._members = [len(runs) for runs in populations]
        self._whole = [sum(run.setup.steps for run in runs) for runs in populations]
        self._own = [sum(run.setup.steps for run in runs) for runs in own]
        self._work = [sum(map(cost, runs)) for runs in own]
        self._planned = [sum(map(cost, runs)) for runs in populations]
        self._taken, self._counted, self._back = ([0] * len(populations) for _ in range(3))
        self._progress = progress
        if populations:
            progress.together(self._members)

    def report(self, index: int, steps: int, _diverged: int) -> None:
        """So many steps more of a population are done: `harness.execution.trainer.OnPopulation`."""
        self._taken[index] += steps
        share = min(1.0, self._taken[index] / max(1, self._whole[index]))
        self._count(index, steps, round(share * self._own[index]))
        self._progress.went_on(index, planned_s=self._planned[index] * steps / max(1, self._whole[index]))

    def arrived(self, index: int, trained: Trained) -> None:
        """Runs of a population are back."""
        self._back[index] += len(trained.runs)
        if self._back[index] >= self._members[index]:
            self._count(index, 0, self._own[index])

    def _count(self, index: int, taken: int, done: int) -> None:
        more = done - self._counted[index]
        self._counted[index] = done
        work = self._work[index] * more / max(1, self._own[index])
        self._progress.trained(taken=taken, steps=more, work=work)
