"""What the user sees while a study runs: to stderr, a live bar in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from harness.settings import printable
from harness.settings.progress import Progress
from harness.settings.show import counted

PLAIN_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(5), duration(130), duration(7300)
    ('5 s', '2 min 10 s', '2 h 1 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


class Rate:
    """Time left, from the steps done since the start of this launch."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def left(self, progress: Progress) -> str:
        """`time left 1 min 5 s`, or nothing where there is no telling yet."""
        now = time.monotonic()
        if self._start is None or progress.done_steps <= self._start[1]:
            self._start = self._start or (now, progress.done_steps)
            return ""
        per_step = (now - self._start[0]) / (progress.done_steps - self._start[1])
        return f", about {duration(per_step * (progress.steps - progress.done_steps))} left"


def line(progress: Progress, rate: Rate) -> str:
    """One line on how far the study is."""
    share = progress.done_steps / max(progress.steps, 1)
    more = {"collapsed": progress.collapsed, "failed": progress.failed}
    others = "".join(f", {count} {word}" for word, count in more.items() if count)
    return f"{share:4.0%} {progress.done_runs}/{counted(progress.runs, 'run')}, {progress.diverged} diverged{others}{rate.left(progress)}"


@contextmanager
def shown(progress: Progress, *, quiet: bool) -> Iterator[None]:
    """Show `progress` whenever it changes, until the block ends; with `quiet` only what the user should know at once."""
    console, rate = Console(stderr=True, markup=False, highlight=False, emoji=False), Rate()

    def say(text: str) -> None:
        console.print(printable(text), soft_wrap=True)

    progress.say = say
    if quiet:
        yield
    elif console.is_terminal:
        with Bar(BarColumn(), TextColumn("{task.description}", markup=False), console=console, transient=True) as bar:
            task = bar.add_task("", total=progress.steps)
            progress.show = lambda p: bar.update(task, total=p.steps, completed=p.done_steps, description=line(p, rate))
            yield
    else:
        last = [time.monotonic()]

        def show(p: Progress) -> None:
            text = line(p, rate)
            if time.monotonic() - last[0] >= PLAIN_EVERY_S:
                last[0] = time.monotonic()
                console.print(text)

        progress.show = show
        yield
