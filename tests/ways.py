"""Ways to train that nobody measured, for tests in which only the populations matter."""

from collections.abc import Callable

from harness.engine.runs import Run
from harness.engine.way import Way


def width(most: int) -> Callable[[str, list[Run]], Way]:
    """Populations of at most so many members, whatever the runs."""
    return lambda name, runs: Way(most, step_s=1e-3)
