"""A sample → its estimate and the intervals that its estimand allows, which follow from the claim and never from the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.inference.bounded_mean import bounded_mean_bounds
from harness.inference.hodges_lehmann import hodges_lehmann, hodges_lehmann_bounds
from harness.inference.intervals import EVERYTHING, Bounds, t_bounds
from harness.inference.median import median_bounds
from harness.inference.mover import mover_bounds, sample_correlation
from harness.inference.paired_rates import paired_rate_bounds
from harness.inference.rates import clopper_pearson_bounds
from harness.inference.robust import median
from harness.inference.samples import Sample
from harness.settings.metrics import BOUNDED, METRICS
from harness.study import Estimated

METHODS = {
    "median": "median, interval by the sign test", "hodges_lehmann": "Hodges–Lehmann estimate, interval by signed ranks",
    "mean": "mean over seeds whose runs trained, t interval",
}  # fmt: skip
PAIRED, SINGLE, DIFFERENCE_OF_PAIRED, AVERAGED = (
    "difference of rates, exact paired score interval", "rate, exact interval",
    "difference of two differences of rates, intervals of these combined (MOVER)",
    "mean of rates over cells, exact interval for bounded numbers (betting)",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """What a sample says.

    Attributes:
        value: positive favours the claim; NaN without seeds.
        bounds: α → the 1 − α interval.
        method: of it, in words.
        n: seeds that it rests on.
    """

    value: float
    bounds: Bounds
    method: str
    n: int


def estimate(claim: Estimated, sample: Sample) -> Estimate:
    """The estimate that a claim asks for."""
    if not sample.seeds:
        return Estimate(np.nan, lambda alpha: EVERYTHING, "", 0)
    if claim.counts_runs():
        return _rate(sample)
    kind = claim.estimated()
    low, high = sample.bounds()
    if kind == "median":
        return Estimate(median(sample.differences), median_bounds(low, high), METHODS[kind], len(low))
    if kind == "hodges_lehmann":
        return Estimate(hodges_lehmann(sample.differences), hodges_lehmann_bounds(low, high), METHODS[kind], len(low))
    return _mean(claim, sample)


def _mean(claim: Estimated, sample: Sample) -> Estimate:
    differences = sample.differences
    values = differences[np.isfinite(differences) & np.logical_not(sample.bad)]
    if not len(values):
        return Estimate(np.nan, lambda alpha: EVERYTHING, METHODS["mean"], 0)
    if len(values) > 1 and np.ptp(values) <= 1e-12 * np.abs(values).max():
        least, most = _range(sample, *BOUNDED.get(METRICS[claim.metric].unit, (0.0, 1.0)))
        bounds = bounded_mean_bounds(np.clip(values, least, most), least, most)
        return Estimate(
            float(values.mean()), bounds, "equal differences, exact interval for bounded numbers (betting)", len(values)
        )
    return Estimate(float(values.mean()), t_bounds(values), METHODS["mean"], len(values))


def _rate(sample: Sample) -> Estimate:
    value, n = float(sample.differences.mean()), len(sample.seeds)
    steps = (
        sample.terms[:, 0] / np.array([part.weight for part in sample.parts])
        if len(sample.cells) == 1
        else np.empty((0, 0))
    )
    whole = len(sample.cells) == 1 and bool(np.isin(steps, (-1.0, 0.0, 1.0)).all())
    if len(sample.cells) == 1 and len(sample.parts) == 1:
        part = sample.parts[0]
        if not isinstance(part.other, Mapping):
            return _single(sample, float(part.other), n, value)
        if whole:
            signed = sample.terms[:, 0, 0]
            bounds = paired_rate_bounds(int((signed > 0).sum()), int((signed < 0).sum()), n)
            return Estimate(value, bounds, PAIRED, n)
    if (
        whole
        and len(sample.parts) == 2
        and [part.weight for part in sample.parts] == [-sample.parts[1].weight, sample.parts[1].weight]
    ):
        first, second = (np.sign(sample.parts[0].weight) * steps[:, i] for i in (0, 1))
        each = [paired_rate_bounds(int((d > 0).sum()), int((d < 0).sum()), n) for d in (first, second)]
        bounds = mover_bounds(
            each[0], each[1], float(first.mean()), float(second.mean()), sample_correlation(first, second)
        )
        return Estimate(value, bounds, DIFFERENCE_OF_PAIRED, n)
    least, most = _range(sample, 0.0, 1.0)
    return Estimate(value, bounded_mean_bounds(np.clip(sample.differences, least, most), least, most), AVERAGED, n)


def _single(sample: Sample, other: float, n: int, value: float) -> Estimate:
    """One arm's rate against a number: w · (rate − other)."""
    weight = sample.parts[0].weight
    happened = sample.terms[:, 0, 0] / weight + other
    if not np.isclose(happened, np.round(happened)).all():
        least, most = _range(sample, 0.0, 1.0)
        return Estimate(value, bounded_mean_bounds(np.clip(sample.differences, least, most), least, most), AVERAGED, n)
    exact = clopper_pearson_bounds(int(np.round(happened).sum()), n)

    def bounds(alpha: float) -> tuple[float, float]:
        ends = sorted(weight * (end - other) for end in exact(alpha))
        return ends[0], ends[1]

    return Estimate(value, bounds, SINGLE, n)


def _range(sample: Sample, least: float, most: float) -> tuple[float, float]:
    """Between which numbers a seed's can lie, each run's being between `least` and `most`."""
    ends = np.zeros(2)
    for part in sample.parts:
        other = (least, most) if isinstance(part.other, Mapping) else (float(part.other),) * 2
        ends += sorted((part.weight * (least - other[1]), part.weight * (most - other[0])))
    return float(ends[0]), float(ends[1])
