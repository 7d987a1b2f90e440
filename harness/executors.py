"""Executors: where populations are trained, in the leader's process or in a process for each device.

Both call the same pure function; whatever is lost with a worker can be trained again from the plan.
"""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from harness import metrics
from harness.devices import keep_memory
from harness.load import Changes, load_study
from harness.population import Run
from harness.train import train

Report = Callable[[int, int], None]
"""Told of progress: steps done since the last call, summed over members, and members that diverged."""


@dataclass(frozen=True)
class Trained:
    """What came of one population: its tables (see `train`) and the traceback of each run that failed."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    errors: dict[tuple[int, int], str]


class Executor(Protocol):
    """Trains populations and yields each one's index and outcome as it is done."""

    def train(self, populations: list[list[Run]], progress: Report) -> Iterator[tuple[int, Trained]]:
        """Train all of them, in any order."""


@dataclass(frozen=True)
class InProcess:
    """Trains in this process, one population after another."""

    device: torch.device
    evaluations: int

    def train(self, populations: list[list[Run]], progress: Report) -> Iterator[tuple[int, Trained]]:
        """See `Executor`."""
        keep_memory()
        for index, runs in enumerate(populations):
            yield index, attempt(runs, evaluations=self.evaluations, device=self.device, progress=progress)


@dataclass(frozen=True)
class PerDevice:
    """Trains in a spawned process for each device; workers load the study file themselves."""

    devices: list[torch.device]
    study_file: Path
    changes: Changes

    def train(self, populations: list[list[Run]], progress: Report) -> Iterator[tuple[int, Trained]]:
        """See `Executor`. Progress is told when a population is done."""
        context = multiprocessing.get_context("spawn")
        free = context.SimpleQueue()
        for device in self.devices:
            free.put(str(device))
        threads = max(1, (os.cpu_count() or 1) // len(self.devices))
        start = (free, threads, self.study_file, self.changes)
        with ProcessPoolExecutor(len(self.devices), context, initializer=_start_worker, initargs=start) as pool:
            jobs = [[(run.trial, run.seed, run.confirm, run.values) for run in runs] for runs in populations]
            futures = {pool.submit(_work, job): index for index, job in enumerate(jobs)}
            for future in as_completed(futures):
                index, trained = futures[future], future.result()
                steps = populations[index][0].setup.steps * len(populations[index])
                progress(steps, int((trained.runs["status"] == "diverged").sum()))
                yield index, trained


_worker: dict[str, object] = {}


def _start_worker(free: "multiprocessing.SimpleQueue[str]", threads: int, study_file: Path, changes: Changes) -> None:
    keep_memory()
    torch.set_num_threads(threads)
    _worker["device"] = torch.device(free.get())
    _worker["study"], _ = load_study(study_file, changes)


def _work(job: list[tuple[int, int, bool, dict[str, object]]]) -> Trained:
    study, device = _worker["study"], _worker["device"]
    runs = [Run(trial, seed, study.setup(values), values, confirm) for trial, seed, confirm, values in job]  # type: ignore[attr-defined]
    return attempt(runs, evaluations=study.evaluations, device=device, progress=lambda steps, diverged: None)  # type: ignore


def attempt(runs: list[Run], *, evaluations: int, device: torch.device, progress: Report) -> Trained:
    """Train a population; where that fails, each half on its own, down to the runs that fail alone."""
    try:
        return Trained(*train(runs, evaluations=evaluations, device=device, progress=progress), {})
    except Exception as error:
        if len(runs) == 1:
            return _failed(runs[0], "".join(traceback.format_exception(error)))
    halves = (runs[: len(runs) // 2], runs[len(runs) // 2 :])
    parts = [attempt(half, evaluations=evaluations, device=device, progress=progress) for half in halves]
    return Trained(
        pd.concat([part.runs for part in parts], ignore_index=True),
        pd.concat([part.curves for part in parts], ignore_index=True),
        parts[0].errors | parts[1].errors,
    )


def _failed(run: Run, error: str) -> Trained:
    row = {"trial": run.trial, "seed": run.seed, "status": "failed", "steps_done": 0} | dict.fromkeys(
        metrics.METRICS, np.nan
    )
    columns = ["trial", "seed", "step", "loss", "grad_norm", "clipped", "update_ratio", "validation_loss"]
    kinds = {name: "int64" if i < 3 else "float64" for i, name in enumerate(columns)}
    return Trained(pd.DataFrame([row]), pd.DataFrame(columns=columns).astype(kinds), {(run.trial, run.seed): error})
