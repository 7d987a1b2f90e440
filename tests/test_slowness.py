"""What is said of training that is slower than planned, and calls that go on meanwhile."""

import threading

import pytest
from test_displays import study

from harness import InvalidStudy
from harness.engine.planning import groups
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.costs import Costs
from harness.lead.progress.progress import Progress
from harness.lead.progress.slowness import SEEN_S, Slowness
from harness.lead.progress.tally import Tally
from harness.lead.terminal.events import Said
from harness.models import DropoutNet
from harness.settings import Problem
from harness.settings.beforehand import Beforehand


def test_it_is_said_once_from_twice_the_time_on_and_not_at_once() -> None:
    slowness = Slowness()
    assert slowness.said(0, 0.0, planned_s=100.0) == "", "what came before the first report is no training"
    assert slowness.said(0, SEEN_S - 1, planned_s=1.0) == "", "not before it was seen for a while"
    assert slowness.said(0, SEEN_S, planned_s=4.0).startswith("Training takes 4.0 times as long as was measured")
    assert slowness.said(0, 2 * SEEN_S, planned_s=0.0) == "", "once"


def test_less_than_twice_the_time_is_not_said() -> None:
    slowness = Slowness()
    assert [slowness.said(0, 30.0 * at, planned_s=15.1) for at in range(9)] == [""] * 9


def test_neither_what_lies_between_populations_nor_what_begins_anew_counts() -> None:
    slowness = Slowness()
    for population in range(9):  # each reports twice, a second apart, as planned; the next begins a minute later
        assert slowness.said(population, 60.0 * population, planned_s=1.0) == ""
        assert slowness.said(population, 60.0 * population + 1, planned_s=1.0) == ""
    slowness.begin()
    assert slowness.said(8, 1e4, planned_s=1.0) == "", "another one with this number"
    assert slowness.said(8, 2e4, planned_s=-1.0) == "", "halved, since memory was not enough"
    assert slowness.said(8, 3e4, planned_s=1.0) == ""


def test_two_populations_at_a_time_are_each_compared_with_their_own_steps() -> None:
    said: list[str] = []
    now = [0.0]

    def tell(event: object) -> None:
        if isinstance(event, Said):
            said.append(event.text)

    setup = study(model=DropoutNet()).setup({})
    runs = [Run(0, seed, setup) for seed in range(4)]
    for seconds, timed, expected in ((1.9, True, 0), (2.1, True, 1), (2.1, False, 0)):
        said.clear()
        progress = Progress(4, 4 * setup.steps, timed=timed, tell=tell, clock=lambda: now[0])
        costs = Costs(
            dict.fromkeys(groups(runs), Way(16, 5.0)), evaluations=0
        )  # 50 s of steps a run, 100 s a population
        tally = Tally([runs[:2], runs[2:]], {(0, 0)}, costs, progress)  # one run is missing
        for part in range(1, 11):
            for population in range(2):
                now[0] = part * 10 * seconds + population
                tally.report(population, 2 * setup.steps // 10, 0)
        assert len(said) == expected, (seconds, timed, said)


def test_a_call_goes_on_meanwhile_and_gives_what_it_returns_or_raises() -> None:
    go_on = threading.Event()
    waiting = Beforehand(lambda: go_on.wait(10) and "found")
    go_on.set()
    assert waiting.result() == "found" == waiting.result()

    def refuse() -> None:
        raise InvalidStudy([Problem("--devices", "there is none")])

    with pytest.raises(InvalidStudy, match="there is none"):
        Beforehand(refuse).result()
