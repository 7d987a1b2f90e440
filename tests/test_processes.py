"""Processes that train: what they inherit, and that a command can start them before anything heavy is imported."""

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from harness.execution import processes
from harness.execution.processes import huge_pages, start


def tell(pipe: Connection) -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    server = Path(f"/proc/{os.getppid()}/environ").read_text().split("\0")
    tunables = next((line.partition("=")[2] for line in server if line.startswith("GLIBC_TUNABLES=")), "")
    pipe.send((os.environ.get("HERE"), Path.cwd(), "torch" in sys.modules, signal.SIGINT in blocked, tunables))


def told() -> tuple[str | None, Path, bool, bool, str]:
    """What a process says of itself: `HERE` and folder, whether torch is there and Ctrl-C blocked, how glibc was started."""
    ours, theirs = multiprocessing.Pipe()
    process = start(tell, theirs)
    theirs.close()
    answer: tuple[str | None, Path, bool, bool, str] = ours.recv()
    process.join()
    return answer


def test_a_process_has_the_environment_and_folder_of_its_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Though the server that forks it may be older; torch is imported there."""
    for here in ("a", "b"):
        monkeypatch.setenv("HERE", here)
        (tmp_path / here).mkdir()
        monkeypatch.chdir(tmp_path / here)
        assert told()[:3] == (here, tmp_path / here, True)


def test_ctrl_c_is_not_for_processes_that_train() -> None:
    assert told()[3]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_where_no_server_can_fork_processes_are_started_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on macOS and Windows."""
    monkeypatch.setattr(processes, "METHOD", "spawn")
    monkeypatch.setenv("HERE", "anew")
    monkeypatch.chdir(tmp_path)
    here, folder, _, _, _ = told()
    assert (here, folder) == ("anew", tmp_path)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_files_with_names_of_pythons_modules_are_none_of_its_processes(method: str, tmp_path: Path) -> None:
    """Beside a study there may be a random.py; a process that imported it ended, which was called a fault of the harness."""
    for name in ("random", "types", "queue", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    code = f"import sys; sys.path.remove(''); from harness.execution import processes; processes.METHOD = {method!r}; " \
           "started = processes.start(print, 'done'); started.join(); print(started.exitcode)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("done\n0\n", "")


def test_a_command_answers_before_torch_is_imported() -> None:
    code = "import sys, harness.run; print(sorted({'torch', 'pandas', 'optuna', 'mlflow'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_study_is_loaded_and_tried_without_the_compiler_of_torch() -> None:
    """Importing it takes a second, of every start."""
    study = Path(__file__).parents[1] / "studies" / "rnn_clip.py"
    code = (
        f"import sys, runpy; runpy.run_path({str(study)!r}); print({{'torch', 'torch._dynamo'}} & sys.modules.keys())"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "{'torch'}\n"
    )


def test_processes_that_train_have_huge_pages() -> None:
    assert "glibc.malloc.hugetlb=1" in told()[4].split(":")


@pytest.mark.parametrize("before", [None, "glibc.malloc.check=0"])
def test_only_processes_started_in_the_block_have_huge_pages(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if before is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", before)

    def tunables() -> str:
        code = "import os; print(os.environ.get('GLIBC_TUNABLES'))"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    with huge_pages():
        assert tunables().split(":") == ["glibc.malloc.hugetlb=1", *([before] if before else [])]
    assert tunables() == str(before)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("begun.set(); time.sleep(0.5); print('done')", "done"),
        ("child = start(time.sleep, 600); begun.set(); child.join(); print('ended')", "ended"),
    ],
)
def test_a_process_that_ends_stops_no_thread_that_finds_something_out(call: str, said: str, tmp_path: Path) -> None:
    """It waits for the thread, which waits for no child any more: stopped within torch it aborted the process."""
    (tmp_path / "ends.py").write_text(f"""
import threading, time
from harness.execution.processes import start
from harness.settings.beforehand import Beforehand

begun = threading.Event()

def call():
    {call}

Beforehand(call)
begun.wait()
raise SystemExit(2)
""")
    done = subprocess.run([sys.executable, str(tmp_path / "ends.py")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (2, f"{said}\n", "")


def test_the_folder_of_temporary_files_may_have_a_long_path(tmp_path: Path) -> None:
    """As in the scratch folders of clusters; the address of a socket has 107 bytes."""
    scratch = tmp_path / "scratch" / ("x" * 100)
    scratch.mkdir(parents=True)
    line = [sys.executable, "-m", "harness", "run", "no.py"]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ | {"TMPDIR": str(scratch)}, capture_output=True, text=True)
    assert done.returncode == 2 and "no such study file" in done.stderr
