"""What is shown while a study runs: how long it goes on, one stream of events and its three renderings, and how commands end."""

import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from own_study import MINE, harness_run, without_digests
from rich.console import Console

import harness
from harness import InvalidStudy, Study, Sweep
from harness.__main__ import main as everything
from harness.engine import train as training_loop
from harness.engine.evaluation import steps_worth
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.costs import Costs
from harness.execution.trainer import Trained
from harness.inference.verdict import Verdict
from harness.lead.ending import ending
from harness.lead.interruption import Interrupted
from harness.lead.progress.best import Best, best_of
from harness.lead.progress.progress import Progress
from harness.lead.progress.tally import Tally
from harness.lead.terminal import displays
from harness.lead.terminal.events import Began, Ended, Judged, Look, Phase, Said, as_json
from harness.lead.terminal.live import Live
from harness.ledger.records.finished import FinishedTrial
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.reporting.tracking_page import _note
from harness.settings import Problem
from harness.settings.levels import in_short, sweep_in_short
from harness.study.claim_forms import differences
from harness.tasks import Images

RECORDED = Path(__file__).parent / "recorded_progress.json"
"""What two launches told on two cores that others used too: [seconds, steps done, share of the work that is done], to the end of
training. In `alike` all runs cost the same; in `unlike` the last third of the steps is three fifths of the work."""


# --- Time left


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def left_from_a_tenth_on(events: list[list[float]], amount: int) -> Iterator[tuple[float, float, float]]:
    """Once a tenth of the work is done: how much is done, what the display says is left, and what was left.

    Args:
        events: of a launch, see `RECORDED`.
        amount: which column is taken for work.
    """
    clock = Clock()
    progress = Progress(1, 0, work=events[-1][amount], clock=clock)
    for at_s, *_, share in events:
        clock.now_s = at_s
        done = next(event for event in events if event[0] == at_s)[amount]
        progress.trained(taken=1, steps=0, work=done - progress.done_work)
        if 0.1 <= share < 1:
            left = progress.left_s()
            assert left is not None
            yield share, left, events[-1][0] - at_s


@pytest.mark.parametrize("name", ["alike", "unlike"])
def test_time_left_is_right_within_a_fifth_after_a_tenth_of_the_work(name: str) -> None:
    _, said, was = next(left_from_a_tenth_on(json.loads(RECORDED.read_text())[name], amount=2))
    assert abs(said - was) <= 0.2 * was


@pytest.mark.parametrize("name", ["alike", "unlike"])
def test_time_left_stays_right_within_a_half_beside_what_else_uses_the_cores(name: str) -> None:
    found = list(left_from_a_tenth_on(json.loads(RECORDED.read_text())[name], amount=2))
    assert all(abs(said - was) <= 0.5 * was for share, said, was in found if share <= 0.9)


def test_steps_alone_would_be_wrong_where_some_cost_more_than_others() -> None:
    _, said, was = next(left_from_a_tenth_on(json.loads(RECORDED.read_text())["unlike"], amount=1))
    assert abs(said - was) > 0.2 * was


@pytest.mark.parametrize("start_s", [0.0, 30.0])
def test_time_left_minds_neither_lumps_of_two_workers_nor_their_start(start_s: float) -> None:
    """Two workers, a lump of 5 each every 10 s, first after their start: 1 a second, so the last 900 of 1,000 take 900 s."""
    clock = Clock()
    progress = Progress(1, 0, work=1000.0, clock=clock)
    for i in range(1, 11):
        for worker in range(2):
            clock.now_s = start_s + 10 * i + 0.01 * worker
            progress.trained(taken=5, steps=5, work=5.0)
    left = progress.left_s()
    assert left is not None and abs(left - 900) < 90
    clock.now_s += 30
    assert progress.left_s() == pytest.approx(left - 30), "time passes between two lumps"


def test_a_pause_of_the_machine_is_forgotten() -> None:
    """1 a second, but for a minute after the first tenth in which nothing happened."""
    clock = Clock()
    progress = Progress(1, 0, work=300.0, clock=clock)
    for i in range(1, 300):
        clock.now_s = i + (60.0 if i > 30 else 0.0)
        progress.trained(taken=1, steps=1, work=1.0)
        left = progress.left_s()
        assert i < 120 or (left is not None and left == pytest.approx(300 - i, rel=0.2))


