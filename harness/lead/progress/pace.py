"""`Pace`: from what was done by when to how long the rest will take."""

from itertools import combinations
from statistics import median

MOST_POINTS = 64
"""That are kept; of more, every other one goes."""

EARLY = 0.25
"""Of the time that has passed, the part whose points do not count."""

FEWEST = 4
"""Points that tell the rate, where there are so many."""

TELLING = 0.02
"""Of the work, the share that tells the rate by itself, from however few points: what is done first is done beside a start."""


class Pace:
    """The rate at which work is done: the median of the slopes between any two points of time (Theil 1950, Sen 1968).

    Work arrives in lumps, from several processes at about the same time; the first lump waits for these to start, and between two
    populations nothing arrives. Such a slope minds this less than a least-squares line, or what is done by now over the time it took.
    Of the points those of the last three quarters of the time count: training begins slower than it goes on, beside what else starts
    then, and a pause long ago says nothing of now.
    """

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._every, self._noted, self._skipped = 1, 0, 0.0
        self._last = (0.0, 0.0)
        self._rate: float | None = None
        self._begun: tuple[float, float] | None = None

    def begin(self, now_s: float) -> None:
        """Work begins now, which tells the rate until it was seen to go on twice."""
        self._begun = self._begun or (now_s, self._last[1])

    def skip(self, done: float) -> None:
        """So much was done without taking time."""
        self._skipped += done

    def note(self, now_s: float, done: float) -> None:
        """So much is done by now, what was skipped included."""
        self._last, self._rate = (now_s, done - self._skipped), None
        if self._noted % self._every == 0:
            self._points = [*self._points, self._last]
        self._noted += 1
        if len(self._points) > MOST_POINTS:
            self._points, self._every = self._points[::2], 2 * self._every

    def rate(self) -> float | None:
        """Done a second; None where that is not known."""
        if self._rate is None:
            points = [*self._points, self._last]
            if self._noted == 1 and self._begun is not None:
                points = [self._begun, self._last]
            since_s = (1 - EARLY) * points[0][0] + EARLY * points[-1][0]
            points = [point for i, point in enumerate(points) if point[0] >= since_s or i >= len(points) - FEWEST]
            slopes = [
                (done - before) / (at_s - was_s)
                for (was_s, before), (at_s, done) in combinations(points, 2)
                if at_s > was_s
            ]
            self._rate = median(slopes) if slopes else None
        return self._rate if self._rate is not None and self._rate > 0 else None

    def left_s(self, now_s: float, left: float) -> float | None:
        """How many seconds what is left takes from now on; None where that is not known.

        That is where next to nothing tells it, and where the time it was to take has passed.
        """
        rate, done = self.rate(), self._last[1] - (0.0 if self._begun is None else self._begun[1])
        if self._noted < FEWEST and done < TELLING * (done + left):
            return None
        left_s = None if rate is None else left / rate - (now_s - self._last[0])
        return left_s if left_s is not None and left_s > 0 else None
