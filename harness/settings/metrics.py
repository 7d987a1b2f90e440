"""Metrics: what each column of the run table means, its unit and which direction is good.

Columns hold what was measured; a run whose loss or weights became non-finite has `inf` in metrics of generalization, and in norms and
shares of steps what its finite steps gave. So a run that diverged is compared by its rank, the worst, in every metric of which a
direction is good, but for those that say what became of it (`Metric.worst_if_diverged`). A user's own metrics are added by
`measures.Measure`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DETAIL = ("light", "standard", "full")
"""How much a study measures, see `harness.engine.diagnostics`; each level has the metrics of those before it."""

RATE = "share of runs"
"""Unit of metrics that are 0 or 1 for each run."""

ERROR = "error"
"""Unit of what the `errors` of a task say."""

USUAL_ERRORS = "the share of wrong classes, or the absolute error of numbers"
"""What they say where a task has none of its own."""

SHARES = (ERROR, "share of steps", "share of units", RATE)
"""Units of metrics that lie in [0, 1]."""

MOSTLY_ZERO = ("share of steps", "share of units")
"""Of these, units of metrics that are 0 in many runs, so that no interval of a mean holds."""

BOUNDED = {ERROR: (0.0, 1.0), "probability": (0.0, 1.0), "score": (0.0, 2.0)}
"""Units of metrics that lie in an interval, with that; all others that begin with "share" lie in [0, 1]."""

SIGNED = ("gap", "best_gap", "sharpness", "gradient_flow")
"""Metrics that may be negative, so that a ratio of two says nothing."""

Kind = Literal["loss", "bounded", "rate", "share"]


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
        across_runs: it compares runs of a cell, so that none of them has it by itself: those of one `seed`, or those of all
            `seeds`, so that each further seed changes it.
        needs: a factor, and the value of it at which the metric is not measured.
        not_across: what factors are about between whose levels the metric says nothing: it is relative to something that
            these change, too.
        of_classes: a method of tasks, `losses` or `errors`, by which outputs are scores of classes, whose softmax are probabilities or
            whose largest is the class that is predicted; no run has it of a task with one of its own, or whose targets are numbers.
        version: raised by hand when it is measured otherwise, so that of runs that have it as it was before it is measured anew.
        examples: of a user's own metric: what it is measured on, in words that `measured_on` fills in.
        of_diverged: its meaning says what it is of runs that diverged, as that of every rate does.
    """

    meaning: str
    unit: str
    better: Literal["lower", "higher", None]
    group: Literal["generalization", "stability", "check"]
    tunable: bool = False
    level: Literal["light", "standard", "full"] = "light"
    across_runs: Literal["seed", "seeds", None] = None
    needs: tuple[str, object] | None = None
    not_across: Literal["dropout", None] = None
    of_classes: Literal["losses", "errors", None] = None
    version: int = 1
    examples: str | None = None
    of_diverged: bool = False

    @property
    def worst_if_diverged(self) -> bool:
        """Whether a run that diverged is worse in it than any that did not, whatever its number."""
        return self.better is not None and self.unit != RATE and not self.of_diverged

    @property
    def own(self) -> bool:
        """Whether it is a user's own, which other studies do not have."""
        return self.examples is not None

    @property
    def kind(self) -> Kind:
        """What decides how its differences are judged.

        `loss`: unbounded, and may diverge; `bounded`: an error or another number between two ends; `rate`: 0 or 1 for each run;
        `share`: between 0 and 1, and 0 in many runs.
        """
        if self.unit == RATE:
            return "rate"
        if self.unit in MOSTLY_ZERO:
            return "share"
        return "bounded" if self.unit in BOUNDED or self.unit.startswith("share") else "loss"

    @property
    def worst(self) -> float:
        """What a user's own is of a run that became non-finite; missing where no direction is good."""
        if self.unit == RATE:
            return {"lower": 1.0, "higher": 0.0, None: math.nan}[self.better]
        return {"lower": math.inf, "higher": -math.inf, None: math.nan}[self.better]


def not_comparable(metric: str, paths: Iterable[str]) -> str:
    """What to say where a metric stands beside itself at several levels of these factors, "" where they can be compared.

    >>> not_comparable("spike_rate", ["model.dropout"]), not_comparable("spike_rate", ["optimizer.lr"])
    ('not comparable across dropout', '')
    """
    about = METRICS[metric].not_across
    return f"not comparable across {about}" if about == "dropout" and any(map(is_dropout, paths)) else ""


def why_missing(metric: str) -> str:
    """Why runs that trained lack a metric that all such runs should have, a clause; "" for other metrics.

    >>> why_missing("test_error"), why_missing("recovery_steps")
    ('the error of some example is no number, so that their mean is none', '')
    """
    known = METRICS[metric]
    if known.own:
        return "its function gave no number"
    of_examples = known.unit in ("loss", ERROR) and known.group == "generalization" and known.level == DETAIL[0]
    return f"the {known.unit} of some example is no number, so that their mean is none" if of_examples else ""