def test_the_first_tenth_of_a_single_population_tells_what_is_left() -> None:
    clock = Clock()
    progress = Progress(24, 240, work=240.0, clock=clock)
    progress.there(runs=0, steps=0, work=0.0)
    clock.now_s = 100.0  # it is measured which way is the fastest
    progress.together([24])
    assert progress.left_s() is None
    for tenth in range(1, 10):
        clock.now_s = 100.0 + 2 * tenth
        progress.trained(taken=24, steps=24, work=24.0)
        assert progress.left_s() == pytest.approx(20.0 - 2 * tenth)


def test_nothing_is_said_of_the_time_left_from_a_slow_first_step_alone() -> None:
    """A ten thousandth of the work after six seconds of start, which would be 17 hours; then 1 a second."""
    clock = Clock()
    progress = Progress(100, 1000, work=1000.0, clock=clock)
    progress.together([50, 50])
    clock.now_s = 6.0
    progress.trained(taken=1, steps=1, work=0.1)
    assert progress.left_s() is None
    for second in range(1, 11):
        clock.now_s = 6.0 + second
        progress.trained(taken=10, steps=10, work=1.0)
    assert progress.left_s() == pytest.approx(1000 - 10.1, rel=0.1)


def test_training_tells_of_steps_between_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "TELL_EVERY_S", 0.0)
    own = study(model=DropoutNet(hidden=(4,)))
    runs = [Run(0, seed, own.setup({})) for seed in range(3)]
    told: list[int] = []
    training_loop.train(
        runs, evaluations=1, device=torch.device("cpu"), progress=lambda steps, nonfinite: told.append(steps)
    )
    assert told == [3] * 10 + [0], "each of the ten steps, and the evaluation after the last"


def test_what_was_there_already_took_no_time() -> None:
    clock = Clock()
    progress = Progress(10, 100, work=100.0, clock=clock)
    progress.there(runs=5, steps=50, work=50.0)
    for i in range(1, 6):
        clock.now_s = i * 2.0
        progress.trained(taken=1, steps=1, work=1.0)
        if i == 3:
            progress.there(runs=1, steps=10, work=10.0)
    assert progress.left_s() == pytest.approx((50 - 5 - 10) * 2.0)
    assert progress.steps_per_s() == pytest.approx(0.5)
    assert Progress(1, 1).left_s() is None


def test_nothing_is_said_of_the_time_left_once_it_has_passed() -> None:
    clock = Clock()
    progress = Progress(4, 40, work=40.0, clock=clock)
    progress.together([4])
    clock.now_s = 30.0
    progress.trained(taken=30, steps=30, work=30.0)
    assert progress.left_s() == pytest.approx(10.0)
    clock.now_s = 60.0
    assert progress.left_s() is None and displays.left(progress) == ""


def test_the_time_left_holds_what_recording_takes() -> None:
    """Two cores; 100 runs of a second of one core each, and half a second each to record: 50 s and 25 s, then 50 s alone."""
    clock = Clock()
    progress = Progress(100, 100, work=100.0, record_s=0.5, cores=2, clock=clock, cell_of={0: 0})
    progress.together([50, 50])
    clock.now_s = 10.0
    progress.trained(taken=20, steps=20, work=20.0)
    assert progress.left_s() == pytest.approx(80 / 2 + 100 * 0.5 / 2)
    clock.now_s = 12.0
    progress.recorded(20, entry=0, took_s=20.0)  # slower than usual
    assert progress.left_s() == pytest.approx(80 * 1.0), "recording alone takes longer than training beside it"
    clock.now_s = 50.0
    progress.trained(taken=80, steps=80, work=80.0)
    clock.now_s = 60.0
    progress.recorded(60, entry=0, took_s=60.0)
    clock.now_s = 65.0
    assert progress.left_s() == pytest.approx(20 - 5), "all is trained"
    clock.now_s = 81.0
    assert progress.left_s() is None, "it has passed"
    progress.recorded(20, entry=0, took_s=21.0)
    assert progress.left_s() == 0.0


