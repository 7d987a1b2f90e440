"""Claims → verdicts: pair the runs of both arms by seed, check the manipulation, draw Holm's intervals, read them.

Where this room meets the flow: `harness.reporting` has `families` judge all claims on all recorded runs.

Rules, for every `Claim` (`Exact` needs no statistics):

1. One difference Δ per seed, positive where it favours the claim: cells of the two arms that agree in every factor the
   claim does not name are paired, and their differences averaged. Confirm phase only. A seed that lacks a run in
   either arm is left out, and counted.
2. A diverged run is never left out. Where it has no finite value, or by a metric of generalization a better one than some run
   that did not diverge, it takes the worst value of these (worst rank). That understates how bad it is, so a verdict that rests on it is withheld: no "supported" where the treatment
   has more such runs than the baseline, no "refuted" where the baseline has more.
3. Interval of the mean Δ: t; for a binary metric with one run per arm and seed, Tango's paired score interval; where
   all Δ are equal, the exact bound on what n equal observations leave open.
4. Levels by Holm over the claims of a family (`families`), two-sided 5 % in all; supported if the lower bound > δ, refuted if the upper
   bound < δ, else inconclusive. Inconclusive whatever the interval where the manipulation check fails.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from harness.inference.evidence import Evidence
from harness.inference.exact import judge_exact
from harness.inference.multiplicity import holm_alphas
from harness.inference.pairing import pair
from harness.inference.verdict import Verdict
from harness.study import Claim, Exact
from harness.study.claims import ALPHA


def judge(claims: Iterable[Claim | Exact], runs: pd.DataFrame, sweeps: Iterable[str]) -> list[Verdict]:
    """The verdict on each claim of one family, in the order given.

    Args:
        claims: of the study.
        runs: its run table.
        sweeps: factor paths that are swept.
    """
    return judge_family([(claim, runs) for claim in claims], sweeps)


def judge_family(
    claims: Sequence[tuple[Claim | Exact, pd.DataFrame]], sweeps: Iterable[str], *, others: int = 0
) -> list[Verdict]:
    """The same where each claim has runs of its own.

    Args:
        claims: with the run table that each is judged on.
        sweeps: factor paths that are swept.
        others: further claims of the family, which no runs can speak to: Holm counts them.
    """
    swept = list(sweeps)
    confirm = [runs[runs["phase"] == "confirm"] for _, runs in claims]
    evidence = {
        i: Evidence.of(claim, pair(claim, confirm[i], swept))
        for i, (claim, _) in enumerate(claims) if isinstance(claim, Claim)
    }  # fmt: skip
    alphas = holm_alphas([e.p for e in evidence.values()] + [1.0] * others, ALPHA)
    levels = dict(zip(evidence, map(float, alphas), strict=False))
    return [
        evidence[i].verdict(levels[i]) if isinstance(claim, Claim) else judge_exact(claim, confirm[i])
        for i, (claim, _) in enumerate(claims)
    ]
