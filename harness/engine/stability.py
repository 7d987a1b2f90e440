"""What training leaves behind, step by step, as numbers: divergence, spikes, explosions, solving, norms.

Pure functions on arrays (step, member). A run that diverged has NaN after its last step; its stability metrics use the
steps before. What each number means stands in `harness.settings.metrics`.
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WINDOW = 100
"""Trailing steps that spikes and explosions are measured against."""


def divergence_step(losses: Array, *, factor: float = 3.0, patience: int = 50) -> NDArray[np.int64]:
    """The step, from 1, at which each run diverged; 0 where it did not.

    A run diverges at its first non-finite loss, or at the end of the first `patience` consecutive steps with a loss above
    `factor` × its first one.

    Args:
        losses: (step, member) training losses.
        factor: how many times its first loss a run may reach.
        patience: for how many consecutive steps it may be above that.
    """
    bad = ~np.isfinite(losses)
    above = losses > factor * losses[:1]
    counts = np.cumsum(above, axis=0)
    if len(losses) >= patience:
        before = np.concatenate([np.zeros((1, losses.shape[1]), dtype=counts.dtype), counts[:-patience]])
        bad[patience - 1 :] |= counts[patience - 1 :] - before == patience
    return np.where(bad.any(0), bad.argmax(0) + 1, 0)


def trailing(values: Array, window: int = WINDOW) -> Array:
    """The `window` values before each step, (step − window, member, window); the first one belongs to step `window`."""
    return np.lib.stride_tricks.sliding_window_view(values, window, axis=0)[:-1]


def spike_rate(losses: Array) -> Array:
    """Share of steps whose loss exceeds median + 6·MAD of the trailing 100; 0 for runs shorter than that.

    The steps judged are those with a full window, of a run that has not diverged.
    """
    return _share(losses, lambda past, median: median + 6 * np.median(np.abs(past - median[..., None]), axis=-1))


def explosion_rate(norms: Array) -> Array:
    """Share of steps whose gradient norm exceeds 10 × the median of the trailing 100; 0 for shorter runs."""
    return _share(norms, lambda past, median: 10 * median)


def _share(values: Array, bound: Callable[[Array, Array], Array]) -> Array:
    if len(values) <= WINDOW:
        return np.zeros(values.shape[1])
    past = trailing(values)
    over = values[WINDOW:] > bound(past, np.median(past, axis=-1))
    judged: Array = np.maximum(np.isfinite(values[WINDOW:]).sum(0), 1)
    return np.asarray(over.sum(0) / judged)


def solving(errors: Array, target: Array, diverged: NDArray[np.bool_]) -> dict[str, Array]:
    """`solved` and `solve_step`, (member,) each; NaN where there is no target.

    All runs are censored at the same step, so the mean of the steps is the area under Kaplan and Meier's curve.

    Args:
        errors: (step, member) validation errors, NaN where not measured.
        target: (member,) what the error must come below; 0 for none.
        diverged: (member,) who diverged.
    """
    below = (errors < target) & ~diverged
    solved, first = below.any(0), below.argmax(0) + 1.0
    found = {"solved": solved.astype(float), "solve_step": np.where(solved, first, float(len(errors)))}
    return {name: np.where(target > 0, values, np.nan) for name, values in found.items()}


def stability(history: dict[str, Array]) -> dict[str, Array]:
    """The metrics of group `stability` that follow from what was logged at every step, (member,) each.

    Args:
        history: `loss`, `grad_norm`, `clipped_norm`, `clipped` and `update_ratio`, (step, member), NaN after a run diverged.
    """
    norms, after = history["grad_norm"], history["clipped_norm"]
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", message="All-NaN|Mean of empty")  # a run that diverged at its first step
        return {
            "grad_norm_mean": np.nanmean(norms, axis=0),
            "grad_norm_median": np.nanmedian(norms, axis=0),
            "grad_norm_q95": np.nanquantile(norms, 0.95, axis=0),
            "grad_norm_q99": np.nanquantile(norms, 0.99, axis=0),
            "grad_norm_max": np.nanmax(norms, axis=0),
            "clipped_norm_mean": np.nanmean(after, axis=0),
            "clipped_norm_median": np.nanmedian(after, axis=0),
            "clipped_norm_q95": np.nanquantile(after, 0.95, axis=0),
            "clipped_norm_q99": np.nanquantile(after, 0.99, axis=0),
            "clipped_norm_max": np.nanmax(after, axis=0),
            "mean_shrink": np.nanmean(np.divide(after, norms, out=np.ones_like(norms), where=norms != 0), axis=0),
            "clip_fraction": np.nanmean(history["clipped"], axis=0),
            "update_ratio": np.nanmedian(history["update_ratio"], axis=0),
            "spike_rate": spike_rate(history["loss"]),
            "explosion_rate": explosion_rate(norms),
        }