def test_where_nothing_is_known_of_recording_nothing_is_said_of_the_time_it_takes() -> None:
    clock = Clock()
    progress = Progress(runs=4, steps=40, work=1.0, clock=clock, cell_of={0: 0})
    progress.together([4])
    for _ in range(10):
        clock.now_s += 1.0
        progress.trained(taken=4, steps=4, work=0.1)
    assert progress.done_work < progress.work, "by rounding"
    assert progress.left_s() is None and f"{progress.share:.0%}" == "99%"
    progress.recorded(4, entry=0)
    assert progress.left_s() == 0.0 and displays.left(progress) == ""
    short = Progress(runs=4, steps=40, work=50.0, cell_of={0: 0})  # less work than was planned
    short.recorded(4, entry=0)
    assert short.share == 1.0


def study(**settings: Any) -> Study:
    kept = {
        "task": Images("digits"),
        "model": DropoutNet(hidden=Sweep((4,), (64,))),
        "optimizer": SGD(lr=0.1),
        "seeds": 3,
    }
    return Study(**{"name": "own", "steps": 10, **kept, **settings})


def test_work_is_steps_times_members_times_what_a_step_was_measured_to_take() -> None:
    own = study()
    from harness.engine.planning import groups
    from harness.ledger.trial_runs import sample_runs

    runs = sample_runs(own)
    small, large = groups(runs)
    costs = Costs({small: Way(16, 0.001), large: Way(16, 0.1)}, evaluations=0)
    steps = 10 + steps_worth(runs[0].setup, runs[0].data(), 0, tests=True)
    assert costs.of_study(own) == pytest.approx(3 * steps * (0.001 + 0.1))
    assert costs.of(runs[0]) == pytest.approx(0.001 * steps) and costs.of(runs[-1]) == pytest.approx(0.1 * steps)
    others = Costs({small: Way(16, 0.001)}, evaluations=0)
    assert others.of(runs[-1]) == pytest.approx(0.001 * steps), "of what is not known, what others cost"
    assert Costs({}, evaluations=0).of_study(own) == pytest.approx(6 * steps)


def test_what_is_done_of_a_run_counts_its_evaluations_one_by_one_and_what_is_measured_at_its_end_last() -> None:
    run = Run(0, 0, study(model=DropoutNet()).setup({}))
    data, costs = run.data(), Costs({}, evaluations=2)
    evaluation, end = (passed / 3 / run.setup.batch_size for passed in (len(data.validation), 4 * len(data.test)))
    whole = 10 + 3 * evaluation + end  # one evaluation before the first step
    assert costs.of(run) == pytest.approx(whole)
    for steps, evaluations in ((0, 1), (4, 1), (5, 2), (9, 2), (10, 3)):
        assert costs.share(run, steps) == pytest.approx((steps + evaluations * evaluation) / whole)


def back(runs: list[Run]) -> Trained:
    return Trained(pd.DataFrame({"trial": [run.trial for run in runs]}), pd.DataFrame(), {})


def test_populations_count_what_the_study_lacks_and_are_done_when_their_runs_are_back() -> None:
    own = study(model=DropoutNet())
    setup = own.setup({})
    runs = [Run(0, seed, setup) for seed in range(4)]
    costs = Costs({}, evaluations=2)
    work = 2 * costs.of(runs[0])
    progress = Progress(2, 20, work=work)
    tally = Tally([runs], {(0, 0), (0, 1)}, costs, progress)
    assert progress.members == (4, 4)
    tally.report(0, 20, 0)  # half of the 40 steps of all four
    assert (progress.done_steps, progress.trained_steps) == (10, 20)
    assert progress.done_work == pytest.approx(work * costs.share(runs[0], 5))
    tally.report(0, -20, 0)  # its worker died
    assert (progress.done_steps, progress.done_work) == (0, 0.0)
    tally.report(0, 25, 3)  # three have diverged: no more steps come
    tally.arrived(0, back(runs[:2]))
    assert progress.done_steps == 12
    tally.arrived(0, back(runs[2:]))
    assert progress.done_steps == 20 and progress.done_work == pytest.approx(work)


# --- Best so far


def finished(losses: list[float], status: str = "finished") -> FinishedTrial:
    runs = pd.DataFrame({"seed": range(len(losses)), "validation_loss": losses, "status": status})
    return FinishedTrial(
        number=0, key="k", name="n", phase="confirm", params={"model.hidden": "(4,)", "optimizer.lr": 0.1}, runs=runs,
        curves=pd.DataFrame(),
    )  # fmt: skip


