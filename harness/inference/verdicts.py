"""Claims → verdicts: one number per seed of each claim, the intervals that its estimand allows, Holm's procedure over planned looks.

Where this room meets the flow: `harness.reporting` has `families` judge all claims on all recorded runs.

Rules, for every claim but `Exact`, which needs no statistics:

1. One number Δ per seed, positive where it favours the claim (`samples`): differences between arms in cells that agree in every
   factor that the claim does not name, averaged over these, or each by itself. Confirm phase only. A seed that lacks a run or its
   value is missing, and counted; above one in ten there is no verdict.
2. A diverged run is never left out and nothing is imputed: by the metric's own direction it is worse than any finite one, and
   two such tie. A mean has no such value, so it is that over seeds all of whose runs trained; it bears no verdict that the
   others speak against.
3. The estimand follows from the claim, never from the data (`estimates`): of unbounded metrics the median, by inverting the
   sign test; of errors the mean, by t; of rates the exact paired score interval. Beside the first two stand the rates of runs
   that diverged or collapsed.
4. Supported if the interval lies above δ, refuted if below it (`reading`); `looks` says at which level. Inconclusive whatever the
   interval before the first planned look, where the manipulation check fails, and where no difference was found that could not
   have been seen (`resolution`). Intervals that are shown, and the labels "reversed" and "no relevant effect", are those at α /
   number of claims, which cover together.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.catastrophes import catastrophes
from harness.inference.estimates import estimate
from harness.inference.evidence import Evidence, at_worst
from harness.inference.exact import judge_exact
from harness.inference.intervals.interval import t_interval
from harness.inference.intervals.resampling import Estimated as Described
from harness.inference.intervals.resampling import bootstrap
from harness.inference.intervals.robust import interquartile_mean, probability_of_improvement
from harness.inference.looks import Decision, decide, shown_alpha
from harness.inference.plan import Plan
from harness.inference.prospects import prospects
from harness.inference.reading import label_of
from harness.inference.samples import Sample
from harness.inference.verdict import CellEstimate, Verdict
from harness.inference.wording import sentence
from harness.settings import InvalidStudy, Problem, nearest
from harness.settings.metrics import METRICS
from harness.study import AnyClaim, Estimated, Exact

SEEDS_FOR_ROBUST_ESTIMATES = 20


def judge(claims: Iterable[AnyClaim], runs: pd.DataFrame, plan: Plan) -> list[Verdict]:
    """The verdict on each claim of one family, in the order given.

    Args:
        claims: of the study.
        runs: its run table.
        plan: of the study.
    """
    return judge_family([(claim, runs) for claim in claims], plan)


def judge_family(claims: Sequence[tuple[AnyClaim, pd.DataFrame]], plan: Plan, *, others: int = 0) -> list[Verdict]:
    """The same where each claim has runs of its own.

    Args:
        claims: with the run table that each is judged on.
        plan: of the study.
        others: further claims of the family, which no runs can speak to: Holm counts them.

    Raises:
        InvalidStudy: runs lack the column of a claim's metric.
    """
    _check_columns(claims)
    tested = [(claim, runs) for claim, runs in claims if isinstance(claim, Estimated)]
    reached = min((plan.reached(runs) for _, runs in tested), default=1)
    evidence = [[Evidence.of(claim, plan.until(runs, look), plan) for claim, runs in tested] for look in range(reached)]
    decisions = decide(evidence, plan.looks, others=others)
    alpha = shown_alpha(plan.looks, reached - 1, len(tested) + others)
    found = iter(
        _verdict([after[i] for after in evidence], decision, plan, alpha) for i, decision in enumerate(decisions)
    )
    said = prospects([claim for claim, _ in claims], plan, others=others)
    return [
        judge_exact(claim, runs, plan) if isinstance(claim, Exact) else replace(next(found), power=power)
        for (claim, runs), power in zip(claims, said, strict=True)
    ]


def _check_columns(claims: Sequence[tuple[AnyClaim, pd.DataFrame]]) -> None:
    """Refuse tables of runs that lack what a claim is about."""
    found = []
    for claim, runs in claims:
        measured = [name for name in METRICS if name in runs]
        for name in claim.measured().values():
            if name not in runs:
                message = f"no such column, which the claim “{claim.title}” is about{nearest(name, measured)}"
                found.append(Problem(f"runs.{name}", message))
    if found:
        raise InvalidStudy(found)


def unjudged(claim: Estimated) -> Verdict:
    """What there is to say of a claim before its runs are looked at."""
    return Verdict(
        claim.title, claim.metric, "inconclusive", "", "", kind=type(claim).__name__, better=getattr(claim, "better", ""),
        compared=claim.compared(), treatment=getattr(claim, "treatment", {}), baseline=getattr(claim, "baseline", {}),
        smallest_effect=claim.smallest_effect,
    )  # fmt: skip


def _verdict(after: Sequence[Evidence], decision: Decision | None, plan: Plan, alpha: float) -> Verdict:
    """The verdict on a claim.

    Args:
        after: what its runs say after each look that was reached.
        decision: on it.
        plan: of the study.
        alpha: of the interval that is shown, by all seeds that there are.
    """
    evidence = after[-1]
    claim, samples = evidence.claim, evidence.samples
    arms = evidence.arms
    base = replace(
        unjudged(claim), above=claim.above, estimand=claim.estimated(), level=1 - alpha, n=evidence.n, looks=tuple(plan.looks),
        n_diverged_treatment=arms[0].n_diverged, n_diverged_baseline=sum(arm.n_diverged for arm in arms[1:]),
        n_missing=max(each.n_missing for each in samples), n_copies=max(each.n_copies for each in samples),
    )  # fmt: skip
    if any(each.n for each in evidence.estimates) and not all(each.lost.all() for each in samples):
        base = _estimated(base, evidence, alpha)
    if decision is not None:
        deciding = after[decision.look]
        word = deciding.word(decision.alpha)
        label = _label(evidence, alpha) if word == "refuted" and claim.decides_by == "side" else ""
        base = replace(base, verdict=word, label=label, look=plan.looks[decision.look], p_smallest_effect=deciding.p)
    return replace(base, sentence=sentence(base, evidence, decision))


def _estimated(base: Verdict, evidence: Evidence, alpha: float) -> Verdict:
    """With the estimate, its interval and what describes the runs."""
    claim, estimates = evidence.claim, evidence.estimates
    several = len(estimates) > 1
    value, low, high = _shown(evidence, alpha)
    first = evidence.samples[0]
    found = replace(
        base, estimate=value, low=None if low == -math.inf else low,
        high=None if high == math.inf else high, p_value=evidence.p_zero, method=estimates[0].method,
        p_smallest_effect=None if evidence.failure else evidence.p,
        cells=_cells(evidence, alpha), catastrophes=None if _of_all_catastrophes(evidence) else catastrophes(evidence.samples),
    )  # fmt: skip
    return found if several or len(evidence.samples) > 1 else _described(found, claim, first)


def _of_all_catastrophes(evidence: Evidence) -> bool:
    """Whether the claim is about all that went wrong: about which runs diverged, where none collapsed."""
    about = evidence.claim.metric == "diverged" and evidence.claim.above is None
    return about and all(arm.n_bad == arm.n_diverged for each in evidence.samples for arm in each.arms)


def _shown(evidence: Evidence, alpha: float) -> tuple[float, float, float]:
    """The estimate and its interval; of several those of the one at worst."""
    each = _together(evidence, alpha)
    values, lows, highs = zip(*each, strict=True)
    inside = evidence.claim.decides_by == "inside"
    ends = _farthest(list(zip(lows, highs, strict=True))) if inside else (min(lows), min(highs))
    return at_worst(evidence.claim, values), *ends


def _farthest(intervals: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Within which ends of several numbers the one farthest from 0 lies, wherever each lies within its own interval.

    It may be any of them, but none is nearer to 0 than the interval that keeps the greatest distance from it.

    >>> _farthest([(-0.02, 0.02), (-0.5, 0.3)]), _farthest([(-0.02, 0.02), (0.3, 0.5)])
    ((-0.5, 0.3), (0.3, 0.5))
    """
    least = max(max(low, -high, 0.0) for low, high in intervals)
    sides = [side for low, high in intervals for side in ((low, min(high, -least)), (max(low, least), high))]
    lows, highs = zip(*((low, high) for low, high in sides if low <= high), strict=True)
    return min(lows), max(highs)


