"""Is a run that was trained again the one that was recorded? In every bit, or within tolerances.

In another environment sums are taken in another order. Such rounding errors, 1e-7 at first, hardly grow in a run that
trains calmly; where the learning rate is near the edge of stability they reach the size of the numbers themselves after
a dozen steps, and a run may even diverge or not. Measured on `studies/rnn_clip.py`, float32 against float64: at step 1
2e-7; where the whole curve agreed to 1 %, every metric to 0.4 %. What a run comes to that has parted is as good a draw as
the recorded one: which of the two is higher, chance decides. Hence the rules in `TOLERANCES`. Differences are relative to
the larger number; those of errors and shares absolute where both are below 1; those of `gap` relative to the test loss; a number against none, or a finite one against an infinite one, differs by 1.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped]

from harness.inference.outcomes import Difference, Outcome, first_apart, first_in_curve
from harness.settings.bits import same_bits
from harness.settings.metrics import METRICS

FIRST_STEP, CALM, METRIC = 1e-4, 0.01, 0.05
CHANCE = 0.001
"""Probability with which one metric or more counts as moved where runs have parted, at most."""

AT_THE_END = (
    "train_loss", "validation_loss", "test_loss", "train_error", "validation_error", "test_error", "gap",
)  # fmt: skip
"""Metrics of the last weights alone: close to them at the last step, a run cannot differ in these, whatever happened on the way."""

TOLERANCES = (
    f"loss and gradient norm of the first step agree to {FIRST_STEP:g}; where they agree to {CALM:.0%} at every logged "
    f"step, status and steps must be equal and every metric agrees to {METRIC:.0%}; where a run parts from the recorded "
    f"one later, rounding errors have grown; where a metric of sampled runs is off by more, chance decides which way (sign test, "
    f"level {CHANCE:g} over all metrics)"
)


def within_tolerances(recorded: Outcome, again: Outcome) -> Difference | None:
    """The first thing that rounding errors do not explain; what nobody knows of a row without a whole curve, see `unknown`."""
    if recorded.curve is None or again.curve is None:
        return None
    found = first_in_curve(recorded.curve, again.curve, [], same_bits) or first_in_curve(
        recorded.curve[:1], again.curve[:1], ["loss", "grad_norm"], lambda a, b: relative(a, b) <= FIRST_STEP
    )
    if found or parting(recorded.curve, again.curve) is not None:
        return found
    return _far(
        recorded, again, list(recorded.row) if recorded.whole else [*filter(AT_THE_END.__contains__, recorded.row)]
    )


def unknown(recorded: Outcome, again: Outcome) -> Difference | None:
    """The first column that is off of a run without a whole curve: it may have parted on the way, or be another run."""
    if recorded.curve is None or again.curve is None:
        return _far(recorded, again, list(recorded.row))
    calm = not recorded.whole and parting(recorded.curve, again.curve) is None
    return _far(recorded, again, list(recorded.row)) if calm else None


def until(recorded: Outcome, again: Outcome) -> str:
    """Up to where one run, that agrees within tolerances, is the other, in words; "" for its end."""
    step = None if recorded.curve is None or again.curve is None else parting(recorded.curve, again.curve)
    return f" until it parts at step {step}" if step else ""


def parting(recorded: pd.DataFrame, again: pd.DataFrame) -> int | None:
    """The first logged step at which loss or gradient norm of two curves are no longer close; None if they stay so."""
    far = np.zeros(len(recorded), dtype=bool)
    for name in ("loss", "grad_norm"):
        far |= relative(recorded[name].to_numpy(), again[name].to_numpy()) > CALM
    return int(recorded["step"].to_numpy()[far.argmax()]) if far.any() else None


def _far(recorded: Outcome, again: Outcome, names: list[str]) -> Difference | None:
    """The first of some columns of a run that does not agree to `METRIC`."""
    return first_apart(recorded, again, names, lambda name, a, b: _difference(name, a, b, again.row) <= METRIC)


def moved(pairs: Iterable[tuple[Outcome, Outcome]]) -> dict[str, tuple[int, int]]:
    """The metrics that are off to one side more often than chance would have it, by an exact sign test.

    Args:
        pairs: recorded and new outcome of each run.

    Returns:
        By metric in how many runs it is higher again, of those in which it is off by more than `METRIC`.
    """
    pairs = list(pairs)
    metrics = [name for name in pairs[0][0].row if name in METRICS]
    found = {}
    for name in metrics:
        values = [
            (a.row[name], b.row[name]) for a, b in pairs if _difference(name, a.row[name], b.row[name], b.row) > METRIC
        ]
        higher = sum(again > before or math.isnan(again) for before, again in values)
        if values and binomtest(higher, len(values)).pvalue <= CHANCE / len(metrics):
            found[name] = (higher, len(values))
    return found


def relative(a: Any, b: Any, least: float = 0.0) -> NDArray[np.float64]:
    """Elementwise |a − b| / max(|a|, |b|, least); 0 where both are NaN or equal, 1 where just one is finite.

    >>> relative([1.0, float("inf"), float("nan")], [2.0, 1.0, float("nan")]).tolist()
    [0.5, 1.0, 0.0]
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.abs(x - y) / np.maximum(np.maximum(np.abs(x), np.abs(y)), least)
    found = np.where(np.isfinite(x) & np.isfinite(y), found, 1.0)
    return np.where((x == y) | np.isnan(x) & np.isnan(y), 0.0, found)


def _difference(name: str, a: Any, b: Any, again: Mapping[str, Any]) -> float:
    """How far a column of one run is from the recorded one: 0 or 1 for what is no metric."""
    if name not in METRICS:
        return 0.0 if a == b else 1.0
    loss = abs(again.get("test_loss", math.nan)) if name == "gap" else 0.0
    return float(relative(a, b, 1.0 if METRICS[name].unit.startswith(("error", "share")) else loss))
