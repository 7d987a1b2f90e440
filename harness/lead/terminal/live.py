"""`Live`: what a person at a terminal sees while a study runs: how far it is, redrawn in place, below what stays to be read."""

import re
import sys
import textwrap
from typing import Self

import click
from rich import live
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from harness.lead.progress.best import Best
from harness.lead.progress.progress import Progress
from harness.lead.terminal.cell_map import cell_map
from harness.lead.terminal.displays import counts, left, text_of
from harness.lead.terminal.events import Began, Ended, Event, Phase, Said
from harness.settings import printable
from harness.settings.levels import in_words
from harness.settings.show import counted

DOING = {
    "prepare": "trying out how its runs train", "tune": "tuning", "widen": "widening the tuned range", "confirm": "training",
    "report": "writing the report",
}  # fmt: skip


LABEL = re.compile(r"^ *(?:[A-Za-z]+: +)?")
"""How a line begins."""


class Live:
    """A display that is redrawn four times a second, from what it was told last. See `harness.lead.terminal.displays.Display`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._began: Began | None = None
        self._phase = ""
        self._progress: Progress | None = None
        self._spinner = Spinner("line")
        self._live = live.Live(
            get_renderable=self.picture, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False,
            auto_refresh=True, vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, event: Event) -> None:
        """See `harness.lead.terminal.displays.Display`."""
        match event:
            case Began():
                self._began, self._progress = event, None
            case Phase():
                self._phase = event.phase
            case Progress():
                self._progress = event
        if text := text_of(event):
            urgent = isinstance(event, Said) and event.urgent
            if urgent or sys.stdout.isatty():  # above the picture, which is of the same terminal
                wrap = not isinstance(event, Ended)  # which names a file and a command, to be copied
                self._console.print(wrapped(text, self._console.width) if wrap else text, soft_wrap=True)
            else:
                click.echo(text)

    def picture(self) -> RenderableType:
        """What there is to see now."""
        if self._began is None:
            return Text("")
        doing = DOING.get(self._phase, "starting")
        name = Text(self._began.study, style="bold", no_wrap=True, overflow="ellipsis")
        if self._progress is None or self._phase in ("prepare", "report"):
            self._spinner.update(text=Text.assemble(name, f"  {doing}"))
            return self._spinner
        head = Table.grid(padding=(0, 2))
        head.add_row(name, doing, self._bar(self._progress), f"{self._progress.share:.0%}", left(self._progress))
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", no_wrap=True)
        rows.add_column()
        for label, value in self._rows(self._progress, self._began):
            rows.add_row(f"  {label}", printable(value))
        return Group(head, rows)

    def _bar(self, progress: Progress) -> ProgressBar:
        return ProgressBar(total=1.0, completed=progress.share, width=max(10, min(40, self._console.width - 60)))

    def _rows(self, progress: Progress, began: Began) -> list[tuple[str, str]]:
        rows = [("done", counts(progress))]
        if progress.members is not None:
            low, high = progress.members
            size = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            speed = progress.steps_per_s()
            together = f"{size} trained together" if high > 1 else "each run alone"
            rows.append(("speed", together if speed is None else f"{counted(round(speed), 'step')}/s, {together}"))
        if progress.best is not None:
            rows.append(("best", best_in_words(progress.best, so_far=progress.trained_runs == progress.done_runs)))
        if began.factors:
            of_each = progress.runs / progress.cells
            done = [progress.of_cell[cell] / of_each for cell in range(progress.cells)]
            picture = cell_map(began.factors, done, self._console.width - 12)
            rows.append(("cells", "\n".join(picture)))
        return rows


def wrapped(text: str, width: int) -> str:
    """A text whose lines fit a terminal, broken between words; what goes on stands below what its line says after its label.

    >>> wrapped("note: some of the levels, and many more of them", 40).splitlines()
    ['note: some of the levels, and many more', '      of them']
    """
    lines = ((line, " " * len(LABEL.findall(line)[0])) for line in text.split("\n"))
    return "\n".join(
        textwrap.fill(line, max(width, 40), subsequent_indent=below, break_long_words=False, break_on_hyphens=False)
        for line, below in lines
    )


def best_in_words(best: Best, *, so_far: bool) -> str:
    """The best configuration, in words; `so_far` where nothing was recorded by an earlier launch.

    >>> best_in_words(Best("validation_loss", 2.3456, 10, {"optimizer.lr": 0.1}), so_far=True)
    'validation_loss 2.346, mean of 10 seeds, at optimizer.lr = 0.1'
    """
    where = f"at {in_words(best.levels)}" if best.levels else ""
    parts = [f"{best.metric} {best.value:.4g}", f"mean of {counted(best.seeds, 'seed')}", where]
    return ", ".join(filter(None, parts)) + ("" if so_far else ", of this launch")
