"""Claims → verdicts: pair the runs of both arms by seed, check the manipulation, draw Holm's intervals, read them.

Rules, for every `Claim` (`Exact` needs no statistics):

1. One difference Δ per seed, positive where it favours the claim: cells of the two arms that agree in every factor the
   claim does not name are paired, and their differences averaged. Confirm phase only. A seed that lacks a run in
   either arm is left out, and counted.
2. A diverged run is never left out. Where it has no finite value it takes the worst finite one of both arms (worst
   rank). That understates how bad it is, so a verdict that rests on it is withheld: no "supported" where the treatment
   has more such runs than the baseline, no "refuted" where the baseline has more.
3. Interval of the mean Δ: t; for a binary metric with one run per arm and seed, Tango's paired score interval; where
   all Δ are equal, the exact bound on what n equal observations leave open.
4. Levels by Holm over the study's claims, two-sided 5 % in all; supported if the lower bound > δ, refuted if the upper
   bound < δ, else inconclusive. Inconclusive whatever the interval where the manipulation check fails.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from harness.inference import statistics
from harness.inference.statistics import EVERYTHING, Array, Bounds, Estimated
from harness.settings import Component
from harness.settings.levels import at, in_words, stored
from harness.settings.metrics import METRICS, RATE
from harness.study import Claim, Exact

ALPHA = 0.05
SEEDS_FOR_ROBUST_ESTIMATES = 20
SHARES = ("error", "share of steps", RATE)
"""Units of metrics that lie in [0, 1]."""

Word = Literal["supported", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """What the runs say about one claim.

    Attributes:
        title: the claim in words.
        metric: name of the metric.
        verdict: supported, refuted or inconclusive.
        label: of a refuted claim: "reversed", "no relevant effect" or ""; "exact" for an `Exact` one.
        sentence: the reason, in plain English.
        better: direction that favours the claim.
        treatment: levels of the arm said to be better.
        baseline: levels of the other arm.
        smallest_effect: δ.
        estimate: mean Δ, positive favours the claim; None without data.
        low: lower bound at `level`; None where there is none.
        high: upper bound.
        level: confidence level after Holm.
        p_value: of no difference at all: sign flips, or McNemar's exact test for a binary metric.
        p_smallest_effect: two-sided, of Δ = δ; what Holm orders claims by.
        method: of the interval.
        n: seeds, for an exact claim runs.
        per_seed: seed → Δ.
        further_seeds: about how many more would decide; None where unknown or beyond 100,000.
        n_diverged_treatment: diverged runs in the treatment arm.
        n_diverged_baseline: diverged runs in the baseline arm.
        n_imputed: runs without a finite value, counted as the worst finite one.
        n_dropped: seeds left out because a run failed.
        interquartile_mean: of Δ, bootstrap interval; from 20 seeds on.
        probability_of_improvement: share of seeds with Δ > 0, bootstrap interval; from 20 seeds on.
    """

    title: str
    metric: str
    verdict: Word
    label: str
    sentence: str
    better: str = ""
    treatment: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    smallest_effect: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    p_smallest_effect: float | None = None
    method: str = ""
    n: int = 0
    per_seed: Mapping[int, float] = field(default_factory=dict)
    further_seeds: int | None = None
    n_diverged_treatment: int = 0
    n_diverged_baseline: int = 0
    n_imputed: int = 0
    n_dropped: int = 0
    interquartile_mean: Estimated | None = None
    probability_of_improvement: Estimated | None = None


@dataclass(frozen=True)
class Pairs:
    """Both arms of a claim, paired by seed.

    Attributes:
        seeds: (seed,) those with a run in every cell of both arms.
        treatment: (seed, cell) values of the metric, imputed where diverged.
        baseline: (seed, cell), paired with `treatment`.
        sign: +1 where higher is better.
        n_diverged: diverged runs (treatment, baseline).
        n_imputed: imputed runs (treatment, baseline).
        worst: what they were imputed with.
        n_dropped: seeds left out.
        n_cells_left_out: cell pairs of which one never ran.
        clipped: whether any step was clipped (treatment, baseline); None if not known.
    """

    seeds: list[int]
    treatment: Array
    baseline: Array
    sign: float
    n_diverged: tuple[int, int]
    n_imputed: tuple[int, int]
    worst: float
    n_dropped: int
    n_cells_left_out: int
    clipped: tuple[bool | None, bool | None]

    @property
    def differences(self) -> Array:
        """(seed,) mean over cells of treatment − baseline, signed so that positive favours the claim."""
        return np.asarray(self.sign * (self.treatment - self.baseline).mean(axis=1))


def judge(claims: Iterable[Claim | Exact], runs: pd.DataFrame, sweeps: Iterable[str]) -> list[Verdict]:
    """The verdict on each claim, in the order given.

    Args:
        claims: of the study.
        runs: its run table.
        sweeps: factor paths that are swept.
    """
    claims, swept = list(claims), list(sweeps)
    confirm = runs[runs["phase"] == "confirm"]
    paired = {i: pair(claim, confirm, swept) for i, claim in enumerate(claims) if isinstance(claim, Claim)}
    evidence = {i: Evidence.of(claims[i], pairs) for i, pairs in paired.items()}  # type: ignore[arg-type]
    alphas = dict(zip(evidence, statistics.holm_alphas([e.p for e in evidence.values()], ALPHA), strict=True))
    return [
        evidence[i].verdict(float(alphas[i])) if isinstance(claim, Claim) else judge_exact(claim, confirm)
        for i, claim in enumerate(claims)
    ]


def pair(claim: Claim, confirm: pd.DataFrame, sweeps: Sequence[str]) -> Pairs:
    """Both arms of a claim by seed and cell; see the module's rules 1 and 2.

    Args:
        claim: names the arms.
        confirm: runs of the confirm phase.
        sweeps: factor paths that are swept.
    """
    arms = [confirm[at(confirm, levels)] for levels in (claim.treatment, claim.baseline)]
    arms = [arm[arm["status"] != "failed"] for arm in arms]
    values = pd.concat(arms)[claim.metric].to_numpy(float)
    finite = values[np.isfinite(values)]
    worst = float("nan") if not len(finite) else float(finite.max() if claim.better == "lower" else finite.min())
    others = [path for path in sweeps if path not in claim.treatment]
    tables, n_imputed = [], []
    for arm in arms:
        value = arm[claim.metric].astype(float)
        lost = np.isinf(value) | (value.isna() & (arm["status"] == "diverged"))
        cell = pd.Series([" · ".join(map(repr, row)) for row in arm[others].itertuples(index=False)], index=arm.index)
        keyed = pd.DataFrame({"value": value.mask(lost, worst), "cell": cell.astype(object), "seed": arm["seed"]})
        tables.append(keyed.groupby(["seed", "cell"])["value"].mean().unstack("cell"))
        n_imputed.append(int(lost.sum()))
    treatment, baseline = (table.dropna(axis="columns", how="all") for table in tables)
    cells = sorted(set(treatment.columns) & set(baseline.columns))
    treatment, baseline = treatment[cells].dropna(), baseline[cells].dropna()
    seeds = sorted(set(treatment.index) & set(baseline.index)) if cells else []
    chosen = confirm[at(confirm, claim.treatment) | at(confirm, claim.baseline)]
    return Pairs(
        seeds=[int(seed) for seed in seeds],
        treatment=treatment.loc[seeds].to_numpy(float),
        baseline=baseline.loc[seeds].to_numpy(float),
        sign=1.0 if claim.better == "higher" else -1.0,
        n_diverged=(int((arms[0]["status"] == "diverged").sum()), int((arms[1]["status"] == "diverged").sum())),
        n_imputed=(n_imputed[0], n_imputed[1]),
        worst=worst,
        n_dropped=int(chosen["seed"].nunique()) - len(seeds),
        n_cells_left_out=max(len(set(tables[0].columns) | set(tables[1].columns)) - len(cells), 0),
        clipped=(_clipped(arms[0]), _clipped(arms[1])),
    )


def _clipped(arm: pd.DataFrame) -> bool | None:
    fraction = arm["clip_fraction"].dropna() if "clip_fraction" in arm else arm["seed"].iloc[:0]
    return bool((fraction > 0).any()) if len(fraction) else None


def manipulation_failure(claim: Claim, pairs: Pairs) -> str:
    """Why the runs cannot speak to the claim, or "" if they can.

    Args:
        claim: what is claimed.
        pairs: its runs, at least one seed.
    """
    both = np.concatenate([pairs.treatment.ravel(), pairs.baseline.ravel()])
    share = METRICS[claim.metric].unit in SHARES
    if share and (both == 0).all():
        return f"{claim.metric} is 0 in every run of both arms, so there was nothing to improve (floor)"
    if share and (both == 1).all():
        return f"{claim.metric} is 1 in every run of both arms, so nothing could help (ceiling)"
    if any(path.startswith("clipping") for path in claim.treatment):
        treated, control = pairs.clipped
        if treated is False and _bounded(claim.treatment):
            return "the treatment arm never clipped a gradient"
        if treated is False and control is False:
            return "no gradient was clipped in either arm"
    if not _binary(claim.metric, pairs) and (pairs.treatment == pairs.baseline).all():
        return "the two arms gave identical results in every pair of runs: what they differ in had no effect"
    return ""


def _bounded(levels: Mapping[str, Any]) -> bool:
    """Whether an arm's clipping level is a finite bound: a number, or a rule all of whose numbers are finite."""
    for path, level in levels.items():
        if path.startswith("clipping"):
            numbers = list(level.values().values()) if isinstance(level, Component) else [level]
            numbers = [number for number in numbers if isinstance(number, int | float)]
            return bool(numbers) and all(math.isfinite(number) for number in numbers)
    return False


