"""Metrics: pure functions from what the training loop logged at every step to one number per run.

Arrays are (step, member). A run that diverged has NaN after its last step; its stability metrics use the steps before,
its generalization metrics are `inf`, the worst rank.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVELS = ("light", "standard", "full")
"""How much a study measures, see `harness.diagnostics`; each level has the metrics of those before it."""

RATE = "share of runs"
"""Unit of metrics that are 0 or 1 for each run."""

WINDOW = 100
"""Trailing steps that spikes and explosions are measured against."""


@dataclass(frozen=True)
class Metric:
    """What a column of `runs.parquet` means.

    Attributes:
        meaning: one line for reports.
        unit: unit of the value.
        better: which direction is good, if one is.
        group: which part of the question it speaks to.
        tunable: measured on training and validation data alone, so that tuning may use it.
        level: from which level of `Diagnostics` on runs have it.
        across_seeds: it compares the runs of a cell, so that none of them has it by itself.
        needs: a factor, and the value of it at which the metric is not measured.
    """

    meaning: str
    unit: str
    better: Literal["lower", "higher", None]
    group: Literal["generalization", "stability", "check"]
    tunable: bool = False
    level: Literal["light", "standard", "full"] = "light"
    across_seeds: bool = False
    needs: tuple[str, object] | None = None


METRICS: dict[str, Metric] = {
    "train_loss": Metric("loss on training examples, dropout off", "loss", "lower", "generalization", True),
    "validation_loss": Metric("loss on the validation split", "loss", "lower", "generalization", True),
    "test_loss": Metric("loss on the test split", "loss", "lower", "generalization"),
    "train_error": Metric("error on training examples, dropout off", "error", "lower", "generalization", True),
    "validation_error": Metric("error on the validation split", "error", "lower", "generalization", True),
    "test_error": Metric("error on the test split", "error", "lower", "generalization"),
    "gap": Metric("test loss − train loss, dropout off, same number of examples", "loss", "lower", "generalization"),
    "grad_norm_mean": Metric("mean gradient norm before clipping", "norm", None, "stability", True),
    "grad_norm_median": Metric("median gradient norm before clipping", "norm", None, "stability", True),
    "grad_norm_q95": Metric("95 % quantile of the gradient norm before clipping", "norm", "lower", "stability", True),
    "grad_norm_q99": Metric("99 % quantile of the gradient norm before clipping", "norm", "lower", "stability", True),
    "grad_norm_max": Metric("largest gradient norm before clipping", "norm", "lower", "stability", True),
    "clipped_norm_mean": Metric("mean gradient norm after clipping", "norm", None, "stability", True),
    "clipped_norm_median": Metric("median gradient norm after clipping", "norm", None, "stability", True),
    "clipped_norm_q95": Metric("95 % quantile of the gradient norm after clipping", "norm", None, "stability", True),
    "clipped_norm_q99": Metric("99 % quantile of the gradient norm after clipping", "norm", None, "stability", True),
    "clipped_norm_max": Metric("largest gradient norm after clipping", "norm", None, "stability", True),
    "clip_fraction": Metric(
        "share of steps at which the clipping rule acted", "share of steps", None, "stability", True
    ),
    "mean_shrink": Metric(
        "mean of the gradient norm after clipping / before; 1: clipping never changed it", "ratio", None, "stability", True
    ),
    "update_ratio": Metric("median of ‖Δθ‖ / ‖θ‖ over a hundred evenly spaced steps", "ratio", None, "stability", True),
    "spike_rate": Metric(
        "share of steps with loss > median + 6·MAD of the trailing 100", "share of steps", "lower", "stability", True
    ),
    "explosion_rate": Metric(
        "share of steps with gradient norm > 10 × median of the trailing 100",
        "share of steps",
        "lower",
        "stability",
        True,
    ),
    "diverged": Metric(
        "1 if loss or parameters became non-finite or loss > 3 × initial for 50 steps",
        RATE,
        "lower",
        "stability",
        True,
    ),
    "solved": Metric(
        "1 if the validation error came below the task's `target_error` and the run did not diverge", RATE,
        "higher", "stability", True, needs=("task.target_error", 0.0),
    ),
    "solve_step": Metric(
        "first evaluated step with a validation error below the task's `target_error`; all steps where there was none, so "
        "that the mean is Kaplan and Meier's restricted mean", "step", "lower", "stability", True,
        needs=("task.target_error", 0.0),
    ),
    "train_noise": Metric(
        "largest change of an output between two draws of dropout, train mode", "output", None, "check"
    ),
    "eval_noise": Metric(
        "largest change of an output between two draws of dropout, eval mode", "output", None, "check"
    ),
    "best_step": Metric(
        "step of the least validation loss, of the steps evaluated", "step", None, "generalization", level="standard"
    ),
    "best_test_loss": Metric(
        "loss on the test split at the weights of least validation loss", "loss", "lower", "generalization", level="standard"
    ),
    "best_test_error": Metric(
        "error on the test split at the weights of least validation loss", "error", "lower", "generalization",
        level="standard",
    ),
    "brier": Metric(
        "Brier score on the test split: mean of Σ (p − y)² over classes", "score", "lower", "generalization",
        level="standard",
    ),
    "calibration_error": Metric(
        "expected calibration error on the test split: mean |accuracy − confidence| over 15 bins of confidence",
        "probability", "lower", "generalization", level="standard",
    ),
    "noise_error": Metric(
        "error on the test split under input noise, mean over σ = 0, 0.1 … 0.5 deviations of the inputs", "error", "lower",
        "generalization", level="standard",
    ),
    "memorization": Metric(
        "accuracy on the training examples whose class label noise replaced, dropout off", "share of examples", "lower",
        "generalization", level="standard", needs=("task.label_noise", 0.0),
    ),
    "churn": Metric(
        "share of test points that two seeds of a cell predict differently; of a run, its jackknife value", "share of points",
        "lower", "generalization", level="standard", across_seeds=True, needs=("task.resample", "split"),
    ),
    "recurrent_radius": Metric(
        "spectral radius of the recurrent matrix at the end", "factor per step", None, "stability", level="standard"
    ),
    "recurrent_gain": Metric(
        "largest singular value of the recurrent matrix at the end", "factor per step", None, "stability", level="standard"
    ),
    "sharpness": Metric(
        "largest eigenvalue of the Hessian of the training loss at the end", "loss per squared weight", None, "stability",
        level="full",
    ),
    "gradient_noise_scale": Metric(
        "gradient noise scale trΣ / ‖G‖² over training: the batch size at which noise and gradient are alike", "examples",
        None, "stability", level="full",
    ),
    "gradient_flow": Metric(
        "slope of ln ‖∂L/∂h‖ over the time steps of recurrent layers, mean over evaluations; above 0 gradients shrink on "
        "their way back", "per step", None, "stability", level="full",
    ),
    "weight_rank": Metric(
        "effective rank of a weight matrix as a share of its full rank, mean over matrices", "share of rank", None,
        "stability", level="full",
    ),
}  # fmt: skip


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
