"""Who reads what a command prints may go: a run goes on to its end, a short command ends, and neither says a word of it."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_study import MINE

from harness import load

PRINTING = """
import atexit, sys, threading, time
from harness.execution.processes import start
from harness.execution.streams import outlive_readers

def talk():
    for i in range(2000):
        print("stdout", i)
        print("stderr", i, file=sys.stderr)

if __name__ == "__main__":
    outlive_readers()
    outlive_readers()
    atexit.register(talk)
    threading.Thread(target=talk).start()
    talk()
    process = start(exec, "import sys; print('a' * 100000, flush=True); print('b' * 100000, file=sys.stderr)")
    process.join()
    sys.exit(7 + process.exitcode)
"""


def unread(command: list[str], lines: int = 0, cwd: Path | None = None) -> int:
    """The exit code of a command whose output and errors are one pipe, of which the reader takes some lines and goes."""
    reading, writing = os.pipe()
    process = subprocess.Popen(command, stdout=writing, stderr=writing, cwd=cwd)
    os.close(writing)
    with os.fdopen(reading) as reader:
        for _ in range(lines):
            assert reader.readline()
    return process.wait()


@pytest.fixture
def errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where tracebacks would be kept; at the end there is none."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "errors"))
    (tmp_path / "errors").mkdir()
    yield tmp_path / "errors"
    assert not list((tmp_path / "errors").glob("harness-error*"))


@pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "unbuffered"])
def test_a_process_its_threads_and_its_children_print_to_nobody(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "printing.py").write_text(PRINTING)
    assert unread([sys.executable, *options, str(tmp_path / "printing.py")]) == 7


@pytest.mark.parametrize("line", [["--help"], ["run", "--help"], ["list", "."], ["list", "nosuch"], ["run", "no.py"]])
def test_a_short_command_ends_as_if_it_was_read(line: list[str], errors: Path, tmp_path: Path) -> None:
    assert unread([sys.executable, "-m", "harness", *line], cwd=tmp_path) == (
        2 if line[-1] in ("nosuch", "no.py") else 0
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--json"], ["-q"]], ids=["lines", "json", "quiet"])
def test_a_run_goes_on_to_its_end(options: list[str], errors: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    command = [sys.executable, "-m", "harness.run", "mine.py", "--quick", "--devices", "cpu", *options]
    assert unread(command, 0 if "-q" in options else 1, tmp_path) == 0
    assert len(load(tmp_path / "results" / "mine-quick").runs) == 20


@pytest.mark.slow
def test_a_run_outlives_its_terminal(errors: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "harness.run", "mine.py", "--quick", "--devices", "cpu"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # whose it is, as of what a shell starts: SIGHUP says that it closes
    )  # fmt: skip
    os.close(theirs)
    assert os.read(ours, 10)
    os.close(ours)
    assert process.wait() == 0
    assert len(load(tmp_path / "results" / "mine-quick").runs) == 20
