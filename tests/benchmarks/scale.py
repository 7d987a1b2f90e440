"""What a study costs as it grows: time of each further run, peak memory, start after an interruption, report. Run by hand:

python tests/benchmarks/scale.py [RUNS ...]      # default: 100 1000 10000; prints a table
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEEDS, STEPS = 10, 100

STUDY = """
from harness import Study, Sweep
from harness.clipping import GlobalNorm
from harness.models import DropoutNet
from harness.tasks import Images

study = Study(
    name="scale", task=Images(), model=DropoutNet(hidden=(16,), dropout=Sweep(*(i * 0.9 / {levels} for i in range({levels})))),
    clipping=GlobalNorm(Sweep(*(0.1 * 1.1**i for i in range({bounds})))), steps={steps}, seeds={seeds}, evaluations=4,
)
"""


def seconds_until(process: subprocess.Popen[str], text: str) -> float:
    """Seconds from now until a line of the output holds the text."""
    start = time.perf_counter()
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return time.perf_counter() - start
    raise RuntimeError(f"ended without {text!r}")


def row(runs: int, before: tuple[int, float]) -> tuple[str, float]:
    """One line of the table, and the seconds of training; `before`: runs and seconds of the line above."""
    cells = runs // SEEDS
    levels = 10 if cells >= 100 else 5
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder, "scale.py")
        study.write_text(STUDY.format(levels=levels, bounds=cells // levels, steps=STEPS, seeds=SEEDS))

        def start(*more: str) -> subprocess.Popen[str]:
            command = [
                sys.executable,
                "-u",
                "-m",
                "harness.run",
                str(study),
                "--results",
                folder,
                "--devices",
                "cpu",
                *more,
            ]
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        process = start()
        ready_s = seconds_until(process, "Training begins")
        training_s = seconds_until(process, "writing the report")
        report_s = seconds_until(process, "Report:")
        process.wait()
        process = start()
        resumed_s = seconds_until(process, "Training begins")
        process.wait()
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    further_ms = (training_s - before[1]) / (runs - before[0]) * 1e3 if before[0] else None
    shown = [runs, f"{ready_s:.1f} s", f"{training_s:.1f} s", f"{further_ms:.1f} ms" if further_ms else "", f"{peak_gib:.2f} GiB",
             f"{resumed_s:.1f} s", f"{report_s:.1f} s"]  # fmt: skip
    return f"| {' | '.join(map(str, shown))} |", training_s


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=int, default=[100, 1000, 10000])
    print("| runs | start | training | each further run | peak memory | resumed start | report |")
    print("|--:" * 7 + "|")
    before = (0, 0.0)
    for runs in parser.parse_args().runs:
        line, training_s = row(runs, before)
        before = (runs, training_s)
        print(line, flush=True)


if __name__ == "__main__":
    main()
