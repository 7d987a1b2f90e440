"""`Way`: how runs of one architecture train, and what a step of that takes."""

from dataclasses import dataclass

WIDEST = 1024
"""Members of a population, at most."""


@dataclass(frozen=True)
class Way:
    """How runs train that could share a population: those of one `population_key`.

    Attributes:
        width: members of a population; 1 where each run trains by the plain loop, on one thread.
        step_s: seconds per step and member, on a CPU with one thread.
        apart: whether only runs share a population whose modules agree in every number.
        why: runs train by the plain loop, in words; "" where they do not.
        member_bytes: memory of one run in training; 0 where that is not known.
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
