"""`Cost`: what a step of a study's populations takes, and how long a training of so many steps takes with it."""

from dataclasses import dataclass

WIDEST = 1024
"""Members of a population, at most."""

START_S = 6.0
"""Until worker processes have imported what they need."""

SHARING = 1.25
"""How much longer a step takes on threads that wait for one another than on as many processes (1.1 to 1.5 by the bench)."""


@dataclass(frozen=True)
class Cost:
    """What was measured of populations like a study's.

    Attributes:
        width: the best number of members.
        step_s: seconds per step and member, on a CPU with one thread.
    """

    width: int
    step_s: float

    def training_s(self, steps: int, cores: int, workers: int) -> float:
        """Seconds that `steps` training steps, summed over members, take with so many processes on all cores."""
        return self.step_s * steps / cores * (SHARING if workers < cores else 1) + START_S * (workers > 1)

    def workers(self, steps: int, cores: int, populations: int) -> int:
        """The number of processes on so many cores that takes the least time."""
        return min((1, min(cores, populations)), key=lambda workers: self.training_s(steps, cores, workers))
