"""Who is told what happens while a study runs: a person at a terminal, a person who reads lines, or a machine.

Progress goes to stderr, what a reader keeps to stdout. `harness.lead.terminal.live` is the display of a terminal.
"""

import json
import sys
import threading
import time
from types import TracebackType
from typing import Protocol, Self

import click

from harness.lead.pages import lines
from harness.lead.progress.progress import Progress
from harness.lead.terminal.durations import about
from harness.lead.terminal.events import Ended, Event, Judged, Look, Said, as_json
from harness.lead.terminal.verdict_lines import verdict_lines
from harness.settings import printable
from harness.settings.show import counted

LINE_EVERY_S, JSON_EVERY_S = 10.0, 1.0


class Display(Protocol):
    """Shows events. A context manager: what it has drawn is cleared when the block ends."""

    def tell(self, event: Event) -> None:
        """Take an event, from any thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display_for(*, as_lines_of_json: bool, quiet: bool) -> Display:
    """The display that suits.

    Args:
        as_lines_of_json: for a machine.
        quiet: only what the user should know at once.
    """
    if as_lines_of_json:
        return Json()
    if not quiet and sys.stderr.isatty():
        from harness.lead.terminal.live import Live

        return Live()
    return Lines(quiet=quiet)


def text_of(event: Event) -> str:
    """What of an event stays to be read; "" for nothing."""
    match event:
        case Said() | Look():
            return printable(event.text)
        case Judged():
            return printable("\n".join(verdict_lines([event.verdict])))
        case Ended():
            return printable("\n".join(lines(event.more)))
    return ""


def counts(progress: Progress) -> str:
    """What there is of runs, in words.

    >>> counts(Progress(20, 100, done_runs=4, diverged=1, failed=2))
    '4 of 20 runs, 1 diverged, 2 failed'
    """
    more = {"diverged": progress.diverged, "collapsed": progress.collapsed, "failed": progress.failed}
    words = [f"{count:,} {word}" for word, count in more.items() if count]
    return ", ".join([f"{progress.done_runs:,} of {counted(progress.runs, 'run')}", *words])


def left(progress: Progress) -> str:
    """How long it takes until all runs are recorded, in words; "" where there is no telling, and where it has ended."""
    seconds = progress.left_s()
    return "" if not seconds else f"{about(seconds)} until all is recorded"


class Lines:
    """Plain lines: all that stays to be read, and every ten seconds how far the study is.

    Args:
        quiet: only what is urgent.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet, self._last_s = quiet, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to clear."""

    def tell(self, event: Event) -> None:
        """See `Display`."""
        urgent = isinstance(event, Said) and event.urgent
        if self._quiet and not urgent:
            return
        if isinstance(event, Progress):
            if time.monotonic() - self._last_s >= LINE_EVERY_S:
                self._last_s = time.monotonic()
                parts = (event.phase, f"{event.share:.0%}", counts(event), left(event))
                click.echo("  ".join(filter(None, parts)), err=True)
        elif text := text_of(event):
            click.echo(text, err=urgent)


class Json:
    """A line of JSON for each event on what is stdout when it is made, see `harness.lead.terminal.events`."""

    def __init__(self) -> None:
        self._out = sys.stdout
        self._began_s, self._last_s = time.monotonic(), -JSON_EVERY_S
        self._waiting: Progress | None = None
        self._lock = threading.RLock()  # Ctrl-C is told by the thread that is telling something

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The last line is `end`."""

    def tell(self, event: Event) -> None:
        """See `Display`."""
        with self._lock:
            now_s = time.monotonic()
            if isinstance(event, Progress):
                self._waiting = event
                if now_s - self._last_s < JSON_EVERY_S:
                    return
                self._last_s = now_s
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                self._write(waiting, now_s)
            if not isinstance(event, Progress):
                self._write(event, now_s)

    def _write(self, event: Event, now_s: float) -> None:
        line = {"at_s": round(now_s - self._began_s, 3), **as_json(event)}
        click.echo(json.dumps(line, allow_nan=False), file=self._out)
