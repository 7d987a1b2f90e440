"""A sample → its estimate and the intervals that its estimand allows, which follow from the claim and never from the data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.inference.intervals.bounded_mean import bounded_mean_bounds
from harness.inference.intervals.hodges_lehmann import hodges_lehmann, hodges_lehmann_bounds
from harness.inference.intervals.interval import EVERYTHING, Array, Bounds, Interval, t_bounds
from harness.inference.intervals.median import median_bounds
from harness.inference.intervals.mover import combined_bounds
from harness.inference.intervals.paired_rates import signed_bounds
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median
from harness.inference.samples import Sample
from harness.settings.metrics import BOUNDED, METRICS
from harness.study import Estimated

METHODS = {
    "median": "median, interval by the sign test", "hodges_lehmann": "Hodges–Lehmann estimate, interval by signed ranks",
    "mean": "mean over seeds whose runs trained, t interval",
}  # fmt: skip
PAIRED, COMBINED, SINGLE, BOUNDED_MEAN = (
    "difference of rates, exact paired score interval",
    "sum of differences of rates, exact paired score intervals of each combined (MOVER)", "rate, exact interval",
    "mean of what lies between two ends, exact interval (betting)",
)  # fmt: skip


ARITHMETIC = 1e-12
"""Rounding of what is computed from rates and errors, none of which is larger than 1."""


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
    """The estimate that a claim asks for. An end of an interval that is 0, δ or −δ but for rounding is so."""
    if not sample.seeds:
        return Estimate(np.nan, lambda alpha: EVERYTHING, "", 0)
    found, tie = _estimate(claim, sample), _ties(claim, sample)

    def bounds(alpha: float) -> Interval:
        low, high = map(tie, found.bounds(alpha))
        return low, high

    return replace(found, value=tie(found.value), bounds=bounds)


def _ties(claim: Estimated, sample: Sample) -> Callable[[float], float]:
    """What makes a number 0, δ or −δ that differs from it by no more than rounding.

    Ends of intervals by ranks are seeds' numbers, as rounded as these; others are computed in double precision.
    """
    delta, near = claim.smallest_effect, ARITHMETIC
    if not claim.counts_runs() and claim.estimated() != "mean":
        near = float(np.median(sample.rounding.mean(axis=1)))
    return lambda number: next((point for point in (0.0, delta, -delta) if abs(number - point) <= near), number)


def _estimate(claim: Estimated, sample: Sample) -> Estimate:
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
        return Estimate(float(values.mean()), bounds, BOUNDED_MEAN, len(values))
    return Estimate(float(values.mean()), t_bounds(values), METHODS["mean"], len(values))


def _rate(sample: Sample) -> Estimate:
    weights = np.array([part.weight for part in sample.parts])
    steps = sample.terms / weights  # (seed, cell, part)
    against_arms = all(isinstance(part.other, Mapping) for part in sample.parts)
    if against_arms and np.isin(steps, (-1.0, 0.0, 1.0)).all():
        return _paired(sample, steps.reshape(len(steps), -1), np.tile(weights / len(sample.cells), len(sample.cells)))
    if not against_arms and steps.shape[1:] == (1, 1):
        happened = steps[:, 0, 0] + float(sample.parts[0].other)  # type: ignore[arg-type]  # a number, as was seen
        if np.isin(np.round(happened, 9), (0.0, 1.0)).all():
            return _single(sample, int(np.round(happened).sum()))
    least, most = _range(sample, 0.0, 1.0)
    values = np.clip(sample.differences, least, most)
    return Estimate(float(values.mean()), bounded_mean_bounds(values, least, most), BOUNDED_MEAN, len(values))


def _paired(sample: Sample, steps: Array, weights: Array) -> Estimate:
    """Of differences (seed, cell and part) that are −1, 0 or 1."""
    n, value = len(steps), float(sample.differences.mean())
    if steps.shape[1] == 1:
        return Estimate(value, signed_bounds(steps[:, 0] * np.sign(weights[0])), PAIRED, n)
    return Estimate(value, combined_bounds([signed_bounds(each) for each in steps.T], weights), COMBINED, n)


def _single(sample: Sample, happened: int) -> Estimate:
    """One arm's rate against a number: weight · (rate − number)."""
    part, n = sample.parts[0], len(sample.seeds)
    exact = clopper_pearson_bounds(happened, n)

    def bounds(alpha: float) -> Interval:
        low, high = sorted(part.weight * (end - float(part.other)) for end in exact(alpha))  # type: ignore[arg-type]
        return low, high

    return Estimate(float(sample.differences.mean()), bounds, SINGLE, n)


def _range(sample: Sample, least: float, most: float) -> tuple[float, float]:
    """Between which numbers a seed's can lie, each run's being between `least` and `most`."""
    ends = np.zeros(2)
    for part in sample.parts:
        other = (least, most) if isinstance(part.other, Mapping) else (float(part.other),) * 2
        ends += sorted((part.weight * (least - other[1]), part.weight * (most - other[0])))
    return float(ends[0]), float(ends[1])
