"""What a study costs as it grows: time per run, peak memory, start after an interruption, report. Run by hand:

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


def row(runs: int) -> str:
    """One line of the table."""
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
    return f"| {runs} | {ready_s:.1f} s | {training_s / runs * 1e3:.1f} ms | {peak_gib:.2f} GiB | {resumed_s:.1f} s | {report_s:.1f} s |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", type=int, default=[100, 1000, 10000])
    print("| runs | start | per run | peak memory | resumed start | report |\n|--:|--:|--:|--:|--:|--:|")
    for runs in parser.parse_args().runs:
        print(row(runs), flush=True)


if __name__ == "__main__":
    main()
