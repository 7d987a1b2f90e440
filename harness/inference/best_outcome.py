"""What favours a claim most, or least: the largest Δ that its metric allows, and the outcomes of some seeds by which it is decided if any does."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.inference.estimates import estimate
from harness.inference.reading import Word, read_all
from harness.inference.samples import Sample
from harness.settings import Sweep
from harness.settings.metrics import BOUNDED, ERROR, METRICS, Metric
from harness.study import Estimated
from harness.study.contrasts import Contrast


def largest(claim: Estimated, sweeps: Mapping[str, Sweep]) -> float:
    """The Δ than which there is no larger one, since the metric lies between two ends; infinite where it may not, as errors of numbers.

    Steps of a trend share what lies between the ends.
    """
    ends = (0.0, 1.0) if claim.counts_runs() else _ends(METRICS[claim.metric])
    contrasts = claim.contrasts(sweeps)
    return float(min(sum(_terms(contrast, *ends)) for contrast in contrasts)) / len(contrasts)


def _ends(metric: Metric) -> tuple[float, float]:
    """Between which a metric lies whatever comes, infinite where nobody knows: of a user's own, and of errors of numbers."""
    if metric.own or metric.unit == ERROR:
        return -np.inf, np.inf
    return (0.0, 1.0) if metric.unit.startswith("share") else BOUNDED.get(metric.unit, (-np.inf, np.inf))


def may_be(verdict: Word, claim: Estimated, sweeps: Mapping[str, Sweep], cells: int, n: int, alpha: float) -> bool:
    """Whether a claim on rates has a verdict at level 1 − α when n seeds come out as favours that most, by the interval that judges it.

    Args:
        verdict: supported, or refuted.
        claim: that counts runs.
        sweeps: the swept factors.
        cells: that it averages over.
        n: seeds.
        alpha: 1 − the confidence level.
    """
    supported = verdict == "supported"
    if claim.decides_by == "inside":
        ends = (0.0, 0.0) if supported else (0.0, 1.0)
    else:
        ends = (0.0, 1.0) if supported else (1.0, 0.0)
    each = [_sample(contrast, ends, cells, n) for contrast in claim.contrasts(sweeps)]
    bounds = [estimate(claim, sample).bounds for sample in each]
    return read_all(bounds, claim.smallest_effect, claim.decides_by, alpha) == verdict


def _sample(contrast: Contrast, ends: tuple[float, float], cells: int, n: int) -> Sample:
    """All runs of an arm have the first of two values, or the second, where more favours the contrast: what the claim is about, or not."""
    terms = np.broadcast_to(_terms(contrast, *ends), (n, cells, len(contrast.parts)))
    return Sample(
        contrast.name, contrast.parts, [], list(range(n)), [""] * cells, terms, np.zeros((n, cells), bool), np.zeros((n, cells)),
        np.zeros(n, bool), n_missing=0, n_copies=0, n_cells_left_out=0, n_combinations=1,
    )  # fmt: skip


def _terms(contrast: Contrast, less: float, more: float) -> Sequence[float]:
    """The weighted differences of a contrast where each arm has `more` if a larger value of it favours the contrast, else `less`."""

    def value(arm: Mapping[str, object] | float) -> float:
        if not isinstance(arm, Mapping):
            return arm
        push = sum(part.weight * ((part.arm == arm) - (part.other == arm)) for part in contrast.parts)
        return more if push > 0 else less

    return [part.weight * (value(part.arm) - value(part.other)) for part in contrast.parts]
