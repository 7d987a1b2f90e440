"""What a process that trains does with a population, and what comes of it.

All executors call the same pure function, `harness.engine.train.train`, through a `Trainer`.
"""

import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
import pandas as pd
import torch

from harness.engine.allocator import prepare_process
from harness.engine.devices import use
from harness.engine.keeping import NOTHING, Keeper, Keeping
from harness.engine.obstacles import Unbatchable
from harness.engine.planning import cut
from harness.engine.run_tables import CURVE_COLUMNS, CURVE_VALUES
from harness.engine.runs import Run
from harness.engine.train import train
from harness.settings import first_line
from harness.settings.credentials import without_credentials
from harness.settings.show import ranges

OnProgress = Callable[[int, int], None]
"""Told of progress: steps done since the last call, summed over members, and members that diverged."""

OnPopulation = Callable[[int, int, int], None]
"""Told of the progress of several populations: the index of one, and as `OnProgress`."""


@dataclass(frozen=True)
class Trained:
    """What came of a population, or of a part of it.

    Attributes:
        runs, curves: its tables, see `harness.engine.train.train`.
        errors: (trial, seed) → traceback of each run that failed.
        notes: what the user should know.
        parts: (trial, seed) of the members of each part that trained together to its end, in the order of the stack; a
            population that was never cut has one. Runs that failed are in none.
        started_at_s, ended_at_s: seconds since the epoch between which it trained.
        by_machine: (trial, seed) of the runs that failed because they were killed or memory ran out.
        weights: (trial, seed) → file of the weights that are kept of a run, see `harness.engine.kept_weights`.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    errors: dict[tuple[int, int], str]
    notes: tuple[str, ...] = ()
    parts: tuple[tuple[tuple[int, int], ...], ...] = ()
    started_at_s: float = math.inf
    ended_at_s: float = -math.inf
    by_machine: frozenset[tuple[int, int]] = frozenset()
    weights: dict[tuple[int, int], bytes] = field(default_factory=dict)


class Executor(Protocol):
    """Trains populations. A context manager: worker processes live as long as the block."""

    def __enter__(self) -> Self:
        """Start what is needed."""

    def __exit__(self, *_: object) -> None:
        """Stop it, at once."""

    def train(
        self, populations: list[list[Run]], report: OnPopulation, stop: Callable[[], bool]
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
        keeping: what is kept of training besides its numbers.
    """

    def __init__(self, device: torch.device, evaluations: int, keeping: Keeping = NOTHING) -> None:
        prepare_process()
        use(device)
        torch.zeros(1, device=device)  # a device that is broken says so before any run is blamed
        self._device, self._evaluations, self._keeping, self._most = device, evaluations, keeping, 2**62

    def train(self, runs: list[Run], report: OnProgress) -> Trained:
        """Train a population; `report` is told of its progress.

        Raises:
            RuntimeError: after which this process cannot use its device any more, see `device_is_lost`.
        """
        return joined([self._attempt(part, report) for part in cut(runs, -(-len(runs) // self._most))])

    def _attempt(self, runs: list[Run], report: OnProgress, *, again: bool = False) -> Trained:
        """Train runs together; where that fails, each half on its own, down to the runs that fail alone once more."""
        done, keeper, started_at_s = 0, Keeper(self._keeping), time.time()
        parts = cut(runs, min(2, len(runs)))

        def counted(steps: int, diverged: int) -> None:
            nonlocal done
            done += steps
            report(steps, diverged)

        try:
            tables = train(runs, evaluations=self._evaluations, device=self._device, progress=counted, keeper=keeper)
            members, notes = tuple((run.trial, run.seed) for run in runs), tuple(keeper.notes)
            return Trained(*tables, {}, notes, (members,), started_at_s, time.time(), weights=keeper.weights)
        except Exception as error:
            if device_is_lost(error):
                raise
            if len(runs) == 1 and again:
                text = "".join(traceback.format_exception(error))
                return failed(runs[0], text, started_at_s, by_machine=out_of_memory(error))
            if isinstance(error, Unbatchable):
                parts = [[run] for run in runs]
                keeper.notes += [
                    f"{in_words(runs)}: a population no longer, since {error}; each trains anew by the plain loop"
                ]
            elif out_of_memory(error) and len(runs) > 1:
                self._most = len(runs) // 2
                keeper.notes += [
                    f"{self._device}: out of memory with {in_words(runs)} at once; going on with {self._most}"
                ]
            elif len(runs) > 1 and not again:
                keeper.notes += [f"{in_words(runs)}: {first_line(error)}; each half trains anew, down to single runs"]
        report(-done, 0)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        outcomes = [self._attempt(part, report, again=True) for part in parts]
        return joined([replace(outcomes[0], notes=(*keeper.notes, *outcomes[0].notes)), *outcomes[1:]])


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory, of a device or of the host, was not enough."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def device_is_lost(error: Exception) -> bool:
    """Whether a CUDA error was raised after which its process can do nothing more on the device, not even clean up."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


def in_words(runs: list[Run]) -> str:
    """How many runs, and which.

    >>> from unittest.mock import Mock
    >>> in_words([Mock(trial=trial, seed=seed) for trial in (3, 4, 7) for seed in (0, 1)])
    '6 runs (trials 3-4, 7; seeds 0-1)'
    """
    if len(runs) == 1:
        return f"1 run (trial {runs[0].trial}, seed {runs[0].seed})"
    numbers = {"trial": {run.trial for run in runs}, "seed": {run.seed for run in runs}}
    named = (f"{name}{'s' * (len(found) > 1)} {ranges(found)}" for name, found in numbers.items())
    return f"{len(runs)} runs ({'; '.join(named)})"


def joined(parts: list[Trained]) -> Trained:
    """Parts of a population as one."""
    return Trained(
        pd.concat([part.runs for part in parts], ignore_index=True),
        pd.concat([part.curves for part in parts], ignore_index=True),
        {key: error for part in parts for key, error in part.errors.items()},
        tuple(note for part in parts for note in part.notes),
        tuple(members for part in parts for members in part.parts),
        min(part.started_at_s for part in parts),
        max(part.ended_at_s for part in parts),
        frozenset().union(*(part.by_machine for part in parts)),
        {key: content for part in parts for key, content in part.weights.items()},
    )


def failed(run: Run, error: str, started_at_s: float = math.inf, *, by_machine: bool = False) -> Trained:
    """The outcome of a run that failed for good, just now: no numbers, no curve, the traceback without credentials."""
    row = {"trial": run.trial, "seed": run.seed, "status": "failed", "steps_done": 0} | dict.fromkeys(
        run.setup.metrics.metrics(), np.nan
    )
    kinds = {name: "float64" if name in CURVE_VALUES else "int64" for name in CURVE_COLUMNS}
    return Trained(
        pd.DataFrame([row]),
        pd.DataFrame(columns=list(kinds)).astype(kinds),
        {(run.trial, run.seed): without_credentials(error)},
        started_at_s=started_at_s,
        ended_at_s=time.time(),
        by_machine=frozenset({(run.trial, run.seed)} if by_machine else ()),
    )
