"""How far a study is: runs, steps, and how long the rest will take.

What is left is reckoned in *work*: steps × members × the seconds that a step of such a run was measured to take
(`harness.execution.costs`). So a study whose large networks come last does not seem half done when half of its runs are.
What it takes to record them comes on top.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from harness.lead.progress.best import Best
from harness.lead.progress.pace import Pace
from harness.lead.progress.recording import Recording
from harness.lead.progress.slowness import Slowness
from harness.lead.terminal.events import Phase, Said, Tell

ROUNDING = 1e-9
"""Of the work, a share that is but the rounding of its sum."""


@dataclass
class Progress:
    """How far a study is: an event itself, which is told at every change.

    Attributes:
        runs, done_runs: runs in all, and those that are recorded.
        steps, done_steps: training steps, summed over runs, in all and done.
        work, done_work: the same in seconds, as measured before; how many train at a time is not in it.
        cells: of the study.
        timed: whether `work` is in such seconds; where it is in others, nothing is said of how slow training is.
        record_s: seconds that it takes to record a run, until that is seen.
        cores: that record and train.
        tell: takes events.
        clock: seconds now; the time left and the speed are reckoned by it.
        phase: see `harness.lead.terminal.events.Phase`; "" before the first round.
        members: how many runs train together at present, the least and the most; none before the first.
        cell_of: the cell of each entry that is trained.
        of_cell: runs that are recorded, by cell.
        trained_steps: steps that were trained since training began, those of companions included.
        trained_runs, diverged, collapsed, failed, out_of_memory: of those recorded in this launch; `out_of_memory` counts the failed
            ones that were killed or for which memory was not enough.
        best: see there.
        errors: tracebacks of the failed ones.
    """

    runs: int
    steps: int
    work: float = 0.0
    cells: int = 1
    timed: bool = False
    record_s: float = 0.0
    cores: int = 1
    tell: Tell = lambda event: None
    clock: Callable[[], float] = time.monotonic
    phase: str = ""
    members: tuple[int, int] | None = None
    done_runs: int = 0
    done_steps: int = 0
    done_work: float = 0.0
    cell_of: dict[int, int] = field(default_factory=dict)
    of_cell: Counter[int] = field(default_factory=Counter)
    trained_steps: int = 0
    trained_runs: int = 0
    diverged: int = 0
    collapsed: int = 0
    failed: int = 0
    out_of_memory: int = 0
    best: Best | None = None
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._planned = self.runs, self.steps, self.work
        self._pace, self._speed, self._slowness = Pace(), Pace(), Slowness()
        self._recording = Recording(self.record_s)

    def say(self, text: str) -> None:
        """Tell what the user should know at once."""
        self.tell(Said(text, urgent=True))

    def begin(self, phase: str) -> None:
        """Tell that a phase begins."""
        self.phase = phase
        self.tell(Phase(phase))

    def together(self, sizes: Collection[int]) -> None:
        """Populations of so many members each are to be trained."""
        self.members = (min(sizes), max(sizes))
        self._pace.begin(self.clock())
        self._slowness.begin()

    def there(self, *, runs: int, steps: int, work: float) -> None:
        """Count what is there already: it took no time."""
        self.done_runs += runs
        self.done_steps += steps
        self.done_work += work
        self._pace.skip(work)
        self.tell(self)

    def trained(self, *, taken: int, steps: int, work: float) -> None:
        """Count what was trained just now.

        Args:
            taken: steps, those of companions included.
            steps: of the runs that the study lacks.
            work: of these.
        """
        self.trained_steps += taken
        self.done_steps += steps
        self.done_work += work
        now = self.clock()
        self._pace.note(now, self.done_work)
        self._speed.note(now, self.trained_steps)
        self.tell(self)

    def went_on(self, population: int, *, planned_s: float) -> None:
        """One of the populations that train took steps that were planned to take so long; below 0 where it begins anew."""
        if self.timed and (text := self._slowness.said(population, self.clock(), planned_s=planned_s)):
            self.say(text)

    def recorded(self, runs: int, entry: int, *, took_s: float = 0.0) -> None:
        """Count the runs of an entry, which are recorded now, and how long that took."""
        self._recording.note(self.clock(), runs, took_s)
        self.done_runs += runs
        self.of_cell[self.cell_of[entry]] += runs
        self.tell(self)

    def more(self, *, runs: int, steps: int, work: float) -> None:
        """There is more to do than was planned."""
        self.runs += runs
        self.steps += steps
        self.work += work

    def restart(self) -> None:
        """Count from the beginning what is done: all of it is looked through again."""
        self.runs, self.steps, self.work = self._planned
        self.done_runs = self.done_steps = 0
        self.done_work = 0.0
        self.of_cell.clear()
        self._pace = Pace()

    @property
    def share(self) -> float:
        """Of the work, how much is done: from 0 to 1, which it is once all runs are recorded, and at most 0.99 before."""
        if self.done_runs >= self.runs:
            return 1.0
        return min(0.99, self.done_work / self.work) if self.work > 0 else 0.0

    @property
    def done_cells(self) -> int:
        """Cells all of whose runs are recorded, as far as these are planned."""
        return sum(count * self.cells >= self.runs for count in self.of_cell.values())

    def left_s(self) -> float | None:
        """About how many seconds it takes until all runs are recorded.

        None where there is no telling: at first, and once it should have ended.
        """
        if self.done_runs >= self.runs:
            return 0.0
        now_s, work, runs = self.clock(), self.work - self.done_work, self.runs - self.done_runs
        if work <= ROUNDING * self.work:
            return self._recording.left_s(now_s, runs)
        training_s, recording_s = self._pace.left_s(now_s, work), self._recording.all_s(runs)
        return None if training_s is None else max(training_s + recording_s / self.cores, recording_s)

    def steps_per_s(self) -> float | None:
        """Steps a second, summed over all that train, on average since training began; None where there is no telling yet."""
        return self._speed.rate()

    def snapshot(self) -> dict[str, Any]:
        """What there is to know now, as plain JSON values."""
        left_s, speed = self.left_s(), self.steps_per_s()
        return {
            "phase": self.phase, "runs": self.runs, "done_runs": self.done_runs, "steps": self.steps, "done_steps": self.done_steps,
            "share": round(self.share, 4), "left_s": None if left_s is None else round(left_s, 1),
            "steps_per_s": None if speed is None else round(speed, 1), "cells": self.cells, "done_cells": self.done_cells,
            "members": None if self.members is None else list(self.members), "diverged": self.diverged,
            "collapsed": self.collapsed, "failed": self.failed, "best": None if self.best is None else self.best.as_json(),
        }  # fmt: skip
