"""Δ of a claim at each value that was tried of what is tuned: both arms at the same value, whatever the choice of each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.inference.estimates import estimate
from harness.inference.evidence import at_worst, tests_of
from harness.inference.samples import sample
from harness.inference.selection import tried
from harness.settings.levels import at
from harness.settings.metrics import OF_TUNED_RATES
from harness.study import AnyClaim, Estimated, Study

TWINS = {"test_loss": "validation_loss", "test_error": "validation_error"}
"""What is compared where no test data were touched: in a tune phase of its own."""


def shared_points(study: Study, runs: pd.DataFrame, claims: Sequence[AnyClaim]) -> pd.DataFrame:
    """One row per claim and value tried.

    Its columns are `number`, the claim's place, as titles may be the same, `claim`, its title, `metric`, the tuned values by path,
    `difference`, which is the claim's own estimate, and `n` seeds. Empty where arms have no values in common: nothing is tuned, or by a sampler that adapts to each cell. A claim on what a seed has of
    all values together has no row.

    Args:
        study: of the runs.
        runs: one row per run; those that tuning chose from are compared.
        claims: of the study; what it has of `Exact` is left out.
    """
    paths, rows = list(study.tunes()), list[dict[str, object]]()
    there = tried(study, runs)
    if not paths or study.sampler == "tpe" or there.empty:
        return pd.DataFrame()
    for i, claim in enumerate(claims, start=1):
        compared = _measured(claim, there) if isinstance(claim, Estimated) else None
        if compared is None or compared.metric in OF_TUNED_RATES:
            continue
        contrasts = compared.contrasts(study.sweeps())
        inside = there[np.any([at(there, arm) for contrast in contrasts for arm in contrast.arms()], axis=0)]
        for values, at_point in inside.groupby(paths, sort=True):
            samples = [sample(compared, contrast, at_point, study.sweeps()) for contrast in contrasts]
            estimates = [estimate(compared, each) for each in tests_of(compared, samples)]
            if all(each.n for each in estimates):
                difference = at_worst(compared, [each.value for each in estimates])
                named = {"number": i, "claim": claim.title, "metric": compared.metric}
                found = {"difference": difference + 0.0, "n": min(each.n for each in estimates)}
                rows.append(named | dict(zip(paths, values, strict=True)) | found)
    return pd.DataFrame(rows)


def _measured(claim: Estimated, runs: pd.DataFrame) -> Estimated | None:
    """The claim by a metric that the runs have; None where there is none."""
    for metric in (claim.metric, TWINS.get(claim.metric)):
        if metric in runs and runs[metric].notna().any():
            return claim.replace(metric=metric)
    return None
