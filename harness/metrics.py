"""Metrics: pure functions from what the training loop logged at every step to one number per run.

Arrays are (step, member). A run that diverged has NaN after its last step; its stability metrics use the steps before,
its generalization metrics are `inf`, the worst rank.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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
    """

    meaning: str
    unit: str
    better: Literal["lower", "higher", None]
    group: Literal["generalization", "stability", "check"]
    tunable: bool = False


METRICS: dict[str, Metric] = {
    "train_loss": Metric("loss on training examples, dropout off", "loss", "lower", "generalization", True),
    "validation_loss": Metric("loss on the validation split", "loss", "lower", "generalization", True),
    "test_loss": Metric("loss on the test split", "loss", "lower", "generalization"),
    "train_error": Metric("error on training examples, dropout off", "error", "lower", "generalization", True),
    "validation_error": Metric("error on the validation split", "error", "lower", "generalization", True),
    "test_error": Metric("error on the test split", "error", "lower", "generalization"),
    "gap": Metric("test loss − train loss, dropout off, same number of examples", "loss", "lower", "generalization"),
    "grad_norm_median": Metric("median gradient norm before clipping", "norm", None, "stability", True),
    "grad_norm_q99": Metric("99 % quantile of the gradient norm before clipping", "norm", "lower", "stability", True),
    "grad_norm_max": Metric("largest gradient norm before clipping", "norm", "lower", "stability", True),
    "clip_fraction": Metric("share of steps whose gradient was clipped", "share of steps", None, "stability", True),
    "update_ratio": Metric("median of ‖Δθ‖ / ‖θ‖ over steps", "ratio", None, "stability", True),
    "spike_rate": Metric(
        "share of steps with loss > median + 6·MAD of the trailing 100", "share of steps", "lower", "stability", True
    ),
    "explosion_rate": Metric(
        "share of steps with gradient norm > 10 × median of the trailing 100", "share of steps", "lower", "stability", True
    ),
    "diverged": Metric("1 if loss or parameters became non-finite or loss > 3 × initial for 50 steps", "share of runs",
                       "lower", "stability", True),  # fmt: skip
    "train_noise": Metric("largest change of an output between two draws of dropout, train mode", "output", None, "check"),
    "eval_noise": Metric("largest change of an output between two draws of dropout, eval mode", "output", None, "check"),
}