def is_dropout(path: str) -> bool:
    """Whether a factor says how dropout acts.

    >>> is_dropout("model.recurrent_dropout"), is_dropout("model.zoneout"), is_dropout("model.hidden")
    (True, True, False)
    """
    return any(name in path.rpartition(".")[2] for name in ("dropout", "zoneout"))


OF_TUNED_RATES = ("largest_lr", "lr_sensitivity")
"""Metrics of all the learning rates that a seed has tried, see `harness.inference.exploration.learning_rates`."""


def shipped() -> dict[str, Metric]:
    """The metrics that are no user's own."""
    return {name: metric for name, metric in METRICS.items() if not metric.own}


METRICS: dict[str, Metric] = {
    "train_loss": Metric(
        "loss on training examples, the first ones, as many as there are test examples (256 in shared tuning), dropout off", "loss",
        "lower", "generalization", True,
    ),
    "validation_loss": Metric("loss on the validation split", "loss", "lower", "generalization", True),
    "test_loss": Metric("loss on the test split at the last step", "loss", "lower", "generalization"),
    "train_error": Metric(
        f"error on the examples of train_loss, dropout off: {USUAL_ERRORS}", "error", "lower", "generalization", True,
    ),
    "validation_error": Metric("error on the validation split", "error", "lower", "generalization", True),
    "test_error": Metric("error on the test split at the last step", "error", "lower", "generalization"),
    "gap": Metric("test_loss − train_loss", "loss", "lower", "generalization"),
    "best_step": Metric("step of the least validation loss, of the steps evaluated", "step", None, "generalization"),
    "best_validation_loss": Metric("least validation loss, of the steps evaluated", "loss", "lower", "generalization"),
    "best_train_loss": Metric(
        "loss on the examples of train_loss at the weights of least validation loss", "loss", "lower", "generalization"
    ),
    "best_test_loss": Metric(
        "loss on the test split at the weights of least validation loss", "loss", "lower", "generalization"
    ),
    "best_test_error": Metric(
        "error on the test split at the weights of least validation loss", "error", "lower", "generalization"
    ),
    "best_gap": Metric("best_test_loss − best_train_loss", "loss", "lower", "generalization"),
    "grad_norm_mean": Metric(
        "mean gradient norm before clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "grad_norm_median": Metric(
        "median gradient norm before clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "grad_norm_q95": Metric(
        "95 % quantile of the gradient norm before clipping", "norm", "lower", "stability", True, not_across="dropout"
    ),
    "grad_norm_q99": Metric(
        "99 % quantile of the gradient norm before clipping", "norm", "lower", "stability", True, not_across="dropout"
    ),
    "grad_norm_max": Metric(
        "largest gradient norm before clipping", "norm", "lower", "stability", True, not_across="dropout"
    ),
    "clipped_norm_mean": Metric(
        "mean gradient norm after clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "clipped_norm_median": Metric(
        "median gradient norm after clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "clipped_norm_q95": Metric(
        "95 % quantile of the gradient norm after clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "clipped_norm_q99": Metric(
        "99 % quantile of the gradient norm after clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "clipped_norm_max": Metric(
        "largest gradient norm after clipping", "norm", None, "stability", True, not_across="dropout"
    ),
    "clip_fraction": Metric(
        "share of steps at which the clipping rule changed the gradient", "share of steps", None, "stability", True
    ),
    "clipped_units": Metric(
        "mean over steps of the share of its units that the clipping rule changed: the gradient as a whole, or its tensors "
        "(PerTensorNorm), rows (AGC), entries (Value)", "share of units", None, "stability", True,
    ),
    "mean_shrink": Metric(
        "mean of the gradient norm after clipping / before; 1: clipping never changed it", "ratio", None, "stability", True
    ),
    "update_ratio": Metric(
        "median of ‖Δθ‖ / ‖θ‖ over a hundred evenly spaced steps; Δθ holds what the forward pass changes, too, such as rows of "
        "an embedding by `max_norm=`; θ is what trains or, where a module unfreezes parameters later, all that it has",
        "ratio", None, "stability", True,
    ),
    "spike_rate": Metric(
        "share of steps with loss > median + 6·MAD of the 100 steps before, or of all before where these are fewer; missing "
        "where none has 20 before it", "share of steps", "lower", "stability", True, not_across="dropout",
    ),
    "recovery_steps": Metric(
        "steps from a loss spike until the loss is back at the median of the steps before it, median over a run's spikes; one "
        "that is not back when patience ends its run, or by the last step of the study, counts the steps that were left; missing without spikes", "steps", "lower", "stability",
        True, not_across="dropout",
    ),
    "explosion_rate": Metric(
        "share of steps with gradient norm > 10 × median of the 100 steps before, or of all before where these are fewer; "
        "missing where none has 20 before it", "share of steps", "lower", "stability", True, not_across="dropout",
    ),
    "guess_loss": Metric(
        "loss on the examples of train_loss of the best constant answer to the training set: the frequencies of its classes, "
        "the means of its targets; missing where a task's own loss does not say, or all targets are the same", "loss", None,
        "check",
    ),
    "nonfinite": Metric(
        "1 if the loss on training examples or a weight became infinite or NaN", RATE, "lower", "stability", True
    ),
    "diverged": Metric(
        "1 if nonfinite, or if the run ends with a train_loss above guess_loss by more than 5 % and a validation loss above its "
        "least, that before the first step included, by more than 5 %: it rose above guessing and did not recover; where guess_loss is missing, nonfinite alone",
        RATE, "lower", "stability", True,
    ),
    "collapsed": Metric(
        "1 if not diverged, but the run ends with a train_loss that is not below guess_loss by more than 1 %; missing where "
        "guess_loss is", RATE, "lower", "stability", True,
    ),
    "solved": Metric(
        "1 if the validation error came below the task's `target_error` and the run did not diverge", RATE,
        "higher", "stability", True, needs=("task.target_error", 0.0),
    ),
    "solve_step": Metric(
        "first evaluated step with a validation error below the task's `target_error`; all steps where there was none, so "
        "that the mean is Kaplan and Meier's restricted mean", "step", "lower", "stability", True,
        needs=("task.target_error", 0.0), of_diverged=True,
    ),
    "largest_lr": Metric(
        "largest learning rate tried at which the seed's run ends better than guessing, 0 where there is none; the largest tried "
        "stands for all above it", "learning rate", "higher", "stability", across_runs="seed", of_diverged=True,
    ),
    "lr_sensitivity": Metric(
        "mean over the learning rates tried of min(validation loss, loss of guessing), less the least of them (Wortsman et al. 2023); "
        "missing where no rate tried trains", "loss", "lower", "stability", across_runs="seed",
    ),
    "train_noise": Metric(
        "largest change of an output between two draws of dropout, train mode", "output", None, "check"
    ),
    "eval_noise": Metric(
        "largest change of an output between two draws of dropout, eval mode", "output", None, "check"
    ),
    "brier": Metric(
        "Brier score on the test split: mean of Σ (p − y)² over classes; missing where a task has `losses` of its own, by which outputs "
        "may be anything", "score", "lower", "generalization", level="standard", of_classes="losses",
    ),
    "calibration_error": Metric(
        "expected calibration error on the test split: mean |accuracy − confidence| over 15 bins of confidence; missing where a task "
        "has `losses` of its own, by which outputs may be anything", "probability", "lower", "generalization", level="standard",
        of_classes="losses",
    ),
    "noise_error": Metric(
        "error on the test split under input noise, mean over σ = 0, 0.1 … 0.5 deviations of all numbers of the training inputs (of the "
        "first 256 examples) taken together: as much noise for every input", "error", "lower", "generalization", level="standard",
    ),
    "memorization": Metric(
        "accuracy on the training examples whose class label noise replaced, dropout off", "share of examples", "lower",
        "generalization", level="standard", needs=("task.label_noise", 0.0),
    ),
    "churn": Metric(
        "share of test points that two seeds with the same settings predict differently: they differ in initial weights, order of "
        "batches, dropout noise and, but for resample=\"none\", in training examples, or in what the study's `differ` names "
        "alone; of a run, its jackknife value; missing where a task has `errors` of its own, by which outputs may be anything",
        "share of points", "lower", "generalization", level="standard", across_runs="seeds", of_classes="errors",
    ),
    "recurrent_radius": Metric(
        "spectral radius of the recurrent matrix at the end", "factor per step", None, "stability", level="standard"
    ),
    "recurrent_gain": Metric(
        "largest singular value of the recurrent matrix at the end", "factor per step", None, "stability", level="standard"
    ),
    "sharpness": Metric(
        "largest eigenvalue of the Hessian of the loss on training examples at the end, dropout off, to a thousandth of the largest "
        "magnitude of an eigenvalue; missing where torch gives no Hessian: no second derivative, or one that is not symmetric",
        "loss per squared weight", None, "stability", level="full", version=2,
    ),
    "gradient_noise_scale": Metric(
        "gradient noise scale trΣ / ‖G‖² over training: the batch size at which noise and gradient are alike; missing where "
        "the training set is less than two batches", "examples", None, "stability", level="full",
    ),
    "gradient_flow": Metric(
        "slope of ln ‖∂L/∂h‖ over the time steps of recurrent layers, L the loss of the last time step alone, mean over "
        "evaluations; above 0 gradients shrink on their way back; missing where a layer runs on packed sequences, in bf16 or with "
        "projections", "per step", None, "stability", level="full",
    ),
    "weight_rank": Metric(
        "effective rank of a weight matrix as a share of its full rank, mean over matrices", "share of rank", None,
        "stability", level="full",
    ),
}  # fmt: skip
