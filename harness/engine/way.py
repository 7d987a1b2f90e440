"""`Way`: how runs of one architecture train, what a step of that takes, and how long a training of so many steps."""

from dataclasses import dataclass

WIDEST = 1024
"""Members of a population, at most."""

SHARING = 1.25
"""How much longer a step takes on threads that wait for one another than on as many processes (1.1 to 1.5 by the bench)."""


@dataclass(frozen=True)
class Way:
    """How runs train that could share a population: those of one `population_key`.

    Attributes:
        width: members of a population; 1 where each run trains by the plain loop, on one thread.
        step_s: seconds per step and member, on a CPU with one thread.
        apart: whether only runs share a population whose modules agree in every number.
        why: runs train by the plain loop, in words; "" where they do not.
        member_bytes: memory of one member of a population; 0 where runs train by the plain loop.
        alone: whether a population's members give the same bits among other companions, as far as `independence` shows.
    """

    width: int
    step_s: float
    apart: bool = False
    why: str = ""
    member_bytes: int = 0
    alone: bool = False

    def fits(self, memory_bytes: int) -> bool:
        """Whether memory bears such a population; it has two members at least."""
        return self.width <= 2 or self.width * self.member_bytes <= memory_bytes

    def seconds(self, steps: int, cores: int, workers: int) -> float:
        """How long `steps` training steps, summed over members, take with so many processes on all cores."""
        at_once = cores if self.width > 1 else workers
        return self.step_s * steps / at_once * (SHARING if workers < at_once else 1)
