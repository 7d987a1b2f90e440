"""On which examples each metric is measured: what a report must say beside every number."""

from harness.settings.metrics import METRICS

TEST, VALIDATION = "{test} test", "{validation} validation"
TRAIN = "{gap} training (at most 256 where nothing is tested)"
"""A split, in words that `measured_on` fills in."""

MEASURED_ON = {
    TEST: (
        "test_loss", "test_error", "best_test_loss", "best_test_error", "brier", "calibration_error", "noise_error", "churn",
    ),
    VALIDATION: (
        "validation_loss", "validation_error", "best_validation_loss", "best_step", "solved", "solve_step", "lr_sensitivity",
    ),
    TRAIN: (
        "train_loss", "train_error", "best_train_loss", "guess_loss", "collapsed",
    ),
    "{gap} training, {validation} validation": ("diverged", "largest_lr"),
    "{test} test, {gap} training": ("gap", "best_gap"),
    "training, those with replaced labels": ("memorization",),
    "training, batch by batch": (
        "grad_norm_mean", "grad_norm_median", "grad_norm_q95", "grad_norm_q99", "grad_norm_max", "clipped_norm_mean",
        "clipped_norm_median", "clipped_norm_q95", "clipped_norm_q99", "clipped_norm_max", "clip_fraction", "clipped_units",
        "mean_shrink", "update_ratio", "spike_rate", "recovery_steps", "explosion_rate", "nonfinite",
    ),
    "one training batch": ("train_noise", "eval_noise"),
    "one training batch at each evaluation": ("gradient_flow",),
    "8 training batches at each evaluation": ("gradient_noise_scale",),
    "training, the first 256 at most": ("sharpness",),
    "none: the weights": ("recurrent_radius", "recurrent_gain", "weight_rank"),
}  # fmt: skip
"""Examples in such words, and what is measured on them."""


def measured_on(metric: str, examples: dict[str, str]) -> str:
    """The examples that a metric is measured on, in words.

    Args:
        metric: one of `METRICS`.
        examples: how many there are of `test`, `validation`, and, in `gap`, of training examples that go with the test ones.

    >>> measured_on("gap", {"test": "359", "validation": "359", "gap": "100 to 359"})
    '359 test, 100 to 359 training'
    """
    words = METRICS[metric].examples or next(words for words, metrics in MEASURED_ON.items() if metric in metrics)
    return words.format(**examples)
