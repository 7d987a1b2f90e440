"""How runs of simulated studies come out, and medians of such laws.

Differences are what a lower loss is better by: baseline − treatment. Laws of arms side by side: (seed, cell), the baseline first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import optimize, special  # type: ignore[import-untyped]

from harness.audit.calibration.world import Simulated, run_table
from harness.inference.intervals.interval import Array
from harness.settings import Sweep

Law = Callable[[Generator, int], Array]
Draw = Callable[[Generator, int], Simulated]
Sweeps = Mapping[str, Sweep]

BLOW_UP = 50.0
"""What a run that blows up adds to its loss."""


def normal(centre: float) -> Law:
    """Differences around a centre, of standard deviation 1."""
    return lambda rng, n: centre + rng.standard_normal(n)


def student(centre: float) -> Law:
    """Of t with 2 degrees of freedom: without a variance."""
    return lambda rng, n: centre + rng.standard_t(2, n)


def lognormal(median: float, spread: float = 1.0) -> Law:
    """Skewed ones, `spread` the standard deviation of their logarithms."""
    return lambda rng, n: median * np.exp(spread * rng.standard_normal(n))


def of_losses(sweeps: Sweeps, *laws: Law, failing: float = 0.0) -> Draw:
    """A baseline, and for each law an arm that is better by its differences.

    Args:
        sweeps: of one cell more than laws.
        laws: independent of each other.
        failing: share of runs that fail, whatever their number.
    """

    def draw(rng: Generator, n: int) -> Simulated:
        baseline = 5 + rng.standard_normal(n)
        losses = np.column_stack([baseline, *(baseline - law(rng, n) for law in laws)])
        failed = rng.random(losses.shape) < failing
        status = np.where(failed, "failed", "finished").astype(object)
        return Simulated(run_table(rng, sweeps, {"test_loss": np.where(failed, np.nan, losses)}, status))

    return draw


def of_levels(sweeps: Sweeps, centres: Sequence[float], law: Law) -> Draw:
    """The loss of each cell around a centre, independent of the others."""

    def draw(rng: Generator, n: int) -> Simulated:
        losses = np.column_stack([centre + law(rng, n) for centre in centres])
        return Simulated(run_table(rng, sweeps, {"test_loss": losses}))

    return draw


def blowing_up(sweeps: Sweeps, baseline: float, treatment: float, *, diverging: bool) -> Draw:
    """Differences normal around 2, but in shares of the runs of each arm, independently, the loss is far higher, or infinite."""

    def draw(rng: Generator, n: int) -> Simulated:
        first = 5 + rng.standard_normal(n)
        losses = np.column_stack([first, first - normal(2.0)(rng, n)])
        bad = rng.random((n, 2)) < np.array([baseline, treatment])
        status = np.where(bad, "diverged" if diverging else "collapsed", "finished").astype(object)
        losses = np.where(bad, np.inf if diverging else losses + BLOW_UP, losses)
        return Simulated(
            run_table(rng, sweeps, {"test_loss": losses, "diverged": (bad & diverging).astype(float)}, status)
        )

    return draw


def median_where_bad(up: float, down: float, ties: float = 0.0) -> float:
    """The median where differences are normal around 2, but far above in the share `up`, far below in `down`, 0 in `ties`."""

    def below(value: float) -> float:
        return float(down + ties * (value > 0) + (1 - up - down - ties) * special.ndtr(value - 2)) - 0.5

    return float(optimize.brentq(below, 0.01, 10.0, xtol=1e-12))


def of_rates(sweeps: Sweeps, rates: Sequence[float], shared: float = 0.0) -> Draw:
    """Whether each run diverges: at the rate of its cell.

    Args:
        sweeps: factors.
        rates: of each cell.
        shared: share of seeds in all of whose cells the same luck decides.
    """

    def draw(rng: Generator, n: int) -> Simulated:
        luck = np.where(rng.random((n, 1)) < shared, rng.random((n, 1)), rng.random((n, len(rates))))
        bad = luck < np.array(rates)
        status = np.where(bad, "diverged", "finished").astype(object)
        return Simulated(run_table(rng, sweeps, {"diverged": bad.astype(float)}, status))

    return draw


def of_spikes(sweeps: Sweeps, rates: Sequence[float]) -> Draw:
    """The share of steps with a spike: 0 but in a share of runs, and skewed there."""

    def draw(rng: Generator, n: int) -> Simulated:
        spiked = rng.random((n, len(rates))) < np.array(rates)
        return Simulated(run_table(rng, sweeps, {"spike_rate": spiked * (0.011 + 0.1 * rng.beta(1, 5, spiked.shape))}))

    return draw


CHANCE, HALF_TRAINED = 0.9, 0.5
"""Errors of runs that collapsed, and of runs that are bad, though no worse than guessing."""

Shape = tuple[float, float]
"""Of a beta distribution."""


def of_errors(
    sweeps: Sweeps, shapes: Sequence[Shape], collapsing: Sequence[float] = (0.0,), bad: Sequence[float] = (0.0,)
) -> Draw:
    """Test errors: beta variables; in shares of runs, by cell, at chance, or half-trained."""

    def draw(rng: Generator, n: int) -> Simulated:
        errors = np.column_stack([rng.beta(a, b, n) for a, b in shapes])
        collapsed, half_trained = (rng.random(errors.shape) < np.array(shares) for shares in (collapsing, bad))
        status = np.where(collapsed, "collapsed", "finished").astype(object)
        errors = np.where(collapsed, CHANCE, np.where(half_trained, HALF_TRAINED, errors))
        return Simulated(run_table(rng, sweeps, {"test_error": errors}, status))

    return draw


def median_of_errors(
    baseline: Shape, treatment: Shape, shares: tuple[float, float] = (0.0, 0.0), bad: float = HALF_TRAINED
) -> float:
    """The median of baseline − treatment of such errors, which are `bad` in a share of each arm's runs; by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(500)
    y = (nodes + 1) / 2
    a, b = treatment
    density = weights / 2 * y ** (a - 1) * (1 - y) ** (b - 1) / special.beta(a, b)
    of_baseline, of_treatment = shares

    def at_most(value: Array, shape: Shape = baseline) -> Array:
        return np.asarray(special.betainc(*shape, np.clip(value, 0.0, 1.0)))

    def below(value: float) -> float:
        both_trained = density @ at_most(value + y)
        baseline_bad = 1 - at_most(np.array(bad - value), treatment)
        treatment_bad = (1 - of_baseline) * at_most(np.array(value + bad)) + of_baseline * (value >= 0)
        trained = (1 - of_baseline) * both_trained + of_baseline * baseline_bad
        return float((1 - of_treatment) * trained + of_treatment * treatment_bad) - 0.5

    return float(optimize.brentq(below, -1.0, 1.0, xtol=1e-12))