def _binary(metric: str, pairs: Pairs) -> bool:
    return METRICS[metric].unit == RATE and pairs.treatment.shape[1] == 1


@dataclass(frozen=True)
class Evidence:
    """All a verdict needs but the level: the pairs, the family of intervals, what is wrong with the manipulation."""

    claim: Claim
    pairs: Pairs
    bounds: Bounds
    method: str
    failure: str
    p: float
    p_zero: float | None

    @classmethod
    def of(cls, claim: Claim, pairs: Pairs) -> "Evidence":
        """Choose the interval (module's rule 3) and check the manipulation."""
        n, differences = len(pairs.seeds), pairs.differences if pairs.seeds else np.zeros(0)
        if not n or not np.isfinite(differences).all():
            failure = "every run of both arms diverged" if sum(pairs.n_imputed) else "no seed has a run in both arms"
            return cls(claim, pairs, lambda alpha, seeds: EVERYTHING, "", failure, 1.0, None)
        p_zero: float | None = None
        if _binary(claim.metric, pairs):
            first, second = int((differences > 0).sum()), int((differences < 0).sum())
            bounds, method = (
                statistics.paired_rate_bounds(first, second, n),
                "paired score interval, McNemar's exact test",
            )
            p_zero = statistics.mcnemar_p(first, second)
        else:
            values = np.concatenate([pairs.treatment.ravel(), pairs.baseline.ravel()])
            bounded = METRICS[claim.metric].unit in SHARES and values.min() >= 0 and values.max() <= 1
            equal = np.ptp(differences) <= 1e-12 * np.abs(differences).max()
            bounds = (
                statistics.constant_bounds(differences[0], bounded=bool(bounded))
                if equal
                else statistics.t_bounds(differences)
            )
            method = ("equal differences" if equal else "t interval") + ", sign-flip permutation test"
            p_zero = statistics.sign_flip_p(differences)
        failure = manipulation_failure(claim, pairs)
        p = 1.0 if failure else statistics.p_against(bounds, claim.smallest_effect, n)
        return cls(claim, pairs, bounds, method, failure, p, p_zero)

    def verdict(self, alpha: float) -> Verdict:
        """Read the verdict from the interval at level 1 − `alpha` (module's rules 2 and 4)."""
        claim, pairs, n = self.claim, self.pairs, len(self.pairs.seeds)
        base = Verdict(
            title=claim.title, metric=claim.metric, verdict="inconclusive", label="", sentence="", better=claim.better,
            treatment=claim.treatment, baseline=claim.baseline, smallest_effect=claim.smallest_effect, level=1 - alpha,
            n=n, n_diverged_treatment=pairs.n_diverged[0], n_diverged_baseline=pairs.n_diverged[1],
            n_imputed=sum(pairs.n_imputed), n_dropped=pairs.n_dropped,
        )  # fmt: skip
        if not n or not np.isfinite(pairs.differences).all():
            return replace(base, sentence=f"Not put to the test: {self.failure}.{self._remarks()}")
        differences = pairs.differences
        low, high = self.bounds(alpha, n)
        word, label = read(low, high, claim.smallest_effect)
        withheld = self._withheld(word)
        if self.failure or withheld:
            word, label = "inconclusive", ""
        more = None
        if word == "inconclusive" and not self.failure and not withheld:
            more = statistics.further_seeds(self.bounds, claim.smallest_effect, n, alpha)
        robust = n >= SEEDS_FOR_ROBUST_ESTIMATES
        found = replace(
            base, verdict=word, label=label, estimate=float(differences.mean()), p_value=self.p_zero,
            low=low if math.isfinite(low) else None, high=high if math.isfinite(high) else None,
            p_smallest_effect=self.p, method=self.method, further_seeds=more,
            per_seed=dict(zip(pairs.seeds, map(float, differences), strict=True)),
            interquartile_mean=statistics.bootstrap(statistics.interquartile_mean, differences) if robust else None,
            probability_of_improvement=statistics.bootstrap(statistics.probability_of_improvement, differences) if robust else None,
        )  # fmt: skip
        reason = f"Manipulation check failed: {self.failure}." if self.failure else withheld or _reason(found)
        return replace(found, sentence=reason + self._remarks())

    def _withheld(self, word: Word) -> str:
        treated, control = self.pairs.n_imputed
        if word == "supported" and treated > control:
            return (f"The interval lies above δ, but {treated} runs of the treatment have no finite value against {control} "
                    "of the baseline; an average cannot make up for that.")  # fmt: skip
        if word == "refuted" and control > treated:
            return (f"The interval lies below δ, but {control} runs of the baseline have no finite value against {treated} "
                    "of the treatment; the average understates that.")  # fmt: skip
        return ""

    def _remarks(self) -> str:
        pairs, remarks = self.pairs, ""
        treated, control = pairs.n_diverged
        if treated or control:
            remarks += f" Diverged: {treated} treatment and {control} baseline runs."
        if sum(pairs.n_imputed) and math.isfinite(pairs.worst):
            remarks += (
                f" {sum(pairs.n_imputed)} runs without a finite value count as the worst finite one, {pairs.worst:.4g}."
            )
        if pairs.n_dropped:
            remarks += f" {pairs.n_dropped} seeds left out because a run of theirs is missing."
        if pairs.n_cells_left_out and pairs.seeds:
            remarks += f" {pairs.n_cells_left_out} cells left out because they have no partner."
        return remarks


