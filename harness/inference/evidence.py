"""`Evidence`: a claim's pairs with the family of intervals they allow, and the verdict at a level."""

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.inference.intervals import EVERYTHING, Bounds, constant_bounds, t_bounds
from harness.inference.inversion import p_against
from harness.inference.manipulation import manipulation_failure
from harness.inference.paired_rates import mcnemar_p, paired_rate_bounds
from harness.inference.pairing import Pairs
from harness.inference.resampling import bootstrap, sign_flip_p
from harness.inference.robust import interquartile_mean, probability_of_improvement
from harness.inference.verdict import Verdict, read
from harness.inference.wording import reason, remarks, withheld
from harness.settings.metrics import not_comparable
from harness.study import Claim

SEEDS_FOR_ROBUST_ESTIMATES = 20


@dataclass(frozen=True)
class Evidence:
    """All a verdict needs but the level: the pairs, the family of intervals, what is wrong with the manipulation.

    Attributes:
        claim: what is claimed.
        pairs: its runs.
        bounds: intervals of the mean Δ by level.
        method: of the interval and of the test of no difference, in words.
        failure: why the runs cannot speak to the claim, or "".
        p: two-sided p-value of Δ = δ; 1 where the runs cannot speak to the claim.
        p_zero: of no difference at all; None without data.
    """

    claim: Claim
    pairs: Pairs
    bounds: Bounds
    method: str
    failure: str
    p: float
    p_zero: float | None

    @classmethod
    def of(cls, claim: Claim, pairs: Pairs) -> "Evidence":
        """Choose the interval (rule 3 of `harness.inference.verdicts`) and check the manipulation."""
        if not pairs.testable:
            failure = "no seed has a run in both arms"
            if np.isnan(pairs.worst):
                failure = (
                    "every run of both arms diverged" if sum(pairs.n_imputed) else f"no run has measured {claim.metric}"
                )
            return cls(claim, pairs, lambda alpha: EVERYTHING, "", failure, 1.0, None)
        bounds, method, p_zero = _binary(pairs) if pairs.are_binary else _numeric(pairs)
        failure = manipulation_failure(claim, pairs)
        p = 1.0 if failure else p_against(bounds, claim.smallest_effect)
        return cls(claim, pairs, bounds, method, failure, p, p_zero)

    def verdict(self, alpha: float) -> Verdict:
        """Read the verdict from the interval at level 1 − `alpha` (rules 2 and 4 of `harness.inference.verdicts`)."""
        claim, pairs, n = self.claim, self.pairs, len(self.pairs.seeds)
        base = Verdict(
            title=claim.title, metric=claim.metric, verdict="inconclusive", label="", sentence="", better=claim.better,
            treatment=claim.treatment, baseline=claim.baseline, smallest_effect=claim.smallest_effect, level=1 - alpha,
            n=n, n_diverged_treatment=pairs.n_diverged[0], n_diverged_baseline=pairs.n_diverged[1],
            n_imputed=sum(pairs.n_imputed), n_dropped=pairs.n_dropped + pairs.n_copies,
        )  # fmt: skip
        if not pairs.testable:
            return replace(base, sentence=f"Not put to the test: {self.failure}.{self._remarks()}")
        differences = pairs.differences
        low, high = self.bounds(alpha)
        word, label = read(low, high, claim.smallest_effect)
        held_back = withheld(word, pairs)
        if self.failure or held_back:
            word, label = "inconclusive", ""
        robust = n >= SEEDS_FOR_ROBUST_ESTIMATES
        found = replace(
            base, verdict=word, label=label, estimate=float(differences.mean()), p_value=self.p_zero,
            low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None,
            p_smallest_effect=self.p, method=self.method,
            per_seed=dict(zip(pairs.seeds, map(float, differences), strict=True)),
            interquartile_mean=bootstrap(interquartile_mean, differences) if robust else None,
            probability_of_improvement=probability_of_improvement(differences) if robust else None,
        )  # fmt: skip
        why = f"Manipulation check failed: {self.failure}." if self.failure else held_back or reason(found)
        return replace(found, sentence=why + self._remarks())

    def _remarks(self) -> str:
        """What a reader must know of the runs, and of the metric."""
        said = not_comparable(self.claim.metric, self.claim.differing())
        return remarks(self.pairs) + (f" {self.claim.metric} is {said}." if said else "")


def _binary(pairs: Pairs) -> tuple[Bounds, str, float]:
    """Intervals of the difference of two rates, their name, and the p-value of no difference."""
    first, second = int((pairs.differences > 0).sum()), int((pairs.differences < 0).sum())
    bounds = paired_rate_bounds(first, second, len(pairs.seeds))
    return bounds, "paired score interval, McNemar's exact test", mcnemar_p(first, second)


def _numeric(pairs: Pairs) -> tuple[Bounds, str, float]:
    """Intervals of the mean difference, their name, and the p-value of no difference."""
    differences = pairs.differences
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        values = np.concatenate([pairs.treatment.ravel(), pairs.baseline.ravel()])
        bounded = pairs.are_shares and values.min() >= 0 and values.max() <= 1
        bounds, interval = constant_bounds(differences[0], len(differences), bounded=bool(bounded)), "equal differences"
    else:
        bounds, interval = t_bounds(differences), "t interval"
    return bounds, f"{interval}, sign-flip permutation test", sign_flip_p(differences)
