"""`Slowness`: says once when training is much slower than it was measured to be, as beside other programs."""

import os

SLOW = 2.0
"""From so many times the planned time on it is said: narrow populations, and evaluations, are planned less exactly than steps."""

SEEN_S = 20.0
"""Of training, before anything is said."""


class Slowness:
    """Compares the work that is done a second with what should be done."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._over = False

    def said(self, now_s: float, rate: float | None, *, planned: float) -> str:
        """What the user should know now, once; "" for nothing.

        Args:
            now_s: the time.
            rate: seconds of work done a second; None where that is not known.
            planned: the same as planned: how many train at a time.
        """
        self._since_s = now_s if self._since_s is None else self._since_s
        if self._over or rate is None or now_s - self._since_s < SEEN_S or planned < SLOW * rate:
            return ""
        self._over = True
        times = f"{planned / rate:.1f} times as long"
        return f"Training takes {times} as was measured before it began{busy()}; its results are the same."


def busy() -> str:
    """What else the cores do, in words, where the system says that."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    return f": other programs use these cores (a load of {load:.1f} on {cores})" if load > 1.5 * cores else ""
