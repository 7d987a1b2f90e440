"""`Pace`: from what was done by when to how long the rest will take."""


class Pace:
    """A straight line through what was done by when, by least squares.

    Work arrives in lumps, from several processes at about the same time, and the first lump waits for these to start: the slope of a
    line minds neither, other than what is done by now over the time that it took.
    """

    def __init__(self) -> None:
        self._n, self._last_s, self._skipped = 0, 0.0, 0.0
        self._mean_s = self._mean_done = self._spread_s = self._shared = 0.0

    def skip(self, done: float) -> None:
        """So much was done without taking time."""
        self._skipped += done

    def note(self, now_s: float, done: float) -> None:
        """So much is done by now, what was skipped included."""
        self._n, self._last_s = self._n + 1, now_s
        off_s, off_done = now_s - self._mean_s, done - self._skipped - self._mean_done
        self._mean_s += off_s / self._n
        self._mean_done += off_done / self._n
        self._spread_s += off_s * (now_s - self._mean_s)
        self._shared += off_s * (done - self._skipped - self._mean_done)

    def rate(self) -> float | None:
        """Done a second; None where that is not known."""
        return self._shared / self._spread_s if self._spread_s > 0 and self._shared > 0 else None

    def left_s(self, now_s: float, left: float) -> float | None:
        """How many seconds what is left takes from now on; None where that is not known."""
        rate = self.rate()
        return None if rate is None else max(0.0, left / rate - (now_s - self._last_s))
