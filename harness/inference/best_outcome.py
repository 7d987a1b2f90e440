"""What favours a claim most: the largest Δ that its metric allows, and the outcome of some seeds by which it is supported if any is."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.inference.estimates import estimate
from harness.inference.reading import read_all
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
    return float(min(sum(_best_terms(contrast, *ends)) for contrast in contrasts)) / len(contrasts)


def _ends(metric: Metric) -> tuple[float, float]:
    """Between which a metric lies whatever comes, infinite where nobody knows: of a user's own, and of errors of numbers."""
    if metric.own or metric.unit == ERROR:
        return -np.inf, np.inf
    return (0.0, 1.0) if metric.unit.startswith("share") else BOUNDED.get(metric.unit, (-np.inf, np.inf))


def may_be_supported(claim: Estimated, sweeps: Mapping[str, Sweep], cells: int, n: int, alpha: float) -> bool:
    """Whether the outcome of n seeds that favours a claim on rates most supports it at level 1 − α, by the interval that judges it.

    Args:
        claim: that counts runs.
        sweeps: the swept factors.
        cells: that it averages over.
        n: seeds.
        alpha: 1 − the confidence level.
    """
    alike = claim.decides_by == "inside"
    each = [_best_sample(contrast, alike, cells, n) for contrast in claim.contrasts(sweeps)]
    bounds = [estimate(claim, sample).bounds for sample in each]
    return read_all(bounds, claim.smallest_effect, claim.decides_by, alpha) == "supported"


def _best_sample(contrast: Contrast, alike: bool, cells: int, n: int) -> Sample:
    """All runs of an arm have what the claim is about, or none, whichever favours it more; none has where arms shall be `alike`."""
    terms = np.broadcast_to(_best_terms(contrast, 0.0, 0.0 if alike else 1.0), (n, cells, len(contrast.parts)))
    return Sample(
        contrast.name, contrast.parts, [], list(range(n)), [""] * cells, terms, np.zeros((n, cells)), np.zeros(n, bool),
        n_missing=0, n_copies=0, n_cells_left_out=0,
    )  # fmt: skip


def _best_terms(contrast: Contrast, least: float, most: float) -> Sequence[float]:
    """The weighted differences of a contrast where each arm has what of `least` and `most` favours it more."""

    def value(arm: Mapping[str, object] | float) -> float:
        if not isinstance(arm, Mapping):
            return arm
        push = sum(part.weight * ((part.arm == arm) - (part.other == arm)) for part in contrast.parts)
        return most if push > 0 else least

    return [part.weight * (value(part.arm) - value(part.other)) for part in contrast.parts]
