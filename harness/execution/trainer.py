"""What all executors share, and the simplest of them, which trains in the leader's own process.

All call the same pure function, `harness.engine.train.train`, through a `Trainer`.
"""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pandas as pd
import torch

from harness.engine.allocator import prepare_process
from harness.engine.planning import cut
from harness.engine.runs import Run
from harness.engine.train import CURVE_COLUMNS, CURVE_VALUES, train
from harness.settings.credentials import without_credentials

OnProgress = Callable[[int, int], None]
"""Told of progress: steps done since the last call, summed over members, and members that diverged."""


@dataclass(frozen=True)
class Trained:
    """What came of a population, or of a part of it.

    Attributes:
        runs, curves: its tables, see `harness.engine.train.train`.
        errors: (trial, seed) → traceback of each run that failed.
        notes: what the user should know.
        started_at_s, ended_at_s: of its training, in seconds since 1970; unknown where a worker died.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    errors: dict[tuple[int, int], str]
    notes: tuple[str, ...] = ()
    started_at_s: float | None = None
    ended_at_s: float | None = None


class Executor(Protocol):
    """Trains populations. A context manager: worker processes live as long as the block."""

    def __enter__(self) -> Self:
        """Start what is needed."""

    def __exit__(self, *_: object) -> None:
        """Stop it, at once."""

    def train(
        self, populations: list[list[Run]], report: OnProgress, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """Train all of them, in any order, until `stop()`: no population is begun from then on.

        Yields:
            The index of a population and what came of it, or of the next part of it.
        """


class Trainer:
    """Trains populations on one device, in parts where they do not fit its memory or where a run raises.

    Args:
        device: where to train.
        evaluations: see `harness.engine.train.train`.
    """

    def __init__(self, device: torch.device, evaluations: int) -> None:
        prepare_process()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self._device, self._evaluations, self._most = device, evaluations, 2**62

    def train(self, runs: list[Run], report: OnProgress) -> Trained:
        """Train a population; `report` is told of its progress."""
        began_at_s = time.time()
        trained = joined([self._attempt(part, report) for part in cut(runs, -(-len(runs) // self._most))])
        return replace(trained, started_at_s=began_at_s, ended_at_s=time.time())

    def _attempt(self, runs: list[Run], report: OnProgress, *, again: bool = False) -> Trained:
        """Train runs together; where that fails, each half on its own, down to the runs that fail alone once more."""
        done, notes = 0, []

        def counted(steps: int, diverged: int) -> None:
            nonlocal done
            done += steps
            report(steps, diverged)

        try:
            return Trained(*train(runs, evaluations=self._evaluations, device=self._device, progress=counted), {})
        except Exception as error:
            if len(runs) == 1 and again:
                return failed(runs[0], "".join(traceback.format_exception(error)))
            if out_of_memory(error) and len(runs) > 1:
                self._most = len(runs) // 2
                notes = [f"{self._device}: out of memory with {len(runs)} runs at once; going on with {self._most}"]
        report(-done, 0)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        halves = [self._attempt(half, report, again=True) for half in cut(runs, min(2, len(runs)))]
        return joined([replace(halves[0], notes=(*notes, *halves[0].notes)), *halves[1:]])


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory, of a device or of the host, was not enough."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def joined(parts: list[Trained]) -> Trained:
    """Parts of a population as one."""
    return Trained(
        pd.concat([part.runs for part in parts], ignore_index=True),
        pd.concat([part.curves for part in parts], ignore_index=True),
        {key: error for part in parts for key, error in part.errors.items()},
        tuple(note for part in parts for note in part.notes),
    )


def failed(run: Run, error: str) -> Trained:
    """The outcome of a run that failed for good: no numbers, no curve, the traceback without credentials."""
    row = {"trial": run.trial, "seed": run.seed, "status": "failed", "steps_done": 0} | dict.fromkeys(
        run.setup.metrics.metrics(), np.nan
    )
    kinds = {name: "float64" if name in CURVE_VALUES else "int64" for name in CURVE_COLUMNS}
    return Trained(
        pd.DataFrame([row]),
        pd.DataFrame(columns=list(kinds)).astype(kinds),
        {(run.trial, run.seed): without_credentials(error)},
    )


class InProcess:
    """Trains in this process, one population after another."""

    def __init__(self, device: torch.device, evaluations: int) -> None:
        self._trainer = Trainer(device, evaluations)

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def train(
        self, populations: list[list[Run]], report: OnProgress, stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        """See `Executor`."""
        for index, runs in enumerate(populations):
            if stop():
                return
            yield index, self._trainer.train(runs, report)
