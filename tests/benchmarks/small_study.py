"""A small study of real size beside the script that spreads its runs over the cores: seconds from the command to its numbers.

The study: two dropout rates × clipping or not, all with one learning rate, by the command, with start, records, evaluation and
report. The script: the same nets on the same examples for as many steps; one process a core, of one thread, with the fused
optimizer, as many evaluations in batches of 1,000; a table of the runs, no tracking, no report. In turns. Run by hand:

    python tests/benchmarks/small_study.py [--images FOLDER] [--runs 24 100] [--rounds 3]     # FOLDER: MNIST's files
"""

import argparse
import gzip
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS, BATCH, EVALUATIONS, LR, CELLS = 1500, 64, 10, 1e-3, [(p, c) for p in (0.0, 0.5) for c in (1.0, float("inf"))]

STUDY = """
from math import inf

from harness import Study, Sweep
from harness.clipping import GlobalNorm
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.tasks import Images

study = Study(
    name="small", task=Images({source!r}), model=DropoutNet(dropout=Sweep(0.0, 0.5)), clipping=GlobalNorm(Sweep(1.0, inf)),
    optimizer=Adam({lr}), batch_size={batch}, steps={steps}, evaluations={evaluations}, seeds={seeds},
)
"""


def by_hand(folder: str, seeds: int, out: Path) -> None:
    """The script: spread over the cores; rows of numbers, one a run, into a table."""
    runs = [(p, c, seed) for p, c in CELLS for seed in range(seeds)]
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    with context.Pool(cores) as pool:
        parts = pool.starmap(train_all, [(folder, runs[core::cores]) for core in range(cores)])
    import pandas as pd

    pd.DataFrame([row for part in parts for row in part]).to_csv(out, index=False)


def train_all(folder: str, runs: list[tuple[float, float, int]]) -> list[dict[str, Any]]:
    """Some runs, one after another, in a process of one thread."""
    import torch

    torch.set_num_threads(1)
    x, y, official_test = examples(folder)
    return [train(x, y, official_test, *run) for run in runs]


def examples(folder: str) -> tuple[Any, Any, int]:
    """x and y; the last so many are for the test."""
    import numpy as np
    import torch

    if not folder:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target), 359
    x, y = [], []
    for part in ("train", "t10k"):
        images, labels = (Path(folder, f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        x.append(np.frombuffer(gzip.decompress(images.read_bytes())[16:], np.uint8).reshape(-1, 784))
        y.append(np.frombuffer(gzip.decompress(labels.read_bytes())[8:], np.uint8))
    pixels = torch.from_numpy(np.concatenate(x)).float() / 255
    return pixels, torch.from_numpy(np.concatenate(y)).long(), 10_000


def train(x: Any, y: Any, n_test: int, dropout: float, max_norm: float, seed: int) -> dict[str, Any]:
    """One run by the plain loop."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    torch.manual_seed(seed)
    order = torch.randperm(len(x) - n_test)
    validation, training, test = order[:n_test], order[n_test:], torch.arange(len(x) - n_test, len(x))
    layers: list[nn.Module] = []
    for n, m in ((x.shape[1], 256), (256, 128)):
        layers += [nn.Linear(n, m), nn.ReLU(), nn.Dropout(dropout)]
    model = nn.Sequential(*layers, nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)

    @torch.no_grad()
    def evaluate(index: Any) -> tuple[float, float]:
        model.eval()
        output = torch.cat([model(x[part]) for part in index.split(1000)])
        model.train()
        return float(F.cross_entropy(output, y[index])), float((output.argmax(1) != y[index]).float().mean())

    losses = []
    batches = iter(())
    for step in range(1, STEPS + 1):
        index = next(batches, None)
        if index is None or len(index) < BATCH:
            batches = iter(training[torch.randperm(len(training))].split(BATCH))
            index = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[index]), y[index])
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        if step % (STEPS // 100) == 0:
            losses.append((float(loss), float(norm)))
        if step % (STEPS // EVALUATIONS) == 0:
            validation_loss, _ = evaluate(validation)
    (test_loss, test_error), (train_loss, train_error) = evaluate(test), evaluate(training[:n_test])
    return {
        "dropout": dropout, "max_norm": max_norm, "seed": seed, "validation_loss": validation_loss, "test_loss": test_loss,
        "test_error": test_error, "train_loss": train_loss, "train_error": train_error,
    }  # fmt: skip


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", default="", metavar="FOLDER")
    parser.add_argument("--runs", type=int, nargs="+", default=[24, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--by-hand", type=Path, metavar="CSV", help="train by hand, and nothing else")
    given = parser.parse_args()
    if given.by_hand:
        by_hand(given.images, given.runs[0] // len(CELLS), given.by_hand)
        return
    for runs in given.runs:
        taken: dict[str, list[float]] = {"by hand": [], "study": []}
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                hand = [sys.executable, __file__, "--images", given.images, "--runs", str(runs), "--by-hand"]
                taken["by hand"].append(seconds([*hand, f"{folder}/runs.csv"]))
                study = Path(folder, "small.py")
                source = f"idx:{given.images}" if given.images else "digits"
                study.write_text(STUDY.format(source=source, lr=LR, batch=BATCH, steps=STEPS, evaluations=EVALUATIONS,
                                              seeds=runs // len(CELLS)))  # fmt: skip
                ours = [sys.executable, "-m", "harness.run", str(study), "--results", folder, "--devices", "cpu"]
                taken["study"].append(seconds(ours))
        medians = {who: statistics.median(times) for who, times in taken.items()}
        spread = "; ".join(f"{who} {', '.join(f'{t:.1f}' for t in times)} s" for who, times in taken.items())
        print(f"{runs} runs: {medians['by hand'] / medians['study']:.2f} × as fast as by hand ({spread})", flush=True)


if __name__ == "__main__":
    main()
