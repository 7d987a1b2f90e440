"""`Slowness`: says once when training is much slower than it was measured to be, as beside other programs."""

import os

SLOW = 2.0
"""From so many times the planned time on it is said: narrow populations, and evaluations, are planned less exactly than steps."""

SEEN_S = 20.0
"""Of training, summed over populations, before anything is said."""


class Slowness:
    """Compares the time between two reports of a population with what its steps in between were planned to take.

    What comes before the first report and after the last is no training: a process starts, metrics are computed, tables wait
    for the leader.
    """

    def __init__(self) -> None:
        self._reported_s: dict[int, float] = {}
        self._took_s = self._planned_s = 0.0
        self._over = False

    def begin(self) -> None:
        """Other populations train from now on."""
        self._reported_s.clear()

    def said(self, population: int, now_s: float, *, planned_s: float) -> str:
        """What the user should know now, once; "" for nothing.

        Args:
            population: that reports.
            now_s: the time.
            planned_s: what its steps since its last report were planned to take; below 0 where it begins anew.
        """
        before_s = self._reported_s.pop(population, None)
        if planned_s < 0:
            return ""
        self._reported_s[population] = now_s
        if before_s is not None:
            self._took_s += now_s - before_s
            self._planned_s += planned_s
        if self._over or self._took_s < max(SEEN_S, SLOW * self._planned_s) or self._planned_s <= 0:
            return ""
        self._over = True
        times = f"{self._took_s / self._planned_s:.1f} times as long"
        return f"Training takes {times} as was measured before it began{busy()}; its results are the same."


def busy() -> str:
    """What else the cores do, in words, where the system says that."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    return f": other programs use these cores (a load of {load:.1f} on {cores})" if load > 1.5 * cores else ""