def read(low: float, high: float, smallest_effect: float) -> tuple[Word, str]:
    """The verdict and its label that an interval gives.

    >>> read(0.2, 0.4, 0.1), read(-0.4, -0.2, 0.1), read(-0.05, 0.05, 0.1), read(0.0, 0.2, 0.1)
    (('supported', ''), ('refuted', 'reversed'), ('refuted', 'no relevant effect'), ('inconclusive', ''))
    """
    if low > smallest_effect:
        return "supported", ""
    if high >= smallest_effect:
        return "inconclusive", ""
    if high < 0:
        return "refuted", "reversed"
    return "refuted", "no relevant effect" if low > -smallest_effect else ""


def _reason(verdict: Verdict) -> str:
    """The sentence of a verdict that was read from an interval."""
    delta, metric = verdict.smallest_effect, verdict.metric
    arms = f"with {in_words(verdict.treatment)} than with {in_words(verdict.baseline)}"
    if verdict.verdict == "supported":
        return f"{metric} is {verdict.better} {arms}, by more than δ = {delta:g}."
    if verdict.label == "reversed":
        opposite = "higher" if verdict.better == "lower" else "lower"
        return f"The opposite holds: {metric} is {opposite} {arms}."
    if verdict.label:
        return f"{metric} differs by less than δ = {delta:g} either way."
    if verdict.verdict == "refuted":
        return f"{metric} is not {verdict.better} {arms} by as much as δ = {delta:g}."
    if verdict.low is None:
        return (
            "One seed has no interval."
            if verdict.n < 2
            else "All seeds gave the same difference, which has no interval."
        )
    more = verdict.further_seeds
    return f"The interval holds δ = {delta:g}; " + (
        f"about {more} further seed{'s' if more > 1 else ''} would decide."
        if more
        else "no affordable number of seeds would decide."
    )


