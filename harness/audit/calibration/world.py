"""`World`: a law that studies are simulated by, what they claim, and what is true of it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from harness.inference.intervals.interval import Array
from harness.inference.plan import Plan
from harness.settings import Sweep
from harness.settings.levels import stored
from harness.study import Claim, Equivalence, Interaction, Threshold, Trend

Tested = Claim | Equivalence | Trend | Interaction | Threshold

SIZES = (5, 10, 20, 50)


@dataclass(frozen=True)
class Simulated:
    """A simulated study.

    Attributes:
        runs: its run table.
        truths: Δ of each of its claims, where it is not that of the world.
    """

    runs: pd.DataFrame
    truths: Sequence[float] | None = None


@dataclass(frozen=True)
class World:
    """A law of studies.

    Attributes:
        name: as the command line takes it.
        says: what it is like.
        sweeps: factors of its studies.
        claims: one family, judged together.
        truths: Δ of each claim: of its own estimand, in the law.
        easier: the same claims with another δ, which are true: how often they are supported is the power.
        draw: a study of so many seeds.
        sizes: numbers of seeds.
        looks: planned ones; none: one at the end.
        rates: paths of tuned learning rates.
        exempt: why nothing is required of it, "" where it is.
    """

    name: str
    says: str
    sweeps: Mapping[str, Sweep]
    claims: Sequence[Tested]
    truths: Sequence[float]
    easier: Sequence[Tested]
    draw: Callable[[Generator, int], Simulated]
    sizes: Sequence[int] = SIZES
    looks: Sequence[int] = ()
    rates: Sequence[str] = ()
    exempt: str = ""

    def plan(self, n: int) -> Plan:
        """That of a study of `n` seeds."""
        return Plan(self.sweeps, range(n), self.looks or (n,), self.rates)


def run_table(
    rng: Generator,
    sweeps: Mapping[str, Sweep],
    metrics: Mapping[str, Array],
    status: "NDArray[Any] | None" = None,
) -> pd.DataFrame:
    """One confirm run per seed and cell.

    Args:
        rng: of a training loss that tells seeds apart, as it does in real runs.
        sweeps: factors; their levels multiply into cells.
        metrics: (seed, cell) each.
        status: (seed, cell) how runs ended; None: all finished.
    """
    cells = [[stored(level) for level in levels] for levels in itertools.product(*(s.levels for s in sweeps.values()))]
    n, size = next(iter(metrics.values())).shape[0], len(cells)
    columns: dict[str, Any] = {"trial": np.repeat(np.arange(size), n), "seed": np.tile(np.arange(n), size)}
    columns["phase"] = pd.Series(["confirm"] * (n * size), dtype=object)
    ended = np.full((n, size), "finished", dtype=object) if status is None else status
    columns["status"] = pd.Series(ended.T.ravel(), dtype=object)
    columns |= {path: np.repeat([cell[i] for cell in cells], n) for i, path in enumerate(sweeps)}
    columns |= {"train_loss": rng.random(n * size)} | {name: values.T.ravel() for name, values in metrics.items()}
    return with_plain_names(pd.DataFrame(columns))


def with_plain_names(runs: pd.DataFrame) -> pd.DataFrame:
    """The same, its columns looked up by Python strings: half the time of many small tables is spent in looking up others."""
    runs.columns = runs.columns.astype(object)
    return runs
