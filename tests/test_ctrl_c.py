"""Ctrl-C, whenever it comes and however often: a sentence, exit code 130, no traceback, nothing left running."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from own_study import MINE

from harness.lead.terminal.ctrl_c import end_at_once, raised

AT_A_LINE = """
import os, signal, sys

def press(frame, event, argument):
    if frame.f_code.co_filename.endswith(where):
        sys.setprofile(None)
        for _ in range({presses}):
            os.kill(os.getpid(), signal.SIGINT)

where, name, *line = sys.argv[1:]
sys.argv = [name, *line]
import importlib
main = importlib.import_module(name).main
sys.setprofile(press)
main()
"""
"""A command at which Ctrl-C comes as soon as code of a file runs, its import included."""


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 3])
@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("harness/execution/streams.py", ["harness.run", "mine.py"]),
        ("numpy/_core/multiarray.py", ["harness.run", "mine.py"]),
        ("mine.py", ["harness.run", "mine.py"]),
        ("mine.py", ["harness.run", "mine.py", "--json"]),
        ("harness/lead/placing.py", ["harness.run", "mine.py"]),
        ("harness/ledger/stores.py", ["harness.run", "mine.py"]),
        ("harness/lead/showing.py", ["harness.show", "."]),
        ("mine.py", ["harness.doctor", "mine.py"]),
        ("harness/ledger/listing.py", ["harness.__main__", "list", "."]),
    ],
    ids=str,
)  # fmt: skip
def test_before_anything_trains_a_command_says_that_it_is_interrupted(
    where: str, line: list[str], presses: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "results").mkdir()
    (tmp_path / "study.py").write_text(MINE)
    (tmp_path / "claims.json").write_text("[]")
    command = [sys.executable, "-c", AT_A_LINE.format(presses=presses), where, *line]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
    )  # fmt: skip
    assert ended(process) == (130, "Interrupted.\n")


@pytest.mark.slow
@pytest.mark.parametrize("presses", [2, 4])
def test_while_it_trains_the_second_stops_and_a_third_ends_even_that(presses: int, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-m", "harness.run", "mine.py", "--devices", "cpu", "--set", "steps=100000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Training begins" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(1)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    code, said = ended(process)
    assert code == 130 and "Traceback" not in said and "Interrupted" in said
    assert presses > 2 or " runs are saved; the same command continues." in said


@pytest.mark.slow
def test_sigterm_stops_at_once_while_it_trains(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-m", "harness.run", "mine.py", "--devices", "cpu", "--set", "steps=100000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "Training begins" not in process.stdout.readline():
        assert process.poll() is None
    process.terminate()
    code, said = ended(process)
    assert code == 130 and "Traceback" not in said and "Finishing" not in said
    assert "Interrupted: 0 of 24 runs are saved; the same command continues." in said


ENDED_WHILE_IT_WORKS = """
import multiprocessing, signal
from harness.lead.terminal.ctrl_c import end_at_once, raised

end_at_once()
with raised(), multiprocessing.get_context("fork").Pool(1) as pool:  # its end is a SIGTERM to the process
    pool.map(abs, [1])
try:
    with raised():
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print("in order", flush=True)
signal.raise_signal(signal.SIGTERM)
"""


def test_sigterm_means_a_command_and_no_process_that_a_users_code_forks() -> None:
    done = subprocess.run([sys.executable, "-c", ENDED_WHILE_IT_WORKS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "in order\n", "Interrupted.\n")


@raised()
def swallowing_ctrl_c() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise RecursionError


def test_what_an_interrupt_became_on_its_way_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        end_at_once()
        at_once = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            swallowing_ctrl_c()
        assert signal.getsignal(signal.SIGINT) is at_once
        with pytest.raises(RecursionError), raised():
            raise RecursionError
    finally:
        signal.signal(signal.SIGINT, before)
    with raised():
        assert signal.getsignal(signal.SIGINT) is before, "of a script or a notebook"