def _label(evidence: Evidence, alpha: float) -> str:
    """What all of the intervals say of a refuted claim, as they are shown."""
    _, lows, highs = zip(*_together(evidence, alpha), strict=True)
    return label_of(min(lows), max(highs), evidence.claim.smallest_effect)


def _together(evidence: Evidence, alpha: float) -> list[tuple[float, float, float]]:
    """Every estimate with its interval; together these cover with 1 − α."""
    estimates = evidence.estimates
    return [(each.value, *each.bounds(alpha / len(estimates))) for each in estimates]


def _cells(evidence: Evidence, alpha: float) -> list[CellEstimate]:
    """What each cell says, where there are several; no number where it is averaged over, and all of its runs diverged alike."""
    decide = len(evidence.tests) > 1
    parts = list(evidence.tests) if decide else [s.at_cell(i) for s in evidence.samples for i in range(len(s.cells))]
    return [_cell(evidence.claim, part, alpha, decide) for part in parts] if len(parts) > 1 else []


def _cell(claim: Estimated, part: Sample, alpha: float, decides: bool) -> CellEstimate:
    seeds = _seeds(claim, part)
    if part.lost.all() and not decides:
        return CellEstimate(part.name, math.nan, math.nan, math.nan, **(seeds | {"incomparable": part.seeds}))
    found = estimate(claim, part)
    return CellEstimate(part.name, found.value, *found.bounds(alpha), **seeds)


def _seeds(claim: Estimated, sample: Sample) -> dict[str, Any]:
    """What each seed says, as the fields of a verdict or of one of its cells."""
    low, high = sample.bounds()
    seeds = np.array(sample.seeds, dtype=int)
    apart = {
        "incomparable": low != high, "left_out": sample.bad if claim.estimated() == "mean" else np.zeros(len(low), bool)
    }  # fmt: skip
    per_seed = dict(zip(sample.seeds, map(float, sample.differences), strict=True))
    return {"per_seed": per_seed} | {name: seeds[mask].tolist() for name, mask in apart.items()}


def _described(base: Verdict, claim: Estimated, sample: Sample) -> Verdict:
    """With each seed's number, and what describes those that the estimate rests on."""
    differences = sample.differences[np.logical_not(sample.bad)] if base.estimand == "mean" else sample.differences
    found = replace(base, **_seeds(claim, sample))
    if base.estimand == "rate":
        return found
    found = replace(found, probability_of_improvement=probability_of_improvement(differences))
    if not all(np.isfinite(values).all() for values in (differences, *(arm.values for arm in sample.arms))):
        return found  # of two runs that diverged the difference is a tie, and no number
    if base.estimand != "mean":
        found = replace(found, mean=Described(float(differences.mean()), *t_interval(differences)))
    robust = len(differences) >= SEEDS_FOR_ROBUST_ESTIMATES
    return replace(found, interquartile_mean=bootstrap(interquartile_mean, differences)) if robust else found
