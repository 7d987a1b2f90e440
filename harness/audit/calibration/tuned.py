"""Studies in which a learning rate is tuned, with arms that are equal in law.

At each of eight rates a run has the mean loss of that rate, what is its own (of weights and order of batches), and the noise of its
validation and of its test data. Within the replicate every seed trains at all rates and `selected` takes the one that its own
validation loss prefers, as in any study. Tuned once, each arm has the rate of least median rank over the validation losses of
seeds of their own, and all seeds of the confirm phase train there.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

from harness.audit.calibration.laws import Draw
from harness.audit.calibration.world import Simulated
from harness.inference.intervals.interval import Array
from harness.inference.selection import selected
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.settings import Sweep, Tune
from harness.study import Study
from harness.tasks import Images

FACTOR, ARMS, RATE = "model.dropout", (0.0, 0.5), "optimizer.lr"
RATES: Array = np.logspace(-2, 0, 8)
MEANS: Array = 2 + 0.1 * np.linspace(-1.5, 1.5, 8) ** 2
OWN, MEASURED = 0.3, 0.1
"""Standard deviations: of what is a run's own, and of its validation and test data."""


def losses(rng: Generator, n: int) -> tuple[Array, Array]:
    """Validation and test losses of runs. (seed, arm, rate) each."""
    own = MEANS + OWN * rng.standard_normal((n, len(ARMS), len(RATES)))
    return own + MEASURED * rng.standard_normal(own.shape), own + MEASURED * rng.standard_normal(own.shape)


def _table(validation: Array, test: Array, phase: str) -> pd.DataFrame:
    """One run per seed, arm and rate."""
    n, arms, rates = validation.shape
    shape = (n, arms, rates)
    seeds, arm, rate = (index.ravel() for index in np.indices(shape))
    constant = {
        name: pd.Series([value] * seeds.size, dtype=object)
        for name, value in (("phase", phase), ("status", "finished"))
    }
    return pd.DataFrame(
        {"trial": arm * rates + rate, "seed": seeds, **constant, FACTOR: np.array(ARMS)[arm], RATE: RATES[rate],
         "validation_loss": validation.ravel(), "test_loss": test.ravel()}
    )  # fmt: skip


@lru_cache(maxsize=1)
def _study() -> Study:
    """A study that is tuned so."""
    rates: Any = Tune(0.01, 1.0, log=True)
    arms: Any = Sweep(*ARMS)
    return Study(name="tuned", task=Images(), model=DropoutNet(dropout=arms), optimizer=SGD(lr=rates))


def within(rng: Generator, n: int) -> Simulated:
    """Tuned within the replicate."""
    return Simulated(selected(_study(), _table(*losses(rng, n), "tune")))


def _tuned_once(rng: Generator, n: int, tune_seeds: int) -> tuple[pd.DataFrame, float]:
    """The run table, and Δ at the rates that were chosen."""
    validation, _ = losses(rng, tune_seeds)
    ranks = validation.argsort(axis=2).argsort(axis=2)
    spread = validation.mean(axis=0) * 1e-6  # of equal median ranks the one of less loss
    chosen = (np.median(ranks, axis=0) + spread).argmin(axis=1)
    tried = _table(validation, np.full(validation.shape, np.nan), "tune").assign(seed=lambda runs: runs["seed"] + 10**6)
    confirm_validation, test = (each[:, [0, 1], chosen][:, :, None] for each in losses(rng, n))
    confirm = _table(confirm_validation, test, "confirm")
    confirm[RATE] = RATES[chosen][(confirm[FACTOR] == ARMS[1]).to_numpy(int)]
    return pd.concat([tried, confirm], ignore_index=True), float(MEANS[chosen[0]] - MEANS[chosen[1]])


def once(tune_seeds: int, *, conditional: bool) -> Draw:
    """Tuned once for all seeds.

    Args:
        tune_seeds: that the choice is made on.
        conditional: whether Δ is that at the rates chosen, or that of the arms, 0.
    """

    def draw(rng: Generator, n: int) -> Simulated:
        runs, difference = _tuned_once(rng, n, tune_seeds)
        return Simulated(runs, [difference if conditional else 0.0])

    return draw
