"""What is said of training that is slower than planned, and calls that go on meanwhile."""

import threading

import pytest

from harness import InvalidStudy
from harness.lead.progress.progress import Progress
from harness.lead.progress.slowness import SEEN_S, Slowness
from harness.lead.terminal.events import Said
from harness.settings import Problem
from harness.settings.beforehand import Beforehand


def test_it_is_said_once_from_twice_the_time_on_and_not_at_once() -> None:
    slowness = Slowness()
    assert slowness.said(0.0, 0.1, planned=2) == "", "not before it was seen for a while"
    assert slowness.said(SEEN_S + 1, None, planned=2) == "", "where nobody knows"
    assert slowness.said(SEEN_S + 1, 1.1, planned=2) == "", "less than twice as long"
    assert slowness.said(SEEN_S + 1, 0.5, planned=2).startswith("Training takes 4.0 times as long as was measured")
    assert slowness.said(SEEN_S + 2, 0.1, planned=2) == ""


def test_only_places_that_have_a_population_are_planned_with() -> None:
    said: list[str] = []
    now = [0.0]

    def tell(event: object) -> None:
        if isinstance(event, Said):
            said.append(event.text)

    for sizes, expected in (([8], 0), ([8, 8, 8], 1)):
        progress = Progress(24, 2400, work=240.0, places=3, tell=tell, clock=lambda: now[0])
        progress.together(sizes)
        for step in range(1, 9):
            now[0] = step * 10.0
            progress.trained(taken=100, steps=100, work=9.0)  # .9 seconds of work a second
        assert len(said) == expected, sizes


def test_a_call_goes_on_meanwhile_and_gives_what_it_returns_or_raises() -> None:
    go_on = threading.Event()
    waiting = Beforehand(lambda: go_on.wait(10) and "found")
    go_on.set()
    assert waiting.result() == "found" == waiting.result()

    def refuse() -> None:
        raise InvalidStudy([Problem("--devices", "there is none")])

    with pytest.raises(InvalidStudy, match="there is none"):
        Beforehand(refuse).result()
