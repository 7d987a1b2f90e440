"""What training leaves behind as numbers: how it ended, spikes and the way back from them, explosions, solving, norms.

Pure functions on arrays (step, member). A run that became non-finite has NaN after its last step; its stability metrics use the
steps before. What each number means stands in `harness.settings.metrics`.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BETTER, WORSE = 0.01, 0.05
"""By how much of it a loss must be below that of guessing to be better, and above that, or its own least, to be worse.

So much do a few hundred examples blur what guesses; weak signals of real data are worth a few percent. What jitters around guessing
has not diverged.
"""

WINDOW, FEWEST = 100, 20
"""Steps before a step that spikes and explosions are measured against: so many, or all where they are fewer; never less than 20."""

ROUNDING = 1e-6
"""The least MAD, relative to the median: a loss that does not change has none, and rounding is no spike."""

BLOCK = 2**21
"""Numbers of all windows that are sorted at once."""


def ending(
    train_loss: Array, guess_loss: Array, validation_loss: Array, nonfinite: NDArray[np.bool_]
) -> dict[str, Array]:
    """`nonfinite`, `diverged` and `collapsed`, (member,) each; NaN where it cannot be known.

    What counts is where a run ends, whatever came before: one that exceeds guessing on its way may recover. One that begins above
    guessing and only learns too slowly has not diverged: its validation loss never rose.

    Args:
        train_loss: (member,) at the end, in evaluation.
        guess_loss: (member,) of the best constant answer on the same examples, NaN where not known.
        validation_loss: (evaluation, member), before the first step and at every evaluation, the last of them the end.
        nonfinite: (member,) whose loss or weights became non-finite.
    """
    lost, known = nonfinite | ~np.isfinite(train_loss), ~np.isnan(guess_loss)
    least, last, scale = np.fmin.reduce(validation_loss), validation_loss[-1], np.abs(guess_loss)
    with np.errstate(invalid="ignore"):
        rose = ~(last <= least + WORSE * np.abs(least))
        diverged = lost | (rose & (train_loss > guess_loss + WORSE * scale))
        collapsed = np.where(known | lost, ~diverged & ~(train_loss < guess_loss - BETTER * scale), np.nan)
    return {"nonfinite": lost.astype(float), "diverged": diverged.astype(float), "collapsed": collapsed}


def trailing_median(values: Array) -> Array:
    """Median of the steps before each step, (step, member); NaN where they are too few, see `WINDOW`."""
    return _over_windows(values, lambda windows, _: windows)


def trailing_deviation(values: Array, median: Array) -> Array:
    """Median absolute deviation of the steps before each step from their median, (step, member)."""
    return _over_windows(values, lambda windows, rows: np.abs(windows - median[rows][..., None]))


def _over_windows(values: Array, change: Callable[[Array, slice], Array]) -> Array:
    """Medians of what becomes of the windows before each step, some steps at a time: all would take `WINDOW` times the memory."""
    steps, members = values.shape
    padded = np.concatenate([np.full((WINDOW, members), np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=0)[:steps]
    found = np.full(values.shape, np.nan)
    at_once = max(1, BLOCK // max(1, members * WINDOW))
    for start in range(0, steps, at_once):
        rows = slice(start, start + at_once)
        with np.errstate(invalid="ignore"):  # ∞ − ∞: an infinite gradient has no deviation
            found[rows] = _medians(change(windows[rows], rows))
    return found


def _medians(values: Array) -> Array:
    """Median over the last axis of the numbers that are not NaN, if they are `FEWEST` at least; else NaN."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = (~np.isnan(ordered)).sum(-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, rank, -1)[..., 0] for rank in ((count - 1) // 2, count // 2 % WINDOW))
    return np.where(count[..., 0] < FEWEST, np.nan, np.where(low == high, low, (low + high) / 2))


def spikes(losses: Array, median: Array) -> NDArray[np.bool_]:
    """Which steps have a loss above median + 6·MAD of the steps before, (step, member)."""
    deviation = np.fmax(trailing_deviation(losses, median), ROUNDING * np.abs(median))
    return np.asarray(losses > median + 6 * deviation)


def explosions(norms: Array, median: Array) -> NDArray[np.bool_]:
    """Which steps have a gradient norm above 10 × the median of the steps before, (step, member)."""
    return np.asarray(norms > 10 * median)


def rate(events: NDArray[np.bool_], values: Array, median: Array) -> Array:
    """Share of the steps that could be judged, (member,); NaN where none could.

    Those are the steps a run has taken with enough steps before them, whose median is not 0: nothing is some times that.
    """
    judged = ~np.isnan(values) & ~np.isnan(median) & (median != 0)
    count = judged.sum(0)
    return np.where(count > 0, (events & judged).sum(0) / np.maximum(count, 1), np.nan)


def recovery_steps(losses: Array, events: NDArray[np.bool_], median: Array, ends: NDArray[np.int64]) -> Array:
    """Median over a run's spikes of the steps until the loss is back at the median before the spike, (member,); NaN without any.

    A spike that begins before another is recovered from belongs to that one. One that is not recovered from counts the steps that
    were left of `ends`, (member,), that of the spike included.
    """
    found = np.full(losses.shape[1], np.nan)
    for member in np.flatnonzero(events.any(0)):
        waits, free_from = [], 0
        for start in np.flatnonzero(events[:, member]):
            if start >= free_from:
                back = losses[start:, member] <= median[start, member]
                waits.append(int(back.argmax()) if back.any() else int(ends[member]) - int(start))
                free_from = int(start) + waits[-1]
        found[member] = np.median(waits)
    return found


def solving(errors: Array, steps: Sequence[int], target: Array, diverged: NDArray[np.bool_]) -> dict[str, Array]:
    """`solved` and `solve_step`, (member,) each; NaN where there is no target.

    All runs are censored at the same step, so the mean of the steps is the area under Kaplan and Meier's curve.

    Args:
        errors: (evaluation, member) validation errors, NaN where not measured.
        steps: of the evaluations, the last step at the end.
        target: (member,) what the error must come below; 0 for none.
        diverged: (member,) who diverged.
    """
    below = (errors < target) & ~diverged
    solved, first = below.any(0), np.array(steps, dtype=float)[below.argmax(0)]
    found = {"solved": solved.astype(float), "solve_step": np.where(solved, first, float(steps[-1]))}
    return {name: np.where(target > 0, values, np.nan) for name, values in found.items()}


def stability(history: dict[str, Array], ends: NDArray[np.int64]) -> dict[str, Array]:
    """The metrics of group `stability` that follow from what was logged at every step, (member,) each.

    Args:
        history: `loss`, `grad_norm`, `clipped_norm`, `clipped`, `clipped_units`, (step, member), and `update_ratio`, (logged step, member),
            NaN after a run became non-finite, or stopped.
        ends: (member,) the step at which each stopped, the last one of the study where it did not or became non-finite.
    """
    losses, norms, after = history["loss"], history["grad_norm"], history["clipped_norm"]
    losses_before, norms_before = trailing_median(losses), trailing_median(norms)
    spiking = spikes(losses, losses_before)
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
            "clipped_units": np.nanmean(history["clipped_units"], axis=0),
            "update_ratio": np.nanmedian(history["update_ratio"], axis=0),
            "spike_rate": rate(spiking, losses, losses_before),
            "recovery_steps": recovery_steps(losses, spiking, losses_before, ends),
            "explosion_rate": rate(explosions(norms, norms_before), norms, norms_before),
        }
