"""What draws the report, got ready while a study trains."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Timer

PREPARE_REPORT_AFTER_S = 10.0


@contextmanager
def preparing_report() -> Iterator[list[Connection]]:
    """Import all that draws, which takes a second, while others train, and start processes that will help; yields these.

    In a short block both is left.
    """
    helpers: list[Connection] = []

    def prepare() -> None:
        import harness.reporting.build  # noqa: F401
        from harness.reporting.plots import start_helpers

        helpers.extend(start_helpers())

    timer = Timer(PREPARE_REPORT_AFTER_S, prepare)
    timer.start()
    try:
        yield helpers
    finally:
        timer.cancel()
