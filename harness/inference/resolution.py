"""How small a difference a metric can show that takes only some values."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.inference.samples import Sample
from harness.study import Estimated


def is_of_rates_tried(claim: Estimated) -> bool:
    """Whether the number of each run is one of the learning rates tried: arms may differ and yet be equal in it."""
    return claim.metric == "largest_lr" and claim.above is None


def hidden_between_rates(
    claim: Estimated, samples: Sequence[Sample], runs: pd.DataFrame, rates: Sequence[str]
) -> float:
    """The difference of `largest_lr` that the rates tried hide: a run trains, for all that is known, at any rate up to the next one.

    Args:
        claim: of any metric; others hide nothing.
        samples: of its contrasts.
        runs: those that tuning chose from included.
        rates: the path of the learning rate that is tuned.

    Returns:
        The median over the arms' runs, in the claim's unit; infinite where most train at the largest rate tried.
    """
    if not is_of_rates_tried(claim):
        return 0.0
    values = np.concatenate([arm.values for each in samples for arm in each.arms])
    if not len(values):
        return 0.0
    tried = np.append(np.unique(runs[rates[0]].to_numpy(float)), np.inf)
    if claim.takes_logarithms():
        tried = np.log(tried)
    with np.errstate(invalid="ignore"):
        return float(np.median(tried[np.searchsorted(tried, values, side="right")] - values))