def judge_exact(claim: Exact, confirm: pd.DataFrame) -> Verdict:
    """The verdict on a claim of exact equality: every finished run counts.

    Args:
        claim: metric and value.
        confirm: runs of the confirm phase.
    """
    finished = confirm[confirm["status"] == "finished"]
    values = finished[claim.metric].dropna().to_numpy(float)

    def verdict(word: Word, sentence: str) -> Verdict:
        deviation = float(np.abs(values - claim.equals).max()) if len(values) else None
        return Verdict(claim.title, claim.metric, word, "exact", sentence, n=len(values), estimate=deviation)

    if not len(values):
        return verdict("inconclusive", f"No finished run has measured {claim.metric}.")
    if claim.unless is not None and not (finished[claim.unless].fillna(0) != 0).any():
        return verdict("inconclusive", f"Manipulation check failed: {claim.unless} is 0 in every run.")
    wrong = int((values != claim.equals).sum())
    if wrong:
        deviation = np.abs(values - claim.equals).max()
        return verdict("refuted", f"{claim.metric} is not {claim.equals:g} in {wrong} of {len(values)} runs; "
                                  f"largest deviation {deviation:.3g}.")  # fmt: skip
    return verdict("supported", f"{claim.metric} is {claim.equals:g} in all {len(values)} finished runs.")


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain JSON values; numbers that are not finite become strings ("inf") or null."""

    def plain(value: Any) -> Any:
        if isinstance(value, Estimated):
            return {"value": plain(value.value), "low": plain(value.low), "high": plain(value.high)}
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items()}
        if value is None or isinstance(value, bool):
            return value
        value = stored(value)
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return value

    return {name: plain(value) for name, value in vars(verdict).items()}