def of_effects(sweeps: Sweeps, *laws: Law) -> Draw:
    """An effect in each of several places: cells are (arm, place), the baseline's first."""

    def draw(rng: Generator, n: int) -> Simulated:
        baselines = 5 + rng.standard_normal((n, len(laws)))
        treated = baselines - np.column_stack([law(rng, n) for law in laws])
        return Simulated(run_table(rng, sweeps, {"test_loss": np.column_stack([baselines, treated])}))

    return draw


def median_of_combined(a: float, b: float, first: float = 1.0, second: float = 1.0) -> float:
    """The median of a·X + b·Y for lognormal X and Y of median 1, a > 0; by quadrature.

    Args:
        a: weight of X.
        b: weight of Y.
        first: standard deviation of log X.
        second: of log Y.

    >>> round(median_of_combined(1.0, -1.0), 6)
    0.0
    """
    nodes: NDArray[Any]
    nodes, weights = np.polynomial.legendre.leggauss(2000)
    z = 8 * nodes
    y, density = b * np.exp(second * z), 8 * weights * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    def below(value: float) -> float:
        left = (value - y) / a
        chance = np.where(left > 0, special.ndtr(np.log(np.maximum(left, 1e-300)) / first), 0.0)
        return float(density @ chance) - 0.5

    return float(optimize.brentq(below, -50.0, 50.0, xtol=1e-10))


def of_counts(sweeps: Sweeps, examples: int, fewer: Sequence[int], shares: Sequence[float]) -> Draw:
    """Test errors on so many examples: of a baseline 60 to 120, of a treatment `fewer` with these probabilities."""

    def draw(rng: Generator, n: int) -> Simulated:
        wrong = rng.integers(60, 120, n)
        errors = np.column_stack([wrong, wrong - rng.choice(fewer, n, p=shares)]) / examples
        return Simulated(run_table(rng, sweeps, {"test_error": errors}))

    return draw
