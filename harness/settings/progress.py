"""How far a study is, in numbers; the console shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far a study is; `show` is called at every change.

    Attributes:
        steps, done_steps: training steps, summed over runs, in all and done.
        runs, done_runs: runs in all, and those that are recorded.
        trained_runs, diverged, collapsed, failed: of those recorded in this launch.
        errors: tracebacks of the failed ones.
        say: is told what the user should know at once.
    """

    steps: int
    runs: int
    show: Callable[["Progress"], None] = lambda progress: None
    say: Callable[[str], None] = lambda text: None
    done_steps: int = 0
    done_runs: int = 0
    trained_runs: int = 0
    diverged: int = 0
    collapsed: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._planned = self.steps, self.runs

    def add(self, *, steps: int = 0, runs: int = 0) -> None:
        """Count what was done and show it."""
        self.done_steps += steps
        self.done_runs += runs
        self.show(self)

    def more(self, *, steps: int, runs: int) -> None:
        """There is more to do than was planned."""
        self.steps += steps
        self.runs += runs

    def restart(self) -> None:
        """Count from the beginning what is done: all of it is looked through again."""
        self.steps, self.runs = self._planned
        self.done_steps = self.done_runs = 0
