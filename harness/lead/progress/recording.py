"""`Recording`: how long it takes to record what has trained."""

USUAL_S = 0.012
"""Of one run with MLflow on the same disk, until some are recorded: 2,560 runs of 60 steps took 32 s."""


class Recording:
    """What recording is to take, as it did so far.

    One thread records trials one after another, beside those that train: where runs are short it takes as long as they do.

    Args:
        usual_s: of a run, before any is recorded.
    """

    def __init__(self, usual_s: float) -> None:
        self._usual_s = usual_s
        self._runs, self._took_s = 0, 0.0
        self._last_s: float | None = None

    def note(self, now_s: float, runs: int, took_s: float) -> None:
        """So many runs are recorded now, which took so long."""
        self._runs += runs
        self._took_s += took_s
        self._last_s = now_s

    def all_s(self, runs: int) -> float:
        """How long so many runs take."""
        return runs * (self._took_s / self._runs if self._runs else self._usual_s)

    def left_s(self, now_s: float, runs: int) -> float | None:
        """How many seconds from now on, with nothing else to wait for; None once that time has passed."""
        self._last_s = now_s if self._last_s is None else self._last_s
        left_s = self.all_s(runs) - (now_s - self._last_s)
        return left_s if left_s > 0 else None