def test_best_is_the_least_mean_of_the_objective_over_seeds_none_of_which_diverged() -> None:
    own = study()
    assert best_of(own, finished([1.0, 2.0, 6.0])) == Best("validation_loss", 3.0, 3, {"model.hidden": "(4,)"})
    assert best_of(own, finished([1.0, float("nan")])) is None
    assert best_of(own, finished([1.0, 1.0], status="diverged")) is None


# --- Three renderings of one stream

VERDICT = Verdict(
    "it helps", "test_loss", "supported", "", "It does.", estimate=0.5, low=0.25, high=float("inf"), level=0.95, n=10,
    smallest_effect=0.1, registered=True, registration="registered",
)  # fmt: skip


def test_every_event_is_one_object_of_plain_json() -> None:
    progress = Progress(4, 40, best=Best("validation_loss", 1.5, 3, {"clipping.max_norm": float("inf")}))
    events = [
        Began("mine", {"model.dropout": ["0", "0.5"]}, 2, 4, 40), Phase("tune"), progress, Said("some\nlines"),
        Look(10, 40, [VERDICT], 1, 20), Judged(VERDICT), Ended(2, "mend", [Problem("steps", "must be above 0", "0")]),
    ]  # fmt: skip
    told = [json.loads(json.dumps(as_json(event), allow_nan=False)) for event in events]
    assert [one["event"] for one in told] == ["study", "phase", "progress", "message", "look", "verdict", "end"]
    assert told[2]["best"]["levels"] == {"clipping.max_norm": "inf"} and told[2]["left_s"] is None
    assert told[4] == {"event": "look", "seeds": 10, "most": 40, "decided": ["it helps"], "open": 1, "next": 20}
    assert told[5]["claim"] == "it helps" and told[5]["high"] == "inf" and told[5]["low"] == 0.25
    assert told[6]["problems"] == [{"path": "steps", "message": "must be above 0", "got": "0"}]


def pictured(width: int, *events: Any) -> str:
    with open(os.devnull, "w") as nothing:
        console = Console(file=nothing, width=width, record=True, force_terminal=True, markup=False, highlight=False)
        live = Live(console)
        for event in events:
            live.tell(event)
        console.print(live.picture())
        return console.export_text()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_a_terminal_shows_phase_cells_members_speed_the_best_and_what_is_left(width: int) -> None:
    clock = Clock()
    progress = Progress(20, 200, work=100.0, cells=4, clock=clock, phase="tune", members=(8, 10), diverged=2)
    for i in range(1, 6):
        clock.now_s = float(i)
        progress.trained(taken=10, steps=10, work=5.0)
    progress.cell_of = {0: 0, 1: 2}
    progress.recorded(5, 0)
    progress.recorded(2, 1)
    progress.trained_runs = 7
    progress.best = Best("validation_loss", 1.2345, 5, {"model.dropout": 0.5})
    began = Began("mine", {"model.dropout": ["0", "0.5"], "clipping.max_norm": ["1", "∞"]}, 4, 20, 200)
    shown = pictured(width, began, Phase("tune"), progress)
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    for part in (
        "mine tuning",
        "25%",
        "7 of 20 runs, 2 diverged",
        "10 steps/s",
        "8 to 10 trained together",
        "1.234, mean of 5 seeds",
    ):
        assert part in words, words
    assert "about" in words and "15 s" in words
    if width > 40:
        assert "dropout 0 █·" in words and "dropout 0.5 ▒·" in words and "max_norm 1, ∞" in words
        assert "writing the report" in pictured(width, began, Phase("tune"), progress, Phase("report"))


def test_a_thousand_cells_are_a_line_and_odd_names_are_plain_text() -> None:
    levels = {"model.dropout": ["0", "0.5"], "optimizer.lr": [str(i) for i in range(500)]}
    shown = pictured(80, Began("big", levels, 1000, 1000, 10), Progress(1000, 10, work=1.0, cells=1000))
    assert len(shown.splitlines()) == 3 and max(map(len, shown.splitlines())) <= 80
    odd = pictured(80, Began("odd", {"a.b": ["\x1b[31mred", "[bold]x"]}, 2, 2, 2), Progress(2, 2, cells=2))
    assert odd.replace("\n", "").isprintable() and "[bold]x" in odd


