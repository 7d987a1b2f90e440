"""Δ of a claim at each value that was tried of what is tuned: both arms at the same value, whatever the choice of each."""

from collections.abc import Sequence

import pandas as pd

from harness.inference.pairing import pair
from harness.inference.robust import median
from harness.inference.selection import tried
from harness.settings.levels import at
from harness.study import Claim, Exact, Study

TWINS = {"test_loss": "validation_loss", "test_error": "validation_error"}
"""What is compared where no test data were touched: in a tune phase of its own."""


def shared_points(study: Study, runs: pd.DataFrame, claims: Sequence[Claim | Exact]) -> pd.DataFrame:
    """One row per claim and value tried: `claim`, `metric`, the tuned values by path, `difference` (median over seeds) and `n` seeds.

    Empty where arms have no values in common: nothing is tuned, or by a sampler that adapts to each cell.

    Args:
        study: of the runs.
        runs: one row per run; those that tuning chose from are compared.
        claims: of the study; what it has of `Exact` is left out.
    """
    paths, rows = list(study.tunes()), list[dict[str, object]]()
    there = tried(study, runs)
    if not paths or study.sampler == "tpe" or there.empty:
        return pd.DataFrame()
    for claim in claims:
        compared = _measured(claim, there) if isinstance(claim, Claim) else None
        if compared is None:
            continue
        inside = there[at(there, compared.treatment) | at(there, compared.baseline)]
        for values, at_point in inside.groupby(paths, sort=True):
            pairs = pair(compared, at_point, list(study.sweeps()))
            if pairs.seeds:
                found = {"difference": median(pairs.differences) + 0.0, "n": len(pairs.seeds)}
                rows.append(
                    {"claim": claim.title, "metric": compared.metric, **dict(zip(paths, values, strict=True)), **found}
                )
    return pd.DataFrame(rows)


def _measured(claim: Claim, runs: pd.DataFrame) -> Claim | None:
    """The claim by a metric that the runs have; None where there is none."""
    for metric in (claim.metric, TWINS.get(claim.metric)):
        if metric in runs and runs[metric].notna().any():
            return claim.replace(metric=metric)
    return None