def command(study_file: Path, *options: str) -> list[str]:
    results = str(study_file.parent / "results")
    return [sys.executable, "-m", "harness.run", str(study_file), "--results", results, "--devices", "cpu", *options]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.mark.slow
def test_json_is_all_there_is_on_stdout_and_tells_all_of_a_run(study_file: Path) -> None:
    loud = MINE.replace(
        "    def forward(self, x):\n", "    def forward(self, x):\n        print('hello from the net')\n"
    )
    study_file.write_text(f"{loud}\nprint('hello from the file')\n")
    done = subprocess.run(command(study_file, "--quick", "--json"), capture_output=True, text=True, check=True)
    assert "hello from the file" in done.stderr and "hello from the net" in done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [one["event"] for one in told]
    assert kinds[0] == "study" and kinds[-1] == "end"
    assert [one["phase"] for one in told if one["event"] == "phase"] == ["prepare", "tune", "confirm", "report"]
    assert [one["at_s"] for one in told] == sorted(one["at_s"] for one in told)
    last = [one for one in told if one["event"] == "progress"][-1]
    assert (last["done_runs"], last["runs"], last["share"], last["done_cells"]) == (20, 20, 1.0, 4)
    assert last["done_steps"] == last["steps"] == told[0]["steps"] == 20 * 40
    assert last["best"]["metric"] == "validation_loss" and set(last["best"]["levels"]) == {
        "model.dropout", "clipping.max_norm", "optimizer.lr",
    }  # fmt: skip
    assert [one["claim"] for one in told if one["event"] == "verdict"] == [
        "dropout helps",
        "dropout acts in training only",
    ]
    assert (
        told[-1]["exit_code"] == 0
        and Path(told[-1]["report"]).is_file()
        and told[-1]["tracking"].startswith("mlflow ui")
    )

    again = subprocess.run(command(study_file, "--quick"), capture_output=True, text=True, check=True)
    lines = again.stdout.splitlines()
    complete = next(i for i, line in enumerate(lines) if line.startswith("Complete, unless records have got lost: "))
    assert "mine-quick/report.html" in lines[complete]
    at_last = next(i for i, line in enumerate(lines) if line.startswith("Nothing to train"))
    assert complete < at_last, "before all records are looked through; not before an option may be refused"
    assert "\x1b" not in again.stdout + again.stderr, "a pipe gets plain lines"
    said_last = lines[max(i for i, line in enumerate(lines) if line.startswith("Report: ")) :]
    assert said_last[0].endswith("mine-quick/report.html") and any("mlflow ui" in line for line in said_last)


@pytest.mark.parametrize("options", [("--set", "steps=0"), ("--devices", "cuda:99"), ("--checkpoint-every", "nan")])
def test_json_ends_with_what_was_wrong(study_file: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(
        everything, ["run", str(study_file), "--results", str(tmp_path / "r"), "--json", *options]
    )
    assert refused.exit_code == 2, refused.output
    told = [json.loads(line) for line in refused.stdout.splitlines()]
    assert told[-1]["event"] == "end" and told[-1]["exit_code"] == 2
    (problem,) = told[-1]["problems"]
    assert problem["path"] == ("steps" if options[0] == "--set" else options[0])
    assert refused.stderr.startswith(f"{study_file} cannot run: ")


def in_a_terminal(arguments: list[str], columns: int) -> tuple[str, int]:
    """What a command writes to a terminal so wide, and its exit code."""
    process, end = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(arguments[0], arguments)
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    written = b""
    while True:
        try:
            part = os.read(end, 65536)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(end)
    return written.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_in_a_terminal_a_run_is_seen_while_it_goes_on_and_leaves_what_is_to_be_read(study_file: Path) -> None:
    written, exit_code = in_a_terminal(command(study_file, "--quick"), 80)
    assert exit_code == 0, written
    for part in ("trying out how its runs train", "tuning", "trained together", "cells", "writing the report"):
        assert part in written, part
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1, "the cursor is there again"
    assert "Report: " in written.rpartition("\x1b[?25h")[2], "after the display is gone"


# --- How commands end


@pytest.mark.parametrize(
    ("error", "first", "code"),
    [
        (InvalidStudy([Problem("steps", "must be above 0")]), "mine.py cannot run: mend this and run the same command again.", 2),
        (InvalidStudy([Problem("--devices", "no GPU"), Problem("--ray", "no")]), "mine.py cannot run: change these 2 options.", 2),
        (InvalidStudy([Problem("study", "is being run")], "wait until it has ended"), "mine.py cannot run: wait until it has ended.", 2),
        (Interrupted("Out of time: 3 of 4 runs are saved; the same command continues."),
         "Out of time: 3 of 4 runs are saved; the same command continues.", 130),
        (KeyboardInterrupt(), "Interrupted.", 130),
        (ZeroDivisionError("x"), "Run the same command again, and report this if it comes again: an error that is no fault of the "
         "study, ZeroDivisionError: x", 3),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_first_line_of_a_bad_exit_says_what_to_do(
    error: BaseException, first: str, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def work() -> int:
        raise error

    told: list[Any] = []
    assert ending(work, refused="mine.py cannot run", tell=told.append) == code
    assert capsys.readouterr().err.splitlines()[0] == first
    assert [one.exit_code for one in told] == [code]


# --- Many levels


def test_many_levels_are_said_short() -> None:
    rates = [round(0.001 * 1.01**i, 9) for i in range(500)]
    assert in_short("optimizer.lr", rates) == "500 levels, 0.001 … 0.1433"
    assert in_short("optimizer.lr", reversed(rates)) == "500 levels, 0.001 … 0.1433"
    assert in_short("task.train_size", range(8)) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert sweep_in_short("model.dropout", Sweep(0.0, 0.5)) == "Sweep(0.0, 0.5)"
    was = {"kind": "Claim", "over": {"optimizer.lr": rates, "clipping.max_norm": [0.5, "inf"]}}
    assert differences(was, was | {"over": {}}) == (
        "over optimizer.lr in 500 levels, 0.001 … 0.1433; clipping.max_norm in 0.5, inf"
    )


def test_a_study_of_many_levels_is_told_and_refused_in_few_words(tmp_path: Path) -> None:
    levels = ", ".join(str(round(0.001 * 1.01**i, 9)) for i in range(500))
    text = MINE.replace("lr=Tune(0.05, 1.0, log=True)", f"lr=Sweep({levels})").replace(
        ', tune="shared", tune_seeds=1, tune_trials=2', ""
    )
    assert text != MINE
    (tmp_path / "many.py").write_text(text.replace('"model.dropout": 0.5}, b', '"optimizer.lr": 0.9}, b').replace(
        'baseline={"model.dropout": 0.0}', 'baseline={"optimizer.lr": 0.001}'))  # fmt: skip
    refused = harness_run(tmp_path / "many.py", "--dry-run", results=tmp_path / "r")
    assert refused.exit_code == 2
    assert "is not a level of Sweep(500 levels, 0.001 … 0.1433) (got 0.9)" in refused.output
    assert len(refused.output) < 1000


# --- Other commands


def test_a_new_study_asks_nothing_is_short_and_replaces_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(everything, ["new", "first"])
    assert made.exit_code == 0 and "harness run first.py --quick" in made.output
    text = (tmp_path / "first.py").read_text()
    assert len(text.splitlines()) <= 60 and 'name="first"' in text and "harness doctor first.py" in text
    again = CliRunner().invoke(everything, ["new", "first.py"])
    assert again.exit_code == 2 and again.output.splitlines()[0] == "first.py cannot be written: choose another name."
    assert (tmp_path / "first.py").read_text() == text
    for name in ("a b", "no/such/folder", "con", "torch", "random", "harness", "mlflow.py"):
        refused = CliRunner().invoke(everything, ["new", name])
        assert refused.exit_code == 2 and "Traceback" not in refused.output, name
    assert list(tmp_path.iterdir()) == [tmp_path / "first.py"]


@pytest.mark.slow
def test_a_new_study_passes_the_doctor_and_a_quick_run(tmp_path: Path) -> None:
    for arguments in (["new", "first"], ["doctor", "first.py"], ["run", "first.py", "--quick", "--devices", "cpu"]):
        done = subprocess.run(
            [sys.executable, "-m", "harness", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert arguments[0] != "doctor" or {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    shown = CliRunner().invoke(everything, ["show", str(tmp_path / "results" / "first-quick")])
    assert shown.exit_code == 0 and "model.dropout: 0, 0.2, 0.5" in shown.output


def test_show_prints_the_verdicts_of_a_folder_and_runs_nothing_of_it(undisturbed: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(undisturbed / "mine", tmp_path / "mine"))
    (folder / "study.py").write_text("raise SystemExit('it ran')")
    shown = CliRunner().invoke(everything, ["show", str(folder)])
    assert shown.exit_code == 0, shown.output
    claims = json.loads((folder / "claims.json").read_text())
    lines = shown.output.splitlines()
    assert lines[0].startswith("mine: 24 runs in 4 cells")
    assert {"  model.dropout: 0, 0.5", "  clipping.max_norm: 0.5, ∞ (no clipping)"} <= set(lines)
    for claim in claims:
        word = {"inconclusive": "undecided"}.get(claim["verdict"], claim["verdict"]).upper()
        assert f"{word}: {claim['title']}. {claim['sentence']}" in lines
    assert f"Report: {folder / 'report.html'}" == lines[-1]
    counts = json.loads((folder / "counts.json").read_text())
    assert counts["runs"] == counts["expected runs"] == 24 and not harness.load(folder).incomplete
    (folder / "counts.json").write_text(json.dumps(counts | {"expected runs": 216}))
    shown = CliRunner().invoke(everything, ["show", str(folder)])
    assert "Incomplete: 24 of 216 runs." in shown.output
    assert "Incomplete: 24 of 216 runs." in harness.load(folder)._repr_html_()
    (folder / "claims.json").write_text(json.dumps([claims[0] | {"title": "\x1b[31mred"}]))
    assert "\x1b" not in CliRunner().invoke(everything, ["show", str(folder)]).output
    (folder / "claims.json").write_text("[1]")
    damaged = CliRunner().invoke(everything, ["show", str(folder)])
    assert damaged.exit_code == 2 and "is damaged" in damaged.output
    absent = CliRunner().invoke(everything, ["show", str(tmp_path / "mime")])
    assert absent.exit_code == 2 and "did you mean mine?" in absent.output


def completed(shell: str, words: str, folder: Path) -> list[str]:
    """What a shell offers for the last of some words."""
    typed = words.split(" ")
    of_shell = {"COMP_WORDS": words, "COMP_CWORD": typed[-1] if shell == "fish" else str(len(typed) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "harness"], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | of_shell | {"_HARNESS_COMPLETE": f"{shell}_complete", "PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_what_is_not_decided_is_called_undecided_wherever_people_read(undisturbed: Path, tmp_path: Path) -> None:
    results = shutil.copytree(undisturbed, tmp_path / "results")
    file = without_digests(results / "mine") / "claims.json"
    file.write_text(json.dumps([claim | {"verdict": "inconclusive"} for claim in json.loads(file.read_text())]))
    said = [
        CliRunner().invoke(everything, ["list", str(results)]).output,
        CliRunner().invoke(everything, ["compare", str(undisturbed / "mine"), str(results / "mine")]).output,
        repr(harness.load(results / "mine")),
        _note("", [Verdict("dropout helps", "gap", "inconclusive", "", "")]),
    ]
    for text in said:
        assert "undecided" in text and "inconclusive" not in text, text


def test_the_help_on_completion_has_a_line_for_each_shell() -> None:
    said = CliRunner().invoke(everything, ["completion", "--help"]).output
    assert '\n  bash, in ~/.bashrc:  eval "$(harness completion bash)"\n  zsh, in ~/.zshrc: ' in said
    assert "\\b" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_options_study_files_and_folders_of_results(shell: str, tmp_path: Path) -> None:
    script = CliRunner().invoke(everything, ["completion", shell])
    assert script.exit_code == 0 and f"_HARNESS_COMPLETE={shell}_complete" in script.output
    (tmp_path / "results" / "one").mkdir(parents=True)
    (tmp_path / "results" / "one" / "claims.json").write_text("[]")
    for name in ("mine.py", "mine.txt"):
        (tmp_path / name).touch()
    expected = {
        "harness sh": "show",
        "harness run mi": "mine.py",
        "harness show results/": "results/one",
        "harness forget o": "one",
    }
    if shell == "bash":  # the others go the same way
        expected["harness run --until"] = "--until-decided"
    for words, offered in list(expected.items())[:: 1 if shell == "bash" else 3]:
        found = ",".join(completed(shell, words, tmp_path))
        assert offered in found and "mine.txt" not in found, (words, found)


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(everything, ["--version"]).output.startswith("harness, version ")
